/* RFC 8259, sections 6 and 7. Strings are copied in runs: the common string has nothing to escape and is one append. UTF-8 is checked as
 * RFC 3629 has it (no overlong forms, no surrogates), by the length that the first byte announces. */
#include "wire/json.h"

/* Bytes of the valid UTF-8 character at the start of `text`, 0 when there is none. */
static size_t character_bytes(slice text)
{
    unsigned char first = (unsigned char)text.ptr[0];
    if (first < 0x80) {
        return 1;
    }
    size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    return bytes <= text.len && slice_is_utf8(slice_make(text.ptr, bytes)) ? bytes : 0;
}

static void append_escape(struct buf *out, unsigned char c)
{
    static const char short_forms[32] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    if (c == '"' || c == '\\') {
        buf_append_byte(out, '\\');
        buf_append_byte(out, (char)c);
    } else if (short_forms[c]) {
        buf_append_byte(out, '\\');
        buf_append_byte(out, short_forms[c]);
    } else {
        buf_printf(out, "\\u%04x", c);
    }
}

void json_append_string(struct buf *out, slice text)
{
    size_t run = 0; /* where the bytes begin that are not yet appended */
    size_t at = 0;
    buf_append_byte(out, '"');
    while (at < text.len) {
        unsigned char c = (unsigned char)text.ptr[at];
        size_t bytes = character_bytes(slice_sub(text, at, text.len));
        if (bytes > 0 && c >= 0x20 && c != '"' && c != '\\') {
            at += bytes;
            continue;
        }
        buf_append(out, slice_sub(text, run, at - run));
        if (bytes > 0) {
            append_escape(out, c);
        } else {
            buf_append(out, S("\xef\xbf\xbd"));
        }
        at++;
        run = at;
    }
    buf_append(out, slice_sub(text, run, at - run));
    buf_append_byte(out, '"');
}

void json_append_base64(struct buf *out, slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    buf_append_byte(out, '"');
    for (size_t at = 0; at < bytes.len; at += 3) {
        size_t left = bytes.len - at;
        uint32_t group = (uint32_t)(unsigned char)bytes.ptr[at] << 16;
        group |= left > 1 ? (uint32_t)(unsigned char)bytes.ptr[at + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)(unsigned char)bytes.ptr[at + 2] : 0;
        char four[4] = {digits[group >> 18], digits[group >> 12 & 63], left > 1 ? digits[group >> 6 & 63] : '=',
                        left > 2 ? digits[group & 63] : '='};
        buf_append(out, slice_make(four, sizeof four));
    }
    buf_append_byte(out, '"');
}

static size_t digit_count(slice text, size_t from)
{
    size_t at = from;
    while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9') {
        at++;
    }
    return at - from;
}

bool json_is_number(slice text)
{
    size_t at = text.len > 0 && text.ptr[0] == '-';
    size_t whole = digit_count(text, at);
    if (whole == 0 || (whole > 1 && text.ptr[at] == '0')) {
        return false;
    }
    at += whole;
    if (at < text.len && text.ptr[at] == '.') {
        size_t decimals = digit_count(text, at + 1);
        if (decimals == 0) {
            return false;
        }
        at += 1 + decimals;
    }
    if (at < text.len && (text.ptr[at] == 'e' || text.ptr[at] == 'E')) {
        at++;
        at += at < text.len && (text.ptr[at] == '+' || text.ptr[at] == '-');
        size_t exponent = digit_count(text, at);
        if (exponent == 0) {
            return false;
        }
        at += exponent;
    }
    return at == text.len;
}
