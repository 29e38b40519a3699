/* The parser of requests and the rendering of replies. */
#include "wire/resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

static const struct resp_limits usual = {.bulk_bytes_max = 512 << 20};
static const struct resp_limits strangers = {.bulk_bytes_max = 512 << 20, .unknown = true};

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

/* What the parser makes of `input`, given in pieces of `piece` bytes, each at another address: "[a|b]" for each
 * request, then "..." when bytes are left, or the fault. */
static void describe(slice input, size_t piece, const struct resp_limits *limits, struct buf *ret_text)
{
    struct resp_parser p;
    struct arena arena;
    resp_parser_init(&p);
    arena_init(&arena);
    size_t done = 0;
    for (size_t seen = 0; seen < input.len;) {
        seen = seen + piece < input.len ? seen + piece : input.len;
        char *copy = malloc(seen - done);
        memcpy(copy, input.ptr + done, seen - done);
        size_t at = 0;
        struct resp_request r;
        enum resp_step step;
        while ((step = resp_parse(&p, slice_make(copy + at, seen - done - at), limits, &arena, &r)) == RESP_REQUEST) {
            buf_append_byte(ret_text, '[');
            for (unsigned i = 0; i < r.argc; i++) {
                buf_printf(ret_text, "%s%.*s", i ? "|" : "", SLICE_ARG(r.argv[i]));
            }
            buf_append_byte(ret_text, ']');
            at += r.bytes;
        }
        free(copy);
        done += at;
        if (step == RESP_FAULT) {
            buf_append(ret_text, slice_of(p.fault));
            done = input.len;
            break;
        }
    }
    if (done < input.len) {
        buf_append(ret_text, S("..."));
    }
    buf_append_byte(ret_text, '\0');
    resp_parser_fini(&p);
    arena_fini(&arena);
}

static void expect(const struct resp_limits *limits, slice input, const char *expected)
{
    static const size_t pieces[] = {1, 2, 3, 7, 64, SIZE_MAX / 2};
    for (size_t i = 0; i < countof(pieces); i++) {
        struct buf text;
        buf_init(&text, 1 << 24);
        describe(input, pieces[i], limits, &text);
        assert_string_equal(text.bytes, expected);
        buf_fini(&text);
    }
}

#define EXPECT(input, expected) expect(&usual, S(input), expected)
#define EXPECT_STRANGER(input, expected) expect(&strangers, S(input), expected)

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void test_arrays(void **state)
{
    (void)state;
    EXPECT("*1\r\n$4\r\nPING\r\n", "[PING]");
    EXPECT("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "[SET|k|][GET|k]");
    EXPECT("*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n", "[GET|a\r\nb]");
    EXPECT("*0\r\n*-1\r\n*-5\r\n*1\r\n$1\r\nx\r\n", "[][][][x]");
    EXPECT("*2\r\n$3\r\nGET\r\n$4\r\nab", "...");
    EXPECT("*2\r\n$3\r\nGET\r\n$1\r\nk\r", "...");
    EXPECT("*1\r\n$1\r\nx\r\n*", "[x]...");
    EXPECT("*12\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n"
           "$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$10\r\n0123456789\r\n",
           "[a|a|a|a|a|a|a|a|a|a|a|0123456789]");
}

/* Whatever its length, whole or in pieces. */
static void test_lengths(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 9, 10, 11, 99, 100, 999, 1000, 9999, 10000, 12345};
    for (size_t i = 0; i < countof(lengths); i++) {
        struct buf input, expected;
        buf_init(&input, SIZE_MAX);
        buf_init(&expected, SIZE_MAX);
        buf_printf(&input, "*2\r\n$%zu\r\n%0*d\r\n$1\r\nk\r\n", lengths[i], (int)lengths[i], 0);
        buf_printf(&expected, "[%0*d|k]", (int)lengths[i], 0);
        if (lengths[i] == 0) {
            buf_truncate(&input, 0);
            buf_append(&input, S("*2\r\n$0\r\n\r\n$1\r\nk\r\n"));
            buf_truncate(&expected, 0);
            buf_append(&expected, S("[|k]"));
        }
        buf_append_byte(&expected, '\0');
        expect(&usual, buf_slice(&input), expected.bytes);
        buf_fini(&input);
        buf_fini(&expected);
    }
}

