/* The generator and its seeding by splitmix64. */
#include "base/random.h"

#include "base/assert.h"

static uint64_t rotate_left(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static uint64_t split_mix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void random_init(struct random *r, uint64_t seed_a, uint64_t seed_b)
{
    uint64_t state = seed_a;
    r->state[0] = split_mix(&state) ^ seed_b;
    r->state[1] = split_mix(&state) | 1; /* never both zero */
}

uint64_t random_u64(struct random *r)
{
    uint64_t a = r->state[0], b = r->state[1];
    uint64_t result = rotate_left(a + b, 17) + a;
    b ^= a;
    r->state[0] = rotate_left(a, 49) ^ b ^ (b << 21);
    r->state[1] = rotate_left(b, 28);
    return result;
}

/* Multiply-shift; the bias is below bound / 2^64. */
uint64_t random_below(struct random *r, uint64_t bound)
{
    assert(bound > 0);
    return (uint64_t)(((unsigned __int128)random_u64(r) * bound) >> 64);
}

double random_unit(struct random *r)
{
    return (double)(random_u64(r) >> 11) * 0x1p-53;
}
