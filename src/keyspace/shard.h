/* One lockable part of the keyspace: index, expiry calendar, eviction queues, pending keys and memory account of its
 * keys, in all databases. This is the interface that everything else stands on; what is behind it (index.c, entry
 * layout, calendar.c, evict.c) may change.
 *
 * Rules
 * (R1) Every function takes the shard locked by the caller unless it says otherwise.
 * (R2) A function that alters an entry notes it in the effect, tells the calendar and the eviction policy, keeps the
 *      accounts, and (unless the change is a fill, an expiry or an eviction) voids a pending load of that key: an
 *      invalidation beats every fill that began before.
 * (R3) It may move the entry; the one it returns is the one to use from then on.
 * (R4) What can fail (memory) fails before anything changed.
 * (R5) Entries of a database live in its *space*: one index a space. keyspace.h maps databases to spaces; SWAPDB and
 *      FLUSHDB change the map. */
#ifndef KEYSPACE_SHARD_H
#define KEYSPACE_SHARD_H

#include "base/attr.h"
#include "base/err.h"
#include "keyspace/effect.h"
#include "keyspace/entry.h"
#include "os/lock.h"

struct shard;
struct keyspace;

/* A key with everything that finding it takes. Made by keyspace_key(); `bytes` is borrowed. */
struct key {
    slice bytes;
    uint64_t hash;
    struct shard *shard;
    unsigned db;
};

void shard_lock(struct shard *s) UNCHECKED_LOCKS;
bool shard_trylock(struct shard *s) UNCHECKED_LOCKS;
void shard_unlock(struct shard *s) UNCHECKED_LOCKS;
void shard_assert_locked(const struct shard *s);
unsigned shard_number(const struct shard *s);

/* Where a key will be looked for, as seen without the shard's lock. By a worker, until its next keyspace_tick(). */
struct sight {
    const void *bucket; /* NULL: the database is empty */
    const void *entry;  /* what the key probably has; NULL: not looked for, or nothing */
    uint32_t version;   /* of the shard's lock, before */
    bool blind;         /* it says nothing */
};

/* To find a key takes its bucket and then its entry from memory, each of which costs as much as all the rest. The
 * processor fetches many at a time if they are asked for without waiting for any, so for many keys it is
 *
 *      shard_look() for all of them -> shard_find_seen() (and shard_find()), or shard_glimpse(), for each
 *
 * The first, without locks, fills in the sights and asks for the entries, or for what a new key will need if it is to be written. Its steps (where the bucket is,
 * fetch it, what it holds, fetch that) are loops over all the keys: whatever waits between two fetches holds up those behind it. What is asked for goes to the second
 * level of the cache, since of what is under way to the first there may be a dozen at most. */
struct look {
    const struct key *key;
    struct sight *sight; /* to be filled in */
    bool to_write;
};
void shard_look(const struct look *looks, unsigned count) ON(worker);
/* Brings the entry that was seen on to the first level: for who will use it in a moment. */
void shard_approach(const struct sight *sight);

/* The entry of a key as it is there, whatever its state: maybe expired, stale or negative. NULL when absent. */
struct entry *shard_find(struct shard *s, const struct key *k);
/* The same at once for a key that was looked at, when nobody has had the lock since and it has not expired. NULL: that cannot be said, ask shard_find(). Who has changed
 * something himself since he took the lock does not ask. */
struct entry *shard_find_seen(const struct key *k, const struct sight *sight, int64_t now_wall_ms);

/* Adds an entry for a key that is absent. CHANGE_CREATED, or CHANGE_FILLED for EVENT_fill. ERR_NOMEM. */
MUST_USE err shard_insert(struct shard *s, const struct key *k, const struct content *c, struct effect *fx,
                          enum event event, struct entry **ret_entry);
/* Gives an entry new content and times; CHANGE_CHANGED or CHANGE_FILLED. ERR_NOMEM. */
MUST_USE err shard_replace(struct shard *s, const struct key *k, struct entry *e, const struct content *c,
                           struct effect *fx, enum event event, struct entry **ret_entry);
