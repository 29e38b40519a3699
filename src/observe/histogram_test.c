/* Histograms: bounds of buckets, the promised error, percentiles against sorted values, merging. */
#include "observe/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/attr.h"
#include "base/random.h"

static struct histogram h, other;

static void test_buckets(void **state)
{
    (void)state;
    for (size_t i = 1; i < HISTOGRAM_BUCKET_COUNT; i++) {
        assert_true(histogram_bucket_max_us(i) > histogram_bucket_max_us(i - 1));
    }
    assert_true(histogram_bucket_max_us(HISTOGRAM_BUCKET_COUNT - 1) == UINT32_MAX);
    for (uint64_t us = 0; us <= UINT32_MAX; us = us * 9 / 8 + 1) {
        histogram_reset(&h);
        histogram_add(&h, us);
        histogram_add(&h, UINT32_MAX); /* so that the percentile is the bucket's end and not the largest value */
        uint64_t end = histogram_percentile_us(&h, 50);
        assert_true(end >= us);
        assert_true(end - us <= us / 64);
    }
}

static void test_limits(void **state)
{
    (void)state;
    histogram_reset(&h);
    assert_int_equal(histogram_percentile_us(&h, 99), 0);
    histogram_add(&h, 7);
    assert_int_equal(histogram_percentile_us(&h, 0), 7);
    assert_int_equal(histogram_percentile_us(&h, 100), 7);
    histogram_add(&h, (uint64_t)1 << 40);
    assert_int_equal(histogram_percentile_us(&h, 100), (uint64_t)1 << 40);
    assert_int_equal(histogram_count(&h), 2);
    assert_int_equal(histogram_sum_us(&h), 7 + ((uint64_t)1 << 40));
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void test_percentiles(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static uint64_t values[COUNT];
    static const double percents[] = {1, 25, 50, 90, 99, 99.9, 100};
    struct random r;
    random_init(&r, 42, 0);
    histogram_reset(&h);
    histogram_reset(&other);
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = random_u64(&r) >> (32 + random_u64(&r) % 31);
        histogram_add(i % 3 ? &h : &other, values[i]);
    }
    histogram_merge(&h, &other);
    qsort(values, COUNT, sizeof values[0], compare);
    assert_int_equal(histogram_count(&h), COUNT);
    assert_int_equal(histogram_max_us(&h), values[COUNT - 1]);
    for (size_t i = 0; i < countof(percents); i++) {
        size_t rank = (size_t)(percents[i] / 100 * COUNT + 0.999999);
        uint64_t exact = values[rank - 1];
        uint64_t found = histogram_percentile_us(&h, percents[i]);
        assert_true(found >= exact);
        assert_true(found <= exact + exact / 64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_percentiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
