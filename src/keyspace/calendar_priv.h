/* When entries go: a hierarchical timing wheel over the deadlines of one shard, all databases, with a resolution of 1 ms
 * and no sampling.
 *
 *      slot    records: handles of blocks            entry: deadline, mark
 *      [ 37 ]  ──► h1 h2 h3 ...                      counts in slot 37 only while it is a live block marked 37
 *
 * Eleven levels, whose slots last 1, 32, 1024, ... ms. An entry's record stands at the lowest level that reaches its deadline from the wheel's time `at`.
 * When the time comes to a slot above level 0, its records are dealt out to the levels below, at most ten times for an entry; so entries come
 * out in the exact order of their deadlines, also when the clock jumps over many of them.
 *
 *      level 1   ...| at |        next       |         |...      a level has the 32 slots of the one above that `at` is in,
 *      level 0      [..at............|..................]        and the five lowest also those of the next one
 *
 * So a slot of up to 9 hours can be dealt out while the one before it lasts, a few records at a time, when nothing else is to be done: ten million
 * deadlines within 17 minutes take a second, by which otherwise the first of them would be late. Slots of twelve days and more are dealt out at once.
 *
 * A record is 4 bytes and no entry knows where its own stands: it knows the slot. Cancelling is free; the record goes
 * stale and is dropped when it comes up. A later deadline leaves the record where it is, too early, to be put right when
 * it comes up; an earlier one gets a new record. What moves to another block gets a new record.
 *
 * When more than half of the records are stale (and more than a few), and when the clock was set back, everything is
 * moved to a second wheel, a few records at a time, the earliest slot first. Marks tell the two wheels apart, so that
 * of two records of one block in one slot (it was freed, and came again) the second is found to be stale.
 *
 * Invariants: (I1) a scheduled entry has a record in the slot that it names. (I2) It comes up in time: that slot begins
 * at its deadline or before, or at the wheel's `at`. (I3) A slot that holds something is behind the one of `at` at its level, except one that
 * is being dealt out: it is the slot of `at` itself. It lies in that of `at` of the level above, or in the next one. (I4) A bit in `filled` is set exactly when the slot holds records.
 * (I5) With no wheel nothing is scheduled. Under the shard's lock. */
#ifndef KEYSPACE_CALENDAR_PRIV_H
#define KEYSPACE_CALENDAR_PRIV_H

#include "keyspace/entry_priv.h"
#include "keyspace/records_priv.h"
#include "keyspace/slab_priv.h"

struct wheel;

struct calendar {
    const struct slabs *slabs; /* where its entries live */
    struct wheel *wheel;       /* NULL while nothing has a deadline */
    struct wheel *old;         /* what is being moved to `wheel`; NULL otherwise */
    size_t entry_count;        /* scheduled and not cancelled */
    struct records_sum sum;    /* stale ones included */
};

void calendar_init(struct calendar *c, const struct slabs *slabs);
/* Forgets all records. */
void calendar_clear(struct calendar *c);
/* All that it costs. */
size_t calendar_bytes(const struct calendar *c);

/* Room for the record of an entry with this deadline, which the next calendar_schedule() will find. False when the
 * system refuses memory. */
MUST_USE bool calendar_reserve(struct calendar *c, int64_t deadline, int64_t now_wall_ms);
/* An entry with a deadline that is not scheduled, or not any more. Room for it is reserved. Returns by when calendar_due() is to be called for it: its
 * deadline, or earlier. */
int64_t calendar_schedule(struct calendar *c, struct entry *e);
/* So many scheduled entries are not any more. Their records and marks stay, so that one that is scheduled again can keep
 * its record. */
void calendar_cancel(struct calendar *c, size_t count);
/* A scheduled entry, copied to another block: gives the copy a record of its own. Room for it is reserved. */
void calendar_moved(struct calendar *c, struct entry *copy);
/* An entry that came up and is not scheduled: its record shall not come up again. */
void calendar_forget(struct entry *e);

/* The entry with the earliest deadline if that has come, still scheduled; NULL when none has, or when the work is used
 * up or memory refused. Each record that is looked at costs one unit of *work; up to half of it goes to moving. */
struct entry *calendar_due(struct calendar *c, int64_t now_wall_ms, unsigned *work);
/* After calendar_due() has given one: an entry that will come up soon after it, when that can be said at once; else NULL. */
const struct entry *calendar_soon(const struct calendar *c);
/* Whether there is something that can be dealt out ahead; changed by calendar_due() and calendar_deal_ahead() alone. */
bool calendar_has_ahead(const struct calendar *c);
/* Deals out up to `work` records of it. */
void calendar_deal_ahead(struct calendar *c, unsigned work);
/* Whether calendar_due() has something to do besides: too much is stale, or everything. */
bool calendar_is_untidy(const struct calendar *c);
/* No entry is due before this, calendar_due() has nothing else to do, nor is there more to be dealt out ahead; 0 when it has, INT64_MAX when there is
 * nothing. */
int64_t calendar_next_ms(const struct calendar *c);
/* One of the entries that go first: the earliest of a few of the earliest filled slot. NULL when nothing is scheduled.
 * Drops the stale records that it meets. */
struct entry *calendar_nearest(struct calendar *c);
/* Asserts the invariants, as far as the system gives memory for that. Returns how many entries have a record that
 * counts. */
size_t calendar_check(const struct calendar *c);

#endif
