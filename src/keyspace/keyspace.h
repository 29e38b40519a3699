/* All keys: the shards, the databases, the locks over several shards, and what is done to the whole (scan, flush, swap,
 * expiry slices, memory limit). */
#ifndef KEYSPACE_KEYSPACE_H
#define KEYSPACE_KEYSPACE_H

#include "base/hash.h"
#include "keyspace/effect.h"
#include "keyspace/loader.h"
#include "keyspace/shard.h"
#include "observe/histogram.h"

enum { KEYSPACE_DB_COUNT_MAX = 16384, SHARD_COUNT_MAX = 2048 };

/* The policies of maxmemory-policy. */
enum eviction {
    EVICTION_NONE,
    EVICTION_ADAPTIVE,
    EVICTION_ALLKEYS_LRU,
    EVICTION_ALLKEYS_LFU,
    EVICTION_ALLKEYS_RANDOM,
    EVICTION_VOLATILE_LRU,
    EVICTION_VOLATILE_LFU,
    EVICTION_VOLATILE_RANDOM,
    EVICTION_VOLATILE_TTL,
    EVICTION_COUNT
};

struct keyspace_options {
    unsigned worker_count;
    unsigned db_count;
    uint64_t maxmemory_bytes; /* 0: no limit */
    enum eviction eviction;
    unsigned char seed[16]; /* of the key hash */
};

MUST_USE err keyspace_new(const struct keyspace_options *o, struct keyspace **ret_keyspace);
/* Nobody may use it any more. */
void keyspace_free(struct keyspace *ks);
void keyspace_set_loader(struct keyspace *ks, struct loader *l);
struct loader *keyspace_loader(const struct keyspace *ks);
/* At set-up only. */
void keyspace_add_tap(struct keyspace *ks, struct tap *t);
bool keyspace_wants_records(const struct keyspace *ks);
/* Tells the taps; the effect's shards are locked. */
void keyspace_publish(struct keyspace *ks, const struct effect *fx);

unsigned keyspace_shard_count(const struct keyspace *ks);
struct shard *keyspace_shard(struct keyspace *ks, unsigned number);
unsigned keyspace_db_count(const struct keyspace *ks);
/* Resolves a key: hash and shard. The same key falls into the same shard in every database. No lock. */
struct key keyspace_key(struct keyspace *ks, unsigned db, slice bytes);

/* ---- locks over several shards ----------------------------------------------------------------------------------- */
/* Locks the shards of `keys` in ascending order, each once. One key is the fast path. */
NOINLINE void keyspace_lock_keys(struct keyspace *ks, const struct key *keys, size_t count) UNCHECKED_LOCKS;
NOINLINE void keyspace_unlock_keys(struct keyspace *ks, const struct key *keys, size_t count) UNCHECKED_LOCKS;
/* Owns the gate, then locks every shard: for who does not know its shards beforehand. */
void keyspace_lock_all(struct keyspace *ks) UNCHECKED_LOCKS;
void keyspace_unlock_all(struct keyspace *ks) UNCHECKED_LOCKS;

/* ---- the whole --------------------------------------------------------------------------------------------------- */
/* SCAN: visits at least `count` entries of a database (expired and negative ones too: the caller filters), locking
 * shard by shard itself. The cursor stays below 2^53. Returns the next one, 0 at the end. A cursor that was never given
 * out is accepted and leads to some place or the end. */
uint64_t keyspace_scan(struct keyspace *ks, unsigned db, uint64_t cursor, size_t count,
                       void (*visit)(void *argument, struct entry *e), void *argument);
/* Visits every entry of a database; all shards are locked by the caller (KEYS). */
void keyspace_each(struct keyspace *ks, unsigned db, void (*visit)(void *argument, struct entry *e), void *argument);
/* A random visible key, copied to the arena; ptr NULL when the database is empty. Locks by itself. */
slice keyspace_random_key(struct keyspace *ks, unsigned db, struct arena *arena, uint64_t random, int64_t now_wall_ms);
/* Visible keys of a database (negative entries are not counted), those with a deadline, and the mean time left of those
 * (ms). Without locks. */
uint64_t keyspace_key_count(const struct keyspace *ks, unsigned db);
uint64_t keyspace_expiring_count(const struct keyspace *ks, unsigned db);
int64_t keyspace_mean_ttl_ms(const struct keyspace *ks, unsigned db, int64_t now_wall_ms);
/* With all shards locked: empties a database. What was in it is retired, to be freed in slices by keyspace_tick(), or
 * at once by the caller's keyspace_reap() after the unlock. Voids pendings. Notes nothing per key; the record is the
 * call itself. Returns the visible keys that were there. */
