/* Metrics: cells of workers and the shared one add up, setting back, errors by prefix, threads at once. */
#include "observe/metric.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(metric_find(S("keyspace_hits")), METRIC_keyspace_hits);
    assert_int_equal(metric_find(S("no_such")), METRIC_COUNT);
    assert_string_equal(metric_row(METRIC_load_coalesced)->unit, "calls");
    assert_int_equal(metric_row(METRIC_connections_open)->kind, METRIC_KIND_GAUGE);
}

static void test_reset(void **state)
{
    (void)state;
    metric_reset();
    metric_add(METRIC_keyspace_hits, 5);
    metric_attach(3);
    metric_add(METRIC_keyspace_hits, 2);
    metric_add(METRIC_connections_open, 4);
    metric_detach();
    metric_subtract(METRIC_connections_open, 1);
    assert_int_equal(metric_sum(METRIC_keyspace_hits), 7);
    assert_int_equal(metric_sum(METRIC_connections_open), 3);
    metric_reset();
    assert_int_equal(metric_sum(METRIC_keyspace_hits), 0);
    assert_int_equal(metric_sum(METRIC_connections_open), 3);
    metric_add(METRIC_keyspace_hits, 1);
    assert_int_equal(metric_sum(METRIC_keyspace_hits), 1);
}

static void test_errors(void **state)
{
    (void)state;
    metric_reset();
    metric_add_error(ERR_SYNTAX);
    metric_add_error(ERR_ARITY);
    metric_add_error(ERR_WRONGKIND);
    assert_int_equal(metric_error_sum(ERR_SYNTAX), 1);
    assert_int_equal(metric_error_sum_of_prefix("ERR"), 2);
    assert_int_equal(metric_error_sum_of_prefix("WRONGTYPE"), 1);
    unsigned err_count = 0;
    uint64_t sum = 0;
    for (err e = metric_error_prefix_next(OK); e < ERR_COUNT; e = metric_error_prefix_next(e)) {
        err_count += slice_equal(slice_of(err_row(e)->resp), S("ERR"));
        sum += metric_error_sum_of_prefix(err_row(e)->resp);
    }
    assert_int_equal(err_count, 1);
    assert_int_equal(sum, 3);
}

enum { THREADS = 4, ADDS = 20000 };

static void *add_many(void *argument)
{
    unsigned index = *(unsigned *)argument;
    if (index % 2 == 0) {
        metric_attach(index);
    }
    for (unsigned i = 0; i < ADDS; i++) {
        metric_add(METRIC_source_queries, 1);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    metric_reset();
    pthread_t threads[THREADS];
    unsigned indexes[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        indexes[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &indexes[i]), 0);
    }
    assert_true(metric_sum(METRIC_source_queries) <= THREADS * ADDS);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(metric_sum(METRIC_source_queries), THREADS * ADDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
