/* Traces: what is read, what is refused and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "main/trace.h"

static err parse(struct trace *t, slice bytes, struct buf *why)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_append(&text, bytes);
    buf_init(why, 1024);
    err e = trace_parse(t, &text, "t", 1000, why);
    buf_append_byte(why, '\0');
    return e;
}

static void test_keys_and_sizes(void **state)
{
    (void)state;
    struct trace t;
    struct buf why;
    assert_int_equal(parse(&t, S("a\nbb 7\r\n\ta \t 2kb \na"), &why), OK);
    assert_int_equal(t.request_count, 4);
    assert_int_equal(t.key_count, 2);
    assert_true(slice_equal(t.keys[0], S("a")) && slice_equal(t.keys[1], S("bb")));
    static const struct request requests[] = {{0, 1000}, {1, 7}, {0, 2048}, {0, 1000}};
    assert_memory_equal(t.requests, requests, sizeof requests);
    trace_fini(&t);
    buf_fini(&why);
}

static void test_many_keys_keep_their_numbers(void **state)
{
    (void)state;
    struct trace t;
    struct buf text, why;
    buf_init(&text, 1 << 20);
    buf_init(&why, 1024);
    for (unsigned i = 0; i < 20000; i++) {
        buf_printf(&text, "key%u\n", i % 5000);
    }
    assert_int_equal(trace_parse(&t, &text, "t", 1, &why), OK);
    assert_int_equal(t.key_count, 5000);
    for (unsigned i = 0; i < 20000; i++) {
        assert_int_equal(t.requests[i].key, i % 5000);
    }
    trace_fini(&t);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        slice text;
        const char *words;
    } cases[] = {
        {{"", 0}, "t: there are no requests"},
        {{"a\n\nb\n", 5}, "t:2: there is no key"},
        {{"a\nb 5 c\n", 8}, "t:2: there is more than a key and a size"},
        {{"a five\n", 7}, "t:1: the second word is no size up to 512mb"},
        {{"a\na\na 1gb\n", 10}, "t:3: the second word is no size up to 512mb"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct trace t;
        struct buf why;
        assert_int_equal(parse(&t, cases[i].text, &why), ERR_INVALID);
        assert_string_equal(why.bytes, cases[i].words);
        buf_fini(&why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_and_sizes),
        cmocka_unit_test(test_many_keys_keep_their_numbers),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
