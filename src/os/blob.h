/* A block of bytes that is held by others besides its owner: a large value of the keyspace, the outputs that still send it, the call whose
 * argument it was. The owner may change it while it is his alone; when somebody holds it, or owns it, too (a value and its copy), it stays as it
 * is, whatever becomes of its owner. Who is the last to let go of it frees it, on whichever thread.
 *
 * Holds are taken by who is sure of an owner (under its lock), and let go anywhere. Who holds it may make it owned, once more or again.
 *
 * A large one is mapped (mem_map()): it grows without being copied, and what has not been written of it is zeros that cost no memory, but for the rest of a huge page
 * that is begun. Smaller ones come from the allocator and go back to it without delay, so that the next one gets memory that has its pages and is in the cache: pages
 * that are new each time cost more than all else that is done with a megabyte. */
#ifndef OS_BLOB_H
#define OS_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "os/mem.h"

/* The count stands beside the bytes: before them it would push values of round sizes, which many are, into the allocator's next larger class,
 * a quarter more. */
struct blob {
    uint64_t holds; /* atomic: how many hold it, and as many BLOB_OWNER as own it */
    char *bytes;
    size_t room; /* of `bytes`; its owner knows how much of it is used */
};

#define BLOB_OWNER ((uint64_t)1 << 32)

enum { BLOB_MAPPED_BYTES_MIN = 8 << 20 };

/* The room that one for so many bytes has. */
static inline size_t blob_good_room(size_t bytes)
{
    size_t room = bytes < BLOB_MAPPED_BYTES_MIN ? mem_good_bytes(bytes) : SIZE_MAX;
    return LIKELY(room < BLOB_MAPPED_BYTES_MIN) ? room : (bytes + MEM_MAP_STEP - 1) / MEM_MAP_STEP * MEM_MAP_STEP;
}
/* What a blob costs whose room is a size that blob_good_room() gave. */
static inline size_t blob_cost(size_t room)
{
    return mem_good_bytes(sizeof(struct blob)) + room;
}
/* Room that blob_good_room() gave, not cleared unless it is mapped, and its maker owns it. NULL when the system refuses memory. */
MUST_USE struct blob *blob_new(size_t room);
/* With other room, for its owner: itself, or, when it is held, another one with its first `used` bytes. What a mapped one has then beyond the
 * room that it had is zeros. NULL, and nothing has changed, when the system refuses memory. */
MUST_USE struct blob *blob_resize(struct blob *b, size_t used, size_t room);
/* The owner lets it go. NULL is fine. */
void blob_disown(struct blob *b);

static inline bool blob_is_mapped(const struct blob *b)
{
    return b->room >= BLOB_MAPPED_BYTES_MIN;
}
/* For an owner: whether it may not be changed, because somebody holds it or another owns it, too. */
static inline bool blob_is_held(const struct blob *b)
{
    return __atomic_load_n(&b->holds, __ATOMIC_ACQUIRE) != BLOB_OWNER;
}
void blob_hold(struct blob *b);
void blob_release(struct blob *b);
/* For one who holds it or is sure of an owner: one more owner. */
void blob_own(struct blob *b);
/* For one who holds it: what he has to answer for of its memory. Nothing while its owner does, then his part of it. */
size_t blob_share_bytes(const struct blob *b);

#endif
