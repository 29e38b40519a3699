/* The directory of segments, and how it grows and shrinks; what and why is in index_priv.h.
 *
 *      directory   | slot | slot | slot | slot |      2^depth of them
 *                     |      |      '------'---► a segment that is one less deep than the directory
 *                     |      '---► segment
 *                     '---► segment
 *
 * Invariants: (I1) a segment of depth d stands in the 2^(depth - d) neighbouring slots of the directory that share its
 * prefix. (I2) `bytes` is the sum of directory and segments. (I3) deepest_count counts the segments whose depth is the
 * directory's. Those of a segment are in index_segment_priv.h.
 *
 * Growing and splitting get a fresh segment before they change anything, so that a failure leaves everything as it
 * was. */
#include "keyspace/index_priv.h"

#include "base/assert.h"
#include "base/num.h"
#include "keyspace/entry_priv.h"
#include "keyspace/index_segment_priv.h"

enum {
    DEPTH_MAX = 24,
    DRAIN_BUCKETS = INDEX_DRAIN_MAX / BUCKET_SLOTS,
    ROOT_DEPTH_SHIFT = 48, /* x86-64 and arm64 give programs 48 bits of address */
};

struct directory {
    struct limbo_block limbo;
    struct segment *slots[]; /* each a segment, its size in the low bits */
};

static_assert(DEPTH_MAX + 1 + SEGMENT_PLACE_BITS == INDEX_CURSOR_BITS, "the cursor holds mark, prefix and place");

/* ---- directory --------------------------------------------------------------------------------------------------- */

static size_t slot_of(const struct index *ix, uint64_t hash)
{
    return hash >> 1 >> (63 - ix->depth);
}

/* A slot of the directory: the segment, and in the low bits the logarithm of its bucket count, so that a look-up need
 * not read its header. */
static struct segment *slot_make(const struct segment *g)
{
    assert((uintptr_t)g % 8 == 0);
    return (struct segment *)((uintptr_t)g | (uintptr_t)__builtin_ctz(g->bucket_count + 1));
}

static struct segment *slot_segment(const struct segment *slot)
{
    return (struct segment *)((uintptr_t)slot & ~(uintptr_t)7);
}

static uint32_t slot_bucket_count(uintptr_t slot)
{
    return (1u << (slot & 7)) - 1;
}

static struct segment *segment_at(const struct index *ix, uint64_t hash)
{
    return slot_segment(ix->directory->slots[slot_of(ix, hash)]);
}

/* Where a key's entry is or has passed, if it is anywhere. */
static struct bucket *bucket_at(const struct index *ix, uint64_t hash)
{
    const struct segment *slot = ix->directory->slots[slot_of(ix, hash)];
    return segment_bucket(slot_segment(slot), slot_bucket_count((uintptr_t)slot), hash);
}

/* Puts a segment into every slot of its prefix. */
static void directory_set(struct index *ix, uint64_t hash, struct segment *g)
{
    size_t span = (size_t)1 << (ix->depth - g->depth);
    size_t first = slot_of(ix, hash) & ~(span - 1);
    for (size_t i = 0; i < span; i++) {
        ix->directory->slots[first + i] = slot_make(g);
    }
}

static size_t directory_bytes(uint32_t depth)
{
    return sizeof(struct directory) + (sizeof(struct segment *) << depth);
}

/* Puts another directory in the place of the one that there was; NULL: the index is empty. */
static void set_directory(struct index *ix, struct directory *directory, uint32_t depth)
{
    struct directory *before = ix->directory;
    if (before) {
        ix->bytes -= limbo_good_bytes(directory_bytes(ix->depth));
    }
    if (directory) {
        ix->bytes += limbo_good_bytes(directory_bytes(depth));
    }
    assert((uintptr_t)directory >> ROOT_DEPTH_SHIFT == 0);
    ix->directory = directory;
    ix->depth = depth;
    __atomic_store_n(&ix->root, (uintptr_t)directory | (uint64_t)depth << ROOT_DEPTH_SHIFT, __ATOMIC_RELEASE);
    limbo_put(ix->limbo, before ? &before->limbo : NULL);
}

static err directory_double(struct index *ix)
{
    struct directory *wider = limbo_alloc(ix->limbo, directory_bytes(ix->depth + 1));
    if (!wider) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < (size_t)2 << ix->depth; i++) {
        wider->slots[i] = ix->directory->slots[i / 2];
    }
    set_directory(ix, wider, ix->depth + 1);
    ix->deepest_count = 0;
    return OK;
}

