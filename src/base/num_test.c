/* Numbers as text: what parses, what does not, and that what is printed parses back. */
#include "base/num.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_i64(void **state)
{
    (void)state;
    static const int64_t values[] = {0, 1, -1, 10, INT64_MAX, INT64_MIN, 999999999999};
    for (size_t i = 0; i < countof(values); i++) {
        char digits[NUM_I64_CHARS];
        int64_t parsed = 7;
        assert_int_equal(num_parse_i64(slice_make(digits, num_format_i64(values[i], digits)), &parsed), OK);
        assert_true(parsed == values[i]);
    }
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "01",
                                      "-0",
                                      "1.0",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999",
                                      "0x1"};
    for (size_t i = 0; i < countof(bad); i++) {
        int64_t parsed = 7;
        assert_int_equal(num_parse_i64(slice_of(bad[i]), &parsed), ERR_NOT_INTEGER);
        assert_true(parsed == 7);
    }
}

static void test_double(void **state)
{
    (void)state;
    double value = 0;
    assert_int_equal(num_parse_double(S("1.5e3"), &value), OK);
    assert_true(value == 1500);
    assert_int_equal(num_parse_double(S("inf"), &value), OK);
    assert_true(isinf(value));
    assert_int_equal(num_parse_double(S("nan"), &value), ERR_NOT_FLOAT);
    assert_int_equal(num_parse_double(S(" 1"), &value), ERR_NOT_FLOAT);
    assert_int_equal(num_parse_double(S("1\0"), &value), ERR_NOT_FLOAT);
    assert_int_equal(num_parse_double(S("1e999"), &value), ERR_NOT_FLOAT);
    char text[NUM_DOUBLE_CHARS];
    assert_true(slice_equal(slice_make(text, num_format_double(0.1, text)), S("0.1")));
    assert_true(slice_equal(slice_make(text, num_format_double(3, text)), S("3")));
    char fixed[NUM_LONG_DOUBLE_CHARS];
    long double sum;
    assert_int_equal(num_parse_long_double(S("10.5"), &sum), OK);
    assert_true(slice_equal(slice_make(fixed, num_format_long_double(sum + 0.25L, fixed)), S("10.75")));
    assert_true(slice_equal(slice_make(fixed, num_format_long_double(5.0e3L, fixed)), S("5000")));
    assert_int_equal(num_format_long_double(INFINITY, fixed), 0);
}

static void test_units(void **state)
{
    (void)state;
    uint64_t bytes;
    int64_t ms;
    assert_int_equal(num_parse_bytes(S("1kb"), &bytes), OK);
    assert_true(bytes == 1024);
    assert_int_equal(num_parse_bytes(S("2M"), &bytes), OK);
    assert_true(bytes == 2000000);
    assert_int_equal(num_parse_bytes(S("1q"), &bytes), ERR_INVALID);
    assert_int_equal(num_parse_bytes(S("99999999tb"), &bytes), ERR_OUT_OF_RANGE);
    assert_int_equal(num_parse_duration(S("5m"), &ms), OK);
    assert_true(ms == 300000);
    assert_int_equal(num_parse_duration(S("500ms"), &ms), OK);
    assert_true(ms == 500);
    assert_int_equal(num_parse_duration(S("5"), &ms), ERR_INVALID);
    assert_int_equal(num_parse_duration(S("-1s"), &ms), ERR_INVALID);
    char human[32];
    num_format_bytes_human(1536, human);
    assert_string_equal(human, "1.50K");
    num_format_bytes_human(12, human);
    assert_string_equal(human, "12B");
    assert_true(num_ceil_pow2(65) == 128);
    assert_true(num_ceil_pow2(64) == 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_i64),
        cmocka_unit_test(test_double),
        cmocka_unit_test(test_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
