/* malloc() and what its allocator says about itself. jemalloc, where it is linked, has taken malloc()'s name, so that every library
 * allocates from it and its figures are the whole process's; the plain names are called here, and its own only for what malloc() lacks.
 *
 * With LARDER_TEST_HOOKS a test has allocations refused. The linker leads every call of malloc() and its kin in Larder's own objects here
 * (--wrap, src/meson.build); those of libraries go by. Any thread. */
#include "os/mem.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "os/process.h"

#ifdef LARDER_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

/* ---- refusals by a test -------------------------------------------------------------------------------------------- */

#ifdef LARDER_TEST_HOOKS
#include <fcntl.h>

struct mem_refusals *mem_refusals;

static void init_refusals(void)
{
    const char *path = getenv("LARDER_MEMORY_FILE");
    if (!path) {
        return;
    }
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *mem_refusals, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        perror(path); /* a test that believes it refuses memory must not go on */
        abort();
    }
    mem_refusals = mapped;
}

bool mem_is_refused(void)
{
    struct mem_refusals *r = mem_refusals;
    if (!r) {
        return false;
    }
    uint64_t every = __atomic_load_n(&r->every, __ATOMIC_RELAXED);
    bool refused = every > 0 && __atomic_add_fetch(&r->asked, 1, __ATOMIC_RELAXED) % every == 0;
    if (__atomic_load_n(&r->once, __ATOMIC_RELAXED) > 0) {
        refused = __atomic_sub_fetch(&r->once, 1, __ATOMIC_RELAXED) == 0 || refused;
    }
    if (refused) {
        __atomic_add_fetch(&r->refused, 1, __ATOMIC_RELAXED);
        errno = ENOMEM;
    }
    return refused;
}

#define REFUSABLE(type, name, parameters, arguments)              \
    type __real_##name parameters;                                \
    type __wrap_##name parameters;                                \
    type __wrap_##name parameters                                 \
    {                                                             \
        return mem_is_refused() ? NULL : __real_##name arguments; \
    }
REFUSABLE(void *, malloc, (size_t bytes), (bytes))
REFUSABLE(void *, calloc, (size_t count, size_t bytes), (count, bytes))
REFUSABLE(void *, realloc, (void *block, size_t bytes), (block, bytes))
REFUSABLE(void *, aligned_alloc, (size_t alignment, size_t bytes), (alignment, bytes))
REFUSABLE(char *, strndup, (const char *text, size_t len), (text, len))
#else
static void init_refusals(void)
{
}
#endif

/* ---- blocks -------------------------------------------------------------------------------------------------------- */

void *mem_alloc(size_t bytes)
{
    return malloc(bytes);
}

void *mem_alloc_zeroed(size_t bytes)
{
    return calloc(1, bytes);
}

void *mem_realloc(void *block, size_t bytes)
{
    return realloc(block, bytes);
}

void mem_free(void *block)
{
    free(block);
}

size_t mem_block_bytes(const void *block)
{
    return block ? malloc_usable_size((void *)block) : 0;
}

/* ---- mapped blocks ------------------------------------------------------------------------------------------------- */

static uint64_t mapped_bytes; /* atomic */

void *mem_map_aligned(size_t bytes, int protection, int flags)
{
    char *mapping = mmap(NULL, bytes + MEM_HUGE_BYTES, protection, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) {
        return NULL;
    }
    size_t before = -(uintptr_t)mapping % MEM_HUGE_BYTES, after = MEM_HUGE_BYTES - before;
    if (before > 0) {
        munmap(mapping, before);
    }
    munmap(mapping + before + bytes, after);
    return mapping + before;
}

void *mem_map(size_t bytes)
{
    assert(bytes % MEM_MAP_STEP == 0);
    void *block = mem_is_refused() ? NULL : mem_map_aligned(bytes, PROT_READ | PROT_WRITE, 0);
    if (block) {
        madvise(block, bytes, MADV_HUGEPAGE);
        __atomic_add_fetch(&mapped_bytes, bytes, __ATOMIC_RELAXED);
    }
    return block;
}

