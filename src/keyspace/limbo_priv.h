/* Memory that nobody can find any more, but that a worker may still be reading without a lock: kept until every worker has been elsewhere.
 *
 * The readers are the prefetches of shard.h. What they hold on to they forget before their worker's next tick; so a block that was put here
 * is free to go when every worker has ticked once since. Ticks are counted in epochs: the epoch moves on when all workers have seen it, and
 * what was put here in one epoch goes when the second one after it begins. That is a few ticks, about 50 ms.
 *
 * What is here is in no account: it is what splits and flushes of the last moments have replaced. Any thread. */
#ifndef KEYSPACE_LIMBO_PRIV_H
#define KEYSPACE_LIMBO_PRIV_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

/* How a block that may come here begins; nobody who reads without a lock looks at it. */
struct limbo_block {
    struct limbo_block *next;
};

struct limbo_worker;

struct limbo {
    uint64_t epoch; /* atomic */
    unsigned worker_count;
    struct limbo_worker *workers;
    struct limbo_block *bins[3]; /* atomic; by epoch modulo 3 */
};

/* ERR_NOMEM. */
MUST_USE err limbo_init(struct limbo *l, unsigned worker_count);
/* No reader is left: frees everything. Harmless when zeroed. */
void limbo_fini(struct limbo *l);

/* Frees a block of mem_alloc() when the time has come. New readers cannot find it any more. NULL is fine. */
void limbo_put(struct limbo *l, struct limbo_block *block);
/* This worker holds on to nothing. */
void limbo_tick(struct limbo *l, unsigned worker_index);

#endif
