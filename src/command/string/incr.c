/* Strings as numbers: INCR, DECR, INCRBY, DECRBY over int64; INCRBYFLOAT over long double.
 *
 * The times of the entry stay. What does not fit is refused before anything changes. INCRBYFLOAT's record is a SET of the result: how numbers are
 * added and printed must not matter to who reads the record. */
#include "base/num.h"
#include "command/verb.h"

static err add(struct call *call, int64_t delta)
{
    struct entry *entry;
    err e = call_entry_of_kind(call, 0, KIND_STRING, &entry);
    if (e != OK) {
        return e;
    }
    int64_t value = 0;
    if (entry && (e = num_parse_i64(entry_string(entry), &value)) != OK) {
        return e;
    }
    if (__builtin_add_overflow(value, delta, &value)) {
        return ERR_OVERFLOW;
    }
    char digits[NUM_I64_CHARS];
    struct content content = content_string(slice_make(digits, num_format_i64(value, digits)));
    e = call_put_keep_times(call, 0, &content);
    if (e == OK) {
        reply_integer(call->reply, value);
    }
    return e;
}

err cmd_incr(struct call *call)
{
    return add(call, 1);
}

err cmd_decr(struct call *call)
{
    return add(call, -1);
}

err cmd_incrby(struct call *call)
{
    int64_t delta;
    err e = call_arg_i64(call, 2, &delta);
    return e != OK ? e : add(call, delta);
}

err cmd_decrby(struct call *call)
{
    int64_t delta;
    err e = call_arg_i64(call, 2, &delta);
    if (e != OK) {
        return e;
    }
    if (delta == INT64_MIN) {
        return call_fail(call, ERR_OVERFLOW, "decrement would overflow");
    }
    return add(call, -delta);
}

err cmd_incrbyfloat(struct call *call)
{
    struct entry *entry;
    err e = call_entry_of_kind(call, 0, KIND_STRING, &entry);
    if (e != OK) {
        return e;
    }
    long double value = 0, delta;
    if (entry && (e = num_parse_long_double(entry_string(entry), &value)) != OK) {
        return e;
    }
    e = num_parse_long_double(call_arg(call, 2), &delta);
    if (e != OK) {
        return e;
    }
    char text[NUM_LONG_DOUBLE_CHARS];
    slice sum = slice_make(text, num_format_long_double(value + delta, text));
    if (sum.len == 0) {
        return ERR_NAN;
    }
    struct content content = content_string(sum);
    if (content.encoding == ENCODING_INT) {
        content.encoding = ENCODING_EMBSTR; /* as Redis says of it, also when the sum is whole */
    }
    e = call_put_keep_times(call, 0, &content);
    if (e != OK) {
        return e;
    }
    if (effect_wants_records(&call->effect)) {
        slice stored = entry_string(call_entry(call, 0));
        call_record(call, 4, (slice[]){S("SET"), call->keys[0].key.bytes, stored, S("KEEPTTL")});
    }
    reply_bytes(call->reply, sum);
    return OK;
}
