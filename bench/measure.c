#include "measure.h"

#include <time.h>

static int step_of(uint64_t us)
{
    if (us < 32) {
        return (int)us;
    }
    int power = 63 - __builtin_clzll(us);
    return (power - 4) * 32 + (int)((us >> (power - 5)) & 31);
}

static uint64_t step_us(int step)
{
    return step < 32 ? (uint64_t)step : (uint64_t)(32 + step % 32) << (step / 32 - 1);
}

void histogram_add(struct histogram *h, uint64_t us)
{
    h->counts[step_of(us)]++;
    h->longest_us = us > h->longest_us ? us : h->longest_us;
}

void histogram_merge(struct histogram *h, const struct histogram *other)
{
    for (int i = 0; i < HISTOGRAM_STEPS; i++) {
        h->counts[i] += other->counts[i];
    }
    h->longest_us = other->longest_us > h->longest_us ? other->longest_us : h->longest_us;
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t total = 0;
    for (int i = 0; i < HISTOGRAM_STEPS; i++) {
        total += h->counts[i];
    }
    return total;
}

uint64_t histogram_percentile(const struct histogram *h, double part)
{
    uint64_t total = histogram_count(h), seen = 0;
    for (int i = 0; i < HISTOGRAM_STEPS; i++) {
        seen += h->counts[i];
        if (total && (double)seen >= part * (double)total) {
            return step_us(i);
        }
    }
    return 0;
}

static int64_t read_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int64_t now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t cpu_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