static void test_faults_of_arrays(void **state)
{
    (void)state;
    EXPECT("*1\r\n$03\r\nabc\r\n", "Protocol error: invalid bulk length");
    EXPECT("*1\r\n$1a\r\nabc\r\n", "Protocol error: invalid bulk length");
    EXPECT("*x\r\n", "Protocol error: invalid multibulk length");
    EXPECT("*\r\n", "Protocol error: invalid multibulk length");
    EXPECT("*03\r\n", "Protocol error: invalid multibulk length");
    EXPECT("* 3\r\n", "Protocol error: invalid multibulk length");
    EXPECT("*1048577\r\n", "Protocol error: invalid multibulk length");
    EXPECT("*9223372036854775808\r\n", "Protocol error: invalid multibulk length");
    EXPECT("*1048576\r\n", "...");
    EXPECT("*1\r\nPING\r\n", "Protocol error: expected '$', got 'P'");
    EXPECT("*1\r\n\x01\r\n", "Protocol error: expected '$', got '\\x01'");
    EXPECT("*1\r\n$-1\r\n", "Protocol error: invalid bulk length");
    EXPECT("*1\r\n$abc\r\n", "Protocol error: invalid bulk length");
    EXPECT("*1\r\n$\r\n", "Protocol error: invalid bulk length");
    EXPECT("*1\r\n$536870913\r\n", "Protocol error: invalid bulk length");
    EXPECT("*1\r\n$18446744073709551615\r\n", "Protocol error: invalid bulk length");
    EXPECT("*1\r\n$536870912\r\n", "...");
    EXPECT("*1\r\n$1\r\nx\r\n*1\r\n:1\r\n", "[x]Protocol error: expected '$', got ':'");
}

static void test_strangers_get_little(void **state)
{
    (void)state;
    EXPECT_STRANGER("*10\r\n", "...");
    EXPECT_STRANGER("*11\r\n", "Protocol error: unauthenticated multibulk length");
    EXPECT_STRANGER("*1\r\n$16384\r\n", "...");
    EXPECT_STRANGER("*1\r\n$16385\r\n", "Protocol error: unauthenticated bulk length");
    EXPECT_STRANGER("*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n", "[AUTH|pw]");
}

static void test_lone_second_word(void **state)
{
    (void)state;
    static const struct {
        slice input, word;
    } cases[] = {
        {S("*2\r\n$3\r\nGET\r\n$5\r\nmykey\r\n"), S("mykey")},
        {S("*3\r\n$3\r\nSET\r\n$12\r\nuser:profile\r\n$90000\r\nxy"),
         S("user:profile")}, /* what is behind may be missing */
        {S("*2\r\n$3\r\nGET\r\n$0\r\n\r\n"), S("")},
        {S("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"), S("k")},
        {S("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r"), S("k")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        slice word = resp_lone_second_word(cases[i].input);
        assert_non_null(word.ptr);
        assert_true(slice_equal(word, cases[i].word));
    }
    static const slice others[] = {S(""),
                                   S("*"),
                                   S("*2\r\n"),
                                   S("*2\r\n$3\r\nGET\r\n"),
                                   S("*2\r\n$3\r\nGET\r\n$5\r\nmyke"),
                                   S("*2\r\n$3\r\nGET\r\n$5\r\nmykey\r"),
                                   S("*1\r\n$4\r\nPING\r\n"),
                                   S("*1\r\n$4\r\nPING\r\n$3\r\nabc\r\n"),
                                   S("*2\r\n$\r\n\r\n$1\r\nx\r\n"),
                                   S("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*"), /* a pipeline */
                                   S("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*1\r\n"),
                                   S("*2\r\n$-1\r\n$1\r\nx\r\n"),
                                   S("*2\r\n$99999999999999999999\r\nGET\r\n$1\r\nx\r\n"),
                                   S("GET mykey\r\n")};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_null(resp_lone_second_word(others[i]).ptr);
    }
}

static void test_inline(void **state)
{
    (void)state;
    EXPECT("PING\r\n", "[PING]");
    EXPECT("PING\n", "[PING]");
    EXPECT("\r\n\n   \r\nPING\r\n", "[][][][PING]");
    EXPECT("  SET  k\tv  \r\n", "[SET|k|v]");
    EXPECT("SET k \"a b\"\r\n", "[SET|k|a b]");
    EXPECT("SET k 'a \\' b'\r\n", "[SET|k|a ' b]");
    EXPECT("SET k \"\\x41\\n\\t\\\\\\\"\\q\\xzz\"\r\n", "[SET|k|A\n\t\\\"qxzz]");
    EXPECT("SET k foo\"bar\"\r\n", "[SET|k|foobar]");
    EXPECT("SET k \"\" ''\r\n", "[SET|k||]");
    EXPECT("SET k \"a\r\n", "Protocol error: unbalanced quotes in request");
    EXPECT("SET k 'a\r\n", "Protocol error: unbalanced quotes in request");
    EXPECT("SET k \"a\"b\r\n", "Protocol error: unbalanced quotes in request");
    EXPECT("SET k \"a\\\"\r\n", "Protocol error: unbalanced quotes in request");
    EXPECT("PING", "...");
    EXPECT("PING\r\n*1\r\n$4\r\nPING\r\nPING\n", "[PING][PING][PING]");
}

