/* Extendible hashing in cache lines; what and why is in index_priv.h.
 *
 *      bucket (64 bytes)   | tags: 12 bytes | onward: 1 | distances: 3 | words: 12 x 4 bytes |
 *      word                31 .. 30 | 29 ..... 0
 *                          coming     handle
 *
 * A tag is a byte of the hash, 0 where the slot is free, so that one compare of 16 bytes finds the candidates. Handles
 * are of the shard's entries (slab_priv.h). The bucket that an entry's place says is its home. When that is full the
 * entry stands in the next one of the segment that is not; behind the last comes the first. Each bucket that it has
 * passed points onward to the next one, so that a look-up goes no further than it must. Two bits for each slot say how
 * far its entry is from home, so that removing and walking need not hash keys again: 0, 1, 2, or 3 and more.
 *
 * Entries do not store their hashes, and to read them again is what would make a split long: some 600 that are in no
 * cache. So a slot has the coming bits of its entry's hash: those two of the directory's among which the segment's
 * depth is, the bit at which it will be split. When a split has used the second, all are unknown; from then on every
 * fourth insertion tells those of one bucket, from its keys, so that they are known before the next split. (All segments
 * of an index come to that at about the same time, and to tell a bucket costs half as much as the insertion.)
 *
 * Invariants: (I1) a segment of depth d stands in the 2^(depth - d) neighbouring slots of the directory that share its
 * prefix. (I2) From an entry's home pointers lead to where it stands. (I3) A segment has at most segment_limit()
 * entries, so that one of its buckets has room. (I4) A bucket that points onward is full: who makes a hole fills it with
 * what has passed, or clears the pointer. (I5) `bytes` is the sum of directory and segments. (I6) deepest_count counts
 * the segments whose depth is the directory's. (I7) Where `untold` has no bit for a bucket, the coming bits of all its
 * entries are those for its segment's depth.
 *
 * Growing and splitting get a fresh segment before they change anything, so that a failure leaves everything as it
 * was. */
#include "keyspace/index_priv.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/assert.h"
#include "base/num.h"
#include "keyspace/entry_priv.h"
#include "keyspace/limbo_priv.h"

enum {
    SLOTS = 12,
    FAR = 3, /* the largest distance that is written down */
    COMING = 32 - HANDLE_BITS,
    TELL_EACH = 4, /* insertions: a segment that was split has room for as many times its buckets */
    BUCKETS_MIN = 3,
    BUCKETS_MAX = 63,
    PLACE_BITS = 16,
    DEPTH_MAX = 24,
    ROOT_DEPTH_SHIFT = 48, /* x86-64 and arm64 give programs 48 bits of address */
};

struct bucket {
    uint8_t tags[SLOTS];
    int8_t onward; /* buckets to the next one, when an entry has passed; else 0 */
    uint8_t distances[SLOTS / 4];
    uint32_t words[SLOTS];
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

struct directory {
    struct limbo_block limbo;
    struct segment *slots[]; /* each a segment, its size in the low bits */
};

static_assert(sizeof(struct bucket) == CACHE_LINE_BYTES, "a bucket is a cache line");
static_assert(sizeof(struct segment) == CACHE_LINE_BYTES, "header and 63 buckets are a page");
static_assert(DEPTH_MAX + 1 + PLACE_BITS == INDEX_CURSOR_BITS, "the cursor holds mark, prefix and place");

/* ---- buckets ----------------------------------------------------------------------------------------------------- */

static uint8_t tag_of(uint64_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 32);
    return tag ? tag : 1;
}

static uint32_t place_of(uint64_t hash)
{
    return (hash >> 16) & 0xffff;
}

/* The bits of the directory that come together with the one at a depth. */
static uint32_t coming_of(uint64_t hash, uint32_t depth)
{
    return (uint32_t)(hash << (depth - depth % COMING) >> (64 - COMING));
}

static uint32_t word_make(handle h, uint32_t coming)
{
    assert(h >> HANDLE_BITS == 0);
    return coming << HANDLE_BITS | h;
}

static handle word_handle(uint32_t word)
{
    return word & (((uint32_t)1 << HANDLE_BITS) - 1);
}

/* Of a word whose coming bits are for this depth, the bit at it. */
static unsigned word_bit(uint32_t word, uint32_t depth)
{
    return word >> (31 - depth % COMING) & 1;
}

/* A bit for each of the first tags in a bucket's first two words that is this one. */
static unsigned match_words(uint64_t first, uint64_t second, uint8_t tag)
{
#ifdef __SSE2__
    __m128i line = _mm_set_epi64x((long long)second, (long long)first);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(line, _mm_set1_epi8((char)tag))) & ((1u << SLOTS) - 1);
