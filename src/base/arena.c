/* Blocks of 4 KB; what does not fit gets a block of its own size. */
#include "base/arena.h"

#include <stdlib.h>

#include "base/attr.h"

enum { BLOCK_BYTES = 4096 };

struct arena_block {
    struct arena_block *next;
    size_t bytes; /* with this header */
};

_Static_assert(sizeof(struct arena_block) % ARENA_ALIGNMENT == 0, "blocks start aligned");

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

static void free_blocks(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_fini(struct arena *a)
{
    free_blocks(a->blocks);
    arena_init(a);
}

static void start_block(struct arena *a, struct arena_block *block)
{
    a->at = (char *)(block + 1);
    a->end = (char *)block + block->bytes;
}

void arena_reset(struct arena *a)
{
    struct arena_block *first = a->blocks;
    if (!first) {
        return;
    }
    if (first->next || first->bytes > BLOCK_BYTES) {
        if (first->bytes > BLOCK_BYTES) {
            arena_fini(a);
            return;
        }
        free_blocks(first->next);
        first->next = NULL;
        a->bytes = first->bytes;
    }
    start_block(a, first);
}

void *arena_grow(struct arena *a, size_t bytes)
{
    size_t rounded = (bytes + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    size_t block_bytes = rounded + sizeof(struct arena_block);
    if (rounded < bytes || block_bytes < rounded) {
        return NULL;
    }
    if (block_bytes < BLOCK_BYTES) {
        block_bytes = BLOCK_BYTES;
    }
    struct arena_block *block = malloc(block_bytes);
    if (!block) {
        return NULL;
    }
    block->bytes = block_bytes;
    block->next = a->blocks;
    a->blocks = block;
    a->bytes += block_bytes;
    start_block(a, block);
    void *at = a->at;
    a->at += rounded;
    return at;
}

slice arena_copy(struct arena *a, slice bytes)
{
    char *copy = arena_alloc(a, bytes.len ? bytes.len : 1);
    if (!copy) {
        return (slice){NULL, 0};
    }
    if (bytes.len) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    return slice_make(copy, bytes.len);
}
