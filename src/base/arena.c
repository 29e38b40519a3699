/* Blocks of 4 KB; what does not fit gets a block of its own size. `bytes` counts the spare block, too. */
#include "base/arena.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"

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

void arena_init_lent(struct arena *a, void *memory, size_t bytes)
{
    assert((uintptr_t)memory % ARENA_ALIGNMENT == 0);
    char *end = (char *)memory + bytes;
    *a = (struct arena){.lent = memory, .lent_end = end, .at = memory, .end = end};
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
    free(a->spare);
    arena_init(a);
}

void arena_drop_blocks(struct arena *a)
{
    struct arena_block *newest = a->blocks;
    if (!a->spare && newest->bytes == BLOCK_BYTES) {
        a->spare = newest;
        newest = newest->next;
    }
    free_blocks(newest);
    a->blocks = NULL;
    a->bytes = a->spare ? BLOCK_BYTES : 0;
}

/* A block with room for `bytes`: the spare one or a new one. NULL when the system refuses. */
static struct arena_block *take_block(struct arena *a, size_t bytes)
{
    size_t block_bytes = num_max_u64(BLOCK_BYTES, bytes + sizeof(struct arena_block));
    struct arena_block *block = a->spare;
    if (block && block_bytes == BLOCK_BYTES) {
        a->spare = NULL;
        return block;
    }
    block = malloc(block_bytes);
    if (block) {
        block->bytes = block_bytes;
        a->bytes += block_bytes;
    }
    return block;
}

void *arena_grow(struct arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) {
        return NULL;
    }
    size_t rounded = (bytes + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    struct arena_block *block = take_block(a, rounded);
    if (!block) {
        return NULL;
    }
    block->next = a->blocks;
    a->blocks = block;
    a->at = (char *)(block + 1) + rounded;
    a->end = (char *)block + block->bytes;
    return block + 1;
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