#else
    unsigned mask = 0;
    for (unsigned i = 0; i < SLOTS; i++) {
        mask |= (unsigned)((uint8_t)(i < 8 ? first >> i * 8 : second >> (i - 8) * 8) == tag) << i;
    }
    return mask;
#endif
}

/* A bit for each slot with this tag. */
static unsigned match(const struct bucket *b, uint8_t tag)
{
    uint64_t words[2];
    memcpy(words, b, sizeof words);
    return match_words(words[0], words[1], tag);
}

/* Slots that are free; slots that hold entries. */
static unsigned vacant(const struct bucket *b)
{
    return match(b, 0);
}

static unsigned used(const struct bucket *b)
{
    return ~match(b, 0) & ((1u << SLOTS) - 1);
}

static unsigned noted_distance(const struct bucket *b, unsigned slot)
{
    return b->distances[slot / 4] >> slot % 4 * 2 & FAR;
}

static void set_slot(struct bucket *b, unsigned slot, uint8_t tag, uint32_t word, unsigned distance)
{
    unsigned shift = slot % 4 * 2, noted = distance < FAR ? distance : FAR;
    b->tags[slot] = tag;
    b->words[slot] = word;
    b->distances[slot / 4] = (uint8_t)((b->distances[slot / 4] & ~(FAR << shift)) | noted << shift);
}

static struct entry *entry_at(const struct index *ix, const struct bucket *b, unsigned slot)
{
    return slab_at(ix->slabs, word_handle(b->words[slot]));
}

static struct bucket *bucket_in(const struct segment *g, uint32_t bucket_count, uint64_t hash)
{
    return (struct bucket *)&g->buckets[(uint64_t)place_of(hash) * bucket_count >> PLACE_BITS];
}

static struct bucket *home(const struct segment *g, uint64_t hash)
{
    return bucket_in(g, g->bucket_count, hash);
}

/* Where to look on, NULL when nothing has passed. */
static struct bucket *next_of(const struct bucket *b)
{
    return b->onward ? (struct bucket *)b + b->onward : NULL;
}

static unsigned distance_of(const struct index *ix, const struct segment *g, const struct bucket *b, unsigned slot)
{
    unsigned distance = noted_distance(b, slot);
    if (distance == FAR) {
        ptrdiff_t buckets = b - home(g, hash_keyed(ix->hash_key, entry_key(entry_at(ix, b, slot))));
        distance = (unsigned)(buckets < 0 ? buckets + g->bucket_count : buckets);
    }
    return distance;
}

/* Entries whose home is this bucket. */
static size_t gather(const struct index *ix, const struct segment *g, const struct bucket *b, struct entry **entries)
{
    size_t count = 0;
    for (unsigned distance = 0; b; distance++, b = next_of(b)) {
        for (unsigned mask = used(b); mask; mask &= mask - 1) {
            unsigned slot = (unsigned)__builtin_ctz(mask);
            if (noted_distance(b, slot) <= distance && distance_of(ix, g, b, slot) == distance) {
                entries[count++] = entry_at(ix, b, slot);
            }
        }
    }
    return count;
}

/* ---- segments ---------------------------------------------------------------------------------------------------- */

static uint32_t segment_limit(uint32_t bucket_count)
{
    return bucket_count * SLOTS * 9 / 10;
}

static size_t segment_bytes(uint32_t bucket_count)
{
    return sizeof(struct segment) + bucket_count * sizeof(struct bucket);
}

static struct segment *segment_new(struct index *ix, uint32_t depth, uint32_t bucket_count)
{
    struct segment *g = limbo_alloc(ix->limbo, segment_bytes(bucket_count));
    if (!g) {
        return NULL;
    }
    memset(&g->limbo + 1, 0, segment_bytes(bucket_count) - sizeof g->limbo);
    g->depth = depth;
    g->bucket_count = bucket_count;
    ix->bytes += limbo_good_bytes(segment_bytes(bucket_count));
    return g;
}

static void segment_free(struct index *ix, struct segment *g)
{
    if (g) {
        ix->bytes -= limbo_good_bytes(segment_bytes(g->bucket_count));
        limbo_put(ix->limbo, &g->limbo);
    }
}

/* Puts an entry into its home, or behind it where there is room. */
static void segment_place(struct segment *g, struct bucket *b, uint8_t tag, uint32_t word)
{
    unsigned distance = 0;
    assert(g->count < g->bucket_count * SLOTS);
    for (; !vacant(b); b = next_of(b), distance++) {
        b->onward = b + 1 < g->buckets + g->bucket_count ? 1 : (int8_t)(g->buckets - b);
    }
    set_slot(b, (unsigned)__builtin_ctz(vacant(b)), tag, word, distance);
    g->count++;
}

