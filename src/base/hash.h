/* Hashing of bytes: XXH3 (the 64-bit form, specified in the xxHash repository's doc/xxhash_spec.md), keyed for tables whose keys
 * strangers choose, unkeyed where the value is part of a contract (the DIGEST command). Pure; any thread. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"

enum { HASH_SECRET_BYTES = 192 };

/* A secret that makes collisions unpredictable; drawn once at start. */
struct hash_key {
    unsigned char secret[HASH_SECRET_BYTES];
};

/* Stretches 16 random bytes into a key. */
void hash_key_init(struct hash_key *key, const unsigned char seed[static 16]);

uint64_t hash_keyed(const struct hash_key *key, slice bytes);

/* XXH3-64 with seed 0. */
uint64_t hash_plain(slice bytes);

#endif
