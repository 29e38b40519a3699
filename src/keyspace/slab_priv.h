/* A shard's blocks of memory, each named by a handle of four bytes. Slabs of 16 KB come from the pool that all shards share; each holds blocks of one
 * size. The place of a slab of the pool's first 4 GB is its number there. For those beyond a shard has a table, so that a handle is short and its block may be
 * anywhere:
 *
 *      handle    29 ... 11 | 10 ..... 0           number    place, or table[place - SLAB_DIRECT_COUNT]
 *                place       offset / 8           block     base + number * 16 KB + offset
 *
 * Two bits are free for who keeps handles; so a shard has at most 4 GB of slabs beyond the first 4 GB of all. Small caches have no table, which would be one more line to bring
 * from memory for each entry.
 *
 * Sizes go up in steps of 8 to 128, then in eight steps to each doubling, to SLAB_BLOCK_MAX; larger things are for the general allocator. A block
 * stands at a multiple of its size in its slab: one of 64 bytes is a cache line, one of 4096 a page.
 *
 * Memory is stable: a block that was freed stays readable and holds its old bytes, other blocks' or zeros. Under AddressSanitizer free blocks are
 * poisoned. Threads: the shard's lock, but for what says otherwise. */
#ifndef KEYSPACE_SLAB_PRIV_H
#define KEYSPACE_SLAB_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include "keyspace/slab_pool_priv.h"

/* A block of a shard's slabs; 0: none. */
typedef uint32_t handle;

enum {
    SLAB_BLOCK_MAX = 8192,
    SLAB_GRANULE = 8,
    HANDLE_BITS = 30,
    SLAB_OFFSET_BITS = 11, /* of them, of the offset */
#ifdef LARDER_CHECKS
    SLAB_DIRECT_COUNT = 64, /* 1 MB: so that tests have both */
#else
    SLAB_DIRECT_COUNT = 1 << (HANDLE_BITS - SLAB_OFFSET_BITS - 1),
#endif
    SLAB_CLASS_COUNT = 63,
};

struct limbo;

struct slab_class {
    uint32_t first, last; /* slabs with room; numbers in the pool, 0: none */
    uint32_t slab_count;
    uint32_t free_count; /* free blocks in them */
};

struct slabs {
    /* What look-ups read and only the coming and going of slabs writes has a line of its own. */
    const char *base;     /* the pool's */
    struct slab *records; /* the pool's */
    uint32_t *table;      /* atomic: who reads without the lock may hold on to a former one, which is in limbo */
    struct slab_pool *pool;
    struct limbo *limbo;
    uint64_t *owned; /* a bit for each slab of the pool that is this shard's */
    uint32_t owned_words;
    uint32_t table_capacity;
    uint32_t table_end;  /* of the table: from here on nothing was ever used */
    uint32_t hole_count; /* before the end, without a slab */
    uint32_t hole_hint;  /* none before it */
    uint32_t slab_count; /* read without the lock */
    enum slab_pool_use use;
    struct {
        uint32_t first, count; /* slabs whose blocks are to move, numbers in the pool; */
        uint32_t left;         /* how many of them there still are */
    } drained;
    ALIGNED(CACHE_LINE_BYTES) uint64_t used_bytes; /* of all blocks; read without the lock */
    struct slab_class classes[SLAB_CLASS_COUNT];
};

/* `use`: what they are taken from the pool for. */
void slabs_init(struct slabs *s, struct slab_pool *pool, enum slab_pool_use use, struct limbo *limbo);
/* All blocks have been freed. Harmless when zeroed. */
void slabs_fini(struct slabs *s);

/* The block of a handle; also without the lock, for any handle that was good once. */
static inline void *slab_at(const struct slabs *s, handle h)
{
    size_t number = h >> SLAB_OFFSET_BITS;
    if (number >= SLAB_DIRECT_COUNT) {
        const uint32_t *table = __atomic_load_n(&s->table, __ATOMIC_ACQUIRE);
        number = __atomic_load_n(&table[number - SLAB_DIRECT_COUNT], __ATOMIC_RELAXED);
    }
    return (char *)s->base + number * SLAB_BYTES + (h & ((1u << SLAB_OFFSET_BITS) - 1)) * SLAB_GRANULE;
}

static inline handle slab_handle(const struct slabs *s, const void *block)
{
    size_t offset = (size_t)((const char *)block - s->base), number = offset / SLAB_BYTES;
    uint32_t place = number < SLAB_DIRECT_COUNT ? (uint32_t)number : s->records[number].place;
    return place << SLAB_OFFSET_BITS | (uint32_t)(offset % SLAB_BYTES / SLAB_GRANULE);
}

/* Has a block's first lines brought to the cache, and what slab_free() needs of its slab. */
static inline void slab_fetch(const struct slabs *s, handle h)
{
    const char *block = slab_at(s, h);
    __builtin_prefetch(block, 1);
    __builtin_prefetch(block + CACHE_LINE_BYTES - 1, 1);
    __builtin_prefetch(&s->records[(size_t)(block - s->base) / SLAB_BYTES], 1);
}

/* Whether an allocated block begins there. Every value may be asked for. */
bool slab_is_live(const struct slabs *s, handle h);

/* At most SLAB_BLOCK_MAX bytes, not cleared. NULL when the system refuses memory. */
void *slab_alloc(struct slabs *s, size_t bytes) MUST_USE;
/* `bytes` is of the same size as what was asked for. NULL is fine. */
void slab_free(struct slabs *s, void *block, size_t bytes);

/* What a block of that many bytes costs. */
static inline size_t slab_good_bytes(size_t bytes)
{
    if (bytes <= 64) {
        return bytes <= 16 ? 16 : (bytes + 7) & ~(size_t)7;
    }
    size_t step = (size_t)1 << (60 - __builtin_clzll(bytes - 1));
    return (bytes + step - 1) & ~(step - 1);
}

/* ---- giving back --------------------------------------------------------------------------------------------------- */
/* Slabs become sparse when blocks are freed here and there. Whoever knows what names a block moves it: slab_alloc() another one, slab_free() this
 * one; so slab by slab is emptied and goes back. Who can tell from a block what names it, asks for one after the other; who would have to look for that comes to
 * all of them and asks whether they should move. */

/* Without the lock: whether so much is free in the slabs that it may be worth while, or the pool wants blocks to be vacated. */
bool slab_may_be_sparse(const struct slabs *s);
/* A block that should move; NULL when nothing is sparse: no size has two slabs' worth of free blocks that are a twenty-fourth of its memory, or, if
 * `thorough`, one slab's worth; nor has it anything in what the pool wants vacated. Goes on with a slab that it has begun with: one in the pool's emptiest blocks
 * of 2 MB, else the emptiest of a few. */
void *slab_sparse_block(struct slabs *s, bool thorough);
/* Gives up the slab that slab_sparse_block() was at: something in it cannot move now. */
void slab_stop_draining(struct slabs *s);

/* For who comes to all blocks: whether any should move, because a size is sparse, not thoroughly, or the pool wants one of its blocks vacated. That one is
 * chosen here, and kept until it is empty or nothing is to be vacated. */
bool slab_is_sparse(struct slabs *s);
/* Whether this one should. When all have been asked about and moved, nothing is sparse, and what was to be vacated is. */
bool slab_should_move(const struct slabs *s, const void *block);

/* Bytes of the slabs that the shard has, and of the blocks that are allocated; without the lock. */
uint64_t slab_taken_bytes(const struct slabs *s);
uint64_t slab_used_bytes(const struct slabs *s);

/* Asserts the invariants. */
void slab_check(const struct slabs *s);

#endif
