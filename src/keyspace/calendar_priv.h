/* When entries go: a hierarchical timing wheel over the deadlines of one space of one shard, with a resolution of 1 ms
 * and no sampling.
 *
 * Eight levels of 64 slots. An entry stands at the level of the highest group of six bits in which its deadline differs
 * from the wheel's time `at`, in the slot that this group of its deadline says. Scheduling and cancelling are O(1)
 * (links in the entry, entry_priv.h). When the time comes to a slot above level 0, its entries are dealt out to the
 * levels below, at most seven times for an entry; so entries come out in the exact order of their deadlines, also when
 * the clock jumps over many of them. Deadlines after the year 10889 count as that year's.
 *
 * Invariants: (I1) level 0 holds deadlines that equal `at` above the lowest six bits, and, in the slot of `at`, what
 * was overdue when it was scheduled. (I2) At a level above, a slot is behind the one of `at`, except one that is being
 * dealt out: it is the slot of `at` itself. (I3) A bit in `filled` is set exactly when the slot holds something. Under
 * the shard's lock. */
#ifndef KEYSPACE_CALENDAR_PRIV_H
#define KEYSPACE_CALENDAR_PRIV_H

#include "keyspace/entry_priv.h"

enum { CALENDAR_LEVELS = 8, CALENDAR_SLOT_BITS = 6, CALENDAR_SLOTS = 1 << CALENDAR_SLOT_BITS };

struct calendar {
    int64_t at; /* wall ms */
    size_t count;
    uint64_t filled[CALENDAR_LEVELS];
    struct entry *slots[CALENDAR_LEVELS][CALENDAR_SLOTS];
};

void calendar_init(struct calendar *c, int64_t now_wall_ms);
/* An entry with a deadline that is in no calendar. */
void calendar_schedule(struct calendar *c, struct entry *e);
/* Harmless when it is not in. */
void calendar_cancel(struct calendar *c, struct entry *e);
/* The entry with the earliest deadline if that has come, still in; NULL when none has, or when the work is used up.
 * Dealing an entry out costs one unit of *work. A clock that was set back is followed. */
struct entry *calendar_due(struct calendar *c, int64_t now_wall_ms, unsigned *work);
/* No entry is due before this; INT64_MAX when there is none. */
int64_t calendar_next_ms(const struct calendar *c);
/* Some entry of the earliest filled slot: within 1/64 of the nearest deadline's distance. NULL when empty. */
struct entry *calendar_nearest(const struct calendar *c);
/* Asserts the invariants. */
void calendar_check(const struct calendar *c);

#endif
