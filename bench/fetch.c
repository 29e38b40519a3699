/* fetch: what memory alone costs a server that looks keys up in batches. Of an index of INDEX_BYTES a key it reads a line, of entries of ENTRY_BYTES two
 * neighbouring ones, both of a key by chance; for a batch of keys first all of the index is asked for, then read, then all of the entries, then read. It does
 * nothing with them.
 *
 *   fetch KEYS              one line of JSON: ns of CPU time a key, of ROUNDS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client.h"
#include "measure.h"

enum { INDEX_BYTES = 9, ENTRY_BYTES = 56, LINE_BYTES = 64, BATCH = 32, BATCHES = 50000, ROUNDS = 5 };

static char *map(size_t bytes)
{
    bytes += LINE_BYTES; /* the last entry may have its second line there */
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        fail("no memory");
    }
    madvise(at, bytes, MADV_HUGEPAGE);
    memset(at, 1, bytes);
    return at;
}

static void read_word(const char *at)
{
    (void)*(volatile const uint64_t *)at;
}

struct place {
    const char *bucket, *entry;
};

static void choose(struct place *p, const char *index, const char *entries, uint64_t keys, uint64_t *random)
{
    uint64_t key = (random_next(random) >> 32) * keys >> 32;
    p->bucket = index + key * 0x9e3779b1 % keys * INDEX_BYTES / LINE_BYTES * LINE_BYTES;
    p->entry = entries + key * ENTRY_BYTES;
}

static void look_up(struct place *places)
{
    for (int i = 0; i < BATCH; i++) {
        __builtin_prefetch(places[i].bucket);
    }
    for (int i = 0; i < BATCH; i++) {
        read_word(places[i].bucket);
    }
    for (int i = 0; i < BATCH; i++) {
        __builtin_prefetch(places[i].entry);
        __builtin_prefetch(places[i].entry + LINE_BYTES);
    }
    for (int i = 0; i < BATCH; i++) {
        read_word(places[i].entry);
        read_word(places[i].entry + LINE_BYTES);
    }
}

int main(int argc, char **argv)
{
    uint64_t keys = argc > 1 ? strtoull(argv[1], NULL, 10) : 0, random = 88172645463325252u;
    if (keys == 0 || keys > UINT32_MAX) {
        fail("fetch KEYS: a number of keys, at most 4294967295");
    }
    const char *index = map(keys * INDEX_BYTES), *entries = map(keys * ENTRY_BYTES);
    printf("{\"ns\": [");
    for (int round = 0; round < ROUNDS; round++) {
        int64_t began = cpu_ns();
        for (int batch = 0; batch < BATCHES; batch++) {
            struct place places[BATCH];
            for (int i = 0; i < BATCH; i++) {
                choose(&places[i], index, entries, keys, &random);
            }
            look_up(places);
        }
        printf("%s%.2f", round > 0 ? ", " : "", (double)(cpu_ns() - began) / ((double)BATCH * BATCHES));
    }
    printf("]}\n");
    return 0;
}
