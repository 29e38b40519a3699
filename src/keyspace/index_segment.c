/* Segments; what they are is in index_segment_priv.h. */
#include "keyspace/index_segment_priv.h"

#include "keyspace/entry_priv.h"

/* ---- life ---------------------------------------------------------------------------------------------------------- */

struct segment *segment_new(struct index *ix, uint32_t depth, uint32_t bucket_count)
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

void segment_free(struct index *ix, struct segment *g)
{
    if (g) {
        ix->bytes -= limbo_good_bytes(segment_bytes(g->bucket_count));
        limbo_put(ix->limbo, &g->limbo);
    }
}

/* ---- looking ------------------------------------------------------------------------------------------------------- */

struct bucket *segment_locate(const struct index *ix, struct bucket *home, uint64_t hash, const struct entry *e,
                              unsigned *ret_slot)
{
    uint8_t tag = bucket_tag(hash);
    handle h = slab_handle(ix->slabs, e);
    for (struct bucket *b = home; b; b = bucket_next(b)) {
        for (unsigned mask = bucket_match(b, tag); mask; mask &= mask - 1) {
            unsigned slot = (unsigned)__builtin_ctz(mask);
            if (bucket_word_handle(b->words[slot]) == h) {
                *ret_slot = slot;
                return b;
            }
        }
    }
    unreachable();
}

static uint64_t hash_of(const struct index *ix, const struct entry *e)
{
    return hash_keyed(ix->hash_key, entry_key(e));
}

/* How far what stands there is from its home. */
static unsigned distance_of(const struct index *ix, const struct segment *g, const struct bucket *b, unsigned slot)
{
    unsigned distance = bucket_noted_distance(b, slot);
    if (distance == BUCKET_FAR) {
        ptrdiff_t buckets = b - segment_home(g, hash_of(ix, segment_entry(ix, b, slot)));
        distance = (unsigned)(buckets < 0 ? buckets + g->bucket_count : buckets);
    }
    return distance;
}

size_t segment_gather_home(const struct index *ix, const struct segment *g, const struct bucket *home,
                           struct entry **entries)
{
    size_t count = 0;
    unsigned distance = 0;
    for (const struct bucket *b = home; b; distance++, b = bucket_next(b)) {
        for (unsigned mask = bucket_used(b); mask; mask &= mask - 1) {
            unsigned slot = (unsigned)__builtin_ctz(mask);
            if (bucket_noted_distance(b, slot) <= distance && distance_of(ix, g, b, slot) == distance) {
                entries[count++] = segment_entry(ix, b, slot);
            }
        }
    }
    return count;
}

size_t segment_gather(const struct index *ix, const struct bucket *b, const struct bucket *end, struct entry **entries)
{
    size_t count = 0;
    for (; b < end; b++) {
        for (unsigned mask = bucket_used(b); mask; mask &= mask - 1) {
            entries[count++] = segment_entry(ix, b, (unsigned)__builtin_ctz(mask));
        }
    }
    return count;
}

static void fetch_entries(const struct index *ix, const struct bucket *b)
{
    for (unsigned mask = bucket_used(b); mask; mask &= mask - 1) {
        __builtin_prefetch(segment_entry(ix, b, (unsigned)__builtin_ctz(mask)));
    }
}

void segment_fetch(const struct index *ix, const struct segment *g, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count && i < g->bucket_count; i++) {
        fetch_entries(ix, &g->buckets[i]);
    }
}

/* ---- coming bits --------------------------------------------------------------------------------------------------- */

static uint64_t all_buckets(const struct segment *g)
{
    return ((uint64_t)1 << g->bucket_count) - 1;
}

static uint64_t bucket_bit(const struct segment *g, const struct bucket *b)
{
    return (uint64_t)1 << (b - g->buckets);
}

/* Whether one insertion in SEGMENT_TELL_EACH has to tell a bucket from now on, so that all are told before the split, and before other segments are split. */
static bool must_tell(const struct segment *g)
{
    uint32_t untold_most = g->bucket_count - (uint32_t)__builtin_ctzll(g->untold); /* the first are told first */
    return untold_most * SEGMENT_TELL_EACH + SEGMENT_TOLD_BEFORE > segment_limit(g->bucket_count) - g->count;
}

