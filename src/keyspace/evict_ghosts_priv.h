/* Ghosts: what was evicted lately and from which of two queues, remembered by 15 bits of its hash, 2 bytes each.
 *
 * A table of buckets of 32 places. A bucket is a queue of its own: a new ghost pushes out an old one of the same
 * bucket, of the kind that has more than its share. Since hashes spread evenly, all of them together remember about as
 * long as one queue of that many ghosts would. A key that was never there is taken for a ghost about once in 1,000. */
#ifndef KEYSPACE_EVICT_GHOSTS_PRIV_H
#define KEYSPACE_EVICT_GHOSTS_PRIV_H

#include <stddef.h>
#include <stdint.h>

enum ghost { GHOST_OF_SMALL, GHOST_OF_MAIN, GHOST_KIND_COUNT, GHOST_NONE = GHOST_KIND_COUNT };

struct ghosts {
    uint16_t *places;      /* the newest of a bucket first; 0: vacant */
    uint32_t bucket_count; /* 0: it remembers nothing */
    uint32_t counts[GHOST_KIND_COUNT];
    size_t bytes; /* that the table costs */
};

/* Zeroes remember nothing. Forgets everything, and is made to remember about `capacity` ghosts; none when that is 0 or
 * the system refuses memory. */
void ghosts_resize(struct ghosts *g, size_t capacity);
size_t ghosts_capacity(const struct ghosts *g);

/* Where a hash is remembered, for who wants to fetch it from memory ahead; NULL when nothing is. */
const void *ghosts_place(const struct ghosts *g, uint64_t hash);
/* Remembers a hash; `main_share` is how many of those out of the main queue are wanted. */
void ghosts_add(struct ghosts *g, uint64_t hash, enum ghost kind, size_t main_share);
/* Forgets a hash and says what it was; GHOST_NONE when it is not remembered. */
enum ghost ghosts_take(struct ghosts *g, uint64_t hash);

/* Asserts that the counts are right. */
void ghosts_check(const struct ghosts *g);

#endif
