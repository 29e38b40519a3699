/* LCS against examples and against a slow recursive definition. */
#include "value/lcs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/random.h"

static struct lcs compute(slice a, slice b, void **ret_work)
{
    struct lcs lcs;
    *ret_work = malloc(lcs_work_bytes(a, b));
    assert_non_null(*ret_work);
    lcs_compute(a, b, *ret_work, &lcs);
    return lcs;
}

static void finds_the_ranges_of_redis_s_example(void **state)
{
    (void)state;
    void *work;
    struct lcs lcs = compute(S("ohmytext"), S("mynewtext"), &work);
    assert_int_equal(lcs.length, 6);
    struct lcs_place place = lcs_end(&lcs);
    struct lcs_range r;
    assert_true(lcs_next(&lcs, &place, &r));
    assert_int_equal(r.a_first, 4);
    assert_int_equal(r.a_last, 7);
    assert_int_equal(r.b_first, 5);
    assert_int_equal(r.b_last, 8);
    assert_true(lcs_next(&lcs, &place, &r));
    assert_int_equal(r.a_first, 2);
    assert_int_equal(r.a_last, 3);
    assert_int_equal(r.b_first, 0);
    assert_int_equal(r.b_last, 1);
    assert_false(lcs_next(&lcs, &place, &r));
    free(work);
}

static void finds_nothing_in_empty_strings(void **state)
{
    (void)state;
    const slice pairs[][2] = {{S(""), S("")}, {S("a"), S("")}, {S(""), S("a")}, {S("a"), S("b")}};
    for (unsigned i = 0; i < countof(pairs); i++) {
        void *work;
        struct lcs lcs = compute(pairs[i][0], pairs[i][1], &work);
        struct lcs_place place = lcs_end(&lcs);
        struct lcs_range r;
        assert_int_equal(lcs.length, 0);
        assert_false(lcs_next(&lcs, &place, &r));
        free(work);
    }
}

static uint32_t slow_length(slice a, slice b)
{
    if (a.len == 0 || b.len == 0) {
        return 0;
    }
    slice a_less = slice_sub(a, 0, a.len - 1), b_less = slice_sub(b, 0, b.len - 1);
    if (a.ptr[a.len - 1] == b.ptr[b.len - 1]) {
        return slow_length(a_less, b_less) + 1;
    }
    uint32_t up = slow_length(a_less, b), left = slow_length(a, b_less);
    return up > left ? up : left;
}

static void agrees_with_the_definition(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 7, 11);
    for (int round = 0; round < 500; round++) {
        char bytes[2][8];
        slice s[2];
        for (int k = 0; k < 2; k++) {
            size_t len = random_below(&random, 9);
            for (size_t i = 0; i < len; i++) {
                bytes[k][i] = (char)('a' + random_below(&random, 3));
            }
            s[k] = slice_make(bytes[k], len);
        }
        void *work;
        struct lcs lcs = compute(s[0], s[1], &work);
        assert_int_equal(lcs.length, slow_length(s[0], s[1]));
        struct lcs_place place = lcs_end(&lcs);
        struct lcs_range r;
        uint32_t total = 0;
        size_t a_before = s[0].len, b_before = s[1].len;
        while (lcs_next(&lcs, &place, &r)) {
            size_t len = r.a_last - r.a_first + 1;
            assert_true(r.a_last < a_before && r.b_last < b_before);
            assert_int_equal(len, r.b_last - r.b_first + 1);
            assert_memory_equal(s[0].ptr + r.a_first, s[1].ptr + r.b_first, len);
            total += (uint32_t)len;
            a_before = r.a_first;
            b_before = r.b_first;
        }
        assert_int_equal(total, lcs.length);
        free(work);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_ranges_of_redis_s_example),
        cmocka_unit_test(finds_nothing_in_empty_strings),
        cmocka_unit_test(agrees_with_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