/* Halves it while no segment needs its whole depth. */
static void directory_halve(struct index *ix)
{
    while (ix->depth > 0 && ix->deepest_count == 0) {
        uint32_t depth = ix->depth - 1;
        struct directory *narrower = limbo_alloc(ix->limbo, directory_bytes(depth));
        if (!narrower) {
            return;
        }
        for (size_t i = 0; i < (size_t)1 << depth; i++) {
            narrower->slots[i] = ix->directory->slots[2 * i];
            ix->deepest_count += slot_segment(narrower->slots[i])->depth == depth;
        }
        set_directory(ix, narrower, depth);
    }
}

static err first_segment(struct index *ix)
{
    struct directory *directory = limbo_alloc(ix->limbo, directory_bytes(0));
    struct segment *g = directory ? segment_new(ix, 0, SEGMENT_BUCKETS_MIN) : NULL;
    if (!g) {
        limbo_put(ix->limbo, directory ? &directory->limbo : NULL);
        return ERR_NOMEM;
    }
    directory->slots[0] = slot_make(g);
    set_directory(ix, directory, 0);
    ix->deepest_count = 1;
    return OK;
}

static void free_directory(struct index *ix)
{
    set_directory(ix, NULL, 0);
    ix->deepest_count = 0;
}

/* ---- growing and shrinking --------------------------------------------------------------------------------------- */

static err resize_segment(struct index *ix, struct segment *g, uint64_t hash, uint32_t bucket_count)
{
    struct segment *fresh = segment_new(ix, g->depth, bucket_count);
    if (!fresh) {
        return ERR_NOMEM;
    }
    segment_rehash(ix, g, fresh);
    directory_set(ix, hash, fresh);
    segment_free(ix, g);
    return OK;
}

static err split_segment(struct index *ix, struct segment *g, uint64_t hash)
{
    uint32_t depth = g->depth;
    if (depth == DEPTH_MAX) {
        return ERR_NOMEM;
    }
    if (depth == ix->depth) {
        err e = directory_double(ix);
        if (e) {
            return e;
        }
    }
    struct segment *fresh = segment_new(ix, depth + 1, SEGMENT_BUCKETS_MAX);
    if (!fresh) {
        directory_halve(ix);
        return ERR_NOMEM;
    }
    segment_split(ix, g, fresh);
    directory_set(ix, hash | (uint64_t)1 << (63 - depth), fresh);
    ix->deepest_count += depth + 1 == ix->depth ? 2 : 0;
    return OK;
}

/* Makes one of two neighbours when both are sparse. */
static void merge_segments(struct index *ix, struct segment *g, uint64_t hash)
{
    uint64_t bit = (uint64_t)1 << (64 - g->depth);
    struct segment *other = segment_at(ix, hash ^ bit);
    if (other->depth != g->depth || g->count + other->count > segment_limit(SEGMENT_BUCKETS_MAX) / 2) {
        return;
    }
    ix->deepest_count -= g->depth == ix->depth ? 2 : 0;
    segment_merge(ix, g, other);
    directory_set(ix, hash, g);
    segment_free(ix, other);
    directory_halve(ix);
}

static void shrink(struct index *ix, struct segment *g, uint64_t hash)
{
    if (g->depth > 0) {
        merge_segments(ix, g, hash);
    } else if (g->count == 0) {
        free_directory(ix); /* before its segment: what is in limbo cannot be found */
        segment_free(ix, g);
    } else if (g->bucket_count > SEGMENT_BUCKETS_MIN) {
        (void)!resize_segment(ix, g, hash, g->bucket_count / 2);
    }
}

/* ---- moving ------------------------------------------------------------------------------------------------------ */

/* A copy of what begins with a limbo block that should move; NULL when it need not, or memory is refused. */
static void *moved(const struct index *ix, const struct limbo_block *block, size_t bytes)
{
    struct limbo_block *to = limbo_should_move(ix->limbo, block) ? limbo_alloc(ix->limbo, bytes) : NULL;
    if (to) {
        memcpy(to + 1, block + 1, bytes - sizeof *to);
    }
    return to;
}

static void move_directory(struct index *ix)
{
    struct directory *to = moved(ix, &ix->directory->limbo, directory_bytes(ix->depth));
    if (to) {
        set_directory(ix, to, ix->depth);
    }
}

static void move_segment(struct index *ix, struct segment *g, uint64_t hash)
{
    struct segment *to = moved(ix, &g->limbo, segment_bytes(g->bucket_count));
    if (to) {
        directory_set(ix, hash, to);
        limbo_put(ix->limbo, &g->limbo);
    }
}

