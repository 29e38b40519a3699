/* How long things took: counts of microseconds in buckets whose width grows with the value, so that every value up to an hour is kept
 * with an error below 1.6% in a fixed 14 KB. (Values up to 64 us are exact; each doubling above has 64 buckets.)
 *
 * One thread adds; others may merge or read meanwhile and see each bucket whole, though not all at one instant. */
#ifndef OBSERVE_HISTOGRAM_H
#define OBSERVE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_STEP_BITS = 6,   /* 64 buckets for each doubling */
    HISTOGRAM_VALUE_BITS = 32, /* larger values count as the largest: 71 minutes */
    HISTOGRAM_BUCKET_COUNT = (HISTOGRAM_VALUE_BITS - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS,
};

struct histogram {
    uint64_t count; /* all atomic */
    uint64_t sum_us;
    uint64_t max_us;
    uint64_t buckets[HISTOGRAM_BUCKET_COUNT];
};

/* Empty. All zero bytes are an empty histogram, too. By the owner only. */
void histogram_reset(struct histogram *h);
/* By the owner only. */
void histogram_add(struct histogram *h, uint64_t us);
/* Adds what `from` holds to `h`, which the caller owns; `from` may be added to meanwhile. */
void histogram_merge(struct histogram *h, const struct histogram *from);

uint64_t histogram_count(const struct histogram *h);
uint64_t histogram_sum_us(const struct histogram *h);
uint64_t histogram_max_us(const struct histogram *h);
/* The value that `percent` (0 to 100) of the values do not exceed: the upper end of its bucket, at most the largest value. 0 when empty. */
uint64_t histogram_percentile_us(const struct histogram *h, double percent);

/* The largest value of a bucket, for printing them all. */
uint64_t histogram_bucket_max_us(size_t index);

#endif
