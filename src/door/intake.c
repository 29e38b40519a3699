/* Blocks for large arguments.
 *
 *     come:   10 KB   20 KB   30 KB   more
 *     room:   10 KB   20 KB   40 KB   all of it, and what comes is received to there
 *
 * A claim reserves nothing: the first block is as large as what came with it, and grows by doubling, with what is little to copy. Whoever has
 * sent more than BELIEVED_BYTES gets the room for all that he has announced. From there on nothing is copied any more, and what is not written yet is mostly
 * addresses: fresh pages cost memory when they are touched, piece by piece. In a block that is mapped that is a huge page at a time, so there it is
 * more that must have come. So a turn of the loop costs what its pieces cost, and memory is once the value.
 *
 * When it is full a block has the room that a copy would have been given, so an entry may own it and its account is exact. Until then it is owned
 * here; from then on held, by who says so: the entry that stores it is its owner, and argv stays good until the call is over.
 *
 * Invariants: (I1) the blocks are in the order of their arguments, all but the last are full. (I2) A full block is held and, by us, not owned; one
 * that is not full is owned and not held, or NULL before its first byte.
 *
 * Not here: which arguments are worth it, and limits (conn.c). */
#include "door/intake.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"
#include "os/mem.h"

enum {
    BELIEVED_BYTES = 32 * 1024,
    BELIEVED_MAPPED_BYTES = 256 * 1024,
    PLACE_BYTES_MIN = 32 * 1024, /* missing: less comes with what is behind it */
};

struct intake {
    struct call_block *blocks;
    unsigned count, capacity;
    size_t whole_bytes; /* of the blocks before the last */
    size_t filled;      /* bytes that the last one has, */
    size_t room;        /* and has room for */
};

struct intake *intake_new(void)
{
    return calloc(1, sizeof(struct intake));
}

static struct call_block *last(const struct intake *i)
{
    return &i->blocks[i->count - 1];
}

static bool is_full(const struct intake *i)
{
    return i->count == 0 || i->filled == last(i)->bytes;
}

void intake_free(struct intake *i)
{
    if (!i) {
        return;
    }
    if (!is_full(i)) {
        blob_disown(last(i)->blob);
        i->count--;
    }
    for (unsigned b = 0; b < i->count; b++) {
        blob_release(i->blocks[b].blob);
    }
    free(i->blocks);
    free(i);
}

err intake_begin(struct intake *i, unsigned argument, size_t bytes)
{
    assert(is_full(i));
    assert(bytes >= CALL_BLOCK_BYTES_MIN);
    assert(i->count == 0 || last(i)->argument < argument);
    if (i->count == i->capacity) {
        unsigned capacity = i->capacity > 0 ? i->capacity * 2 : 1;
        struct call_block *blocks = realloc(i->blocks, capacity * sizeof *blocks);
        if (!blocks) {
            return ERR_NOMEM;
        }
        i->blocks = blocks;
        i->capacity = capacity;
    }
    i->blocks[i->count++] = (struct call_block){.argument = argument, .bytes = bytes};
    i->whole_bytes += i->filled;
    i->filled = i->room = 0;
    return OK;
}

/* Whether who has sent so much of the last argument gets room for all of it. */
static bool is_believed(const struct intake *i, size_t come)
{
    return come > (last(i)->bytes < BLOB_MAPPED_BYTES_MIN ? BELIEVED_BYTES : BELIEVED_MAPPED_BYTES);
}

/* Makes room for `needed` bytes of the last argument. */
static err make_room(struct intake *i, size_t needed)
{
    struct call_block *l = last(i);
    size_t grown = needed <= i->room ? needed : num_max_u64(needed, 2 * i->room);
    size_t wanted = is_believed(i, needed) ? l->bytes : num_min_u64(l->bytes, grown);
    if (wanted <= i->room) {
        return OK;
    }
    size_t room = blob_good_room(wanted);
    struct blob *b = l->blob ? blob_resize(l->blob, i->filled, room) : blob_new(room);
    if (!b) {
        return ERR_NOMEM;
    }
    l->blob = b;
    i->room = room;
    return OK;
}

err intake_fill(struct intake *i, slice *input)
{
    if (is_full(i) || input->len == 0) {
        return OK;
    }
    slice piece = slice_sub(*input, 0, last(i)->bytes - i->filled);
    err e = make_room(i, i->filled + piece.len);
    if (e != OK) {
        return e;
    }
    memcpy(last(i)->blob->bytes + i->filled, piece.ptr, piece.len);
    intake_placed(i, piece.len);
    *input = slice_sub(*input, piece.len, SIZE_MAX);
    return OK;
}

size_t intake_place(struct intake *i, char **ret_place)
{
    size_t missing = last(i)->bytes - i->filled;
    if (missing < PLACE_BYTES_MIN || !is_believed(i, i->filled)) {
        return 0;
    }
    assert(i->room >= last(i)->bytes);
    *ret_place = last(i)->blob->bytes + i->filled;
    return missing;
}

void intake_placed(struct intake *i, size_t bytes)
{
    struct blob *b = last(i)->blob;
    i->filled += bytes;
    if (is_full(i)) {
        assert(i->room == blob_good_room(last(i)->bytes));
        blob_hold(b);
        blob_disown(b);
    }
}

size_t intake_bytes(const struct intake *i)
{
    return i->whole_bytes + i->filled;
}

size_t intake_spare_bytes(const struct intake *i)
{
    return i->count == 0 || is_believed(i, i->filled) ? 0 : i->room - i->filled;
}

void intake_lend(const struct intake *i, struct call *call)
{
    for (unsigned b = 0; b < i->count; b++) {
        const struct call_block *block = &i->blocks[b];
        call->argv[block->argument] = slice_make(block->blob->bytes, block->bytes);
    }
    call->blocks = i->blocks;
    call->block_count = i->count;
}
