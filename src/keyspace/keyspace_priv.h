/* The keyspace from inside: for keyspace.c, room.c and tick.c. */
#ifndef KEYSPACE_KEYSPACE_PRIV_H
#define KEYSPACE_KEYSPACE_PRIV_H

#include "keyspace/shard_priv.h"

/* What a worker knows of its housekeeping from one tick to the next. */
struct housekeeper {
    unsigned first_chore;
    unsigned busy_chores; /* a bit for each that may have something to do, */
    int64_t asked_ms;     /* since this millisecond (monotonic) */
    int64_t next_due_ms;  /* wall: the next entry expires, or a tick is over, as of then */
    unsigned tick_count;
    unsigned index_shard;         /* of its shards, the one whose indexes are being compacted */
    struct histogram expiry_lags; /* read by any thread */
};

struct keyspace {
    struct shard *shards;
    unsigned shard_count; /* a power of two */
    unsigned db_count;
    unsigned worker_count;
    struct hash_key hash_key;
    struct loader *loader;
    struct list taps;
    struct housekeeper *housekeepers; /* one a worker */
    bool wants_records;
    int64_t epoch_ms;
    /* Read without a lock. */
    bool active_expiry;
    int64_t frozen_until_ms; /* monotonic */
    uint64_t limit_bytes;    /* 0: none */
    enum eviction eviction;
    int64_t publish_step;
    struct limbo limbo;
    struct slab_pool slab_pool;
    uint64_t ahead_bytes;         /* that are to be free while room is wanted: */
    int64_t room_wanted_until_ms; /* monotonic */
    bool limit_changed;           /* and the shards have not heard since: keyspace_settle() */
    struct lock gate;
    ALIGNED(CACHE_LINE_BYTES) uint64_t published_bytes;
    uint64_t peak_bytes;
    uint32_t rests_count;  /* shards that have something to reap */
    uint64_t victim_shard; /* where to look next: a sequence that is spread evenly */
};

/* Something done to a shard that no command asked for: noted in an effect of its own and told to the taps before the
 * unlock. */
struct unasked {
    struct arena arena;
    struct effect fx;
};

void unasked_begin(struct unasked *u, struct keyspace *ks, struct now now);
/* With the shard still locked. */
void unasked_end(struct unasked *u, struct keyspace *ks);

/* By the lap clock, when a budget is used up that begins now (0: never), and whether it is. */
int64_t keyspace_budget_end_ns(int64_t budget_us);
bool keyspace_budget_is_over(int64_t end_ns);

/* Whether memory is over the limit, with as many bytes more. */
bool room_is_short(const struct keyspace *ks, uint64_t bytes);
/* How many bytes the ticks are to make free ahead; 0 when for a second no room has been made for any (room_evict()). */
uint64_t room_ahead_bytes(const struct keyspace *ks, struct now now);
/* Evicts a few entries, four or `count_max` at most, from some shard that has any; returns how many, 0 when there is room for
 * `bytes` or the policy finds none in all of them. No shard is locked. */
unsigned room_evict(struct keyspace *ks, struct unasked *u, struct now now, uint64_t bytes, uint64_t count_max);

#endif
