/* A growing byte buffer that owns its memory. It is told its largest size at init and never grows past it.
 *
 * Appending cannot fail loudly: when memory or the limit is reached the buffer remembers it (buf_failed()), keeps what it had,
 * and ignores further appends; whoever appends many small things checks once at the end. Not shared between threads. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/err.h"
#include "base/slice.h"

struct buf {
    char *bytes;
    size_t len;       /* bytes in use */
    size_t capacity;  /* bytes allocated */
    size_t bytes_max; /* never grows past this */
    err failure;      /* ERR_LIMIT or ERR_NOMEM since something did not fit; OK */
};

/* An empty buffer; allocates nothing. */
static inline void buf_init(struct buf *b, size_t bytes_max)
{
    *b = (struct buf){.bytes_max = bytes_max};
}

/* Frees the memory; the buffer is as after buf_init() with the same limit. */
void buf_fini(struct buf *b);

/* Makes room for `more` bytes after len. ERR_LIMIT past bytes_max, ERR_NOMEM when the system refuses; then nothing changed. */
MUST_USE err buf_reserve(struct buf *b, size_t more);

/* Slow path of buf_extend(): grows or marks the buffer as failed. */
bool buf_grow(struct buf *b, size_t more);

/* Whether that many more need no growing. */
static inline bool buf_has_room(const struct buf *b, size_t more)
{
    return b->capacity - b->len >= more && b->failure == OK;
}

/* Room for `more` bytes counted as used, to be written by the caller; NULL (and failed) when there is none. */
static inline char *buf_extend(struct buf *b, size_t more)
{
    if (UNLIKELY(!buf_has_room(b, more)) && !buf_grow(b, more)) {
        return NULL;
    }
    char *at = b->bytes + b->len;
    b->len += more;
    return at;
}

static inline void buf_append(struct buf *b, slice bytes)
{
    if (bytes.len == 0) {
        return;
    }
    char *at = buf_extend(b, bytes.len);
    if (LIKELY(at != NULL)) {
        memcpy(at, bytes.ptr, bytes.len);
    }
}

static inline void buf_append_byte(struct buf *b, char byte)
{
    char *at = buf_extend(b, 1);
    if (LIKELY(at != NULL)) {
        *at = byte;
    }
}

void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *format, va_list arguments) PRINTF_LIKE(2, 0);

/* Appends decimal digits. */
void buf_append_i64(struct buf *b, int64_t value);

/* Appends `bytes` in double quotes, printable ASCII as it is, \n \r \t \a \b \" \\ and \xhh for the rest (Redis's own form). */
void buf_append_quoted(struct buf *b, slice bytes);

/* Drops the first `count` bytes, moving the rest to the front. */
void buf_consume(struct buf *b, size_t count);

/* Cuts back to `len` bytes and forgets a failure: for dropping what was half written. */
static inline void buf_truncate(struct buf *b, size_t len)
{
    b->len = len;
    b->failure = OK;
}

/* Gives memory back when the capacity is far above what is used. */
void buf_shrink(struct buf *b, size_t keep_bytes);

static inline slice buf_slice(const struct buf *b)
{
    return slice_make(b->bytes, b->len);
}

static inline bool buf_failed(const struct buf *b)
{
    return b->failure != OK;
}

#endif
