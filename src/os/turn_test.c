#include "os/turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "os/clock.h"
#include "os/thread.h"

enum { LONG_NS = 20000000 };

static void burn(int64_t ns)
{
    for (int64_t until_ns = thread_cpu_ns() + ns; thread_cpu_ns() < until_ns;) {}
}

static void test_a_turn_is_at_least_its_cpu_time(void **state)
{
    (void)state;
    struct turn_clock t = {0};
    for (int i = 0; i < 3; i++) {
        turn_begin(&t);
        burn(LONG_NS);
        assert_true(turn_end(&t) >= LONG_NS);
    }
}

static void test_time_without_the_core_is_not_counted(void **state)
{
    (void)state;
    struct turn_clock t = {0};
    turn_begin(&t);
    clock_block_us(LONG_NS / 1000);
    assert_true(turn_end(&t) < LONG_NS / 2);
}

/* However many short turns there were: what a long one is taken to have had is its own. */
static void test_the_turns_before_are_not_counted_with_it(void **state)
{
    (void)state;
    struct turn_clock t = {0};
    for (int i = 0; i < 1000; i++) {
        turn_begin(&t);
        burn(LONG_NS / 1000);
        (void)turn_end(&t);
    }
    turn_begin(&t);
    clock_block_us(LONG_NS / 1000);
    assert_true(turn_end(&t) < LONG_NS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_is_at_least_its_cpu_time),
        cmocka_unit_test(test_time_without_the_core_is_not_counted),
        cmocka_unit_test(test_the_turns_before_are_not_counted_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
