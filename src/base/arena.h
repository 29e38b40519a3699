/* A bump allocator for what lives as long as one call: many small allocations, freed together by a reset. It begins in memory that its owner
 * lends, if any; behind that come blocks, of which one is kept over a reset: so an ordinary call allocates nothing. Owned by one thread at a
 * time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/attr.h"
#include "base/slice.h"

enum { ARENA_ALIGNMENT = 16 };

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    char *at;
    char *end;
    size_t bytes; /* allocated from the system */
    struct arena_block *spare;
    char *lent;
    char *lent_end;
};

/* Allocates nothing yet. */
void arena_init(struct arena *a);
/* The same, beginning in memory that stays longer than the arena. */
void arena_init_lent(struct arena *a, void *memory, size_t bytes);
/* Frees everything. */
void arena_fini(struct arena *a);

/* Slow path of arena_reset(): there are blocks. */
void arena_drop_blocks(struct arena *a);

/* Forgets everything allocated; keeps one block of ordinary size. */
static inline void arena_reset(struct arena *a)
{
    if (UNLIKELY(a->blocks != NULL)) {
        arena_drop_blocks(a);
    }
    a->at = a->lent;
    a->end = a->lent_end;
}

/* Slow path of arena_alloc(): from a further block. */
void *arena_grow(struct arena *a, size_t bytes);

/* 16-byte aligned, not cleared, valid until reset or fini; NULL when the system refuses. */
static inline void *arena_alloc(struct arena *a, size_t bytes)
{
    size_t left = (size_t)(a->end - a->at), rounded = (bytes + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    if (UNLIKELY(left < rounded || left < bytes || !a->at)) {
        return arena_grow(a, bytes);
    }
    void *at = a->at;
    a->at += rounded;
    return at;
}
/* A copy in the arena; ptr is NULL when the system refuses. An empty slice copies to a non-NULL one. */
slice arena_copy(struct arena *a, slice bytes);

#endif