/* To other addresses, aligned, or its huge pages would be split. */
static void *remap_elsewhere(void *block, size_t bytes, size_t new_bytes)
{
    void *to = mem_map_aligned(new_bytes, PROT_NONE, MAP_NORESERVE);
    if (to && mremap(block, bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED) {
        munmap(to, new_bytes);
        return NULL;
    }
    return to;
}

void *mem_remap(void *block, size_t bytes, size_t new_bytes)
{
    assert(new_bytes % MEM_MAP_STEP == 0);
    if (mem_is_refused()) {
        return NULL;
    }
    void *to = mremap(block, bytes, new_bytes, 0);
    to = to != MAP_FAILED ? to : remap_elsewhere(block, bytes, new_bytes);
    if (to) {
        __atomic_add_fetch(&mapped_bytes, new_bytes - bytes, __ATOMIC_RELAXED);
    }
    return to;
}

void mem_unmap(void *block, size_t bytes)
{
    if (block) {
        int failure = munmap(block, bytes);
        assert(failure == 0);
        __atomic_sub_fetch(&mapped_bytes, bytes, __ATOMIC_RELAXED);
    }
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

static void refresh_figures(void)
{
    uint64_t epoch = 1;
    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
}

struct mem_stats mem_stats(void)
{
    uint64_t mapped = __atomic_load_n(&mapped_bytes, __ATOMIC_RELAXED);
    refresh_figures();
    return (struct mem_stats){
        .allocated_bytes = figure("stats.allocated") + mapped,
        .active_bytes = figure("stats.active") + mapped,
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

/* jemalloc's own way is that whoever allocates or frees purges a part, 20 times a second; its background thread takes that over only when nobody else
 * has come first. */
int64_t mem_defer_purging(void)
{
    ssize_t never = -1, decay_ms = 0;
    size_t decay_size = sizeof decay_ms;
    mallctl("opt.dirty_decay_ms", &decay_ms, &decay_size, NULL, 0);
    if (decay_ms <= 0) {
        return 0;
    }
    mallctl("arenas.dirty_decay_ms", NULL, NULL, &never, sizeof never); /* of those that are made from now on */
    unsigned count = 0;
    size_t count_size = sizeof count;
    mallctl("arenas.narenas", &count, &count_size, NULL, 0);
    for (unsigned arena = 0; arena < count; arena++) { /* those that there are */
        char name[64];
        snprintf(name, sizeof name, "arena.%u.dirty_decay_ms", arena);
        mallctl(name, NULL, NULL, &never, sizeof never);
    }
    return decay_ms / MEM_TENDS + 1;
}

void mem_tend(void)
{
    enum { KEPT_BYTES = 1 << 20, KEPT_PART = 64 }; /* of what is in use */
    static unsigned calls;
    static uint64_t least_bytes;
    refresh_figures();
    uint64_t bytes = figure("stats.arenas." TEXT_OF(MALLCTL_ARENAS_ALL) ".pdirty") * figure("arenas.page");
    least_bytes = calls > 0 && least_bytes < bytes ? least_bytes : bytes;
    if (++calls < MEM_TENDS) {
        return;
    }
    if (least_bytes > KEPT_BYTES + figure("stats.active") / KEPT_PART) {
        mem_purge();
    }
    calls = 0;
}

#else

int64_t mem_defer_purging(void)
{
    return 0;
}

void mem_tend(void)
{
}

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
    uint64_t mapped = __atomic_load_n(&mapped_bytes, __ATOMIC_RELAXED);
    return (struct mem_stats){
        .allocated_bytes = figures.uordblks + figures.hblkhd + mapped,
        .active_bytes = figures.arena + figures.hblkhd + mapped,
        .resident_bytes = process_resident_bytes(),
        .allocator = "libc",
    };
}

void mem_purge(void)
{
    malloc_trim(0);
}

#endif

/* ---- life ---------------------------------------------------------------------------------------------------------- */

void mem_init(void)
{
    init_refusals();
}
