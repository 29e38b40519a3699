/* malloc() and what its allocator says about itself. jemalloc, where it is linked, has taken malloc()'s name, so that every library
 * allocates from it and its figures are the whole process's; the plain names are called here, and its own only for what malloc() lacks.
 *
 * With LARDER_TEST_HOOKS, LARDER_FAIL_ALLOC_EVERY=n has every n-th mem_alloc() and mem_realloc() of the process fail. Any thread. */
#include "os/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/process.h"

#ifdef LARDER_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

/* ---- refusals by a test -------------------------------------------------------------------------------------------- */

#ifdef LARDER_TEST_HOOKS
#include <pthread.h>

static uint64_t fail_every;

static void read_fail_every(void)
{
    const char *text = getenv("LARDER_FAIL_ALLOC_EVERY");
    fail_every = text ? strtoull(text, NULL, 10) : 0;
}

bool mem_is_refused(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static uint64_t count;
    pthread_once(&once, read_fail_every);
    return fail_every && __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) % fail_every == 0;
}
#endif

/* ---- blocks -------------------------------------------------------------------------------------------------------- */

void *mem_alloc(size_t bytes)
{
    return mem_is_refused() ? NULL : malloc(bytes);
}

void *mem_realloc(void *block, size_t bytes)
{
    return mem_is_refused() ? NULL : realloc(block, bytes);
}

void mem_free(void *block)
{
    free(block);
}

size_t mem_block_bytes(const void *block)
{
    return block ? malloc_usable_size((void *)block) : 0;
}

#ifdef LARDER_JEMALLOC

/* The classes of small sizes, asked once: an entry's is needed several times a write, and a call of nallocx() costs as much as a
 * look-up in the index. By the size in words, rounded up. */
enum { WORD_BYTES = 8, SMALL_BYTES_MAX = 1024 };
static uint16_t small_classes[SMALL_BYTES_MAX / WORD_BYTES + 1];

__attribute__((constructor)) static void ask_small_classes(void)
{
    for (size_t i = 0; i < sizeof small_classes / sizeof *small_classes; i++) {
        small_classes[i] = (uint16_t)nallocx(i ? i * WORD_BYTES : 1, 0);
    }
}

size_t mem_good_bytes(size_t bytes)
{
    return bytes <= SMALL_BYTES_MAX ? small_classes[(bytes + WORD_BYTES - 1) / WORD_BYTES] : nallocx(bytes, 0);
}

static uint64_t figure(const char *name)
{
    size_t value = 0;
    size_t value_bytes = sizeof value;
    return mallctl(name, &value, &value_bytes, NULL, 0) == 0 ? value : 0;
}

/* "jemalloc-5.3.0" of "5.3.0-0-g54eaed1d8b56b1aa528be3bdd1877e59c56fa90c". */
static const char *allocator_name(void)
{
    static _Thread_local char name[32];
    const char *version = "";
    size_t version_bytes = sizeof version;
    mallctl("version", &version, &version_bytes, NULL, 0);
    snprintf(name, sizeof name, "jemalloc-%.*s", (int)strcspn(version, "-"), version);
    return name;
}

struct mem_stats mem_stats(void)
{
    uint64_t epoch = 1; /* refreshes the figures */
    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    return (struct mem_stats){
        .allocated_bytes = figure("stats.allocated"),
        .active_bytes = figure("stats.active"),
        .resident_bytes = process_resident_bytes(),
        .allocator = allocator_name(),
    };
}

#define TEXT_OF_VALUE(x) #x
#define TEXT_OF(macro) TEXT_OF_VALUE(macro)

void mem_purge(void)
{
    mallctl("arena." TEXT_OF(MALLCTL_ARENAS_ALL) ".purge", NULL, NULL, NULL, 0);
}

#else

/* glibc: a chunk is a multiple of 16 with 8 bytes of its own, and at least 32. */
size_t mem_good_bytes(size_t bytes)
{
    enum { OWN = 8, STEP = 16, LEAST = 24 };
    size_t chunk = (bytes + OWN + STEP - 1) / STEP * STEP;
    return chunk - OWN < LEAST ? LEAST : chunk - OWN;
}

struct mem_stats mem_stats(void)
{
    struct mallinfo2 figures = mallinfo2();
    return (struct mem_stats){
        .allocated_bytes = figures.uordblks + figures.hblkhd,
        .active_bytes = figures.arena + figures.hblkhd,
        .resident_bytes = process_resident_bytes(),
        .allocator = "libc",
    };
}

void mem_purge(void)
{
    malloc_trim(0);
}

#endif