/* Tells those of the entries in one bucket where they are unknown. */
static void tell(const struct index *ix, struct segment *g)
{
    struct bucket *b = &g->buckets[__builtin_ctzll(g->untold)];
    fetch_entries(ix, b); /* so that the misses overlap */
    for (unsigned mask = bucket_used(b); mask; mask &= mask - 1) {
        unsigned slot = (unsigned)__builtin_ctz(mask);
        uint64_t hash = hash_of(ix, segment_entry(ix, b, slot));
        b->words[slot] = bucket_word(bucket_word_handle(b->words[slot]), bucket_coming(hash, g->depth));
    }
    g->untold &= g->untold - 1;
}

/* ---- putting in ---------------------------------------------------------------------------------------------------- */

/* Into its home, or behind it where there is room. */
static void place(struct segment *g, struct bucket *home, uint8_t tag, uint32_t word)
{
    unsigned distance = 0;
    struct bucket *b = home;
    assert(g->count < g->bucket_count * BUCKET_SLOTS);
    for (; !bucket_vacant(b); b = bucket_next(b), distance++) {
        b->onward = b + 1 < g->buckets + g->bucket_count ? 1 : (int8_t)(g->buckets - b);
    }
    bucket_set(b, (unsigned)__builtin_ctz(bucket_vacant(b)), tag, word, distance);
    g->count++;
}

void segment_put(const struct index *ix, struct segment *g, uint64_t hash, const struct entry *e)
{
    uint32_t word = bucket_word(slab_handle(ix->slabs, e), bucket_coming(hash, g->depth));
    place(g, segment_home(g, hash), bucket_tag(hash), word);
    if (g->untold && must_tell(g)) {
        tell(ix, g);
    }
}

/* ---- taking out ---------------------------------------------------------------------------------------------------- */