static void segment_put(const struct index *ix, struct segment *g, uint64_t hash, const struct entry *e)
{
    segment_place(g, home(g, hash), tag_of(hash), word_make(slab_handle(ix->slabs, e), coming_of(hash, g->depth)));
}

static uint64_t all_buckets(const struct segment *g)
{
    return ((uint64_t)1 << g->bucket_count) - 1;
}

static uint64_t bucket_bit(const struct segment *g, const struct bucket *b)
{
    return (uint64_t)1 << (b - g->buckets);
}

/* Tells the coming bits of the entries in one bucket where they are unknown. */
static void segment_tell(const struct index *ix, struct segment *g)
{
    struct bucket *b = &g->buckets[__builtin_ctzll(g->untold)];
    for (unsigned mask = used(b); mask; mask &= mask - 1) {
        __builtin_prefetch(entry_at(ix, b, (unsigned)__builtin_ctz(mask))); /* so that the misses overlap */
    }
    for (unsigned mask = used(b); mask; mask &= mask - 1) {
        unsigned slot = (unsigned)__builtin_ctz(mask);
        uint64_t hash = hash_keyed(ix->hash_key, entry_key(entry_at(ix, b, slot)));
        b->words[slot] = word_make(word_handle(b->words[slot]), coming_of(hash, g->depth));
    }
    g->untold &= g->untold - 1;
}

static size_t gather_buckets(const struct index *ix, const struct bucket *b, const struct bucket *end,
                             struct entry **entries)
{
    size_t count = 0;
    for (; b < end; b++) {
        for (unsigned mask = used(b); mask; mask &= mask - 1) {
            entries[count++] = entry_at(ix, b, (unsigned)__builtin_ctz(mask));
        }
    }
    return count;
}

static size_t segment_gather(const struct index *ix, const struct segment *g, struct entry **entries)
{
    return gather_buckets(ix, g->buckets, g->buckets + g->bucket_count, entries);
}

/* Moves all entries to a segment of another size. */
static void segment_rehash(const struct index *ix, const struct segment *from, struct segment *to)
{
    struct entry *entries[INDEX_STEP_MAX];
    size_t count = segment_gather(ix, from, entries);
    for (size_t i = 0; i < count; i++) {
        __builtin_prefetch(entries[i]);
    }
    for (size_t i = 0; i < count; i++) {
        segment_put(ix, to, hash_keyed(ix->hash_key, entry_key(entries[i])), entries[i]);
    }
}

/* Moves all entries of a segment to one of two of the same size, by the coming bit at a depth. One of them may be `from`
 * itself. */
static void segment_deal(const struct index *ix, struct segment *from, struct segment *const to[2], uint32_t depth)
{
    union {
        struct segment segment;
        char bytes[sizeof(struct segment) + BUCKETS_MAX * sizeof(struct bucket)];
    } before;
    const struct segment *g = &before.segment;
    memcpy(&before, from, segment_bytes(from->bucket_count));
    memset(from->buckets, 0, from->bucket_count * sizeof *from->buckets);
    from->count = 0;
    for (uint32_t i = 0; i < g->bucket_count; i++) {
        const struct bucket *b = &g->buckets[i];
        for (unsigned mask = used(b); mask; mask &= mask - 1) {
            unsigned slot = (unsigned)__builtin_ctz(mask), distance = distance_of(ix, g, b, slot);
            struct segment *chosen = to[word_bit(b->words[slot], depth)];
            uint32_t at = i >= distance ? i - distance : i + g->bucket_count - distance;
            segment_place(chosen, &chosen->buckets[at], b->tags[slot], b->words[slot]);
        }
    }
}

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
    return bucket_in(slot_segment(slot), slot_bucket_count((uintptr_t)slot), hash);
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
    struct segment *g = directory ? segment_new(ix, 0, BUCKETS_MIN) : NULL;
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
    struct segment *fresh = segment_new(ix, depth + 1, BUCKETS_MAX);
    if (!fresh) {
        directory_halve(ix);
        return ERR_NOMEM;
    }
    while (g->untold) {
        segment_tell(ix, g);
    }
    segment_deal(ix, g, (struct segment *[2]){g, fresh}, depth);
    g->depth++;
    g->untold = fresh->untold = g->depth % COMING ? 0 : all_buckets(g);
    directory_set(ix, hash | (uint64_t)1 << (63 - depth), fresh);
    ix->deepest_count += depth + 1 == ix->depth ? 2 : 0;
    return OK;
}

