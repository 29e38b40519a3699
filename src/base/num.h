/* Numbers as text, strict both ways: what is printed parses back to the same, and nothing else parses. Pure; any thread. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/err.h"
#include "base/slice.h"

enum {
    NUM_I64_CHARS = 21,               /* "-9223372036854775808" and one to spare */
    NUM_DOUBLE_CHARS = 40,            /* shortest form of a double */
    NUM_LONG_DOUBLE_CHARS = 5 * 1024, /* fixed form of the largest long double with 17 decimals */
};

/* Exactly the decimal form that num_format_i64() prints: no '+', no leading zeros, no spaces. ERR_NOT_INTEGER otherwise. */
MUST_USE err num_parse_i64(slice text, int64_t *ret_value);
MUST_USE err num_parse_u64(slice text, uint64_t *ret_value);

/* A finite or infinite decimal or hexadecimal floating point number with nothing before or after it; NaN is refused. ERR_NOT_FLOAT. */
MUST_USE err num_parse_double(slice text, double *ret_value);
MUST_USE err num_parse_long_double(slice text, long double *ret_value);

/* Write without NUL, return the count of bytes. */
size_t num_format_i64(int64_t value, char digits[static NUM_I64_CHARS]);
/* Shortest text that reads back as the same double; inf, -inf, nan. */
size_t num_format_double(double value, char text[static NUM_DOUBLE_CHARS]);
/* Fixed notation with at most 17 decimals, trailing zeros cut: what INCRBYFLOAT stores and answers. 0 when the value is not finite. */
size_t num_format_long_double(long double value, char text[static NUM_LONG_DOUBLE_CHARS]);

/* Sizes as in redis.conf: digits and one of b k kb m mb g gb t tb (k=1000, kb=1024), any case. ERR_INVALID, ERR_OUT_OF_RANGE. */
MUST_USE err num_parse_bytes(slice text, uint64_t *ret_bytes);
/* Durations: digits and one of ms s m h d. Result in ms. ERR_INVALID, ERR_OUT_OF_RANGE. */
MUST_USE err num_parse_duration(slice text, int64_t *ret_ms);
/* "12.34M" as INFO's *_human fields print it. Writes a NUL-terminated text of at most 32 bytes. */
void num_format_bytes_human(uint64_t bytes, char text[static 32]);

static inline uint64_t num_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
static inline uint64_t num_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}
static inline int64_t num_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t num_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
/* The smallest power of two that is at least `value` (1 for 0). */
uint64_t num_ceil_pow2(uint64_t value);

#endif
