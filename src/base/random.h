/* A small fast generator (xoroshiro128++, Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021). Not for
 * secrets: those come from os/entropy.h. One per thread or per owner; its numbers are a value that is passed, so that tests repeat. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state[2];
};

/* Any seeds do, also zeros. */
void random_init(struct random *r, uint64_t seed_a, uint64_t seed_b);

uint64_t random_u64(struct random *r);
/* Uniform in [0, bound); bound > 0. */
uint64_t random_below(struct random *r, uint64_t bound);
/* Uniform in [0, 1). */
double random_unit(struct random *r);

#endif
