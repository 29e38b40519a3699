/* LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n] [WITHMATCHLEN]: the longest common subsequence of two strings, its length, or where it lies.
 *
 * Time and memory go with the product of the lengths, so that product is bounded as in Redis: four bytes a cell must stay within proto-max-bulk-len
 * (we use one bit). Checks come in Redis's order: the kinds of the keys before the words. */
#include "command/verb.h"
#include "config/config.h"
#include "value/lcs.h"

struct wishes {
    bool length;
    bool ranges;
    bool range_lengths;
    int64_t range_bytes_min;
};

static err parse_wishes(struct call *call, struct wishes *ret_wishes)
{
    struct wishes w = {0};
    for (unsigned i = 3; i < call->argc; i++) {
        if (call_arg_is(call, i, S("IDX"))) {
            w.ranges = true;
        } else if (call_arg_is(call, i, S("LEN"))) {
            w.length = true;
        } else if (call_arg_is(call, i, S("WITHMATCHLEN"))) {
            w.range_lengths = true;
        } else if (call_arg_is(call, i, S("MINMATCHLEN")) && i + 1 < call->argc) {
            err e = call_arg_i64(call, ++i, &w.range_bytes_min);
            if (e != OK) {
                return e;
            }
        } else {
            return ERR_SYNTAX;
        }
    }
    if (w.length && w.ranges) {
        return call_fail(call, ERR_SYNTAX, "If you want both the length and indexes, please just use IDX.");
    }
    *ret_wishes = w;
    return OK;
}

/* An absent key is an empty string. */
static err string_of(struct call *call, unsigned k, slice *ret_string)
{
    struct entry *entry;
    if (call_entry_of_kind(call, k, KIND_STRING, &entry) != OK) {
        return call_fail(call, ERR_INVALID, "The specified keys must contain string values");
    }
    *ret_string = entry ? entry_string(entry) : S("");
    return OK;
}

static err compute(struct call *call, slice a, slice b, struct lcs *ret_lcs)
{
    if (a.len >= UINT32_MAX - 1 || b.len >= UINT32_MAX - 1) {
        return call_fail(call, ERR_LIMIT, "String too long for LCS");
    }
    uint64_t table_bytes;
    if (__builtin_mul_overflow((uint64_t)(a.len + 1) * (b.len + 1), sizeof(uint32_t), &table_bytes) ||
        table_bytes > config_now()->proto_max_bulk_len) {
        return call_fail(call, ERR_LIMIT, "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    }
    void *work = call_alloc(call, lcs_work_bytes(a, b));
    if (!work) {
        return call_fail(call, ERR_NOMEM, "Insufficient memory, failed allocating transient memory for LCS");
    }
    lcs_compute(a, b, work, ret_lcs);
    return OK;
}

static err reply_string(struct call *call, const struct lcs *lcs)
{
    char *string = call_alloc(call, lcs->length);
    if (!string) {
        return ERR_NOMEM;
    }
    struct lcs_place place = lcs_end(lcs);
    struct lcs_range r;
    size_t at = lcs->length;
    while (lcs_next(lcs, &place, &r)) {
        size_t len = r.a_last - r.a_first + 1;
        at -= len;
        memcpy(string + at, lcs->a.ptr + r.a_first, len);
    }
    reply_bytes(call->reply, slice_make(string, lcs->length));
    return OK;
}

/* The next range that is long enough. */
static bool next_wanted(const struct lcs *lcs, const struct wishes *w, struct lcs_place *place,
                        struct lcs_range *ret_range)
{
    while (lcs_next(lcs, place, ret_range)) {
        if ((int64_t)(ret_range->a_last - ret_range->a_first + 1) >= w->range_bytes_min) {
            return true;
        }
    }
    return false;
}

static void reply_pair(struct reply *reply, size_t first, size_t last)
{
    reply_array(reply, 2);
    reply_integer(reply, (int64_t)first);
    reply_integer(reply, (int64_t)last);
}

/* The ranges are walked twice: an array is announced with its count. */
static void reply_ranges(struct reply *reply, const struct lcs *lcs, const struct wishes *w)
{
    struct lcs_range r;
    struct lcs_place place = lcs_end(lcs);
    size_t count = 0;
    while (next_wanted(lcs, w, &place, &r)) {
        count++;
    }
    reply_map(reply, 2);
    reply_bytes(reply, S("matches"));
    reply_array(reply, count);
    place = lcs_end(lcs);
    while (next_wanted(lcs, w, &place, &r)) {
        reply_array(reply, w->range_lengths ? 3 : 2);
        reply_pair(reply, r.a_first, r.a_last);
        reply_pair(reply, r.b_first, r.b_last);
        if (w->range_lengths) {
            reply_integer(reply, (int64_t)(r.a_last - r.a_first + 1));
        }
    }
    reply_bytes(reply, S("len"));
    reply_integer(reply, lcs->length);
}

err cmd_lcs(struct call *call)
{
    slice a, b;
    struct wishes w = {0};
    err e = string_of(call, 0, &a);
    if (e != OK || (e = string_of(call, 1, &b)) != OK || (e = parse_wishes(call, &w)) != OK) {
        return e;
    }
    struct lcs lcs;
    e = compute(call, a, b, &lcs);
    if (e != OK) {
        return e;
    }
    if (w.ranges) {
        reply_ranges(call->reply, &lcs, &w);
    } else if (w.length) {
        reply_integer(call->reply, lcs.length);
    } else {
        return reply_string(call, &lcs);
    }
    return OK;
}
