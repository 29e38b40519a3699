/* One atomic word says who is left. An owner that finds no holds has it for itself: a hold is only taken where the owner cannot let go. */
#include "os/blob.h"

#include <string.h>

#include "base/assert.h"
#include "os/lazy.h"
#include "os/mem.h"

static bool is_mapped(size_t room)
{
    return room >= BLOB_MAPPED_BYTES_MIN;
}

struct blob *blob_new(size_t room)
{
    struct blob *b = mem_alloc(sizeof *b);
    char *bytes = !b ? NULL : is_mapped(room) ? mem_map(room) : mem_alloc(room);
    if (!bytes) {
        mem_free(b);
        return NULL;
    }
    *b = (struct blob){.holds = BLOB_OWNER, .bytes = bytes, .room = room};
    return b;
}

static void free_bytes(struct blob *b)
{
    if (is_mapped(b->room)) {
        lazy_unmap(b->bytes, b->room);
    } else {
        mem_free(b->bytes);
    }
}

/* Of one that comes to another kind of memory. */
static char *moved_bytes(struct blob *b, size_t used, size_t room)
{
    char *bytes = is_mapped(room) ? mem_map(room) : mem_alloc(room);
    if (bytes) {
        memcpy(bytes, b->bytes, used);
        free_bytes(b);
    }
    return bytes;
}

struct blob *blob_resize(struct blob *b, size_t used, size_t room)
{
    assert(used <= room);
    if (blob_is_held(b)) {
        struct blob *to = blob_new(room);
        if (to) {
            memcpy(to->bytes, b->bytes, used);
            blob_disown(b);
        }
        return to;
    }
    char *bytes = is_mapped(b->room) != is_mapped(room) ? moved_bytes(b, used, room)
                  : is_mapped(room)                     ? mem_remap(b->bytes, b->room, room)
                                                        : mem_realloc(b->bytes, room);
    if (!bytes) {
        return NULL;
    }
    b->bytes = bytes;
    b->room = room;
    return b;
}

static void let_go(struct blob *b, uint64_t hold)
{
    uint64_t holds = __atomic_fetch_sub(&b->holds, hold, __ATOMIC_ACQ_REL);
    assert(hold == BLOB_OWNER ? holds >= BLOB_OWNER : holds % BLOB_OWNER > 0);
    if (holds == hold) {
        free_bytes(b);
        mem_free(b);
    }
}

void blob_disown(struct blob *b)
{
    if (b) {
        let_go(b, BLOB_OWNER);
    }
}

void blob_hold(struct blob *b)
{
    uint64_t holds = __atomic_fetch_add(&b->holds, 1, __ATOMIC_RELAXED);
    assert(holds >= BLOB_OWNER);
}

void blob_release(struct blob *b)
{
    let_go(b, 1);
}

void blob_own(struct blob *b)
{
    uint64_t holds = __atomic_fetch_add(&b->holds, BLOB_OWNER, __ATOMIC_RELAXED);
    assert(holds > 0);
}

size_t blob_share_bytes(const struct blob *b)
{
    uint64_t holds = __atomic_load_n(&b->holds, __ATOMIC_RELAXED);
    return holds >= BLOB_OWNER ? 0 : blob_cost(b->room) / holds;
}