void index_compact(struct index *ix, size_t *place, size_t count)
{
    size_t slots = ix->directory ? (size_t)1 << ix->depth : 0;
    if (*place == 0 && slots > 0) {
        move_directory(ix);
    }
    for (; count > 0 && *place < slots; count--) {
        struct segment *g = slot_segment(ix->directory->slots[*place]);
        size_t last_of_span = *place | (((size_t)1 << (ix->depth - g->depth)) - 1);
        move_segment(ix, g, (uint64_t)*place << 1 << (63 - ix->depth));
        *place = last_of_span + 1;
    }
    *place = *place < slots ? *place : 0;
}

/* ---- the interface ----------------------------------------------------------------------------------------------- */

void index_init(struct index *ix, const struct hash_key *hash_key, struct slabs *slabs, struct limbo *limbo)
{
    *ix = (struct index){.hash_key = hash_key, .slabs = slabs, .limbo = limbo};
}

void index_move(struct index *ix, struct index *from)
{
    *ix = *from;
    __atomic_store_n(&from->root, 0, __ATOMIC_RELEASE);
    from->directory = NULL;
    from->depth = from->deepest_count = 0;
    from->count = from->bytes = from->drained = 0;
}

struct entry *index_find(const struct index *ix, uint64_t hash, slice key)
{
    if (!ix->directory) {
        return NULL;
    }
    uint8_t tag = bucket_tag(hash);
    for (const struct bucket *b = bucket_at(ix, hash); b; b = bucket_next(b)) {
        for (unsigned mask = bucket_match(b, tag); mask; mask &= mask - 1) {
            struct entry *e = segment_entry(ix, b, (unsigned)__builtin_ctz(mask));
            if (entry_has_key(e, key)) {
                return e;
            }
        }
    }
    return NULL;
}

/* Reading without the lock, in the functions below and nowhere else in this file. Others may be changing what they
 * read; but it is memory that stays (limbo_priv.h), is read word by word, and what comes of it is brought to the cache
 * or, by glimpse.c and under the lock, used only when nothing has changed meanwhile. Plain reads, since atomic ones would be told by TSan;
 * `volatile` keeps each to one. */

typedef volatile const uint64_t word;

/* 0: the index is empty. */
READS_UNLOCKED static uint64_t slot_unlocked(const struct index *ix, uint64_t hash)
{
    uint64_t root = *(word *)&ix->root;
    if (!root) {
        return 0;
    }
    uint64_t depth = root >> ROOT_DEPTH_SHIFT;
    const char *directory = (const char *)(uintptr_t)(root & (((uint64_t)1 << ROOT_DEPTH_SHIFT) - 1));
    return *(word *)(directory + sizeof(struct directory) + (hash >> 1 >> (63 - depth)) * sizeof(uint64_t));
}

const void *index_bucket_unlocked(const struct index *ix, uint64_t hash)
{
    uint64_t slot = slot_unlocked(ix, hash);
    return slot ? segment_bucket(slot_segment((const struct segment *)slot), slot_bucket_count(slot), hash) : NULL;
}

const void *index_header_unlocked(const struct index *ix, uint64_t hash)
{
    return slot_segment((const struct segment *)slot_unlocked(ix, hash));
}

READS_UNLOCKED unsigned index_slots_unlocked(const void *bucket, uint64_t hash, const void **ret_next)
{
    static_assert(offsetof(struct bucket, onward) == BUCKET_SLOTS && BUCKET_SLOTS > 8,
                  "tags and pointer are two words");
    uint64_t first = ((word *)bucket)[0], second = ((word *)bucket)[1];
    int8_t onward = (int8_t)(second >> 8 * (BUCKET_SLOTS - 8));
    *ret_next = onward ? (const struct bucket *)bucket + onward : NULL;
    return bucket_match_words(first, second, bucket_tag(hash));
}

READS_UNLOCKED handle index_handle_unlocked(const void *bucket, unsigned slot)
{
    return bucket_word_handle(*(volatile const uint32_t *)&((const struct bucket *)bucket)->words[slot]);
}

err index_insert(struct index *ix, uint64_t hash, struct entry *entry)
{
    if (!ix->directory) {
        err e = first_segment(ix);
        if (e) {
            return e;
        }
    }
    struct segment *g = segment_at(ix, hash);
    while (g->count >= segment_limit(g->bucket_count)) {
        err e = g->bucket_count < SEGMENT_BUCKETS_MAX ? resize_segment(ix, g, hash, 2 * g->bucket_count + 1)
                                                      : split_segment(ix, g, hash);
        if (e) {
            return e;
        }
        g = segment_at(ix, hash);
    }
    segment_put(ix, g, hash, entry);
    ix->count++;
    return OK;
}

void index_replace(struct index *ix, uint64_t hash, const struct entry *from, struct entry *to)
{
    unsigned slot;
    struct bucket *b = segment_locate(ix, bucket_at(ix, hash), hash, from, &slot);
    b->words[slot] = bucket_word(slab_handle(ix->slabs, to), b->words[slot] >> HANDLE_BITS);
}

