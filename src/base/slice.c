/* Comparisons and searches over slices. Pure functions; any thread. */
#include "base/slice.h"

#include <strings.h>

bool slice_equal_nocase(slice a, slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

int slice_compare(slice a, slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

size_t slice_find_byte(slice whole, char byte)
{
    const char *found = whole.len ? memchr(whole.ptr, byte, whole.len) : NULL;
    return found ? (size_t)(found - whole.ptr) : SIZE_MAX;
}

/* The shortest and longest second byte that a lead byte allows, and how many continuation bytes follow it. */
static int utf8_follow(unsigned char lead, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *ret_high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 1;
    if (lead >= 0xe0 && lead <= 0xef)
        return 2;
    if (lead >= 0xf0 && lead <= 0xf4)
        return 3;
    return -1;
}

bool slice_is_utf8(slice text)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    const unsigned char *end = at + text.len;
    while (at < end) {
        if (*at < 0x80) {
            at++;
            continue;
        }
        unsigned char low, high;
        int follow = utf8_follow(*at, &low, &high);
        if (follow < 0 || end - at <= follow || at[1] < low || at[1] > high) {
            return false;
        }
        for (int i = 2; i <= follow; i++) {
            if ((at[i] & 0xc0) != 0x80) {
                return false;
            }
        }
        at += follow + 1;
    }
    return true;
}

static unsigned char fold(unsigned char byte, bool nocase)
{
    return nocase && byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte + 32) : byte;
}

/* Matches one byte against the class at pattern[at] == '['; *ret_next is the place after it. An unclosed class ends with the pattern. */
static bool class_matches(slice pattern, size_t at, unsigned char byte, bool nocase, size_t *ret_next)
{
    bool negated = false;
    bool matched = false;
    at++;
    if (at < pattern.len && pattern.ptr[at] == '^') {
        negated = true;
        at++;
    }
    byte = fold(byte, nocase);
    for (; at < pattern.len && pattern.ptr[at] != ']'; at++) {
        unsigned char low = (unsigned char)pattern.ptr[at];
        if (low == '\\' && at + 1 < pattern.len) {
            at++;
            low = (unsigned char)pattern.ptr[at];
            matched |= fold(low, nocase) == byte;
            continue;
        }
        unsigned char high = low;
        if (at + 2 < pattern.len && pattern.ptr[at + 1] == '-') {
            high = (unsigned char)pattern.ptr[at + 2];
            at += 2;
        }
        low = fold(low, nocase);
        high = fold(high, nocase);
        if (low > high) {
            unsigned char swap = low;
            low = high;
            high = swap;
        }
        matched |= byte >= low && byte <= high;
    }
    *ret_next = at < pattern.len ? at + 1 : at;
    return matched != negated;
}

/* Whether the pattern's element at `at` matches `byte`; *ret_next is the place after the element. */
static bool element_matches(slice pattern, size_t at, unsigned char byte, bool nocase, size_t *ret_next)
{
    unsigned char element = (unsigned char)pattern.ptr[at];
    if (element == '?') {
        *ret_next = at + 1;
        return true;
    }
    if (element == '[') {
        return class_matches(pattern, at, byte, nocase, ret_next);
    }
    if (element == '\\' && at + 1 < pattern.len) {
        at++;
        element = (unsigned char)pattern.ptr[at];
    }
    *ret_next = at + 1;
    return fold(element, nocase) == fold(byte, nocase);
}

/* Only the last star needs to be retried: an earlier one that took more could not help a later one. So the work is at most
 * pattern.len x text.len steps, without recursion. */
bool slice_glob(slice pattern, slice text, bool nocase)
{
    size_t p = 0, t = 0;
    size_t star_p = SIZE_MAX, star_t = 0;
    while (t < text.len) {
        size_t next;
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star_p = ++p;
            star_t = t;
        } else if (p < pattern.len && element_matches(pattern, p, (unsigned char)text.ptr[t], nocase, &next)) {
            p = next;
            t++;
        } else if (star_p != SIZE_MAX) {
            p = star_p;
            t = ++star_t;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}
