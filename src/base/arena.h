/* A bump allocator for what lives as long as one call: many small allocations, freed together by a reset. The first block is kept,
 * so that an ordinary call allocates nothing. Owned by one thread at a time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    char *at;
    char *end;
    size_t bytes; /* allocated from the system */
};

/* Allocates nothing yet. */
void arena_init(struct arena *a);
/* Frees everything. */
void arena_fini(struct arena *a);
/* Forgets everything allocated; keeps one block of ordinary size. */
void arena_reset(struct arena *a);

/* 16-byte aligned, not cleared, valid until reset or fini; NULL when the system refuses. */
void *arena_alloc(struct arena *a, size_t bytes);
/* A copy in the arena; ptr is NULL when the system refuses. An empty slice copies to a non-NULL one. */
slice arena_copy(struct arena *a, slice bytes);

#endif
