/* The memory behind the slabs of all shards: one reserved range of addresses, cut into slabs of 16 KB that shards take and give back.
 *
 *      range    | records: 64 bytes a slab | blocks: 64 bytes | slab 0 | slab 1 | ...        up to what was granted at start
 *                                                                '---- 128 slabs: a block of 2 MB ----'
 *
 * One range for all, and not one for each shard, because of huge pages: 64 shards that grow in huge pages of their own waste a megabyte each, here
 * they share them. The first blocks have small pages, so that a small keyspace costs only what it touches; the others get huge ones, which are
 * cheaper to fill and save most misses of the TLB.
 *
 * A slab that is given back is idle: it keeps its memory for the next taker. slab_pool_settle() hands to the system what is too much, a block at a time. That takes
 * up to half a millisecond, and the first touch of a huge page as long, many times that in a virtual machine that has not had the memory yet: so both
 * are done by the thread of os/lazy.h where it runs. It readies blocks as soon as few slabs are free, the more the more there are: all shards' indexes
 * split at about the same time. Who comes before it gets small pages.
 *
 * To give back a part of a huge page splits it, after which each of its small pages has to be found anew, now and whenever the TLB has lost it; on a virtual
 * machine with shadow page tables that is a fault of 10 to 40 us each time, and one such page after the other made the workers' turns as long as 10 ms. So blocks are
 * to become free as a whole: slabs are taken of the fullest ones, and shards empty what they have in the one with the most free ones (slab_pool_emptiest()). When
 * few slabs come back any more, or many have for ten seconds, blocks that are half free are vacated, full slabs and all, of entries and of indexes; what is too much
 * then splits huge pages. A block that has gone back as a whole may become a huge page again.
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

/* Values that are read without a lock. */
#define PUBLISH(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define PEEK(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

enum { SLAB_BYTES = 16 * 1024, SLAB_WORDS = 5, SLAB_POOL_BLOCK_SLABS = 128 };

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

/* Slabs that can be taken before another block is needed; of them those that somebody had and that still have their memory. */
enum slab_pool_set { SLAB_POOL_FREE, SLAB_POOL_IDLE, SLAB_POOL_SETS };
/* What a slab is taken for. Each has blocks of its own as far as that costs no memory: those of entries are emptied slab by slab, those of indexes only when all
 * segments are walked anyway (slab_priv.h). */
enum slab_pool_use { SLAB_POOL_ENTRIES, SLAB_POOL_INDEXES, SLAB_POOL_USES };
/* Lists of blocks: of each use, by the size of a set; and the best. */
enum {
    SLAB_POOL_RANKS = 16,
    SLAB_POOL_FIRSTS = SLAB_POOL_USES * SLAB_POOL_RANKS,
    SLAB_POOL_LISTS = SLAB_POOL_FIRSTS + 1
};

struct slab_pool {
    char *base;         /* slab n stands at n * SLAB_BYTES */
    struct slab *slabs; /* their records */
    struct slab_block *blocks;
    char *range;
    size_t range_bytes;
    uint32_t block_limit;
    ALIGNED(CACHE_LINE_BYTES) struct lock lock;      /* for what follows */
    uint32_t block_count;                            /* committed */
    uint32_t huge_count;                             /* huge pages that were made */
    uint32_t bare_count, first_bare;                 /* blocks that are free and have no memory */
    uint32_t lists[SLAB_POOL_SETS][SLAB_POOL_LISTS]; /* their first blocks */
    uint32_t taken_count;                            /* slabs that somebody has */
    uint32_t free_count, idle_count;                 /* slabs in the sets */
    uint32_t rest_counts[SLAB_POOL_USES]; /* of the free ones, those in the blocks that each use has begun with */
    uint32_t cheap_count;                 /* of the idle ones, those that are cheap to give back */
    uint32_t given_count;                 /* slabs that have come back in this second, */
    int64_t second_ms;                    /* which began then */
    uint32_t busy_seconds;                /* so many one after the other, up to the last, in which many came back */
    bool vacating;                        /* atomic */
    struct message tending;               /* to the other thread */
    bool is_tended;                       /* atomic: the message is on its way */
};

/* Reserves addresses, at most `bytes`, which is halved until the system grants it. ERR_NOMEM when it grants next to nothing. */
MUST_USE err slab_pool_init(struct slab_pool *p, uint64_t bytes);
/* Nobody has a slab any more, and the thread of os/lazy.h has stopped if it ran. Harmless when zeroed. */
void slab_pool_fini(struct slab_pool *p);

/* A slab's number, its content undefined; 0 when the system refuses memory. */
uint32_t slab_pool_take(struct slab_pool *p, enum slab_pool_use use);
void slab_pool_give(struct slab_pool *p, uint32_t number);
/* Blocks of entries that have free slabs, but not only those, the emptiest first: the number of the first slab of each. `vacating`: those of which half is free,
 * also of indexes. Returns how many. The first blocks, which have small pages, are not among them. */
unsigned slab_pool_emptiest(struct slab_pool *p, bool vacating, uint32_t ret_firsts[SLAB_POOL_FIRSTS]);
/* Whether all should empty the slabs that they have in blocks that are half free, so that these become free as a whole; without the lock. */
static inline bool slab_pool_is_vacating(const struct slab_pool *p)
{
    return PEEK(p->vacating);
}
/* Gives the memory of one block's idle slabs back to the system when too much of it is kept: more than 1/64 of what is in use and a megabyte, and not as long as
 * it should wait for the rest of a huge page; or anything, if `all`. False when there was nothing to do. */
bool slab_pool_settle(struct slab_pool *p, bool all);
/* The same, not all, soon and elsewhere; here where the thread of os/lazy.h does not run. To be called many times a second, with the monotonic time. */
bool slab_pool_tend(struct slab_pool *p, int64_t now_ms);

struct slab_pool_stats {
    uint64_t reserved_bytes; /* addresses */
    uint64_t taken_bytes;    /* what shards have */
    uint64_t idle_bytes;     /* what somebody had, kept for the next taker */
};
struct slab_pool_stats slab_pool_stats(struct slab_pool *p);

#endif
