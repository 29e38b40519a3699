/* Growth by doubling, since each step copies all to memory that is new to the system; from 64 MB on by a quarter, so that what is large does not take twice its size. */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"

enum { CAPACITY_MIN = 64, DOUBLING_MAX = 64 << 20 };

void buf_fini(struct buf *b)
{
    free(b->bytes);
    buf_init(b, b->bytes_max);
}

err buf_reserve(struct buf *b, size_t more)
{
    if (b->capacity - b->len >= more) {
        return OK;
    }
    if (more > b->bytes_max || b->len > b->bytes_max - more) {
        return ERR_LIMIT;
    }
    size_t needed = b->len + more;
    size_t capacity = b->capacity < DOUBLING_MAX ? b->capacity * 2 : b->capacity + b->capacity / 4;
    if (capacity < needed) {
        capacity = needed;
    }
    if (capacity < CAPACITY_MIN) {
        capacity = CAPACITY_MIN;
    }
    if (capacity > b->bytes_max) {
        capacity = b->bytes_max;
    }
    char *bytes = realloc(b->bytes, capacity);
    if (!bytes) {
        return ERR_NOMEM;
    }
    b->bytes = bytes;
    b->capacity = capacity;
    return OK;
}

bool buf_grow(struct buf *b, size_t more)
{
    if (b->failure == OK) {
        b->failure = buf_reserve(b, more);
    }
    return b->failure == OK;
}

void buf_vprintf(struct buf *b, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    char small[256];
    int len = vsnprintf(small, sizeof small, format, arguments);
    assert(len >= 0);
    if ((size_t)len < sizeof small) {
        buf_append(b, slice_make(small, (size_t)len));
    } else if (b->failure == OK && buf_grow(b, (size_t)len + 1)) {
        vsnprintf(b->bytes + b->len, (size_t)len + 1, format, again);
        b->len += (size_t)len;
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(b, format, arguments);
    va_end(arguments);
}

void buf_append_i64(struct buf *b, int64_t value)
{
    char digits[NUM_I64_CHARS];
    buf_append(b, slice_make(digits, num_format_i64(value, digits)));
}

void buf_append_quoted(struct buf *b, slice bytes)
{
    buf_append_byte(b, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];
        switch (byte) {
        case '\\':
        case '"':
            buf_append_byte(b, '\\');
            buf_append_byte(b, (char)byte);
            break;
        case '\n': buf_append(b, S("\\n")); break;
        case '\r': buf_append(b, S("\\r")); break;
        case '\t': buf_append(b, S("\\t")); break;
        case '\a': buf_append(b, S("\\a")); break;
        case '\b': buf_append(b, S("\\b")); break;
        default:
            if (byte >= 0x20 && byte < 0x7f) {
                buf_append_byte(b, (char)byte);
            } else {
                buf_printf(b, "\\x%02x", byte);
            }
        }
    }
    buf_append_byte(b, '"');
}

void buf_consume(struct buf *b, size_t count)
{
    assert(count <= b->len);
    if (count > 0) {
        memmove(b->bytes, b->bytes + count, b->len - count);
        b->len -= count;
    }
}

void buf_shrink(struct buf *b, size_t keep_bytes)
{
    size_t capacity = b->len > keep_bytes ? b->len : keep_bytes;
    if (b->capacity <= capacity * 2) {
        return;
    }
    if (capacity == 0) {
        buf_fini(b);
        return;
    }
    char *bytes = realloc(b->bytes, capacity);
    if (bytes) {
        b->bytes = bytes;
        b->capacity = capacity;
    }
}
