/* Number parsing and printing by hand where the C library is too lenient (spaces, signs, locale) or too slow. */
#include "base/num.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

/* Digits only, no leading zero unless it is the whole number. */
static err parse_digits(slice text, uint64_t *ret_value)
{
    if (text.len == 0 || text.len > 20 || (text.ptr[0] == '0' && text.len > 1)) {
        return ERR_NOT_INTEGER;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - (unsigned)'0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return ERR_NOT_INTEGER;
        }
        value = value * 10 + digit;
    }
    *ret_value = value;
    return OK;
}

err num_parse_u64(slice text, uint64_t *ret_value)
{
    return parse_digits(text, ret_value);
}

err num_parse_i64(slice text, int64_t *ret_value)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    uint64_t magnitude;
    err e = parse_digits(slice_sub(text, negative, SIZE_MAX), &magnitude);
    if (e != OK) {
        return e;
    }
    if (negative) {
        if (magnitude == 0 || magnitude > (uint64_t)INT64_MAX + 1) {
            return ERR_NOT_INTEGER;
        }
        *ret_value = (int64_t)(0 - magnitude);
        return OK;
    }
    if (magnitude > INT64_MAX) {
        return ERR_NOT_INTEGER;
    }
    *ret_value = (int64_t)magnitude;
    return OK;
}

/* strtold() on a NUL-terminated copy; refuses what it would skip, leave over or overflow. */
err num_parse_long_double(slice text, long double *ret_value)
{
    char copy[NUM_LONG_DOUBLE_CHARS + 1];
    if (text.len == 0 || text.len >= sizeof copy || isspace((unsigned char)text.ptr[0])) {
        return ERR_NOT_FLOAT;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *end;
    errno = 0;
    long double value = strtold(copy, &end);
    if (end != copy + text.len || isnan(value) || (errno == ERANGE && (isinf(value) || fpclassify(value) == FP_ZERO))) {
        return ERR_NOT_FLOAT;
    }
    *ret_value = value;
    return OK;
}

err num_parse_double(slice text, double *ret_value)
{
    char copy[512];
    if (text.len == 0 || text.len >= sizeof copy || isspace((unsigned char)text.ptr[0])) {
        return ERR_NOT_FLOAT;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *end;
    errno = 0;
    double value = strtod(copy, &end);
    if (end != copy + text.len || isnan(value) || (errno == ERANGE && (isinf(value) || fpclassify(value) == FP_ZERO))) {
        return ERR_NOT_FLOAT;
    }
    *ret_value = value;
    return OK;
}

size_t num_format_i64(int64_t value, char digits[static NUM_I64_CHARS])
{
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char reversed[20];
    size_t count = 0;
    do {
        reversed[count++] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude);
    size_t len = 0;
    if (value < 0) {
        digits[len++] = '-';
    }
    while (count) {
        digits[len++] = reversed[--count];
    }
    return len;
}

size_t num_format_double(double value, char text[static NUM_DOUBLE_CHARS])
{
    if (isnan(value)) {
        memcpy(text, "nan", 3);
        return 3;
    }
    if (isinf(value)) {
        size_t len = value < 0 ? 4 : 3;
        memcpy(text, value < 0 ? "-inf" : "inf", len);
        return len;
    }
    int len = 0;
    for (int precision = 15; precision <= 17; precision++) {
        len = snprintf(text, NUM_DOUBLE_CHARS, "%.*g", precision, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    assert(len > 0);
    return (size_t)len;
}

size_t num_format_long_double(long double value, char text[static NUM_LONG_DOUBLE_CHARS])
{
    if (!isfinite(value)) {
        return 0;
    }
    int printed = snprintf(text, NUM_LONG_DOUBLE_CHARS, "%.17Lf", value);
    assert(printed > 0);
    assert(printed < NUM_LONG_DOUBLE_CHARS);
    size_t len = (size_t)printed;
    while (text[len - 1] == '0') {
        len--;
    }
    if (text[len - 1] == '.') {
        len--;
    }
    if (len == 2 && text[0] == '-' && text[1] == '0') {
        text[0] = '0';
        len = 1;
    }
    return len;
}

struct unit {
    slice name;
    uint64_t factor;
};

static err parse_with_unit(slice text, const struct unit *units, size_t unit_count, uint64_t value_max,
                           uint64_t *ret_value)
{
    size_t digit_count = 0;
    while (digit_count < text.len && isdigit((unsigned char)text.ptr[digit_count])) {
        digit_count++;
    }
    if (digit_count == 0 || digit_count > 20) {
        return ERR_INVALID;
    }
    size_t first = 0;
    while (first + 1 < digit_count && text.ptr[first] == '0') {
        first++;
    }
    uint64_t number;
    if (parse_digits(slice_sub(text, first, digit_count - first), &number) != OK) {
        return ERR_OUT_OF_RANGE;
    }
    slice name = slice_sub(text, digit_count, SIZE_MAX);
    for (size_t i = 0; i < unit_count; i++) {
        if (slice_equal_nocase(name, units[i].name)) {
            if (number > value_max / units[i].factor) {
                return ERR_OUT_OF_RANGE;
            }
            *ret_value = number * units[i].factor;
            return OK;
        }
    }
    return ERR_INVALID;
}

err num_parse_bytes(slice text, uint64_t *ret_bytes)
{
    static const struct unit units[] = {
        {{"", 0}, 1},
        {{"b", 1}, 1},
        {{"k", 1}, 1000},
        {{"kb", 2}, 1024},
        {{"m", 1}, 1000 * 1000},
        {{"mb", 2}, 1024 * 1024},
        {{"g", 1}, 1000ull * 1000 * 1000},
        {{"gb", 2}, 1024ull * 1024 * 1024},
        {{"t", 1}, 1000ull * 1000 * 1000 * 1000},
        {{"tb", 2}, 1024ull * 1024 * 1024 * 1024},
    };
    return parse_with_unit(text, units, countof(units), UINT64_MAX, ret_bytes);
}

err num_parse_duration(slice text, int64_t *ret_ms)
{
    static const struct unit units[] = {
        {{"ms", 2}, 1}, {{"s", 1}, 1000}, {{"m", 1}, 60 * 1000}, {{"h", 1}, 3600 * 1000}, {{"d", 1}, 24 * 3600 * 1000},
    };
    uint64_t ms;
    if (slice_equal(text, S("0"))) {
        *ret_ms = 0;
        return OK;
    }
    err e = parse_with_unit(text, units, countof(units), INT64_MAX / 4, &ms);
    if (e == OK) {
        *ret_ms = (int64_t)ms;
    }
    return e;
}

void num_format_bytes_human(uint64_t bytes, char text[static 32])
{
    static const char suffixes[] = "BKMGTPE";
    double value = (double)bytes;
    size_t step = 0;
    while (value >= 1024 && step + 2 < sizeof suffixes) {
        value /= 1024;
        step++;
    }
    if (step == 0) {
        snprintf(text, 32, "%lluB", (unsigned long long)bytes);
    } else {
        snprintf(text, 32, "%.2f%c", value, suffixes[step]);
    }
}

uint64_t num_ceil_pow2(uint64_t value)
{
    assert(value <= (uint64_t)1 << 63);
    return value <= 1 ? 1 : (uint64_t)1 << (64 - __builtin_clzll(value - 1));
}
