#include "observe/turns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "observe/metric.h"

static void be_long(struct deferred *d)
{
    (void)d;
    for (int64_t until_ns = thread_cpu_ns() + TURN_LONG_US * 1000; thread_cpu_ns() < until_ns;) {}
}

static void test_turns_are_counted_until_they_are_set_back(void **state)
{
    (void)state;
    struct worker w;
    assert_int_equal(worker_init(&w, 3, LOOP_EPOLL), OK);
    turns_watch(&w);
    loop_turn(w.loop, 0);
    struct deferred d;
    deferred_init(&d, be_long);
    loop_defer(w.loop, &d);
    loop_turn(w.loop, 0);
    assert_int_equal(histogram_count(turns_of(3)), 2);
    assert_true(histogram_max_us(turns_of(3)) >= TURN_LONG_US);
    assert_int_equal(metric_sum(METRIC_turns_long), 1);
    role_assume_worker();
    turns_reset(3);
    assert_int_equal(histogram_count(turns_of(3)), 0);
    worker_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_turns_are_counted_until_they_are_set_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
