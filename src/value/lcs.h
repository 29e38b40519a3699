/* The longest common subsequence of two byte strings, and the ranges in which it lies. Pure; any thread.
 *
 * Lengths are computed row by row, so only one row of them is kept; of the whole table one bit a cell remains, which says where the way back goes. */
#ifndef VALUE_LCS_H
#define VALUE_LCS_H

#include "base/slice.h"

struct lcs {
    slice a, b;
    uint32_t length;    /* of the subsequence */
    uint32_t *row;      /* b.len + 1 lengths */
    unsigned char *ups; /* a.len * b.len bits: the way back goes up (a shorter a), not left */
};

/* A stretch of equal bytes of both strings: a[a_first .. a_last], b[b_first .. b_last], both ends included. */
struct lcs_range {
    size_t a_first, a_last, b_first, b_last;
};

/* Where a walk over the ranges is; it begins at the end of both strings. */
struct lcs_place {
    size_t i, j;
};

/* Bytes that lcs_compute() works in. The strings are shorter than 2^32 - 1 and the product of their lengths fits. */
size_t lcs_work_bytes(slice a, slice b);

/* Computes; `work` has lcs_work_bytes() bytes, 4-byte aligned, and lives as long as *ret_lcs. The strings are borrowed. */
void lcs_compute(slice a, slice b, void *work, struct lcs *ret_lcs);

static inline struct lcs_place lcs_end(const struct lcs *lcs)
{
    return (struct lcs_place){lcs->a.len, lcs->b.len};
}

/* The next range of the subsequence towards the front; false when there is none left. */
bool lcs_next(const struct lcs *lcs, struct lcs_place *place, struct lcs_range *ret_range);

#endif
