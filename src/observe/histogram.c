/* Where a value lies: the first 64 buckets hold one value each; behind them each doubling [2^k, 2^(k+1)) is cut into 64 buckets of equal
 * width, so the width is at most 1/64 of the value. With the value's top bit at k >= 6 the bucket is
 *
 *     (k - 5) * 64 + the 6 bits below the top bit
 *
 * Only the owner writes, with plain (relaxed) stores; `count` is what the buckets hold in all. */
#include "observe/histogram.h"

#include "base/assert.h"

enum { STEP_COUNT = 1 << HISTOGRAM_STEP_BITS };

static size_t bucket_of(uint64_t us)
{
    if (us < STEP_COUNT) {
        return us;
    }
    if (us >> HISTOGRAM_VALUE_BITS) {
        return HISTOGRAM_BUCKET_COUNT - 1;
    }
    unsigned top = 63 - (unsigned)__builtin_clzll(us);
    unsigned shift = top - HISTOGRAM_STEP_BITS;
    return ((size_t)shift + 1) * STEP_COUNT + ((us >> shift) & (STEP_COUNT - 1));
}

uint64_t histogram_bucket_max_us(size_t index)
{
    assert(index < HISTOGRAM_BUCKET_COUNT);
    if (index < STEP_COUNT) {
        return index;
    }
    size_t shift = index / STEP_COUNT - 1;
    uint64_t first = (uint64_t)(STEP_COUNT + index % STEP_COUNT) << shift;
    return first + ((uint64_t)1 << shift) - 1;
}

static uint64_t load(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static void store(uint64_t *number, uint64_t value)
{
    __atomic_store_n(number, value, __ATOMIC_RELAXED);
}

void histogram_reset(struct histogram *h)
{
    store(&h->count, 0);
    store(&h->sum_us, 0);
    store(&h->max_us, 0);
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        store(&h->buckets[i], 0);
    }
}

void histogram_add(struct histogram *h, uint64_t us)
{
    uint64_t *bucket = &h->buckets[bucket_of(us)];
    store(bucket, load(bucket) + 1);
    store(&h->count, load(&h->count) + 1);
    store(&h->sum_us, load(&h->sum_us) + us);
    if (us > load(&h->max_us)) {
        store(&h->max_us, us);
    }
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
    uint64_t added = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        uint64_t here = load(&from->buckets[i]);
        added += here;
        store(&h->buckets[i], load(&h->buckets[i]) + here);
    }
    store(&h->count, load(&h->count) + added); /* not from->count, which may have moved on */
    store(&h->sum_us, load(&h->sum_us) + load(&from->sum_us));
    if (load(&from->max_us) > load(&h->max_us)) {
        store(&h->max_us, load(&from->max_us));
    }
}

uint64_t histogram_count(const struct histogram *h)
{
    return load(&h->count);
}

uint64_t histogram_sum_us(const struct histogram *h)
{
    return load(&h->sum_us);
}

uint64_t histogram_max_us(const struct histogram *h)
{
    return load(&h->max_us);
}

uint64_t histogram_percentile_us(const struct histogram *h, double percent)
{
    assert(percent >= 0);
    assert(percent <= 100);
    uint64_t count = load(&h->count);
    uint64_t max_us = load(&h->max_us);
    double wanted = percent / 100 * (double)count;
    uint64_t below = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        below += load(&h->buckets[i]);
        if (below > 0 && (double)below >= wanted) {
            uint64_t us = histogram_bucket_max_us(i);
            return us < max_us && i < HISTOGRAM_BUCKET_COUNT - 1 ? us : max_us;
        }
    }
    return max_us;
}
