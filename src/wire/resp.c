/* The Redis protocol as bytes.
 *
 * A request is an array of bulk strings, or a line of words as a person types it:
 *
 *     *3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n        SET k "a value"\r\n
 *
 * The parser goes forward only. It keeps places as offsets from the request's first byte, since the input may have
 * been moved when the next piece comes, and remembers how far a line was searched for its end; so a request that comes
 * byte by byte costs the same steps as one that comes whole, plus one call a piece. Lengths and counts are believed
 * only as far as bytes have come: a claim reserves nothing.
 *
 * The wording of the faults, and what is let pass, are Redis's: the byte behind a \r and the two behind a bulk are
 * skipped unseen. One thing is stricter: a line is too long if its end is not among the first 64 KB, however the
 * pieces fell.
 *
 * Requests that have come whole and hold nothing odd, which is nearly all of them, are recognised by parse_plain() in one
 * look; whatever it does not take goes the long way from the first byte.
 *
 * Invariants:
 * (I1) searched >= at, and both are at most the length of the input that was last seen.
 * (I2) span_count < argument_count, except when argument_count is 0: then nothing but the search for the first line's
 * end has happened.
 * (I3) Whether a request is complete or faulty depends on its bytes and the limits, not on the pieces.
 *
 * Not here: what an argument means, who is allowed what (command/), buffers and sockets (door/). */
#include "wire/resp.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"

/* ---- the parser -------------------------------------------------------------------------------------------------- */

void resp_parser_init(struct resp_parser *p)
{
    *p = (struct resp_parser){0};
}

void resp_parser_fini(struct resp_parser *p)
{
    free(p->spans);
    resp_parser_init(p);
}

void resp_parser_reset(struct resp_parser *p)
{
    p->at = p->searched = 0;
    p->argument_count = p->span_count = 0;
    p->in_bulk = false;
}

static enum resp_step fault(struct resp_parser *p, const char *what)
{
    snprintf(p->fault, sizeof p->fault, "Protocol error: %s", what);
    return RESP_FAULT;
}

static enum resp_step no_memory(struct resp_parser *p)
{
    return fault(p, "the system refused memory for this request");
}

/* The line that begins at p->at up to its first `end` byte, which is not part of it, when `behind` more bytes are
 * there, too. */
static enum resp_step find_line(struct resp_parser *p, slice input, char end, size_t behind, const char *too_long,
                                slice *ret_line)
{
    size_t limit = num_min_u64(input.len, p->at + RESP_LINE_BYTES_MAX + 1);
    const char *found = memchr(input.ptr + p->searched, end, limit - p->searched);
    if (!found) {
        p->searched = limit;
        return input.len > p->at + RESP_LINE_BYTES_MAX ? fault(p, too_long) : RESP_MORE;
    }
    size_t end_at = (size_t)(found - input.ptr);
    p->searched = end_at; /* found again at once */
    if (input.len - end_at <= behind) {
        return RESP_MORE;
    }
    *ret_line = slice_make(input.ptr + p->at, end_at - p->at);
    return RESP_REQUEST;
}

/* A number of one to ten digits, \r and one more byte behind the byte at p->at: nearly every line with a number. Goes
 * past it. */
static bool take_short_number(struct resp_parser *p, slice input, int64_t *ret_number)
{
    const char *c = input.ptr + p->at + 1;
    const char *end = input.ptr + num_min_u64(input.len, p->at + 11);
    int64_t number = 0;
    while (c < end && *c >= '0' && *c <= '9') {
        number = number * 10 + (*c++ - '0');
    }
    size_t digits = (size_t)(c - (input.ptr + p->at + 1));
    bool plain = digits == 1 || (digits > 1 && input.ptr[p->at + 1] != '0');
    if (!plain || input.len - p->at < digits + 3 || *c != '\r') {
        return false;
    }
    *ret_number = number;
    p->searched = p->at += digits + 3;
    return true;
}