static void test_lines_are_bounded(void **state)
{
    (void)state;
    char *line = malloc(RESP_LINE_BYTES_MAX + 2);
    static const struct {
        const char *begin, *fault;
    } cases[] = {
        {"x", "Protocol error: too big inline request"},
        {"*1", "Protocol error: too big mbulk count string"},
        {"*1\r\n$1", "Protocol error: too big bulk count string"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct resp_parser p;
        struct arena arena;
        struct resp_request r;
        resp_parser_init(&p);
        arena_init(&arena);
        size_t before = i == 2 ? 4 : 0; /* the line begins behind the first one */
        char *whole = malloc(before + RESP_LINE_BYTES_MAX + 1);
        memset(whole, '1', before + RESP_LINE_BYTES_MAX + 1);
        memcpy(whole, cases[i].begin, strlen(cases[i].begin));
        assert_int_equal(resp_parse(&p, slice_make(whole, before + RESP_LINE_BYTES_MAX), &usual, &arena, &r),
                         RESP_MORE);
        assert_int_equal(resp_parse(&p, slice_make(whole, before + RESP_LINE_BYTES_MAX + 1), &usual, &arena, &r),
                         RESP_FAULT);
        assert_string_equal(p.fault, cases[i].fault);
        free(whole);
        resp_parser_fini(&p);
        arena_fini(&arena);
    }
    /* The longest inline request: its line end is the byte behind 64 KB. */
    memset(line, 'a', RESP_LINE_BYTES_MAX);
    line[RESP_LINE_BYTES_MAX] = '\n';
    struct resp_parser p;
    struct arena arena;
    struct resp_request r;
    resp_parser_init(&p);
    arena_init(&arena);
    assert_int_equal(resp_parse(&p, slice_make(line, RESP_LINE_BYTES_MAX + 1), &usual, &arena, &r), RESP_REQUEST);
    assert_int_equal(r.argc, 1);
    assert_int_equal(r.argv[0].len, RESP_LINE_BYTES_MAX);
    resp_parser_fini(&p);
    arena_fini(&arena);
    free(line);
}

/* A claim reserves nothing, and what was parsed is not parsed again. */
static void test_claims_cost_nothing(void **state)
{
    (void)state;
    struct resp_parser p;
    struct arena arena;
    struct resp_request r;
    resp_parser_init(&p);
    arena_init(&arena);
    slice claim = S("*1048576\r\n$536870912\r\n");
    assert_int_equal(resp_parse(&p, claim, &usual, &arena, &r), RESP_MORE);
    assert_int_equal(p.span_capacity, 0);
    assert_int_equal(arena.bytes, 0);
    assert_int_equal(p.at, claim.len);
    resp_parser_reset(&p);
    slice begun = S("*1048576\r\n$1\r\na\r\n$1\r\nb\r\n$3\r\nab");
    assert_int_equal(resp_parse(&p, begun, &usual, &arena, &r), RESP_MORE);
    assert_int_equal(p.span_count, 2);
    assert_int_equal(p.span_capacity, 16);
    assert_int_equal(p.at, begun.len - 2);
    resp_parser_fini(&p);
    arena_fini(&arena);
}

static void test_a_million_arguments(void **state)
{
    (void)state;
    struct buf input;
    buf_init(&input, 64 << 20);
    resp_render_count(&input, '*', RESP_ARGUMENT_COUNT_MAX);
    for (int i = 0; i < RESP_ARGUMENT_COUNT_MAX; i++) {
        resp_render_bulk(&input, S("x"));
    }
    struct resp_parser p;
    struct arena arena;
    struct resp_request r;
    resp_parser_init(&p);
    arena_init(&arena);
    /* In pieces of 1000 bytes: if each began anew, this would never end. */
    for (size_t seen = 1000; seen < input.len; seen += 1000) {
        assert_int_equal(resp_parse(&p, slice_make(input.bytes, seen), &usual, &arena, &r), RESP_MORE);
    }
    assert_int_equal(resp_parse(&p, buf_slice(&input), &usual, &arena, &r), RESP_REQUEST);
    assert_int_equal(r.argc, RESP_ARGUMENT_COUNT_MAX);
    assert_int_equal(r.bytes, input.len);
    resp_parser_fini(&p);
    arena_fini(&arena);
    buf_fini(&input);
}

/* The bytes of an argument are kept out of the input: before its first byte, after some, and the same of the next one. */
static void test_arguments_left_out(void **state)
{
    (void)state;
    struct resp_parser p;
    struct arena arena;
    struct resp_request r;
    resp_parser_init(&p);
    arena_init(&arena);
    slice head = S("*4\r\n$4\r\nMSET\r\n$9\r\n"), begun = S("*4\r\n$4\r\nMSET\r\n$9\r\n1234");
    assert_int_equal(resp_parse(&p, begun, &usual, &arena, &r), RESP_MORE);
    assert_int_equal(resp_parser_bulk_bytes(&p), 9);
    assert_int_equal(p.at, head.len);
    assert_int_equal(p.span_count, 1);
    resp_parser_leave_out(&p);
    assert_int_equal(resp_parser_bulk_bytes(&p), 0);
    assert_int_equal(resp_parse(&p, S("*4\r\n$4\r\nMSET\r\n$9\r\n\r"), &usual, &arena, &r), RESP_MORE);
    assert_int_equal(resp_parser_bulk_bytes(&p), 0);
    slice next = S("*4\r\n$4\r\nMSET\r\n$9\r\n\r\n$1\r\nx\r\n$3\r\n");
    assert_int_equal(resp_parse(&p, next, &usual, &arena, &r), RESP_MORE);
    assert_int_equal(resp_parser_bulk_bytes(&p), 3);
    assert_int_equal(p.at, next.len);
    assert_int_equal(p.span_count, 3);
    resp_parser_leave_out(&p);
    slice all = S("*4\r\n$4\r\nMSET\r\n$9\r\n\r\n$1\r\nx\r\n$3\r\n\r\n*1\r\n$4\r\nPING\r\n");
    assert_int_equal(resp_parse(&p, all, &usual, &arena, &r), RESP_REQUEST);
    assert_int_equal(r.argc, 4);
    assert_int_equal(r.bytes, next.len + 2);
    assert_int_equal(r.argv[1].len, 0);
    assert_true(slice_equal(r.argv[2], S("x")));
    assert_int_equal(r.argv[3].len, 0);
    assert_int_equal(resp_parse(&p, slice_sub(all, r.bytes, SIZE_MAX), &usual, &arena, &r), RESP_REQUEST);
    assert_true(slice_equal(r.argv[0], S("PING")));
    resp_parser_fini(&p);
    arena_fini(&arena);
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

static void test_replies(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    resp_render_bulk(&out, S("a\r\nb"));
    resp_render_bulk(&out, S(""));
    resp_render_status(&out, S("OK"));
    resp_render_error(&out, S("ERR"), S("two\r\nlines"));
    resp_render_error(&out, S(""), S("plain"));
    resp_render_integer(&out, 0);
    resp_render_integer(&out, -12345);
    resp_render_integer(&out, INT64_MIN);
    resp_render_integer(&out, INT64_MAX);
    resp_render_count(&out, '*', 0);
    resp_render_count(&out, '%', 1234567);
    resp_render_null_bulk(&out);
    resp_render_null_array(&out);
    resp_render_real_bulk(&out, 1.5);
    resp_render_null(&out);
    resp_render_boolean(&out, true);
    resp_render_boolean(&out, false);
    resp_render_real(&out, -0.25);
    resp_render_verbatim(&out, S("hello"));
    resp_render_big_number(&out, S("123"));
    buf_append_byte(&out, '\0');
    assert_string_equal(
        out.bytes,
        "$4\r\na\r\nb\r\n$0\r\n\r\n+OK\r\n-ERR two  lines\r\n-plain\r\n"
        ":0\r\n:-12345\r\n:-9223372036854775808\r\n:9223372036854775807\r\n"
        "*0\r\n%1234567\r\n$-1\r\n*-1\r\n$3\r\n1.5\r\n_\r\n#t\r\n#f\r\n,-0.25\r\n=9\r\ntxt:hello\r\n(123\r\n");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_faults_of_arrays),
        cmocka_unit_test(test_strangers_get_little),
        cmocka_unit_test(test_lone_second_word),
        cmocka_unit_test(test_inline),
        cmocka_unit_test(test_lines_are_bounded),
        cmocka_unit_test(test_claims_cost_nothing),
        cmocka_unit_test(test_a_million_arguments),
        cmocka_unit_test(test_arguments_left_out),
        cmocka_unit_test(test_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
