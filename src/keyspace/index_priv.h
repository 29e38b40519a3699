/* The index of one space of one shard: finds entries by hash and key. Extendible hashing: a directory of segments, each
 * with up to 63 buckets of one cache line, each with twelve one-byte tags and twelve handles of entries.
 *
 *      hash   63 ........ 40 | 39 .. 32 | 31 ......... 16 | 15 .... 0
 *             directory        tag        place (bucket)    the shard's
 *
 * It grows by splitting one segment in two (a few microseconds, without reading entries), never by rehashing everything,
 * and shrinks by merging neighbours. A small index is one segment of 3, 7, 15, 31, then 63 buckets. What does not fit its bucket, its home,
 * stands in the next one of the segment that has room; walks and samples go by homes. The order of hashes (directory
 * bits, then place) never changes however it grows and shrinks: that is what a walk's cursor counts on. Bytes per key:
 * 6 when all segments are about to split, 12 when all have, 8.7 on average.
 *
 * A cursor is (1, prefix of a segment) : place, 41 bits; 0 is the start and the end. Under the shard's lock, but for
 * the functions that say otherwise. */
#ifndef KEYSPACE_INDEX_PRIV_H
#define KEYSPACE_INDEX_PRIV_H

#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/slice.h"
#include "keyspace/slab_priv.h"

struct entry;
struct limbo;
struct slabs;
struct segment;
struct directory;

enum { INDEX_CURSOR_BITS = 41, INDEX_STEP_MAX = 680, INDEX_DRAIN_MAX = 24 };

struct index {
    uint64_t root; /* atomic: the directory and its depth as one word, for who reads without the lock; 0: empty */
    struct directory *directory; /* NULL when the index is empty */
    uint32_t depth;              /* the directory has 2^depth slots */
    uint32_t deepest_count;      /* segments that need all of that depth */
    size_t count;                /* entries */
    size_t bytes;                /* that the index itself costs */
    size_t drained;              /* slots of the directory that index_drain() has passed, */
    uint32_t drained_buckets;    /* and buckets of the segment that it is at */
    const struct hash_key *hash_key;
    struct slabs *slabs; /* of the entries */
    struct limbo *limbo; /* of directories and segments */
};

void index_init(struct index *ix, const struct hash_key *hash_key, struct slabs *slabs, struct limbo *limbo);
/* Takes everything out of `from`, which is empty then. */
void index_move(struct index *ix, struct index *from);

/* NULL when absent. */
struct entry *index_find(const struct index *ix, uint64_t hash, slice key);
/* Without the lock, for looking ahead (limbo_priv.h says how long what it returns may be used): where index_find() will
 * look first; NULL when the index is empty. */
const void *index_bucket_unlocked(const struct index *ix, uint64_t hash);
/* What index_insert() will need besides; NULL when the index is empty. */
const void *index_header_unlocked(const struct index *ix, uint64_t hash);
/* A bit for each of its slots that may have an entry with that hash; *ret_next: the bucket where others may be, or NULL.
 * It may be looked at only if nothing has changed since. */
unsigned index_slots_unlocked(const void *bucket, uint64_t hash, const void **ret_next);
/* What stands in a slot: the handle of an entry if nothing has changed since the bits were read. */
handle index_handle_unlocked(const void *bucket, unsigned slot);

/* Adds an entry whose key is absent. ERR_NOMEM leaves everything as it was. */
MUST_USE err index_insert(struct index *ix, uint64_t hash, struct entry *e);
/* Puts another entry with the same key in the place of one that is in. */
void index_replace(struct index *ix, uint64_t hash, const struct entry *from, struct entry *to);
/* Takes out an entry that is in; may shrink. */
void index_remove(struct index *ix, uint64_t hash, const struct entry *e);

/* Gathers the entries whose home is the bucket at the cursor and moves the cursor to the next one, 0 at the end. Returns
 * their count. Any cursor is safe. */
size_t index_step(const struct index *ix, uint64_t *cursor, struct entry *entries[static INDEX_STEP_MAX]);
/* Gathers the entries whose home is a bucket chosen by random bits. */
size_t index_sample(const struct index *ix, uint64_t random, struct entry *entries[static INDEX_STEP_MAX]);

/* Moves the next segments out of slabs that are to be emptied (limbo_priv.h), and the directory before the first: looks at `count` of them, from
 * *place on (0: the start), which is 0 again at the end. */
void index_compact(struct index *ix, size_t *place, size_t count);

/* Takes some entries out, and frees segments that have none left; 0 when the index is empty and everything freed. For an
 * index that is going away: once begun, nothing else may be done with it until it is empty. */
size_t index_drain(struct index *ix, struct entry *entries[static INDEX_DRAIN_MAX]);
bool index_is_draining(const struct index *ix);

/* Whether the segment of a hash would be split without reading its entries. */
bool index_is_told(const struct index *ix, uint64_t hash);
/* Asserts the invariants. */
void index_check(const struct index *ix);

#endif