/* Any line with a number; one that is none gives INT64_MIN. Goes past it. */
static enum resp_step take_number(struct resp_parser *p, slice input, const char *too_long, int64_t *ret_number)
{
    slice line;
    enum resp_step step = find_line(p, input, '\r', 1, too_long, &line);
    if (step != RESP_REQUEST) {
        return step;
    }
    *ret_number = INT64_MIN;
    if (num_parse_i64(slice_sub(line, 1, line.len), ret_number)) {
        *ret_number = INT64_MIN;
    }
    p->searched = p->at += line.len + 2;
    return RESP_REQUEST;
}

static enum resp_step parse_count(struct resp_parser *p, slice input, const struct resp_limits *limits)
{
    int64_t count;
    if (!take_short_number(p, input, &count)) {
        enum resp_step step = take_number(p, input, "too big mbulk count string", &count);
        if (step != RESP_REQUEST) {
            return step;
        }
    }
    if (count == INT64_MIN || count > RESP_ARGUMENT_COUNT_MAX) {
        return fault(p, "invalid multibulk length");
    }
    if (count > RESP_UNKNOWN_ARGUMENT_COUNT_MAX && limits->unknown) {
        return fault(p, "unauthenticated multibulk length");
    }
    p->argument_count = count > 0 ? (uint32_t)count : 0;
    return RESP_REQUEST;
}

static enum resp_step parse_bulk_length(struct resp_parser *p, slice input, const struct resp_limits *limits)
{
    int64_t bytes;
    if (p->at >= input.len) {
        return RESP_MORE;
    }
    char first = input.ptr[p->at];
    if (first != '$' || !take_short_number(p, input, &bytes)) {
        enum resp_step step = take_number(p, input, "too big bulk count string", &bytes);
        if (step != RESP_REQUEST) {
            return step;
        }
    }
    if (first != '$') {
        char what[32];
        snprintf(what, sizeof what,
                 first >= ' ' && first <= '~' ? "expected '$', got '%c'" : "expected '$', got '\\x%02x'",
                 (unsigned char)first);
        return fault(p, what);
    }
    if (bytes < 0 || (uint64_t)bytes > limits->bulk_bytes_max) {
        return fault(p, "invalid bulk length");
    }
    if (bytes > RESP_UNKNOWN_BULK_BYTES_MAX && limits->unknown) {
        return fault(p, "unauthenticated bulk length");
    }
    p->bulk_bytes = (size_t)bytes;
    p->in_bulk = true;
    return RESP_REQUEST;
}

static bool add_span(struct resp_parser *p)
{
    if (p->span_count == p->span_capacity) {
        uint32_t capacity = p->span_capacity ? p->span_capacity * 2 : 16;
        struct resp_span *spans = realloc(p->spans, capacity * sizeof *spans);
        if (!spans) {
            return false;
        }
        p->spans = spans;
        p->span_capacity = capacity;
    }
    p->spans[p->span_count++] = (struct resp_span){p->at, p->bulk_bytes};
    return true;
}

/* More than 9 when it is none. */
static inline unsigned digit_of(char c)
{
    return (unsigned)(unsigned char)c - '0';
}

/* A request that is here in full and looks as nearly all do: one to nine arguments, lengths of at most four digits
 * without a zero in front. It needs none of the parser's memory. False for every other, also a faulty one: then nothing
 * has happened. */