void index_remove(struct index *ix, uint64_t hash, const struct entry *e)
{
    unsigned slot;
    struct bucket *b = segment_locate(ix, bucket_at(ix, hash), hash, e, &slot);
    struct segment *g = segment_at(ix, hash);
    segment_take(ix, g, b, slot);
    ix->count--;
    if (g->count < segment_limit(g->bucket_count) / 4 || g->count == 0) {
        shrink(ix, g, hash);
    }
}

size_t index_step(const struct index *ix, uint64_t *cursor, struct entry *entries[static INDEX_STEP_MAX])
{
    uint64_t place = *cursor & 0xffff, marked = *cursor >> SEGMENT_PLACE_BITS;
    if (!ix->directory || marked >> (DEPTH_MAX + 1)) {
        *cursor = 0;
        return 0;
    }
    if (marked == 0) {
        marked = 1;
        place = 0;
    }
    uint32_t depth = 63 - (uint32_t)__builtin_clzll(marked);
    uint64_t hash = marked << (63 - depth) << 1; /* the mark falls out */
    const struct segment *g = segment_at(ix, hash);
    if (g->depth < depth) {
        place = 0; /* merged since: what its neighbour held may not have been seen */
    }
    uint64_t bucket = place * g->bucket_count >> SEGMENT_PLACE_BITS;
    size_t count = segment_gather_home(ix, g, &g->buckets[bucket], entries);

    uint64_t prefix = hash >> 1 >> (63 - g->depth);
    place = 0;
    if (bucket + 1 < g->bucket_count) {
        place = (((bucket + 1) << SEGMENT_PLACE_BITS) + g->bucket_count - 1) / g->bucket_count;
    } else {
        prefix++;
    }
    *cursor = prefix >> g->depth ? 0 : (((uint64_t)1 << g->depth) | prefix) << SEGMENT_PLACE_BITS | place;
    return count;
}

size_t index_sample(const struct index *ix, uint64_t random, struct entry *entries[static INDEX_STEP_MAX])
{
    if (!ix->directory) {
        return 0;
    }
    const struct segment *g = segment_at(ix, random);
    return segment_gather_home(ix, g, segment_home(g, random), entries);
}

/* Frees the segment that index_drain() is at, of which nothing is left. */
static void drop_segment(struct index *ix, struct segment *g)
{
    ix->drained += (size_t)1 << (ix->depth - g->depth);
    ix->drained_buckets = 0;
    segment_free(ix, g);
    if (ix->drained >> ix->depth) {
        free_directory(ix);
        ix->drained = 0;
    }
}

size_t index_drain(struct index *ix, struct entry *entries[static INDEX_DRAIN_MAX])
{
    size_t count = 0;
    while (ix->directory && count == 0) {
        struct segment *g = slot_segment(ix->directory->slots[ix->drained]);
        const struct bucket *from = g->buckets + ix->drained_buckets;
        ix->drained_buckets = (uint32_t)num_min_u64(ix->drained_buckets + DRAIN_BUCKETS, g->bucket_count);
        count = segment_gather(ix, from, g->buckets + ix->drained_buckets, entries);
        segment_fetch(ix, g, ix->drained_buckets, DRAIN_BUCKETS);
        if (ix->drained_buckets == g->bucket_count) {
            drop_segment(ix, g);
        }
    }
    ix->count -= count;
    return count;
}

bool index_is_draining(const struct index *ix)
{
    return ix->drained > 0 || ix->drained_buckets > 0;
}

bool index_is_told(const struct index *ix, uint64_t hash)
{
    return ix->directory && !segment_at(ix, hash)->untold;
}

void index_check(const struct index *ix)
{
    size_t count = 0, bytes = ix->directory ? limbo_good_bytes(directory_bytes(ix->depth)) : 0, deepest = 0;
    size_t slots = ix->directory ? (size_t)1 << ix->depth : 0;
    for (size_t i = 0, span; i < slots; i += span) {
        const struct segment *g = slot_segment(ix->directory->slots[i]);
        assert(g->depth <= ix->depth);
        assert(g->depth == 0 || g->bucket_count == SEGMENT_BUCKETS_MAX);
        span = (size_t)1 << (ix->depth - g->depth);
        assert(i % span == 0);
        for (size_t k = 0; k < span; k++) {
            assert(ix->directory->slots[i + k] == slot_make(g));
        }
        deepest += g->depth == ix->depth;
        count += g->count;
        bytes += limbo_good_bytes(segment_bytes(g->bucket_count));
        segment_check(ix, g, i / span);
    }
    assert(count == ix->count);
    assert(bytes == ix->bytes);
    assert(deepest == ix->deepest_count);
}
