/* Rows to values; the three kinds, and what counts as nothing found. */
#include "rule/value.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct source_column first[] = {
    {S("id"), SOURCE_NUMBER, S("42")},         {S("a \"name\""), SOURCE_TEXT, S("caf\xc3\xa9\n")},
    {S("price"), SOURCE_NUMBER, S("1.5e+20")}, {S("far"), SOURCE_NUMBER, S("-Inf")},
    {S("picture"), SOURCE_BLOB, S("\0\xff")},  {S("none"), SOURCE_NULL, {NULL, 0}}};
static const struct source_column second[] = {{S("id"), SOURCE_NUMBER, S("43")}};
static const struct source_column nothing[] = {{S("id"), SOURCE_NULL, {NULL, 0}}};

static void add(struct row_value *v, const struct source_column *columns, unsigned count, bool more)
{
    assert_int_equal(row_value_add(v, &(struct source_row){columns, count}), more);
}

static void assert_value(struct row_value *v, slice expected)
{
    assert_int_equal(row_value_finish(v), OK);
    assert_true(v->found);
    assert_true(slice_equal(buf_slice(&v->out), expected));
    row_value_fini(v);
}

static void a_string_is_the_first_column_of_the_first_row(void **state)
{
    (void)state;
    struct row_value v;
    row_value_init(&v, CONFIG_VALUE_STRING, 1000);
    add(&v, first + 4, 2, false);
    assert_value(&v, S("\0\xff"));
    row_value_init(&v, CONFIG_VALUE_STRING, 1000);
    add(&v, nothing, 1, false);
    assert_int_equal(row_value_finish(&v), OK);
    assert_false(v.found);
    row_value_fini(&v);
    row_value_init(&v, CONFIG_VALUE_STRING, 1000);
    assert_int_equal(row_value_finish(&v), OK);
    assert_false(v.found);
    row_value_fini(&v);
}

static void json_is_the_first_row(void **state)
{
    (void)state;
    struct row_value v;
    row_value_init(&v, CONFIG_VALUE_JSON, 1000);
    add(&v, first, countof(first), false);
    assert_value(
        &v,
        S("{\"id\":42,\"a \\\"name\\\"\":\"caf\xc3\xa9\\n\",\"price\":1.5e+20,\"far\":null,\"picture\":\"AP8=\",\"none\":null}"));
    row_value_init(&v, CONFIG_VALUE_JSON, 1000);
    assert_int_equal(row_value_finish(&v), OK);
    assert_false(v.found);
    row_value_fini(&v);
}

static void a_json_array_is_all_rows_also_none(void **state)
{
    (void)state;
    struct row_value v;
    row_value_init(&v, CONFIG_VALUE_JSON_ARRAY, 1000);
    add(&v, second, 1, true);
    row_value_restart(&v);
    add(&v, first, 1, true);
    add(&v, second, 1, true);
    assert_value(&v, S("[{\"id\":42},{\"id\":43}]"));
    row_value_init(&v, CONFIG_VALUE_JSON_ARRAY, 1000);
    assert_value(&v, S("[]"));
}

static void a_value_that_is_too_large_is_told(void **state)
{
    (void)state;
    struct row_value v;
    row_value_init(&v, CONFIG_VALUE_JSON_ARRAY, 20);
    add(&v, second, 1, true);
    add(&v, second, 1, true);
    add(&v, second, 1, false);
    assert_int_equal(row_value_finish(&v), ERR_LIMIT);
    row_value_fini(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_string_is_the_first_column_of_the_first_row),
        cmocka_unit_test(json_is_the_first_row),
        cmocka_unit_test(a_json_array_is_all_rows_also_none),
        cmocka_unit_test(a_value_that_is_too_large_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