static bool parse_plain(slice input, const struct resp_limits *limits, struct arena *arena,
                        struct resp_request *ret_request)
{
    enum { FIRST_LINE_BYTES = 4, SHORTEST_ARGUMENT_BYTES = 6, DIGITS_MAX = 4, LONGEST = 9999 };
    if (input.len < FIRST_LINE_BYTES + SHORTEST_ARGUMENT_BYTES || input.ptr[2] != '\r' ||
        limits->bulk_bytes_max < LONGEST) {
        return false;
    }
    unsigned argc = digit_of(input.ptr[1]);
    if (argc - 1 > 8) {
        return false;
    }
    slice *argv = arena_alloc(arena, argc * sizeof *argv);
    if (!argv) {
        return false;
    }
    const char *at = input.ptr + FIRST_LINE_BYTES, *end = input.ptr + input.len;
    const char *last = end - SHORTEST_ARGUMENT_BYTES; /* where an argument can begin */
    for (unsigned i = 0; i < argc; i++) {
        if (at > last || at[0] != '$') {
            return false;
        }
        unsigned bytes = digit_of(at[1]), digit;
        if (bytes > 9) {
            return false;
        }
        const char *c = at + 2;
        for (; (digit = digit_of(*c)) <= 9; c++) {
            if (bytes == 0 || c - at > DIGITS_MAX) {
                return false;
            }
            bytes = bytes * 10 + digit;
        }
        if (*c != '\r' || (size_t)(end - c) < bytes + 4) {
            return false;
        }
        argv[i] = slice_make(c + 2, bytes);
        at = c + 2 + bytes + 2;
    }
    *ret_request = (struct resp_request){.argc = argc, .argv = argv, .bytes = (size_t)(at - input.ptr)};
    return true;
}

/* A word of a plain request, at the front of *rest, which is moved behind it. Without bytes when it is none. */
static slice take_plain_word(slice *rest)
{
    const char *at = rest->ptr, *end = at + rest->len;
    if (rest->len < 4 || *at++ != '$') {
        return (slice){0};
    }
    size_t bytes = 0;
    while (end - at > 2 && *at >= '0' && *at <= '9' && bytes < RESP_LINE_BYTES_MAX) {
        bytes = bytes * 10 + (size_t)(*at++ - '0');
    }
    if (at == rest->ptr + 1 || *at != '\r' || (size_t)(end - at) < bytes + 4) {
        return (slice){0};
    }
    slice word = slice_make(at + 2, bytes);
    *rest = slice_make(word.ptr + bytes + 2, (size_t)(end - word.ptr) - bytes - 2);
    return word;
}

slice resp_lone_second_word(slice input)
{
    enum { FIRST_LINE_BYTES = 4 };
    if (input.len < FIRST_LINE_BYTES || input.ptr[0] != '*' || input.ptr[1] < '2' || input.ptr[2] != '\r') {
        return (slice){0};
    }
    slice rest = slice_sub(input, FIRST_LINE_BYTES, SIZE_MAX);
    slice second = take_plain_word(&rest).ptr ? take_plain_word(&rest) : (slice){0};
    unsigned behind = digit_of(input.ptr[1]) - 2;
    while (second.ptr && behind > 0 && take_plain_word(&rest).ptr) {
        behind--;
    }
    return behind == 0 && rest.len > 0 ? (slice){0} : second;
}

static enum resp_step parse_array(struct resp_parser *p, slice input, const struct resp_limits *limits,
                                  struct arena *arena, struct resp_request *ret_request)
{
    if (p->argument_count == 0) {
        enum resp_step step = parse_count(p, input, limits);
        if (step != RESP_REQUEST) {
            return step;
        }
    }
    while (p->span_count < p->argument_count) {
        if (!p->in_bulk) {
            enum resp_step step = parse_bulk_length(p, input, limits);
            if (step != RESP_REQUEST) {
                return step;
            }
        }
        if (input.len - p->at < p->bulk_bytes + 2) {
            return RESP_MORE;
        }
        if (!add_span(p)) {
            return no_memory(p);
        }
        p->searched = p->at += p->bulk_bytes + 2;
        p->in_bulk = false;
    }
    slice *argv = NULL;
    if (p->span_count > 0) {
        argv = arena_alloc(arena, p->span_count * sizeof *argv);
        if (!argv) {
            return no_memory(p);
        }
        for (uint32_t i = 0; i < p->span_count; i++) {
            argv[i] = slice_make(input.ptr + p->spans[i].from, p->spans[i].bytes);
        }
    }
    *ret_request = (struct resp_request){.argc = p->span_count, .argv = argv, .bytes = p->at};
    return RESP_REQUEST;
}

