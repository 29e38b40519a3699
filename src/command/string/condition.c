/* Comparing values by bytes or by digest. The digest is part of the contract (clients compute it, too): XXH3-64 with seed 0, most significant digit
 * first, compared without regard to case. Any thread. */
#include "command/string/condition.h"

#include "base/hash.h"

void condition_digest(slice value, char text[static DIGEST_CHARS])
{
    uint64_t hash = hash_plain(value);
    for (unsigned i = 0; i < DIGEST_CHARS; i++) {
        text[i] = "0123456789abcdef"[hash >> (60 - 4 * i) & 15];
    }
}

static bool is_digest(slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) {
            return false;
        }
    }
    return text.len == DIGEST_CHARS;
}

err condition_holds(struct call *call, unsigned compare, slice operand, slice value, bool *ret_holds)
{
    bool equal;
    if (compare & (MODIFIER_IFEQ | MODIFIER_IFNE)) {
        equal = slice_equal(operand, value);
    } else {
        if (!is_digest(operand)) {
            return call_fail(call, ERR_INVALID, "digest must be exactly 16 hexadecimal characters");
        }
        char text[DIGEST_CHARS];
        condition_digest(value, text);
        equal = slice_equal_nocase(operand, slice_make(text, sizeof text));
    }
    *ret_holds = equal == ((compare & (MODIFIER_IFEQ | MODIFIER_IFDEQ)) != 0);
    return OK;
}
