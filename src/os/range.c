/* mmap() without access, mprotect() for what is committed. Huge pages are refused, but for the moment in which one is made: else, where the machine hands
 * them out unasked (transparent_hugepage=always), a little data would cost many megabytes; and khugepaged, which looks for places where a huge page
 * is wanted and some of it is in use, would bring back what was discarded, a dozen megabytes each ten seconds. So committed neighbours are one mapping for the
 * kernel, too: who commits upwards keeps their number small. */
#include "os/range.h"

#include <stdint.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "os/mem.h"

void *range_reserve(size_t bytes)
{
    assert(bytes % MEM_HUGE_BYTES == 0);
    void *range = mem_map_aligned(bytes, PROT_NONE, MAP_NORESERVE);
    if (range) {
        madvise(range, bytes, MADV_DONTDUMP);
        madvise(range, bytes, MADV_NOHUGEPAGE);
    }
    return range;
}

void range_release(void *range, size_t bytes)
{
    if (range) {
        munmap(range, bytes);
    }
}

bool range_commit(void *at, size_t bytes)
{
    return !mem_is_refused() && mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0;
}

void range_make_huge(void *at)
{
    assert((uintptr_t)at % MEM_HUGE_BYTES == 0);
    if (madvise(at, MEM_HUGE_BYTES, MADV_HUGEPAGE) == 0) {
        *(volatile char *)at = 0;
        madvise(at, MEM_HUGE_BYTES, MADV_NOHUGEPAGE);
    }
}

void range_discard(void *at, size_t bytes)
{
    madvise(at, bytes, MADV_DONTNEED);
}
