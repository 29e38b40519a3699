/* Memory that workers read without a lock. When nobody can find a block any more, it is kept until every worker has been elsewhere.
 *
 * The readers are the looks and glimpses of shard.h. What they hold on to they forget before their worker's next tick; so a block that was put here
 * is free to go when every worker has ticked once since. Ticks are counted in epochs: the epoch moves on when all workers have seen it, and
 * what was put here in one epoch goes when the second one after it begins. That is a few ticks, about 50 ms. Whoever moves the epoch on frees it, some
 * with each tick, and sees no new epoch until all is gone: so ticks stay short, and no more comes than goes.
 *
 * What is here is in no account: it is what splits and flushes of the last moments have replaced. Any thread. */
#ifndef KEYSPACE_LIMBO_PRIV_H
#define KEYSPACE_LIMBO_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "keyspace/slab_priv.h"
#include "os/lock.h"

/* How a block begins; nobody who reads without a lock looks at it. */
struct limbo_block {
    struct limbo_block *next;
    size_t slab_bytes; /* it is one of limbo's slabs; 0: of mem_alloc() */
};

struct limbo_worker;

enum { LIMBO_PER_TICK = 64 }; /* blocks that one tick frees */

struct limbo {
    uint64_t epoch; /* atomic */
    unsigned worker_count;
    struct limbo_worker *workers;
    struct limbo_block *bins[3]; /* atomic; by epoch modulo 3 */
    struct lock lock;            /* of the slabs */
    struct slabs slabs;
};

/* ERR_NOMEM. */
MUST_USE err limbo_init(struct limbo *l, unsigned worker_count, struct slab_pool *pool);
/* No reader is left: frees everything. Harmless when zeroed. */
void limbo_fini(struct limbo *l);

/* A block that begins with a struct limbo_block, filled in; the rest is not cleared. NULL when the system refuses memory.
 * Shared by all shards, so that the small ones of each do not begin slabs of their own. */
void *limbo_alloc(struct limbo *l, size_t bytes) MUST_USE;
/* What it costs. */
size_t limbo_good_bytes(size_t bytes);

/* Frees a block when the time has come. New readers cannot find it any more. NULL is fine. */
void limbo_put(struct limbo *l, struct limbo_block *block);
/* This worker holds on to nothing. Frees up to LIMBO_PER_TICK blocks whose time has come; true when there are more. */
bool limbo_tick(struct limbo *l, unsigned worker_index);

/* Whether blocks should move, since slabs are sparse or the pool wants some vacated (slab_is_sparse()): who has some replaces those that should by others, and puts them here. */
bool limbo_is_sparse(struct limbo *l);
bool limbo_should_move(struct limbo *l, const struct limbo_block *block);

#endif
