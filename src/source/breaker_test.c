/* The breaker's three states, with a clock that the test holds. */
#include "source/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct breaker breaker_of(unsigned percent)
{
    struct breaker b;
    breaker_init(
        &b, &(struct config_breaker){.enabled = true, .errors_percent = percent, .window_ms = 10000, .open_ms = 5000});
    return b;
}

static void opens_at_the_share_and_not_before_enough_queries(void **state)
{
    (void)state;
    struct breaker b = breaker_of(50);
    for (unsigned i = 0; i < BREAKER_QUERY_COUNT_MIN - 1; i++) {
        assert_int_equal(breaker_ask(&b, 100), BREAKER_GO);
        assert_false(breaker_note(&b, true, 100));
    }
    assert_true(breaker_note(&b, true, 100));
    assert_int_equal(breaker_ask(&b, 100), BREAKER_REFUSE);

    b = breaker_of(50);
    for (unsigned i = 0; i < 11; i++) {
        assert_false(breaker_note(&b, false, 100));
    }
    for (unsigned i = 0; i < 10; i++) {
        assert_false(breaker_note(&b, true, 100));
    }
    assert_true(breaker_note(&b, true, 100)); /* 11 of 22 */
}

static void forgets_what_is_older_than_the_window(void **state)
{
    (void)state;
    struct breaker b = breaker_of(50);
    for (unsigned i = 0; i < 9; i++) {
        assert_false(breaker_note(&b, true, 1000));
    }
    assert_false(breaker_note(&b, true, 11000)); /* the nine are ten slices away */
    for (unsigned i = 0; i < 8; i++) {
        assert_false(breaker_note(&b, true, 20999));
    }
    assert_true(breaker_note(&b, true, 20999)); /* the one of 11000 is still inside */
}

static void half_open_sends_one_probe_at_a_time(void **state)
{
    (void)state;
    struct breaker b = breaker_of(50);
    for (unsigned i = 0; i < BREAKER_QUERY_COUNT_MIN; i++) {
        breaker_note(&b, true, 0);
    }
    assert_string_equal(breaker_state_name(&b, 4999), "open");
    assert_int_equal(breaker_ask(&b, 4999), BREAKER_REFUSE);
    assert_string_equal(breaker_state_name(&b, 5000), "half-open");
    assert_int_equal(breaker_ask(&b, 5000), BREAKER_GO_PROBE);
    assert_int_equal(breaker_ask(&b, 5001), BREAKER_REFUSE);
    assert_false(breaker_note(&b, false, 5002)); /* a query from before it opened changes nothing */
    assert_int_equal(breaker_ask(&b, 5002), BREAKER_REFUSE);
    assert_false(breaker_note_probe(&b, true, 6000));
    assert_int_equal(breaker_ask(&b, 10999), BREAKER_REFUSE);
    assert_int_equal(breaker_ask(&b, 11000), BREAKER_GO_PROBE);
    assert_true(breaker_note_probe(&b, false, 11001));
    assert_int_equal(breaker_ask(&b, 11001), BREAKER_GO);
    assert_false(breaker_note(&b, true, 11001)); /* the window began anew */
}

static void never_opens_when_off(void **state)
{
    (void)state;
    struct breaker b;
    breaker_init(&b, &(struct config_breaker){.enabled = false});
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(breaker_ask(&b, i), BREAKER_GO);
        assert_false(breaker_note(&b, true, i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_at_the_share_and_not_before_enough_queries),
        cmocka_unit_test(forgets_what_is_older_than_the_window),
        cmocka_unit_test(half_open_sends_one_probe_at_a_time),
        cmocka_unit_test(never_opens_when_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
