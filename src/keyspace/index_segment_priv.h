/* A segment of the index: up to 63 buckets, in which entries stand by their hashes' place. A page with its header.
 *
 * The bucket that an entry's place says is its home. When that is full the entry stands in the next one of the segment that is not; behind the last comes
 * the first. Each bucket that it has passed points onward to the next one, so that a look-up goes no further than it must. Two bits for each slot say how
 * far its entry is from home, so that removing and walking need not hash keys again: 0, 1, 2, or 3 and more.
 *
 * Entries do not store their hashes, and to read them again is what would make a split long: some 600 that are in no
 * cache. So a slot has the coming bits of its entry's hash: those two of the directory's among which the segment's
 * depth is, the bit at which it will be split. When a split has used the second, all are unknown; and when only as many
 * insertions are left until the next as that takes, every fourth tells those of one bucket, from its keys. (To tell a bucket costs as much as the
 * insertion. A cache that is full, where as many go as come, hardly ever does.)
 *
 * Invariants: (I1) From an entry's home pointers lead to where it stands. (I2) A segment has at most segment_limit()
 * entries, so that one of its buckets has room. (I3) A bucket that points onward is full: who makes a hole fills it with
 * what has passed, or clears the pointer. (I4) Where `untold` has no bit for a bucket, the coming bits of all its
 * entries are those for its segment's depth.
 *
 * For index.c alone. An index is given for its slabs, its hash key and its account of bytes. Under the shard's lock. */
#ifndef KEYSPACE_INDEX_SEGMENT_PRIV_H
#define KEYSPACE_INDEX_SEGMENT_PRIV_H

#include "keyspace/index_bucket_priv.h"
#include "keyspace/index_priv.h"
#include "keyspace/limbo_priv.h"

enum {
    SEGMENT_BUCKETS_MIN = 3,
    SEGMENT_BUCKETS_MAX = 63,
    SEGMENT_ENTRIES_MAX = SEGMENT_BUCKETS_MAX * BUCKET_SLOTS,
    SEGMENT_PLACE_BITS = 16,
    SEGMENT_TELL_EACH = 4,    /* insertions: one that was split has room for as many times its buckets */
    SEGMENT_TOLD_BEFORE = 64, /* the split: insertions; segments that grow alike differ by as many */
};

struct segment {
    struct limbo_block limbo;
    uint64_t untold; /* a bit for each bucket in which coming bits are unknown */
    uint32_t depth;
    uint32_t bucket_count; /* 3, 7, 15, 31 or 63: with the header a power of two */
    uint32_t count;        /* entries */
    uint32_t unused[7];    /* the header has a line of its own */
    struct bucket buckets[];
};

static_assert(sizeof(struct segment) == CACHE_LINE_BYTES, "header and 63 buckets are a page");

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static inline size_t segment_bytes(uint32_t bucket_count)
{
    return sizeof(struct segment) + bucket_count * sizeof(struct bucket);
}

/* Empty. NULL when the system refuses memory. */
struct segment *segment_new(struct index *ix, uint32_t depth, uint32_t bucket_count) MUST_USE;
/* When nobody can find it any more. NULL is fine. */
void segment_free(struct index *ix, struct segment *g);

/* ---- looking ------------------------------------------------------------------------------------------------------- */

static inline uint32_t segment_place_of(uint64_t hash)
{
    return (hash >> (32 - SEGMENT_PLACE_BITS)) & ((1 << SEGMENT_PLACE_BITS) - 1);
}

/* The home of a hash in a segment with so many buckets, whose header need not be read. */
static inline struct bucket *segment_bucket(const struct segment *g, uint32_t bucket_count, uint64_t hash)
{
    return (struct bucket *)&g->buckets[(uint64_t)segment_place_of(hash) * bucket_count >> SEGMENT_PLACE_BITS];
}

static inline struct bucket *segment_home(const struct segment *g, uint64_t hash)
{
    return segment_bucket(g, g->bucket_count, hash);
}

static inline struct entry *segment_entry(const struct index *ix, const struct bucket *b, unsigned slot)
{
    return slab_at(ix->slabs, bucket_word_handle(b->words[slot]));
}

/* The bucket and slot of an entry that is in, from its home on. */
struct bucket *segment_locate(const struct index *ix, struct bucket *home, uint64_t hash, const struct entry *e,
                              unsigned *ret_slot);
/* Entries whose home is this bucket; returns their count. */
size_t segment_gather_home(const struct index *ix, const struct segment *g, const struct bucket *home,
                           struct entry **entries);
/* Entries that stand in the buckets from `b` to before `end`. */
size_t segment_gather(const struct index *ix, const struct bucket *b, const struct bucket *end, struct entry **entries);

/* Has the entries of `count` buckets from the first on, or as many as there are, brought to the cache. */
void segment_fetch(const struct index *ix, const struct segment *g, uint32_t first, uint32_t count);

/* ---- changing ------------------------------------------------------------------------------------------------------ */

/* How many entries one may have. */
static inline uint32_t segment_limit(uint32_t bucket_count)
{
    return bucket_count * BUCKET_SLOTS * 9 / 10;
}

/* Below the limit. Tells some coming bits when it is time. */
void segment_put(const struct index *ix, struct segment *g, uint64_t hash, const struct entry *e);
/* Takes out what stands there. */
void segment_take(const struct index *ix, struct segment *g, struct bucket *b, unsigned slot);

/* Puts all entries into an empty one of another size. */
void segment_rehash(const struct index *ix, const struct segment *from, struct segment *to);
/* Moves the half of its entries whose bit at its depth is 1 to an empty one; both are one deeper then. */
void segment_split(const struct index *ix, struct segment *g, struct segment *fresh);
/* Takes all entries of its neighbour, and is one less deep then. */
void segment_merge(const struct index *ix, struct segment *g, struct segment *other);

/* Asserts the invariants; `prefix`: the bits of the directory by which it is found. */
void segment_check(const struct index *ix, const struct segment *g, size_t prefix);

#endif
