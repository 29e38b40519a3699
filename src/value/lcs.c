/* The textbook table: cell (i, j) is the length for the first i bytes of a and the first j of b. On the way back a tie goes left, which decides which of
 * several longest subsequences is found: the same as Redis's. O(a.len * b.len) time.
 *
 * (I1) After lcs_compute() the ranges of lcs_next() add up to `length` bytes, and each is a diagonal that cannot be made longer on the way. */
#include "value/lcs.h"

#include "base/assert.h"

static size_t row_bytes(slice b)
{
    return (b.len + 1) * sizeof(uint32_t);
}

size_t lcs_work_bytes(slice a, slice b)
{
    return row_bytes(b) + (a.len * b.len + 7) / 8;
}

static bool goes_up(const struct lcs *lcs, size_t i, size_t j)
{
    size_t cell = (i - 1) * lcs->b.len + (j - 1);
    return lcs->ups[cell / 8] >> cell % 8 & 1;
}

void lcs_compute(slice a, slice b, void *work, struct lcs *ret_lcs)
{
    assert(a.len < UINT32_MAX);
    assert(b.len < UINT32_MAX);
    struct lcs lcs = {.a = a, .b = b, .row = work, .ups = (unsigned char *)work + row_bytes(b)};
    memset(work, 0, lcs_work_bytes(a, b));
    size_t cell = 0;
    for (size_t i = 1; i <= a.len; i++) {
        uint32_t diagonal = 0; /* (i - 1, j - 1) */
        for (size_t j = 1; j <= b.len; j++, cell++) {
            uint32_t up = lcs.row[j], left = lcs.row[j - 1];
            if (a.ptr[i - 1] == b.ptr[j - 1]) {
                lcs.row[j] = diagonal + 1;
            } else if (up > left) {
                lcs.row[j] = up;
                lcs.ups[cell / 8] |= (unsigned char)(1 << cell % 8);
            } else {
                lcs.row[j] = left;
            }
            diagonal = up;
        }
    }
    lcs.length = lcs.row[b.len];
    *ret_lcs = lcs;
}

bool lcs_next(const struct lcs *lcs, struct lcs_place *place, struct lcs_range *ret_range)
{
    size_t i = place->i, j = place->j;
    while (i > 0 && j > 0 && lcs->a.ptr[i - 1] != lcs->b.ptr[j - 1]) {
        if (goes_up(lcs, i, j)) {
            i--;
        } else {
            j--;
        }
    }
    if (i == 0 || j == 0) {
        return false;
    }
    struct lcs_range range = {.a_last = i - 1, .b_last = j - 1};
    while (i > 0 && j > 0 && lcs->a.ptr[i - 1] == lcs->b.ptr[j - 1]) {
        i--;
        j--;
    }
    range.a_first = i;
    range.b_first = j;
    *place = (struct lcs_place){i, j};
    *ret_range = range;
    return true;
}
