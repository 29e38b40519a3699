#include "os/lazy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/num.h"
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

/* Whoever allocates and frees: nothing goes back before it has been free for some calls of mem_tend(). */
static void test_what_has_long_been_free_goes_back(void **state)
{
    (void)state;
    enum { BLOCKS = 200, BYTES = 512 * 1024, FREED_BYTES = BLOCKS * BYTES };
    static void *blocks[BLOCKS];
    if (mem_defer_purging() == 0) {
        skip(); /* a sanitizer's allocator */
    }
    uint64_t before = mem_stats().resident_bytes;
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = mem_alloc(BYTES);
        memset(blocks[i], 1, BYTES);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        mem_free(blocks[i]);
    }
    for (unsigned i = 0; i < 5; i++) {
        usleep(60 * 1000); /* jemalloc would do some of it each 50 ms */
        for (unsigned k = 0; k < 5000; k++) {
            mem_free(mem_alloc(BYTES / 8));
        }
    }
    assert_true(mem_stats().resident_bytes > before + FREED_BYTES * 9 / 10);
    for (unsigned i = 0; i < MEM_TENDS - 1; i++) {
        mem_tend();
    }
    assert_true(mem_stats().resident_bytes > before + FREED_BYTES * 9 / 10);
    for (unsigned i = 0; i < MEM_TENDS; i++) {
        mem_tend();
    }
    assert_true(mem_stats().resident_bytes < before + FREED_BYTES / 10);
}

static unsigned delivered;
static int usual_nice;

static void count_delivery(struct message *m, struct worker *w)
{
    (void)m;
    (void)w;
    assert_ptr_equal(worker_self(), NULL);
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH); /* nobody is interrupted for it */
    assert_int_equal(getpriority(PRIO_PROCESS, 0), num_min_i64(usual_nice + 10, 19));
    delivered++;
}

static void test_a_message_is_delivered_there_and_nowhere_else(void **state)
{
    (void)state;
    struct message messages[2] = {{.deliver = count_delivery}, {.deliver = count_delivery}};
    assert_false(lazy_post(&messages[0]));
    usual_nice = getpriority(PRIO_PROCESS, 0);
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
        cmocka_unit_test(test_what_has_long_been_free_goes_back),
        cmocka_unit_test(test_a_message_is_delivered_there_and_nowhere_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