/* Finds an entry that has passed a bucket; NULL when there is none. */
static struct bucket *find_passer(const struct index *ix, const struct segment *g, const struct bucket *passed,
                                  unsigned *ret_slot, unsigned *ret_beyond)
{
    unsigned beyond = 1;
    for (struct bucket *b = bucket_next(passed); b; b = bucket_next(b), beyond++) {
        for (unsigned mask = bucket_used(b); mask; mask &= mask - 1) {
            unsigned slot = (unsigned)__builtin_ctz(mask);
            if (bucket_noted_distance(b, slot) > 0 && distance_of(ix, g, b, slot) >= beyond) {
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
        bucket_set(b, slot, from->tags[from_slot], from->words[from_slot], distance);
        g->untold |= g->untold & bucket_bit(g, from) ? bucket_bit(g, b) : 0;
        from->tags[from_slot] = 0;
    }
    b->onward = 0;
}

void segment_take(const struct index *ix, struct segment *g, struct bucket *b, unsigned slot)
{
    b->tags[slot] = 0;
    close_hole(ix, g, b, slot);
    g->count--;
}

/* ---- from one to another ------------------------------------------------------------------------------------------- */

void segment_rehash(const struct index *ix, const struct segment *from, struct segment *to)
{
    struct entry *entries[INDEX_STEP_MAX];
    size_t count = segment_gather(ix, from->buckets, from->buckets + from->bucket_count, entries);
    for (size_t i = 0; i < count; i++) {
        __builtin_prefetch(entries[i]);
    }
    for (size_t i = 0; i < count; i++) {
        segment_put(ix, to, hash_of(ix, entries[i]), entries[i]);
    }
}

/* An entry that does not stand in its home, taken out. */
struct stray {
    const struct entry *far; /* NULL: its home is known */
    uint32_t word;
    uint8_t tag;
    uint8_t home; /* a bucket's number */
};

/* Takes those out of a segment; returns how many. */
static unsigned take_strays(const struct index *ix, struct segment *g, struct stray strays[static SEGMENT_ENTRIES_MAX])
{
    unsigned count = 0;
    for (uint32_t i = 0; i < g->bucket_count; i++) {
        struct bucket *b = &g->buckets[i];
        for (unsigned mask = bucket_astray(b); mask; mask &= mask - 1) {
            unsigned slot = (unsigned)__builtin_ctz(mask), distance = bucket_noted_distance(b, slot);
            struct stray *stray = &strays[count++];
            *stray = (struct stray){.word = b->words[slot], .tag = b->tags[slot]};
            stray->home = (uint8_t)(i >= distance ? i - distance : i + g->bucket_count - distance);
            if (distance == BUCKET_FAR) {
                stray->far = segment_entry(ix, b, slot);
                __builtin_prefetch(stray->far); /* needed when all buckets are divided */
            }
            b->tags[slot] = 0;
        }
    }
    g->count -= count;
    return count;
}

/* Buckets keep what is at home in them, in the one segment or the other; the rest is put in anew. */
static void divide(const struct index *ix, struct segment *g, struct segment *fresh)
{
    struct stray strays[SEGMENT_ENTRIES_MAX];
    const struct stray *end = strays + take_strays(ix, g, strays);
    for (uint32_t i = 0; i < g->bucket_count; i++) {
        fresh->count += bucket_divide(&g->buckets[i], &fresh->buckets[i], g->depth);
    }
    g->count -= fresh->count;
    for (const struct stray *stray = strays; stray < end; stray++) {
        struct segment *to = bucket_word_bit(stray->word, g->depth) ? fresh : g;
        struct bucket *home = stray->far ? segment_home(to, hash_of(ix, stray->far)) : &to->buckets[stray->home];
        place(to, home, stray->tag, stray->word);
    }
}

void segment_split(const struct index *ix, struct segment *g, struct segment *fresh)
{
    while (g->untold) {
        tell(ix, g);
    }
    divide(ix, g, fresh);
    g->depth++;
    g->untold = fresh->untold = g->depth % BUCKET_COMING ? 0 : all_buckets(g);
    assert(fresh->depth == g->depth);
}

void segment_merge(const struct index *ix, struct segment *g, struct segment *other)
{
    for (struct bucket *b = other->buckets; b < other->buckets + other->bucket_count; b++) {
        for (unsigned mask = bucket_used(b); mask; mask &= mask - 1) {
            unsigned slot = (unsigned)__builtin_ctz(mask), distance = distance_of(ix, other, b, slot);
            ptrdiff_t at = b - other->buckets - (ptrdiff_t)distance;
            place(g, &g->buckets[at < 0 ? at + g->bucket_count : at], b->tags[slot], b->words[slot]);
        }
    }
    g->depth--;
    g->untold = all_buckets(g);
}

/* ---- check --------------------------------------------------------------------------------------------------------- */

void segment_check(const struct index *ix, const struct segment *g, size_t prefix)
{
    size_t count = 0;
    assert(g->count <= segment_limit(g->bucket_count));
    for (const struct bucket *b = g->buckets; b < g->buckets + g->bucket_count; b++) {
        assert(!b->onward || !bucket_vacant(b));
        for (unsigned mask = bucket_used(b); mask; mask &= mask - 1) {
            unsigned slot = (unsigned)__builtin_ctz(mask), distance = 0;
            struct entry *e = segment_entry(ix, b, slot);
            uint64_t hash = hash_of(ix, e);
            for (const struct bucket *at = segment_home(g, hash); at != b; at = bucket_next(at), distance++) {
                assert(at->onward != 0);
            }
            assert(distance_of(ix, g, b, slot) == distance);
            assert(b->tags[slot] == bucket_tag(hash));
            assert(hash >> 1 >> (63 - g->depth) == prefix);
            assert(g->untold & bucket_bit(g, b) || b->words[slot] >> HANDLE_BITS == bucket_coming(hash, g->depth));
            assert(index_find(ix, hash, entry_key(e)) == e);
            count++;
        }
    }
    assert(count == g->count);
}