/* Makes one of two neighbours when both are sparse. */
static void merge_segments(struct index *ix, struct segment *g, uint64_t hash)
{
    uint64_t bit = (uint64_t)1 << (64 - g->depth);
    struct segment *other = segment_at(ix, hash ^ bit);
    if (other->depth != g->depth || g->count + other->count > segment_limit(BUCKETS_MAX) / 2) {
        return;
    }
    ix->deepest_count -= g->depth == ix->depth ? 2 : 0;
    segment_deal(ix, other, (struct segment *[2]){g, g}, 0);
    g->depth--;
    g->untold = all_buckets(g);
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
    } else if (g->bucket_count > BUCKETS_MIN) {
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
    uint8_t tag = tag_of(hash);
    for (const struct bucket *b = bucket_at(ix, hash); b; b = next_of(b)) {
        for (unsigned mask = match(b, tag); mask; mask &= mask - 1) {
            struct entry *e = entry_at(ix, b, (unsigned)__builtin_ctz(mask));
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
    return slot ? bucket_in(slot_segment((const struct segment *)slot), slot_bucket_count(slot), hash) : NULL;
}

const void *index_header_unlocked(const struct index *ix, uint64_t hash)
{
    return slot_segment((const struct segment *)slot_unlocked(ix, hash));
}

READS_UNLOCKED unsigned index_slots_unlocked(const void *bucket, uint64_t hash, const void **ret_next)
{
    static_assert(offsetof(struct bucket, onward) == SLOTS && SLOTS > 8, "tags and pointer are two words");
    uint64_t first = ((word *)bucket)[0], second = ((word *)bucket)[1];
    int8_t onward = (int8_t)(second >> 8 * (SLOTS - 8));
    *ret_next = onward ? (const struct bucket *)bucket + onward : NULL;
    return match_words(first, second, tag_of(hash));
}

READS_UNLOCKED handle index_handle_unlocked(const void *bucket, unsigned slot)
{
    return word_handle(*(volatile const uint32_t *)&((const struct bucket *)bucket)->words[slot]);
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
        err e = g->bucket_count < BUCKETS_MAX ? resize_segment(ix, g, hash, 2 * g->bucket_count + 1)
                                              : split_segment(ix, g, hash);
        if (e) {
            return e;
        }
        g = segment_at(ix, hash);
    }
    segment_put(ix, g, hash, entry);
    ix->count++;
    if (g->untold && g->count % TELL_EACH == 0) {
        segment_tell(ix, g);
    }
    return OK;
}

/* The bucket and slot of an entry that is in. */
static struct bucket *locate(const struct index *ix, uint64_t hash, const struct entry *e, unsigned *ret_slot)
{
    assert(ix->directory != NULL);
    uint8_t tag = tag_of(hash);
    handle h = slab_handle(ix->slabs, e);
    for (struct bucket *b = bucket_at(ix, hash); b; b = next_of(b)) {
        for (unsigned mask = match(b, tag); mask; mask &= mask - 1) {
            unsigned slot = (unsigned)__builtin_ctz(mask);
            if (word_handle(b->words[slot]) == h) {
                *ret_slot = slot;
                return b;
            }
        }
    }
    unreachable();
}

void index_replace(struct index *ix, uint64_t hash, const struct entry *from, struct entry *to)
{
    unsigned slot;
    struct bucket *b = locate(ix, hash, from, &slot);
    b->words[slot] = word_make(slab_handle(ix->slabs, to), b->words[slot] >> HANDLE_BITS);
}

/* Finds an entry that has passed a bucket; NULL when there is none. */
static struct bucket *find_passer(const struct index *ix, const struct segment *g, const struct bucket *passed,
                                  unsigned *ret_slot, unsigned *ret_beyond)
{
    unsigned beyond = 1;
    for (struct bucket *b = next_of(passed); b; b = next_of(b), beyond++) {
        for (unsigned mask = used(b); mask; mask &= mask - 1) {
            unsigned slot = (unsigned)__builtin_ctz(mask);
            if (noted_distance(b, slot) > 0 && distance_of(ix, g, b, slot) >= beyond) {
                *ret_slot = slot;
                *ret_beyond = beyond;
                return b;
            }
        }
    }
    return NULL;
}

/* Fills a hole with an entry that has passed it, and then the hole that this leaves, until none has. */
static void close_hole(const struct index *ix, struct segment *g, struct bucket *b, unsigned slot)
{
    unsigned from_slot, beyond;
    for (struct bucket *from; (from = find_passer(ix, g, b, &from_slot, &beyond)); b = from, slot = from_slot) {
        unsigned distance = distance_of(ix, g, from, from_slot) - beyond;
        set_slot(b, slot, from->tags[from_slot], from->words[from_slot], distance);
        g->untold |= g->untold & bucket_bit(g, from) ? bucket_bit(g, b) : 0;
        from->tags[from_slot] = 0;
    }
    b->onward = 0;
}

void index_remove(struct index *ix, uint64_t hash, const struct entry *e)
{
    unsigned slot;
    struct bucket *b = locate(ix, hash, e, &slot);
    struct segment *g = segment_at(ix, hash);
    b->tags[slot] = 0;
    close_hole(ix, g, b, slot);
    g->count--;
    ix->count--;
    if (g->count < segment_limit(g->bucket_count) / 4 || g->count == 0) {
        shrink(ix, g, hash);
    }
}

size_t index_step(const struct index *ix, uint64_t *cursor, struct entry *entries[static INDEX_STEP_MAX])
{
    uint64_t place = *cursor & 0xffff, marked = *cursor >> PLACE_BITS;
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
    uint64_t bucket = place * g->bucket_count >> PLACE_BITS;
    size_t count = gather(ix, g, &g->buckets[bucket], entries);

    uint64_t prefix = hash >> 1 >> (63 - g->depth);
    place = 0;
    if (bucket + 1 < g->bucket_count) {
        place = (((bucket + 1) << PLACE_BITS) + g->bucket_count - 1) / g->bucket_count;
    } else {
        prefix++;
    }
    *cursor = prefix >> g->depth ? 0 : (((uint64_t)1 << g->depth) | prefix) << PLACE_BITS | place;
    return count;
}

size_t index_sample(const struct index *ix, uint64_t random, struct entry *entries[static INDEX_STEP_MAX])
{
    if (!ix->directory) {
        return 0;
    }
    const struct segment *g = segment_at(ix, random);
    return gather(ix, g, home(g, random), entries);
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
        ix->drained_buckets = (uint32_t)num_min_u64(ix->drained_buckets + INDEX_DRAIN_MAX / SLOTS, g->bucket_count);
        count = gather_buckets(ix, from, g->buckets + ix->drained_buckets, entries);
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

/* One segment: (I2) to (I4) and (I7). Returns what it costs. */
static size_t check_segment(const struct index *ix, const struct segment *g, size_t prefix)
{
    size_t count = 0;
    assert(g->count <= segment_limit(g->bucket_count));
    for (const struct bucket *b = g->buckets; b < g->buckets + g->bucket_count; b++) {
        assert(!b->onward || !vacant(b));
        for (unsigned mask = used(b); mask; mask &= mask - 1) {
            unsigned slot = (unsigned)__builtin_ctz(mask), distance = 0;
            struct entry *e = entry_at(ix, b, slot);
            uint64_t hash = hash_keyed(ix->hash_key, entry_key(e));
            for (const struct bucket *before = home(g, hash); before != b; before = next_of(before), distance++) {
                assert(before->onward != 0);
            }
            assert(distance_of(ix, g, b, slot) == distance);
            assert(b->tags[slot] == tag_of(hash));
            assert(hash >> 1 >> (63 - g->depth) == prefix);
            assert(g->untold & bucket_bit(g, b) || b->words[slot] >> HANDLE_BITS == coming_of(hash, g->depth));
            assert(index_find(ix, hash, entry_key(e)) == e);
            count++;
        }
    }
    assert(count == g->count);
    return limbo_good_bytes(segment_bytes(g->bucket_count));
}

void index_check(const struct index *ix)
{
    size_t count = 0, bytes = ix->directory ? limbo_good_bytes(directory_bytes(ix->depth)) : 0, deepest = 0;
    size_t slots = ix->directory ? (size_t)1 << ix->depth : 0;
    for (size_t i = 0, span; i < slots; i += span) {
        const struct segment *g = slot_segment(ix->directory->slots[i]);
        assert(g->depth <= ix->depth);
        assert(g->depth == 0 || g->bucket_count == BUCKETS_MAX);
        span = (size_t)1 << (ix->depth - g->depth);
        assert(i % span == 0);
        for (size_t k = 0; k < span; k++) {
            assert(ix->directory->slots[i + k] == slot_make(g));
        }
        deepest += g->depth == ix->depth;
        count += g->count;
        bytes += check_segment(ix, g, i / span);
    }
    assert(count == ix->count);
    assert(bytes == ix->bytes);
    assert(deepest == ix->deepest_count);
}
