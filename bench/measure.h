/* measure: what the programs here share: the time, chance, and a histogram of latencies. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 64 * 32 };

/* Counts by latency in us, 32 steps for each power of two: a percentile is at most 3% too low. All zero is empty. One thread at a time. */
struct histogram {
    uint64_t counts[HISTOGRAM_STEPS];
    uint64_t longest_us;
};

void histogram_add(struct histogram *h, uint64_t us);
void histogram_merge(struct histogram *h, const struct histogram *other);
uint64_t histogram_count(const struct histogram *h);
uint64_t histogram_percentile(const struct histogram *h, double part); /* in us; 0 when empty */

int64_t now_ns(void); /* monotonic */
int64_t cpu_ns(void); /* of this thread */

/* xorshift64: cheap, and good enough to choose keys. `*state` is not 0. */
uint64_t random_next(uint64_t *state);

#endif
