/* JSON text: escapes, bytes that are not UTF-8, base64 (the vectors of RFC 4648, section 10), numbers. */
#include "wire/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_string(slice text, const char *expected)
{
    struct buf out;
    buf_init(&out, 4096);
    json_append_string(&out, text);
    buf_append_byte(&out, '\0');
    assert_string_equal(out.bytes, expected);
    buf_fini(&out);
}

static void strings(void **state)
{
    (void)state;
    assert_string(S(""), "\"\"");
    assert_string(S("plain"), "\"plain\"");
    assert_string(S("a\"b\\c"), "\"a\\\"b\\\\c\"");
    assert_string(S("\b\f\n\r\t\x01\x1f"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\"");
    assert_string(S("a\0b"), "\"a\\u0000b\"");
    assert_string(S("Évora \xf0\x9f\x8e\xb5"), "\"Évora \xf0\x9f\x8e\xb5\"");
    assert_string(S("\xff"
                    "a\xc3"),
                  "\"\xef\xbf\xbd"
                  "a\xef\xbf\xbd\"");                                             /* no such byte; cut short */
    assert_string(S("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""); /* a surrogate */
    assert_string(S("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");                 /* overlong */
}

static void base64(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"", "\"\""},
                                           {"f", "\"Zg==\""},
                                           {"fo", "\"Zm8=\""},
                                           {"foo", "\"Zm9v\""},
                                           {"foob", "\"Zm9vYg==\""},
                                           {"fooba", "\"Zm9vYmE=\""},
                                           {"foobar", "\"Zm9vYmFy\""}};
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf out;
        buf_init(&out, 64);
        json_append_base64(&out, slice_of(cases[i][0]));
        buf_append_byte(&out, '\0');
        assert_string_equal(out.bytes, cases[i][1]);
        buf_fini(&out);
    }
}

static void numbers(void **state)
{
    (void)state;
    static const char *const good[] = {"0",   "-0.0",  "42", "-1", "1.5", "1.0e+20", "9223372036854775807",
                                       "1E5", "0.1e-7"};
    static const char *const bad[] = {"", "-", "Inf", "-Inf", "NaN", "01", "1.", ".5", "1e", "1e+", "0x10", "1 ", "+1"};
    for (size_t i = 0; i < countof(good); i++) {
        assert_true(json_is_number(slice_of(good[i])));
    }
    for (size_t i = 0; i < countof(bad); i++) {
        assert_false(json_is_number(slice_of(bad[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(strings), cmocka_unit_test(base64), cmocka_unit_test(numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