/* The same, for what may have to be taken back. */
struct exchange {
    struct entry *made; /* good while nothing else changes the key */
    struct entry *was;  /* its block, which is in no index now, or a copy in the effect's arena */
    bool in_place;      /* a copy */
};
MUST_USE err shard_exchange(struct shard *s, const struct key *k, struct entry *e, const struct content *c,
                            struct effect *fx, enum event event, struct exchange *ret_exchange);
/* The key has its old entry again. Cannot fail, and notes nothing. */
void shard_exchange_back(struct shard *s, const struct key *k, const struct exchange *x);
/* The exchange stays. */
void shard_exchange_end(struct shard *s, const struct exchange *x);
/* Changes the times alone. */
MUST_USE err shard_set_times(struct shard *s, const struct key *k, struct entry *e, int64_t deadline,
                             int64_t fresh_until, struct effect *fx, enum event event, struct entry **ret_entry);
/* Resizes a string value to `bytes`, keeping what fits and zeroing what is new; the value becomes raw; *ret_value is
 * writable until the unlock. */
MUST_USE err shard_edit_string(struct shard *s, const struct key *k, struct entry *e, size_t bytes, struct effect *fx,
                               enum event event, struct entry **ret_entry, char **ret_value);
/* Removes an entry; `change` says why (CHANGE_DELETED, CHANGE_EXPIRED, CHANGE_EVICTED). The key's bytes are not the
 * entry's own. */
void shard_remove(struct shard *s, const struct key *k, struct entry *e, struct effect *fx, enum change change,
                  enum event event);

/* Notes a read for the eviction policy and OBJECT IDLETIME/FREQ; writes only when something changes. */
void shard_note_read(struct shard *s, struct entry *e, int64_t now_wall_ms);

/* The entry of a key without the lock: a copy in `memory`, aligned to eight bytes, of SHARD_GLIMPSE_BYTES_MAX; or NULL
 * when the key is absent. It is neither expired nor negative. If this `is_use` of it the eviction policy has noted that (for
 * which the lock may have been held). False when that cannot be said without the lock, or something in the shard was
 * changed since the sight: then nothing has happened. */
enum { SHARD_GLIMPSE_BYTES_MAX = 2048 };
bool shard_glimpse(const struct key *k, const struct sight *sight, int64_t now_wall_ms, bool is_use, void *memory,
                   struct entry **ret_entry) ON(worker);

/* Marks a loaded entry as stale from now on (soft invalidation); the stale window that it has left stays. Voids a
 * pending load. */
MUST_USE err shard_soften(struct shard *s, const struct key *k, struct entry *e, struct effect *fx,
                          struct entry **ret_entry);

/* Walks the entries of one space of this shard in hash order, from `cursor` (0: the start), until `visit` has been
 * called for at least `count` of them or the end; buckets are never split between calls. Returns the next cursor, 0 at
 * the end. Each entry that is there throughout is visited at least once, however the index grows and shrinks between
 * calls. `visit` may remove the entry it is given, nothing else. */
uint64_t shard_walk(struct shard *s, unsigned db, uint64_t cursor, size_t count,
                    void (*visit)(void *argument, struct entry *e), void *argument);

/* Some entry of the database that is neither expired nor negative, near-uniformly chosen; NULL when none was met within
 * a bounded search. */
struct entry *shard_random(struct shard *s, unsigned db, uint64_t random, int64_t now_wall_ms);

/* Counts of one database in this shard, without the lock (racy by design): visible keys, those with a deadline. */
uint64_t shard_key_count(const struct shard *s, unsigned db);
uint64_t shard_expiring_count(const struct shard *s, unsigned db);

/* Checks every invariant of the shard (index, calendar, queues, accounts); aborts when one is broken. Slow; for
 * LARDER_CHECKS and tests. */
void shard_check(struct shard *s);

#endif