/* ---- inline requests --------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* One escape of a double-quoted part; `c` is behind the backslash, of which there is at least one byte. Returns what
 * is behind it. */
static const char *take_escape(const char *c, const char *end, char *ret_byte)
{
    if (*c == 'x' && end - c >= 3 && hex_digit(c[1]) >= 0 && hex_digit(c[2]) >= 0) {
        *ret_byte = (char)(hex_digit(c[1]) << 4 | hex_digit(c[2]));
        return c + 3;
    }
    static const char names[] = "nrtba", bytes[] = "\n\r\t\b\a";
    const char *name = *c ? strchr(names, *c) : NULL;
    *ret_byte = name ? bytes[name - names] : *c;
    return c + 1;
}

/* One word, written to `out`, which has room. NULL when a quote does not close, or closes within a word. */
static const char *take_word(const char *c, const char *end, char *out, size_t *ret_bytes)
{
    char *begin = out;
    char quote = 0;
    for (; c < end || quote;) {
        if (c == end) {
            return NULL;
        }
        if (!quote) {
            if (*c == ' ' || *c == '\n' || *c == '\r' || *c == '\t') {
                break;
            }
            if (*c == '"' || *c == '\'') {
                quote = *c++;
            } else {
                *out++ = *c++;
            }
        } else if (*c == quote) {
            c++;
            if (c < end && !is_blank(*c)) {
                return NULL;
            }
            break;
        } else if (quote == '"' && *c == '\\' && end - c > 1) {
            c = take_escape(c + 1, end, out++);
        } else if (quote == '\'' && *c == '\\' && end - c > 1 && c[1] == '\'') {
            *out++ = '\'';
            c += 2;
        } else {
            *out++ = *c++;
        }
    }
    *ret_bytes = (size_t)(out - begin);
    return c;
}

static enum resp_step split_line(struct resp_parser *p, slice line, struct arena *arena,
                                 struct resp_request *ret_request)
{
    size_t words_max = 0;
    for (size_t i = 0; i < line.len; i++) {
        words_max += !is_blank(line.ptr[i]) && (i == 0 || is_blank(line.ptr[i - 1]));
    }
    if (words_max == 0) {
        return RESP_REQUEST;
    }
    slice *argv = arena_alloc(arena, words_max * sizeof *argv);
    char *out = arena_alloc(arena, line.len);
    if (!argv || !out) {
        return no_memory(p);
    }
    const char *c = line.ptr, *end = line.ptr + line.len;
    unsigned argc = 0;
    while (true) {
        while (c < end && is_blank(*c)) {
            c++;
        }
        if (c == end) {
            break;
        }
        assert(argc < words_max);
        size_t bytes;
        c = take_word(c, end, out, &bytes);
        if (!c) {
            return fault(p, "unbalanced quotes in request");
        }
        argv[argc++] = slice_make(out, bytes);
        out += bytes;
    }
    ret_request->argc = argc;
    ret_request->argv = argv;
    return RESP_REQUEST;
}

static enum resp_step parse_inline(struct resp_parser *p, slice input, struct arena *arena,
                                   struct resp_request *ret_request)
{
    slice line;
    enum resp_step step = find_line(p, input, '\n', 0, "too big inline request", &line);
    if (step != RESP_REQUEST) {
        return step;
    }
    *ret_request = (struct resp_request){.bytes = line.len + 1};
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    return split_line(p, line, arena, ret_request);
}

