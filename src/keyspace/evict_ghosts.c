/* See evict_ghosts_priv.h. */
#include "keyspace/evict_ghosts_priv.h"

#include <stdbool.h>
#include <string.h>

#include "base/assert.h"
#include "os/mem.h"

enum { BUCKET_PLACES = 32, BUCKET_BYTES = BUCKET_PLACES * 2 };

static enum ghost kind_of(uint16_t place)
{
    return (enum ghost)(place & 1);
}

/* What stands for a hash, but for its kind; never 0. */
static uint16_t mark_of(uint64_t hash)
{
    uint16_t mark = (uint16_t)(hash * 0x9e3779b97f4a7c15 >> 48) & 0xfffe;
    return mark ? mark : 2;
}

/* The upper half of the product spreads over the buckets whatever bits shards and index use. */
static uint16_t *bucket_of(const struct ghosts *g, uint64_t hash)
{
    uint64_t spread = hash * 0xd6e8feb86659fd93 >> 32;
    return g->places + (spread * g->bucket_count >> 32) * BUCKET_PLACES;
}

void ghosts_resize(struct ghosts *g, size_t capacity)
{
    mem_free(g->places);
    *g = (struct ghosts){0};
    size_t bucket_count = (capacity + BUCKET_PLACES - 1) / BUCKET_PLACES;
    uint16_t *places = bucket_count > 0 ? mem_alloc_zeroed(bucket_count * BUCKET_BYTES) : NULL;
    if (places) {
        g->places = places;
        g->bucket_count = (uint32_t)bucket_count;
        g->bytes = mem_good_bytes(bucket_count * BUCKET_BYTES);
    }
}

size_t ghosts_capacity(const struct ghosts *g)
{
    return (size_t)g->bucket_count * BUCKET_PLACES;
}

const void *ghosts_place(const struct ghosts *g, uint64_t hash)
{
    return g->bucket_count > 0 ? bucket_of(g, hash) : NULL;
}

/* Of a full bucket, the place of the oldest one of the kind; the oldest of all when there is none. */
static unsigned oldest(const uint16_t *bucket, enum ghost kind)
{
    for (unsigned i = BUCKET_PLACES; i-- > 0;) {
        if (kind_of(bucket[i]) == kind) {
            return i;
        }
    }
    return BUCKET_PLACES - 1;
}

void ghosts_add(struct ghosts *g, uint64_t hash, enum ghost kind, size_t main_share)
{
    if (g->bucket_count == 0) {
        return;
    }
    uint16_t *bucket = bucket_of(g, hash);
    unsigned place = BUCKET_PLACES - 1;
    if (bucket[place]) {
        place = oldest(bucket, g->counts[GHOST_OF_MAIN] > main_share ? GHOST_OF_MAIN : GHOST_OF_SMALL);
        g->counts[kind_of(bucket[place])]--;
    }
    memmove(bucket + 1, bucket, place * sizeof *bucket);
    bucket[0] = mark_of(hash) | (uint16_t)kind;
    g->counts[kind]++;
}

enum ghost ghosts_take(struct ghosts *g, uint64_t hash)
{
    if (g->bucket_count == 0) {
        return GHOST_NONE;
    }
    uint16_t *bucket = bucket_of(g, hash), mark = mark_of(hash);
    for (unsigned i = 0; i < BUCKET_PLACES && bucket[i]; i++) {
        if ((bucket[i] & 0xfffe) == mark) {
            enum ghost kind = kind_of(bucket[i]);
            memmove(bucket + i, bucket + i + 1, (BUCKET_PLACES - 1 - i) * sizeof *bucket);
            bucket[BUCKET_PLACES - 1] = 0;
            g->counts[kind]--;
            return kind;
        }
    }
    return GHOST_NONE;
}

void ghosts_check(const struct ghosts *g)
{
    uint32_t counts[GHOST_KIND_COUNT] = {0};
    for (size_t i = 0; i < ghosts_capacity(g); i++) {
        bool follows_vacant = i % BUCKET_PLACES > 0 && !g->places[i - 1];
        assert(!g->places[i] || !follows_vacant);
        counts[kind_of(g->places[i])] += g->places[i] != 0;
    }
    assert(counts[GHOST_OF_SMALL] == g->counts[GHOST_OF_SMALL]);
    assert(counts[GHOST_OF_MAIN] == g->counts[GHOST_OF_MAIN]);
}