uint64_t keyspace_flush_db(struct keyspace *ks, unsigned db);
/* Frees retired spaces; until `budget_us` of work is done (0: all). True when nothing is left. No locks held by the
 * caller. */
bool keyspace_reap(struct keyspace *ks, int64_t budget_us);
/* With all shards locked: exchanges two databases, voids their pendings. */
void keyspace_swap_dbs(struct keyspace *ks, unsigned a, unsigned b);

/* Gives back what memory can be spared: frees retired spaces, moves the entries of sparse slabs together, returns free slabs to the system. Works for
 * about budget_us (0: as long as it takes); true when nothing is left to do. No locks held by the caller. */
bool keyspace_purge(struct keyspace *ks, int64_t budget_us);

/* Returns free slabs to the system, all that are free now: 100 us for each 2 MB. Takes no locks of shards. */
void keyspace_give_back(struct keyspace *ks);

/* A worker's slice of the housekeeping: expires what is due in the shards assigned to it (index modulo worker count),
 * frees what is retired there, moves what is in sparse slabs together, evicts a little while memory is over the limit, or near it while calls meet it, all of it within budget_us and
 * a step more, mostly of a microsecond (0: as long as it takes, so that what it does depends on no clock); returns the
 * monotonic ms when it wants to be called next. Locks by itself, a shard at a time. */
int64_t keyspace_tick(struct keyspace *ks, unsigned worker_index, struct now now, int64_t budget_us);
/* How long after their deadlines a worker's ticks removed what was due, in us (whole ms; by the time that the tick was
 * given). Not in it: what a command met first. Any thread; it may be added to meanwhile. */
const struct histogram *keyspace_expiry_lags(const struct keyspace *ks, unsigned worker_index);
/* Forgets them. On the worker's own thread. */
void keyspace_reset_expiry_lags(struct keyspace *ks, unsigned worker_index);
/* DEBUG SET-ACTIVE-EXPIRE: lazily only, when off. */
void keyspace_set_active_expiry(struct keyspace *ks, bool on);

/* Until then nothing that nobody asked for alters data: no expiry, no eviction, no fill. An expired entry stays and is to count as absent. 0: from
 * now on it may. Whoever stores what a source brought asks keyspace_is_frozen() with the shard locked. With all shards locked; the caller sees to it that
 * no command writes meanwhile (CLIENT PAUSE). */
void keyspace_freeze(struct keyspace *ks, int64_t until_mono_ms);
bool keyspace_is_frozen(const struct keyspace *ks, struct now now);

/* ---- memory ------------------------------------------------------------------------------------------------------ */
/* Takes no locks; the shards hear of it with the next keyspace_settle(), keyspace_make_room() or tick. */
void keyspace_set_limit(struct keyspace *ks, uint64_t maxmemory_bytes, enum eviction eviction);
/* 0: none. */
uint64_t keyspace_limit_bytes(const struct keyspace *ks);
/* Tells the shards of a limit and a policy that have changed. Locks by itself. */
COLD void keyspace_settle(struct keyspace *ks);
/* Before a call locks anything that brings about `bytes`: evicts as many entries as that could need and some more, so
 * that used memory with them is under the limit. ERR_OOM when `bytes` alone are over it, and when memory is over it and
 * nothing could be evicted; memory that is over it and going down is given the time. ERR_AGAIN: a huge call has evicted
 * as much as is good in one go, and is to come again when others have been served. Locks by itself. */
MUST_USE err keyspace_make_room(struct keyspace *ks, struct now now, uint64_t bytes);
/* Looks only, also with shards locked: OK when there is room for them, ERR_OOM when they alone are over the limit, ERR_AGAIN when room would have to
 * be made. */
MUST_USE err keyspace_has_room(const struct keyspace *ks, struct now now, uint64_t bytes);
/* All that data costs: entries, values, index, calendar, queues. */
uint64_t keyspace_used_bytes(const struct keyspace *ks);
uint64_t keyspace_peak_bytes(const struct keyspace *ks);

/* The part of it that is in slabs: entries with small values, and the index. The rest comes from the general allocator. */
struct keyspace_slabs {
    uint64_t reserved_bytes; /* addresses */
    uint64_t held_bytes;     /* slabs in use and such as are kept for the next use: what the system has lent, at most */
    uint64_t used_bytes;     /* blocks in them */
};
/* Any thread; without the shards' locks. */
struct keyspace_slabs keyspace_slabs(struct keyspace *ks);

/* Every invariant of every shard; slow. Locks by itself. */
void keyspace_check(struct keyspace *ks);

#endif