enum resp_step resp_parse(struct resp_parser *p, slice input, const struct resp_limits *limits, struct arena *arena,
                          struct resp_request *ret_request)
{
    if (input.len == 0) {
        return RESP_MORE;
    }
    bool is_array = input.ptr[0] == '*';
    if (LIKELY(is_array && p->searched == 0 && parse_plain(input, limits, arena, ret_request))) {
        return RESP_REQUEST;
    }
    enum resp_step step =
        is_array ? parse_array(p, input, limits, arena, ret_request) : parse_inline(p, input, arena, ret_request);
    if (step == RESP_REQUEST) {
        resp_parser_reset(p);
    }
    return step;
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

static inline size_t digit_count(uint64_t number)
{
    size_t count = 1;
    for (; UNLIKELY(number >= 100); number /= 100) {
        count += 2;
    }
    return count + (number >= 10);
}

/* Writes `digits` digits and \r\n; returns what is behind. */
static inline char *write_number_line(char *at, uint64_t number, size_t digits)
{
    char *end = at + digits, *last = end - 1;
    for (; number >= 10; number /= 10) {
        *last-- = (char)('0' + number % 10);
    }
    *last = (char)('0' + number);
    memcpy(end, "\r\n", 2);
    return end + 2;
}

void resp_render_count(struct buf *out, char kind, size_t count)
{
    size_t digits = digit_count(count);
    char *at = buf_extend(out, digits + 3);
    if (at) {
        *at = kind;
        write_number_line(at + 1, count, digits);
    }
}

/* Apart, so that the usual way keeps nothing over a call. */
NOINLINE static void render_bulk_growing(struct buf *out, slice bytes, size_t more)
{
    if (buf_grow(out, more)) {
        resp_render_bulk(out, bytes);
    }
}

void resp_render_bulk(struct buf *out, slice bytes)
{
    size_t digits = digit_count(bytes.len), more = bytes.len + digits + 5;
    if (UNLIKELY(!buf_has_room(out, more))) {
        render_bulk_growing(out, bytes, more);
        return;
    }
    char *at = buf_extend(out, more);
    *at = '$';
    at = write_number_line(at + 1, bytes.len, digits);
    memcpy(at + bytes.len, "\r\n", 2);
    if (bytes.len > 0) {
        memcpy(at, bytes.ptr, bytes.len);
    }
}

void resp_render_big_number(struct buf *out, slice digits)
{
    buf_append_byte(out, '(');
    buf_append(out, digits);
    buf_append(out, S("\r\n"));
}

void resp_render_verbatim(struct buf *out, slice text)
{
    slice label = S("txt:");
    resp_render_count(out, '=', label.len + text.len);
    buf_append(out, label);
    buf_append(out, text);
    buf_append(out, S("\r\n"));
}

NOINLINE static void render_status_growing(struct buf *out, slice word)
{
    if (buf_grow(out, word.len + 3)) {
        resp_render_status(out, word);
    }
}

void resp_render_status(struct buf *out, slice word)
{
    if (UNLIKELY(!buf_has_room(out, word.len + 3))) {
        render_status_growing(out, word);
        return;
    }
    char *at = buf_extend(out, word.len + 3);
    *at = '+';
    memcpy(at + 1, word.ptr, word.len);
    memcpy(at + 1 + word.len, "\r\n", 2);
}

void resp_render_error(struct buf *out, slice prefix, slice text)
{
    buf_append_byte(out, '-');
    buf_append(out, prefix);
    if (prefix.len > 0) {
        buf_append_byte(out, ' ');
    }
    char *at = buf_extend(out, text.len);
    for (size_t i = 0; at && i < text.len; i++) {
        at[i] = text.ptr[i] == '\r' || text.ptr[i] == '\n' ? ' ' : text.ptr[i];
    }
    buf_append(out, S("\r\n"));
}

void resp_render_integer(struct buf *out, int64_t value)
{
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t digits = digit_count(magnitude), sign = value < 0;
    char *at = buf_extend(out, digits + sign + 3);
    if (at) {
        *at++ = ':';
        if (sign) {
            *at++ = '-';
        }
        write_number_line(at, magnitude, digits);
    }
}

void resp_render_real(struct buf *out, double value)
{
    char text[NUM_DOUBLE_CHARS];
    size_t bytes = num_format_double(value, text);
    buf_append_byte(out, ',');
    buf_append(out, slice_make(text, bytes));
    buf_append(out, S("\r\n"));
}

void resp_render_real_bulk(struct buf *out, double value)
{
    char text[NUM_DOUBLE_CHARS];
    resp_render_bulk(out, slice_make(text, num_format_double(value, text)));
}
