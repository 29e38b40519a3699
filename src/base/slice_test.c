/* Slices: equality, order, UTF-8, globs. */
#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_compare(void **state)
{
    (void)state;
    assert_true(slice_equal(S("abc"), S("abc")));
    assert_false(slice_equal(S("abc"), S("abd")));
    assert_true(slice_equal_nocase(S("GeT"), S("gEt")));
    assert_true(slice_compare(S("a"), S("ab")) < 0);
    assert_true(slice_compare(S("b"), S("ab")) > 0);
    assert_int_equal(slice_compare(S("\0x"), S("\0x")), 0);
    assert_true(slice_starts(S("product:1"), S("product:")));
    assert_false(slice_starts(S("p"), S("product:")));
    assert_int_equal(slice_find_byte(S("ab"), 'b'), 1);
    assert_true(slice_find_byte(S("ab"), 'c') == SIZE_MAX);
    assert_int_equal(slice_sub(S("abc"), 2, 9).len, 1);
    assert_int_equal(slice_sub(S("abc"), 9, 9).len, 0);
}

static void test_utf8(void **state)
{
    (void)state;
    assert_true(slice_is_utf8(S("plain")));
    assert_true(slice_is_utf8(S("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    assert_false(slice_is_utf8(S("\xc0\x80")));
    assert_false(slice_is_utf8(S("\xed\xa0\x80")));
    assert_false(slice_is_utf8(S("\xf4\x90\x80\x80")));
    assert_false(slice_is_utf8(S("\xe2\x82")));
}

static void test_glob(void **state)
{
    (void)state;
    assert_true(slice_glob(S("*"), S(""), false));
    assert_true(slice_glob(S("h?llo"), S("hello"), false));
    assert_true(slice_glob(S("h*llo"), S("heeeello"), false));
    assert_true(slice_glob(S("h[ae]llo"), S("hallo"), false));
    assert_false(slice_glob(S("h[^e]llo"), S("hello"), false));
    assert_true(slice_glob(S("h[a-c]llo"), S("hbllo"), false));
    assert_true(slice_glob(S("h[c-a]llo"), S("hbllo"), false));
    assert_true(slice_glob(S("a\\*b"), S("a*b"), false));
    assert_false(slice_glob(S("a\\*b"), S("axb"), false));
    assert_true(slice_glob(S("A*C"), S("abc"), true));
    assert_false(slice_glob(S("abc"), S("abcd"), false));
    assert_false(slice_glob(S("a*a*a*a*a*a*a*b"), S("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_glob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
