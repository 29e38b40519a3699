#include "os/lazy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "os/mem.h"
#include "os/worker.h"

static void test_large_blocks_are_freed_by_another_thread(void **state)
{
    (void)state;
    enum { BYTES = 16 * MEM_MAP_STEP };
    struct mem_stats before = mem_stats();
    lazy_unmap(mem_map(BYTES), BYTES); /* nobody to hand it to */
    assert_int_equal(lazy_pending_bytes(), 0);
    assert_int_equal(lazy_start(), OK);
    for (int i = 0; i < 10; i++) {
        char *block = mem_map(BYTES);
        memset(block, 1, BYTES);
        lazy_unmap(block, BYTES);
    }
    lazy_unmap(NULL, 0);
    lazy_stop();
    assert_int_equal(lazy_pending_bytes(), 0);
    assert_true(mem_stats().allocated_bytes < before.allocated_bytes + BYTES);
}

static unsigned delivered;

static void count_delivery(struct message *m, struct worker *w)
{
    (void)m;
    (void)w;
    assert_ptr_equal(worker_self(), NULL);
    delivered++;
}

static void test_a_message_is_delivered_there_and_nowhere_else(void **state)
{
    (void)state;
    struct message messages[2] = {{.deliver = count_delivery}, {.deliver = count_delivery}};
    assert_false(lazy_post(&messages[0]));
    assert_int_equal(lazy_start(), OK);
    assert_true(lazy_post(&messages[0]));
    assert_true(lazy_post(&messages[1]));
    lazy_stop();
    assert_int_equal(delivered, 2);
    assert_false(lazy_post(&messages[0]));
    assert_int_equal(delivered, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_blocks_are_freed_by_another_thread),
        cmocka_unit_test(test_a_message_is_delivered_there_and_nowhere_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
