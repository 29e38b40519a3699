/* What is the same for all sources, with a fake driver: turns, the bound on queries in flight, tries, timeouts, the breaker, stopping. */
#include "source/source.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "os/clock.h"
#include "source/fake_driver.h"

static struct source_statement statement = {.sql = {"SELECT 1", 8}};

struct probe_query {
    struct source_query query;
    unsigned rows, restarts, ends;
    err error;
    char text[SOURCE_FAILURE_BYTES];
};

static struct lock ends_lock;
static struct condition ended;
static unsigned end_count;

static bool on_row(struct source_query *q, const struct source_row *row)
{
    (void)row;
    container_of(q, struct probe_query, query)->rows++;
    return true;
}

static void on_restart(struct source_query *q)
{
    struct probe_query *p = container_of(q, struct probe_query, query);
    p->rows = 0;
    p->restarts++;
}

static void on_done(struct source_query *q, const struct source_failure *f)
{
    struct probe_query *p = container_of(q, struct probe_query, query);
    lock_acquire(&ends_lock);
    p->ends++;
    p->error = f ? f->error : OK;
    memcpy(p->text, f ? f->text : "", f ? sizeof f->text : 1);
    end_count++;
    lock_release(&ends_lock);
    condition_wake_all(&ended);
}

static void await_ends(unsigned count)
{
    lock_acquire(&ends_lock);
    while (end_count < count) {
        condition_wait(&ended, &ends_lock, INT64_MAX);
    }
    lock_release(&ends_lock);
}

static struct config_source config_of(unsigned connections, unsigned max_inflight)
{
    return (struct config_source){
        .name = S("fake"),
        .connections = connections,
        .max_inflight = max_inflight,
        .connect_timeout_ms = 500,
        .timeout_ms = 60000,
        .retries = 1,
        .breaker = {.enabled = true, .errors_percent = 50, .window_ms = 3600000, .open_ms = 3600000}};
}

static struct source *open_source(const struct config_source *config)
{
    struct source *s = NULL;
    lock_init(&ends_lock, LOCK_LOG, 1);
    condition_init(&ended);
    end_count = 0;
    assert_int_equal(source_open(config, &driver_fake, &s), OK);
    return s;
}

static err submit(struct source *s, struct probe_query *p)
{
    *p =
        (struct probe_query){.query = {.statement = &statement, .row = on_row, .restart = on_restart, .done = on_done}};
    return source_submit(s, &p->query);
}

static void never_more_in_flight_than_allowed_and_none_lost(void **state)
{
    (void)state;
    enum { QUERIES = 200 };
    static struct probe_query queries[QUERIES];
    struct config_source config = config_of(8, 3);
    fake_source_reset("x");
    fake_source_close_gate();
    struct source *s = open_source(&config);
    for (unsigned i = 0; i < QUERIES; i++) {
        assert_int_equal(submit(s, &queries[i]), OK);
    }
    fake_source_await(3);
    assert_int_equal(source_figures(s, 0).inflight, 3);
    assert_int_equal(source_figures(s, 0).queued, QUERIES - 3);
    fake_source_open_gate();
    await_ends(QUERIES);
    for (unsigned i = 0; i < QUERIES; i++) {
        assert_int_equal(queries[i].ends, 1);
        assert_int_equal(queries[i].error, OK);
        assert_int_equal(queries[i].rows, 1);
    }
    assert_int_equal(fake_source.running_max, 3);
    assert_int_equal(fake_source.queries, QUERIES);
    assert_int_equal(fake_source.opened, 3);
    source_close(s);
}

static void tries_again_what_may_pass_and_nothing_else(void **state)
{
    (void)state;
    struct config_source config = config_of(1, 1);
    struct probe_query q;
    fake_source_reset("x");
    struct source *s = open_source(&config);
    fake_source_fail(1, ERR_SOURCE, true);
    assert_int_equal(submit(s, &q), OK);
    await_ends(1);
    assert_int_equal(q.error, OK);
    assert_int_equal(q.restarts, 1);
    assert_int_equal(q.rows, 1);

    fake_source_fail(2, ERR_SOURCE, true);
    assert_int_equal(submit(s, &q), OK);
    await_ends(2);
    assert_int_equal(q.error, ERR_SOURCE);
    assert_string_equal(q.text, "the fake fails");
    assert_int_equal(fake_source_queries(), 4);

    fake_source_fail(1, ERR_SOURCE, false);
    assert_int_equal(submit(s, &q), OK);
    await_ends(3);
    assert_int_equal(q.error, ERR_SOURCE);
    assert_int_equal(q.restarts, 0);
    assert_int_equal(fake_source_queries(), 5);
    struct source_figures f = source_figures(s, 0);
    assert_int_equal(f.queries, 5);
    assert_int_equal(f.retries, 2);
    assert_int_equal(f.errors, 4);
    source_close(s);
}

static void a_query_that_takes_too_long_times_out(void **state)
{
    (void)state;
    struct config_source config = config_of(1, 1);
    config.timeout_ms = 1;
    config.retries = 0;
    struct probe_query q;
    fake_source_reset("x");
    fake_source_close_gate();
    struct source *s = open_source(&config);
    assert_int_equal(submit(s, &q), OK);
    await_ends(1);
    assert_int_equal(q.error, ERR_SOURCE_TIMEOUT);
    assert_int_equal(source_figures(s, 0).timeouts, 1);
    source_close(s);
}

