/* A bucket of the index: one cache line, with twelve tags and twelve handles of entries.
 *
 *      bucket (64 bytes)   | tags: 12 bytes | onward: 1 | distances: 3 | words: 12 x 4 bytes |
 *      word                31 .. 30 | 29 ..... 0
 *                          coming     handle
 *
 * A tag is a byte of the hash, 0 where the slot is free, so that one compare of 16 bytes finds the candidates. Handles are of the shard's entries
 * (slab_priv.h). What the other fields are for is in index_segment_priv.h. */
#ifndef KEYSPACE_INDEX_BUCKET_PRIV_H
#define KEYSPACE_INDEX_BUCKET_PRIV_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/assert.h"
#include "base/attr.h"
#include "keyspace/slab_priv.h"

enum {
    BUCKET_SLOTS = 12,
    BUCKET_ALL = (1 << BUCKET_SLOTS) - 1, /* a bit for each */
    BUCKET_FAR = 3,                       /* the largest distance that is written down */
    BUCKET_COMING = 32 - HANDLE_BITS,     /* bits */
};

struct bucket {
    uint8_t tags[BUCKET_SLOTS];
    int8_t onward; /* buckets to the next one, when an entry has passed; else 0 */
    uint8_t distances[BUCKET_SLOTS / 4];
    uint32_t words[BUCKET_SLOTS];
};

static_assert(sizeof(struct bucket) == CACHE_LINE_BYTES, "a bucket is a cache line");

static inline uint8_t bucket_tag(uint64_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 32);
    return tag ? tag : 1;
}

/* ---- words --------------------------------------------------------------------------------------------------------- */

/* The bits of the directory that come together with the one at a depth. */
static inline uint32_t bucket_coming(uint64_t hash, uint32_t depth)
{
    return (uint32_t)(hash << (depth - depth % BUCKET_COMING) >> (64 - BUCKET_COMING));
}

static inline uint32_t bucket_word(handle h, uint32_t coming)
{
    assert(h >> HANDLE_BITS == 0);
    return coming << HANDLE_BITS | h;
}

static inline handle bucket_word_handle(uint32_t word)
{
    return word & (((uint32_t)1 << HANDLE_BITS) - 1);
}

/* Of a word whose coming bits are for this depth, the bit at it. */
static inline unsigned bucket_word_bit(uint32_t word, uint32_t depth)
{
    return word >> (31 - depth % BUCKET_COMING) & 1;
}

/* ---- slots --------------------------------------------------------------------------------------------------------- */

/* A bit for each of the tags in a bucket's first two words that is this one. */
static inline unsigned bucket_match_words(uint64_t first, uint64_t second, uint8_t tag)
{
#ifdef __SSE2__
    __m128i line = _mm_set_epi64x((long long)second, (long long)first);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(line, _mm_set1_epi8((char)tag))) & BUCKET_ALL;
#else
    unsigned mask = 0;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        mask |= (unsigned)((uint8_t)(i < 8 ? first >> i * 8 : second >> (i - 8) * 8) == tag) << i;
    }
    return mask;
#endif
}

/* A bit for each slot with this tag. */
static inline unsigned bucket_match(const struct bucket *b, uint8_t tag)
{
    uint64_t words[2];
    memcpy(words, b, sizeof words);
    return bucket_match_words(words[0], words[1], tag);
}

/* Slots that are free; slots that hold entries. */
static inline unsigned bucket_vacant(const struct bucket *b)
{
    return bucket_match(b, 0);
}

static inline unsigned bucket_used(const struct bucket *b)
{
    return ~bucket_match(b, 0) & BUCKET_ALL;
}

/* BUCKET_FAR: that or more. */
static inline unsigned bucket_noted_distance(const struct bucket *b, unsigned slot)
{
    return b->distances[slot / 4] >> slot % 4 * 2 & BUCKET_FAR;
}

static inline void bucket_set(struct bucket *b, unsigned slot, uint8_t tag, uint32_t word, unsigned distance)
{
    unsigned shift = slot % 4 * 2, noted = distance < BUCKET_FAR ? distance : BUCKET_FAR;
    b->tags[slot] = tag;
    b->words[slot] = word;
    b->distances[slot / 4] = (uint8_t)((b->distances[slot / 4] & ~(BUCKET_FAR << shift)) | noted << shift);
}

/* Slots whose entry has another bucket for its home. */
static inline unsigned bucket_astray(const struct bucket *b)
{
    unsigned noted = b->distances[0] | (unsigned)b->distances[1] << 8 | (unsigned)b->distances[2] << 16, mask = 0;
    for (noted = (noted | noted >> 1) & 0x555555; noted; noted &= noted - 1) {
        mask |= 1u << __builtin_ctz(noted) / 2;
    }
    return mask & bucket_used(b);
}

/* Leaves the entries whose coming bit at a depth is 0 where they are and puts the others into the same slots of another
 * bucket, which has none; returns how many. All must be at home there, and none of either has passed then. */
static inline unsigned bucket_divide(struct bucket *b, struct bucket *other, uint32_t depth)
{
    memcpy(other->words, b->words, sizeof other->words);
#ifdef __SSE2__
    __m128i ones[BUCKET_SLOTS / 4]; /* all bits of the words that go */
    for (unsigned i = 0; i < BUCKET_SLOTS / 4; i++) {
        __m128i words = _mm_loadu_si128((const __m128i *)(b->words + i * 4));
        ones[i] = _mm_srai_epi32(_mm_slli_epi32(words, (int)(depth % BUCKET_COMING)), 31);
    }
    __m128i line = _mm_loadu_si128((const __m128i *)b); /* of the tags that go; the rest of the line is 0 */
    __m128i going = _mm_packs_epi16(_mm_packs_epi32(ones[0], ones[1]), _mm_packs_epi32(ones[2], _mm_setzero_si128()));
    _mm_storeu_si128((__m128i *)other, _mm_and_si128(going, line));
    _mm_storeu_si128((__m128i *)b, _mm_andnot_si128(going, line));
#else
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        bool goes = bucket_word_bit(b->words[i], depth);
        other->tags[i] = goes ? b->tags[i] : 0;
        b->tags[i] = goes ? 0 : b->tags[i];
    }
    other->onward = 0;
    memset(other->distances, 0, sizeof other->distances);
#endif
    b->onward = 0;
    memset(b->distances, 0, sizeof b->distances);
    return (unsigned)__builtin_popcount(bucket_used(other));
}

/* Where to look on, NULL when nothing has passed. */
static inline struct bucket *bucket_next(const struct bucket *b)
{
    return b->onward ? (struct bucket *)b + b->onward : NULL;
}

#endif
