/* The library's header is compiled in, so that short keys hash without a call into a shared object. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hash.h"
#include "base/attr.h"
#include "base/random.h"

_Static_assert(HASH_SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "XXH3 needs a longer secret");

void hash_key_init(struct hash_key *key, const unsigned char seed[static 16])
{
    struct random random;
    uint64_t words[2];
    memcpy(words, seed, sizeof words);
    random_init(&random, words[0], words[1]);
    for (size_t i = 0; i < HASH_SECRET_BYTES; i += 8) {
        uint64_t word = random_u64(&random);
        memcpy(key->secret + i, &word, 8);
    }
}

NOINLINE static uint64_t hash_long(const struct hash_key *key, slice bytes)
{
    return XXH3_64bits_withSecret(bytes.ptr, bytes.len, key->secret, HASH_SECRET_BYTES);
}

/* Most keys are short: what the library does for such is compiled in here, without the registers that its other forms need. */
FLATTEN uint64_t hash_keyed(const struct hash_key *key, slice bytes)
{
    enum { SHORT_BYTES_MAX = 16 };
    return LIKELY(bytes.len <= SHORT_BYTES_MAX)
               ? XXH3_64bits_withSecret(bytes.ptr, bytes.len, key->secret, HASH_SECRET_BYTES)
               : hash_long(key, bytes);
}

uint64_t hash_plain(slice bytes)
{
    return XXH3_64bits(bytes.ptr, bytes.len);
}
