/* One atomic word says who is left. An owner that finds no holds has it for itself: a hold is only taken where the owner cannot let go. */
#include "os/blob.h"

#include <string.h>

#include "base/assert.h"
#include "os/lazy.h"
#include "os/mem.h"

struct blob *blob_new(size_t room)
{
    struct blob *b = mem_alloc(sizeof *b);
    char *bytes = b ? mem_alloc(room) : NULL;
    if (!bytes) {
        mem_free(b);
        return NULL;
    }
    *b = (struct blob){.holds = BLOB_OWNED, .bytes = bytes};
    return b;
}

struct blob *blob_resize(struct blob *b, size_t used, size_t room)
{
    assert(used <= room);
    if (!blob_is_held(b)) {
        char *bytes = mem_realloc(b->bytes, room);
        b->bytes = bytes ? bytes : b->bytes;
        return bytes ? b : NULL;
    }
    struct blob *to = blob_new(room);
    if (to) {
        memcpy(to->bytes, b->bytes, used);
        blob_disown(b);
    }
    return to;
}

static void let_go(struct blob *b, uint64_t hold)
{
    uint64_t holds = __atomic_fetch_sub(&b->holds, hold, __ATOMIC_ACQ_REL);
    assert(hold == BLOB_OWNED ? holds >= BLOB_OWNED : (holds & ~BLOB_OWNED) > 0);
    if (holds == hold) {
        lazy_free(b->bytes);
        mem_free(b);
    }
}

void blob_disown(struct blob *b)
{
    if (b) {
        let_go(b, BLOB_OWNED);
    }
}

void *blob_take(struct blob *b)
{
    assert(!blob_is_held(b));
    void *bytes = b->bytes;
    mem_free(b);
    return bytes;
}

void blob_hold(struct blob *b)
{
    uint64_t holds = __atomic_fetch_add(&b->holds, 1, __ATOMIC_RELAXED);
    assert(holds & BLOB_OWNED);
}

void blob_release(struct blob *b)
{
    let_go(b, 1);
}

bool blob_own(struct blob *b)
{
    uint64_t holds = __atomic_fetch_or(&b->holds, BLOB_OWNED, __ATOMIC_ACQ_REL);
    assert((holds & ~BLOB_OWNED) > 0);
    return !(holds & BLOB_OWNED);
}

size_t blob_share_bytes(const struct blob *b)
{
    uint64_t holds = __atomic_load_n(&b->holds, __ATOMIC_RELAXED);
    return holds & BLOB_OWNED ? 0 : blob_cost(mem_block_bytes(b->bytes)) / holds;
}
