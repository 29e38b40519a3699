/* Ranges of addresses: what is committed is zero, keeps what is written until it is discarded, and may be refused. And blocks that are mapped: they keep what they
 * have, and their huge pages, when they grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/mem.h"
#include "os/range.h"

enum { RANGE_BYTES = 8 * MEM_HUGE_BYTES, PART_BYTES = 64 * 1024 };

static bool is_zero(const char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (at[i]) {
            return false;
        }
    }
    return true;
}

static void test_parts_come_and_go(void **state)
{
    (void)state;
    char *range = range_reserve(RANGE_BYTES);
    assert_non_null(range);
    assert_int_equal((uintptr_t)range % MEM_HUGE_BYTES, 0);
    assert_true(range_commit(range + RANGE_BYTES - PART_BYTES, PART_BYTES));
    assert_true(range_commit(range, MEM_HUGE_BYTES));
    range_make_huge(range);
    assert_true(is_zero(range, MEM_HUGE_BYTES));
    memset(range, 1, MEM_HUGE_BYTES);
    assert_true(range_commit(range, MEM_HUGE_BYTES)); /* again: nothing changes */
    range_discard(range, PART_BYTES);
    assert_true(is_zero(range, PART_BYTES));
    assert_int_equal(range[PART_BYTES], 1);
    range_release(range, RANGE_BYTES);
    range_release(NULL, RANGE_BYTES);
}

/* The flags that the kernel has for the mapping of an address: "rd wr mr ... ". */
static void flags_of(const void *address, char flags[static 256])
{
    FILE *f = fopen("/proc/self/smaps", "r");
    assert_non_null(f);
    bool found = false;
    flags[0] = '\0';
    for (char line[512]; fgets(line, sizeof line, f);) {
        unsigned long begin, end;
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
            found = (uintptr_t)address >= begin && (uintptr_t)address < end;
        } else if (found && sscanf(line, "VmFlags: %255[^\n]", flags) == 1) {
            break;
        }
    }
    fclose(f);
}

/* Else khugepaged would undo what range_discard() does, some seconds later. */
static void test_nothing_becomes_huge_by_itself(void **state)
{
    (void)state;
    char *range = range_reserve(RANGE_BYTES), flags[256] = "";
    assert_non_null(range);
    assert_true(range_commit(range, 3 * MEM_HUGE_BYTES));
    flags_of(range, flags);
    if (!strstr(flags, " nh")) {
        range_release(range, RANGE_BYTES);
        skip(); /* a kernel without huge pages, or one that does not tell */
    }
    range_make_huge(range + MEM_HUGE_BYTES);
    for (unsigned i = 0; i < 3; i++) {
        flags_of(range + i * MEM_HUGE_BYTES, flags);
        assert_non_null(strstr(flags, " nh"));
        assert_null(strstr(flags, " hg"));
    }
    range_release(range, RANGE_BYTES);
}

/* It has to go elsewhere, since the addresses behind it are taken. */
static void test_a_mapped_block_stays_aligned(void **state)
{
    (void)state;
    enum { BYTES = 2 * MEM_HUGE_BYTES, MORE_BYTES = 3 * MEM_HUGE_BYTES };
    char *block = mem_map(BYTES), flags[256] = "";
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % MEM_HUGE_BYTES, 0);
    memset(block, 1, BYTES);
    void *behind =
        mmap(block + BYTES, MEM_MAP_STEP, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    char *moved = mem_remap(block, BYTES, MORE_BYTES);
    assert_non_null(moved);
    assert_ptr_not_equal(moved, block);
    assert_int_equal((uintptr_t)moved % MEM_HUGE_BYTES, 0);
    assert_int_equal(moved[BYTES - 1], 1);
    assert_true(is_zero(moved + BYTES, MORE_BYTES - BYTES));
    flags_of(moved, flags);
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0) {
        assert_non_null(strstr(flags, " hg")); /* small pages, one fault each, would take many times as long */
    }
    assert_ptr_equal(mem_remap(moved, MORE_BYTES, MEM_MAP_STEP), moved);
    mem_unmap(moved, MEM_MAP_STEP);
    if (behind != MAP_FAILED) {
        munmap(behind, MEM_MAP_STEP);
    }
}

static void test_what_cannot_be_had_is_refused(void **state)
{
    (void)state;
    assert_null(range_reserve((size_t)1 << 60));
    assert_null(mem_map((size_t)1 << 60));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_come_and_go),
        cmocka_unit_test(test_nothing_becomes_huge_by_itself),
        cmocka_unit_test(test_a_mapped_block_stays_aligned),
        cmocka_unit_test(test_what_cannot_be_had_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
