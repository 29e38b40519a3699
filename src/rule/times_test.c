/* Times and chances: what a client asked for, jitter, windows; XFetch's distribution with a fixed seed. */
#include "rule/times.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/random.h"

enum { NOW = 1000000 };

static const struct config_source source;

static void assert_times(struct times t, int64_t fresh_until, int64_t deadline)
{
    assert_int_equal(t.fresh_until, fresh_until);
    assert_int_equal(t.deadline, deadline);
}

static void a_load_lives_for_ttl_and_the_longer_window(void **state)
{
    (void)state;
    struct config_rule r = {
        .source = &source, .ttl_ms = 1000, .stale_while_revalidate_ms = 50, .stale_if_error_ms = 200};
    assert_times(times_of_load(&r, NOW, 0.9), NOW + 1000, NOW + 1200);
    r.ttl_ms = 0;
    assert_times(times_of_load(&r, NOW, 0.9), NO_DEADLINE, NO_DEADLINE);
}

static void a_write_keeps_what_the_client_asked_within_max_ttl(void **state)
{
    (void)state;
    struct config_rule r = {.ttl_ms = 1000, .max_ttl_ms = 5000, .stale_if_error_ms = 200};
    assert_times(times_of_write(&r, NOW, NO_DEADLINE, 0), NOW + 1000, NOW + 1000); /* no source: no window */
    assert_times(times_of_write(&r, NOW, NOW + 3000, 0), NOW + 3000, NOW + 3000);
    assert_times(times_of_write(&r, NOW, NOW + 6000, 0), NOW + 5000, NOW + 5000);
    assert_times(times_of_write(&r, NOW, NOW - 1, 0), NOW - 1, NOW - 1);
    r.source = &source;
    assert_times(times_of_write(&r, NOW, NOW + 3000, 0), NOW + 3000, NOW + 3200);
    r.ttl_ms = 0;
    assert_times(times_of_write(&r, NOW, NO_DEADLINE, 0), NOW + 5000,
                 NOW + 5200); /* max-ttl bounds also who asks for none */
    r.max_ttl_ms = 0;
    assert_times(times_of_write(&r, NOW, NO_DEADLINE, 0), NO_DEADLINE, NO_DEADLINE);
    assert_times(times_of_write(&r, NOW, INT64_MAX - 1, 0.5), INT64_MAX - 1, INT64_MAX - 1);
}

static void jitter_only_shortens_and_never_to_nothing(void **state)
{
    (void)state;
    struct config_rule r = {.source = &source, .ttl_ms = 1000, .ttl_jitter_percent = 10};
    assert_times(times_of_load(&r, NOW, 0), NOW + 1000, NOW + 1000);
    assert_times(times_of_load(&r, NOW, 0.5), NOW + 950, NOW + 950);
    assert_times(times_of_load(&r, NOW, 0.999999), NOW + 901, NOW + 901);
    r.ttl_jitter_percent = 100;
    r.ttl_ms = 1;
    assert_times(times_of_load(&r, NOW, 0.999999), NOW + 1, NOW + 1);
}

static void an_absence_is_remembered_for_negative_ttl(void **state)
{
    (void)state;
    struct config_rule r = {.source = &source, .negative_ttl_ms = 10, .stale_if_error_ms = 500};
    struct times t;
    assert_true(times_of_negative(&r, NOW, &t));
    assert_times(t, NOW + 10, NOW + 10);
    r.negative_ttl_ms = 0;
    assert_false(times_of_negative(&r, NOW, &t));
}

/* P(refresh) with time `left` is exp(-left / (load * beta)): measured over many draws, within four standard deviations. */
static void assert_share(struct random *r, int64_t left_ms, uint32_t load_ms, double beta)
{
    enum { DRAWS = 200000 };
    unsigned refreshed = 0;
    for (unsigned i = 0; i < DRAWS; i++) {
        refreshed += refresh_is_early(NOW, NOW + left_ms, load_ms, beta, random_unit(r));
    }
    double expected = exp(-(double)left_ms / (load_ms * beta));
    double deviation = sqrt(DRAWS * expected * (1 - expected)) + 1;
    assert_true(fabs(refreshed - DRAWS * expected) < 4 * deviation);
}

static void early_refresh_has_the_distribution_of_xfetch(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, 1, 2);
    assert_share(&r, 100, 100, 1);
    assert_share(&r, 300, 100, 1);
    assert_share(&r, 50, 200, 1);
    assert_share(&r, 300, 100, 2.5);
    assert_share(&r, 5000, 100, 1); /* practically never */
    assert_true(refresh_is_early(NOW, NOW, 1, 1, 0));
    assert_false(refresh_is_early(NOW, NOW + 1, 0, 1, 0.999999)); /* never loaded */
    assert_false(refresh_is_early(NOW, NO_DEADLINE, 100, 1, 0.999999));
}

static void ahead_refresh_begins_past_its_share_of_the_ttl(void **state)
{
    (void)state;
    assert_false(refresh_is_ahead(NOW + 899, NOW, NOW + 1000, 90));
    assert_false(refresh_is_ahead(NOW + 900, NOW, NOW + 1000, 90));
    assert_true(refresh_is_ahead(NOW + 901, NOW, NOW + 1000, 90));
    assert_false(refresh_is_ahead(NOW + 901, 0, NOW + 1000, 90));
    assert_false(refresh_is_ahead(NOW + 901, NOW, NO_DEADLINE, 90));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_lives_for_ttl_and_the_longer_window),
        cmocka_unit_test(a_write_keeps_what_the_client_asked_within_max_ttl),
        cmocka_unit_test(jitter_only_shortens_and_never_to_nothing),
        cmocka_unit_test(an_absence_is_remembered_for_negative_ttl),
        cmocka_unit_test(early_refresh_has_the_distribution_of_xfetch),
        cmocka_unit_test(ahead_refresh_begins_past_its_share_of_the_ttl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
