#include "os/lazy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "os/mem.h"

static void test_a_large_block_is_freed_by_another_thread(void **state)
{
    (void)state;
    struct mem_stats before = mem_stats();
    lazy_free(mem_alloc(LAZY_BYTES_MIN)); /* nobody to hand it to */
    assert_int_equal(lazy_start(), OK);
    for (int i = 0; i < 10; i++) {
        char *block = mem_alloc(LAZY_BYTES_MIN);
        memset(block, 1, LAZY_BYTES_MIN);
        lazy_free(block);
    }
    for (int i = 0; i < 10; i++) {
        lazy_unmap(mem_map(LAZY_BYTES_MIN), LAZY_BYTES_MIN);
    }
    lazy_unmap(mem_map(MEM_MAP_STEP), MEM_MAP_STEP);
    lazy_unmap(NULL, 0);
    lazy_free(mem_alloc(1));
    lazy_free(NULL);
    lazy_stop();
    assert_true(mem_stats().allocated_bytes < before.allocated_bytes + LAZY_BYTES_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_large_block_is_freed_by_another_thread)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
