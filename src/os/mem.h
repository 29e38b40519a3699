/* Memory for data whose size is accounted: the general allocator (jemalloc where it is linked, else the C library's) with the true size of
 * every block. Everything that a keyspace entry costs outside its slabs comes from here. */
#ifndef OS_MEM_H
#define OS_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Not cleared; NULL when the system refuses (or a test says so). */
void *mem_alloc(size_t bytes) MUST_USE;
/* All zeros: what comes fresh from the system is not written, so that its pages come one by one when they are used. */
void *mem_alloc_zeroed(size_t bytes) MUST_USE;
void *mem_realloc(void *block, size_t bytes) MUST_USE;
/* NULL is fine. */
void mem_free(void *block);
/* What the block really occupies; 0 for NULL. */
size_t mem_block_bytes(const void *block);
/* What a block of `bytes` would occupy, without allocating. */
size_t mem_good_bytes(size_t bytes);

/* Blocks straight from the system, of a multiple of MEM_MAP_STEP bytes: all zeros, and costing memory only where they are written, a huge page at a time where the
 * system has one. One that grows keeps its memory, wherever its addresses are then; what is new of it is zeros, too. NULL when the system refuses (or a test says
 * so). */
enum { MEM_MAP_STEP = 64 * 1024, MEM_HUGE_BYTES = 2 << 20 /* a huge page */ };
void *mem_map(size_t bytes) MUST_USE;
void *mem_remap(void *block, size_t bytes, size_t new_bytes) MUST_USE;
/* NULL is fine. */
void mem_unmap(void *block, size_t bytes);
/* New addresses from a multiple of MEM_HUGE_BYTES on, a huge page, with the protection and more flags of mmap(); for munmap(). NULL when the system refuses. */
void *mem_map_aligned(size_t bytes, int protection, int flags) MUST_USE;

struct mem_stats {
    uint64_t allocated_bytes; /* handed out, by the allocator's account; 0 when it keeps none */
    uint64_t active_bytes;
    uint64_t resident_bytes; /* of the process */
    const char *allocator;   /* "jemalloc-5.3.0", "libc" */
};
struct mem_stats mem_stats(void);
/* Gives free pages back to the system, which takes long when there are many. */
void mem_purge(void);

/* From now on who frees does not give anything back to the system, so that nobody is away for milliseconds because much was freed; mem_tend() does. Returns how
 * often that is to be called, in ms: MEM_TENDS times in jemalloc's decay time (10 s unless MALLOC_CONF says otherwise). 0: the allocator does it in its own way. */
enum { MEM_TENDS = 10 };
int64_t mem_defer_purging(void);
/* By one thread: every MEM_TENDS calls gives back all that is free, if at each of them more was than a megabyte and 1/64 of what is in use. May take long. */
void mem_tend(void);

/* Once, before other threads. With LARDER_TEST_HOOKS and LARDER_MEMORY_FILE that file is a struct mem_refusals, by which a test refuses memory. */
void mem_init(void);

#ifdef LARDER_TEST_HOOKS
/* Which of Larder's allocations, on whatever thread, get NULL. All atomic. */
struct mem_refusals {
    uint64_t every;   /* each so manieth; 0: none */
    uint64_t once;    /* counts down with each allocation: the one that brings it to 0 */
    uint64_t refused; /* how many were */
    uint64_t asked;   /* counts for `every` */
};
extern struct mem_refusals *mem_refusals; /* NULL: nothing is refused */
/* Whether a test wants this allocation to fail. Asked here for each block, and by who hands out memory of a range. */
bool mem_is_refused(void);
#else
static inline bool mem_is_refused(void)
{
    return false;
}
#endif

#endif
