/* A slice is a borrowed run of bytes: a pointer and a length, not ending in NUL, bytes of any value. Who lends it says until
 * when. Passed by value. The empty slice may have any pointer, also NULL. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct slice {
    const char *ptr;
    size_t len;
} slice;

/* A slice of a string literal. */
#define S(literal) ((slice){"" literal, sizeof(literal) - 1})
/* For printf's "%.*s". */
#define SLICE_ARG(s) (int)(s).len, (s).ptr

static inline slice slice_make(const void *bytes, size_t len)
{
    return (slice){bytes, len};
}

/* Of a NUL-terminated string; NULL gives the empty slice. */
static inline slice slice_of(const char *string)
{
    return (slice){string, string ? strlen(string) : 0};
}

/* Whether `len` bytes are the same; up to 16, which most keys are, without a call. */
static inline bool bytes_equal(const char *a, const char *b, size_t len)
{
    if (len > 16) {
        return memcmp(a, b, len) == 0;
    }
    if (len >= 8) { /* the first eight and the last eight, which may overlap */
        uint64_t a_first, b_first, a_last, b_last;
        memcpy(&a_first, a, 8);
        memcpy(&b_first, b, 8);
        memcpy(&a_last, a + len - 8, 8);
        memcpy(&b_last, b + len - 8, 8);
        return ((a_first ^ b_first) | (a_last ^ b_last)) == 0;
    }
    for (size_t i = 0; i < len; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

static inline bool slice_equal(slice a, slice b)
{
    return a.len == b.len && bytes_equal(a.ptr, b.ptr, a.len);
}

/* Equal without regard to ASCII case. */
bool slice_equal_nocase(slice a, slice b);

/* memcmp order, a prefix first: negative, 0, positive. */
int slice_compare(slice a, slice b);

static inline bool slice_starts(slice whole, slice prefix)
{
    return whole.len >= prefix.len && (prefix.len == 0 || memcmp(whole.ptr, prefix.ptr, prefix.len) == 0);
}

/* The bytes from `from` on, at most `len`; both are clamped to what is there. */
static inline slice slice_sub(slice whole, size_t from, size_t len)
{
    if (from > whole.len) {
        from = whole.len;
    }
    if (len > whole.len - from) {
        len = whole.len - from;
    }
    return (slice){whole.ptr ? whole.ptr + from : NULL, len};
}

/* First place of `byte`, or SIZE_MAX. */
size_t slice_find_byte(slice whole, char byte);

/* True when the bytes are valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool slice_is_utf8(slice text);

/* Whether `text` matches the glob `pattern` as Redis's KEYS understands it: * ? [a-z] [^...] and \ to escape.
 * At most pattern.len x text.len steps, without recursion. */
bool slice_glob(slice pattern, slice text, bool nocase);

#endif
