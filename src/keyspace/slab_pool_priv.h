/* The memory behind the slabs of all shards: one reserved range of addresses, cut into slabs of 16 KB that shards take and give back.
 *
 *      range    | records: 64 bytes a slab | blocks: 64 bytes | slab 0 | slab 1 | ...        up to what was granted at start
 *                                                                '---- 128 slabs: a block of 2 MB ----'
 *
 * One range for all, and not one for each shard, because of huge pages: 64 shards that grow in huge pages of their own waste a megabyte each, here
 * they share them. The first blocks have small pages, so that a small keyspace costs only what it touches; the others get huge ones, which are
 * cheaper to fill and save most misses of the TLB.
 *
 * A slab that is given back keeps its memory for the next taker; slab_pool_settle() hands to the system what is too much, a block at a time. That takes
 * up to half a millisecond, and the first touch of a huge page as long, many times that in a virtual machine that has not had the memory yet: so both
 * are done by the thread of os/lazy.h where it runs. It readies blocks as soon as few slabs are free, the more the more there are: all shards' indexes
 * split at about the same time. Who comes before it gets small pages.
 *
 * Nothing is ever unmapped: who reads without a lock finds at worst other data or zeros. Slab 0 is given to nobody and reads as zeros.
 *
 * Threads: any; a lock of its own, which may be taken with a shard locked. A slab's record belongs to the shard that has it. */
#ifndef KEYSPACE_SLAB_POOL_PRIV_H
#define KEYSPACE_SLAB_POOL_PRIV_H

#include "base/assert.h"
#include "base/err.h"
#include "os/lock.h"
#include "os/worker.h"

enum { SLAB_BYTES = 16 * 1024, SLAB_WORDS = 5 };

/* What its shard knows of a slab; slab.c alone uses it. */
struct slab {
    uint64_t live[SLAB_WORDS];     /* a bit for each block, if they suffice */
    uint32_t next, previous;       /* in its class's list of slabs with room; numbers in the pool */
    uint32_t place;                /* in its shard's table */
    uint16_t capacity, live_count; /* in blocks */
    uint16_t hint;                 /* the block to look at first */
    uint8_t size_class;
} ALIGNED(CACHE_LINE_BYTES);

static_assert(sizeof(struct slab) == CACHE_LINE_BYTES, "two shards share no line");

struct slab_block;

struct slab_pool {
    char *base;         /* slab n stands at n * SLAB_BYTES */
    struct slab *slabs; /* their records */
    struct slab_block *blocks;
    char *range;
    size_t range_bytes;
    uint32_t block_limit;
    ALIGNED(CACHE_LINE_BYTES) struct lock lock; /* for what follows */
    uint32_t block_count;                       /* committed */
    uint32_t huge_count;                        /* of them with huge pages */
    uint32_t first_block, last_block;           /* those that have free slabs; wholly free ones last */
    uint32_t settled_block;                     /* where slab_pool_settle() was */
    uint32_t free_count;                        /* slabs that can be taken before another block is needed */
    uint32_t taken_count;                       /* slabs that shards have */
    uint32_t idle_count;                        /* free ones that somebody had and that still have their memory */
    struct message tending;                     /* to the other thread */
    bool is_tended;                             /* atomic: the message is on its way */
};

/* Reserves addresses, at most `bytes`, which is halved until the system grants it. ERR_NOMEM when it grants next to nothing. */
MUST_USE err slab_pool_init(struct slab_pool *p, uint64_t bytes);
/* Nobody has a slab any more, and the thread of os/lazy.h has stopped if it ran. Harmless when zeroed. */
void slab_pool_fini(struct slab_pool *p);

/* A slab's number, its content undefined; 0 when the system refuses memory. */
uint32_t slab_pool_take(struct slab_pool *p);
void slab_pool_give(struct slab_pool *p, uint32_t number);
/* Gives the memory of one block's free slabs back to the system when too much of it is kept: more than a 1/64 of what is in use and a megabyte,
 * or anything, if `all`. False when there was nothing to do. */
bool slab_pool_settle(struct slab_pool *p, bool all);
/* The same, not all, soon and elsewhere; here where the thread of os/lazy.h does not run. */
bool slab_pool_tend(struct slab_pool *p);

struct slab_pool_stats {
    uint64_t reserved_bytes; /* addresses */
    uint64_t taken_bytes;    /* what shards have */
    uint64_t idle_bytes;     /* what somebody had, kept for the next taker */
};
struct slab_pool_stats slab_pool_stats(struct slab_pool *p);

#endif
