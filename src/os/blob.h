/* A block of bytes that is held by others besides its owner: a large value of the keyspace, the outputs that still send it, the call whose
 * argument it was. The owner may change it while nobody holds it; from then on it stays as it is, whatever becomes of its owner. Who is the
 * last to let go of it frees it, on whichever thread.
 *
 * Holds are taken by who is sure of the owner (under its lock), and let go anywhere. One without an owner may get one from its holder. */
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
    uint64_t holds; /* atomic: how many hold it, and BLOB_OWNED */
    char *bytes;    /* a block of mem_alloc(); its owner knows how long it is */
};

#define BLOB_OWNED ((uint64_t)1 << 63)

/* What a blob costs whose room is a size that mem_good_bytes() gave. */
static inline size_t blob_cost(size_t room)
{
    return mem_good_bytes(sizeof(struct blob)) + room;
}
/* Not cleared, and its maker owns it. NULL when the system refuses memory. */
MUST_USE struct blob *blob_new(size_t room);
/* With other room, for its owner: itself, or, when somebody holds it, another one with its first `used` bytes. NULL, and nothing has
 * changed, when the system refuses memory. */
MUST_USE struct blob *blob_resize(struct blob *b, size_t used, size_t room);
/* The owner lets it go. NULL is fine. */
void blob_disown(struct blob *b);
/* The same of one that nobody holds; its bytes are the caller's, as a block of mem_alloc(). */
void *blob_take(struct blob *b);

/* For the owner: whether it may not be changed. */
static inline bool blob_is_held(const struct blob *b)
{
    return __atomic_load_n(&b->holds, __ATOMIC_ACQUIRE) != BLOB_OWNED;
}
void blob_hold(struct blob *b);
void blob_release(struct blob *b);
/* For one who holds it: makes it owned, by whom he says. False when it has an owner. */
MUST_USE bool blob_own(struct blob *b);
/* For one who holds it: what he has to answer for of its memory. Nothing while its owner does, then his part of it. */
size_t blob_share_bytes(const struct blob *b);

#endif