static void the_breaker_refuses_at_once_also_what_waits_in_the_queue(void **state)
{
    (void)state;
    enum { FAILING = BREAKER_QUERY_COUNT_MIN, WAITING = 5 };
    struct probe_query queries[FAILING + WAITING];
    struct config_source config = config_of(1, 1);
    config.retries = 0;
    fake_source_reset("x");
    fake_source_close_gate();
    fake_source_fail(FAILING + WAITING, ERR_SOURCE, true);
    struct source *s = open_source(&config);
    for (unsigned i = 0; i < countof(queries); i++) {
        assert_int_equal(submit(s, &queries[i]), OK);
    }
    fake_source_open_gate();
    await_ends(countof(queries));
    for (unsigned i = 0; i < countof(queries); i++) {
        assert_int_equal(queries[i].error, i < FAILING ? ERR_SOURCE : ERR_SOURCE_DOWN);
    }
    assert_int_equal(fake_source_queries(), FAILING);
    struct probe_query late;
    assert_int_equal(submit(s, &late), ERR_SOURCE_DOWN);
    assert_string_equal(source_figures(s, clock_mono_ms()).breaker, "open");
    source_close(s);
}

static void a_probe_that_succeeds_closes_the_breaker(void **state)
{
    (void)state;
    struct probe_query q;
    struct config_source config = config_of(1, 1);
    config.retries = 0;
    config.breaker.open_ms = 0; /* half-open at once */
    fake_source_reset("x");
    fake_source_fail(BREAKER_QUERY_COUNT_MIN + 1, ERR_SOURCE, true);
    struct source *s = open_source(&config);
    for (unsigned i = 0; i <= BREAKER_QUERY_COUNT_MIN; i++) { /* the last one is a probe that fails */
        assert_int_equal(submit(s, &q), OK);
        await_ends(i + 1);
    }
    assert_string_equal(source_figures(s, clock_mono_ms()).breaker, "half-open");
    fake_source_close_gate();
    struct probe_query second;
    assert_int_equal(submit(s, &q), OK);
    assert_int_equal(submit(s, &second), ERR_SOURCE_DOWN); /* one at a time */
    fake_source_open_gate();
    await_ends(BREAKER_QUERY_COUNT_MIN + 2);
    assert_int_equal(q.error, OK);
    assert_string_equal(source_figures(s, clock_mono_ms()).breaker, "closed");
    source_close(s);
}

static void stopping_answers_everyone(void **state)
{
    (void)state;
    struct probe_query queries[10];
    struct config_source config = config_of(2, 2);
    fake_source_reset("x");
    fake_source_close_gate();
    struct source *s = open_source(&config);
    for (unsigned i = 0; i < countof(queries); i++) {
        assert_int_equal(submit(s, &queries[i]), OK);
    }
    fake_source_await(2);
    source_stop(s);
    assert_int_equal(end_count, countof(queries));
    for (unsigned i = 0; i < countof(queries); i++) {
        assert_int_equal(queries[i].error, ERR_SOURCE_DOWN);
        assert_int_equal(queries[i].ends, 1);
    }
    struct probe_query late;
    assert_int_equal(submit(s, &late), ERR_SOURCE_DOWN);
    source_close(s);
}

static void the_queue_has_an_end(void **state)
{
    (void)state;
    struct config_source config = config_of(1, 1);
    fake_source_reset("x");
    fake_source_close_gate();
    struct source *s = open_source(&config);
    struct probe_query first;
    assert_int_equal(submit(s, &first), OK);
    fake_source_await(1);
    struct probe_query *queries = test_calloc(SOURCE_QUEUE_COUNT_MAX + 1, sizeof *queries);
    for (unsigned i = 0; i < SOURCE_QUEUE_COUNT_MAX; i++) {
        assert_int_equal(submit(s, &queries[i]), OK);
    }
    assert_int_equal(submit(s, &queries[SOURCE_QUEUE_COUNT_MAX]), ERR_SOURCE_BUSY);
    source_close(s);
    assert_int_equal(end_count, SOURCE_QUEUE_COUNT_MAX + 1);
    test_free(queries);
}

static void a_failure_is_told_in_one_line(void **state)
{
    (void)state;
    struct source_failure f;
    source_failure_set(&f, ERR_SOURCE, false, "no such\ttable: x\nsecond line");
    assert_string_equal(f.text, "no such table: x");
    char wide[400];
    memset(wide, 'a', sizeof wide);
    wide[0] = 'b';
    for (size_t i = 1; i + 2 < sizeof wide; i += 2) {
        memcpy(wide + i, "é", 2);
    }
    wide[sizeof wide - 1] = '\0';
    source_failure_set(&f, ERR_SOURCE, false, "%s", wide);
    assert_true(slice_is_utf8(slice_of(f.text)));
    assert_true(strlen(f.text) >= SOURCE_FAILURE_BYTES - 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_more_in_flight_than_allowed_and_none_lost),
        cmocka_unit_test(tries_again_what_may_pass_and_nothing_else),
        cmocka_unit_test(a_query_that_takes_too_long_times_out),
        cmocka_unit_test(the_breaker_refuses_at_once_also_what_waits_in_the_queue),
        cmocka_unit_test(a_probe_that_succeeds_closes_the_breaker),
        cmocka_unit_test(stopping_answers_everyone),
        cmocka_unit_test(the_queue_has_an_end),
        cmocka_unit_test(a_failure_is_told_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
