/* Storing strings. The record of one is always a SET with the final time: it makes the same change wherever it is read, whatever the conditions were.
 * Any verb, on its worker. */
#include "command/string/store.h"

err store_string(struct call *call, unsigned k, unsigned argument, int64_t deadline, bool keep_times)
{
    struct content content = call_content(call, argument);
    content.deadline = content.fresh_until = deadline;
    err e = keep_times ? call_put_keep_times(call, k, &content) : call_put(call, k, &content);
    if (e == OK && deadline != NO_DEADLINE) {
        call_event(call, k, EVENT_expire);
    }
    return e;
}

NOINLINE static void record(struct call *call, slice value, bool keep_times)
{
    slice argv[5] = {S("SET"), call->keys[0].key.bytes, value};
    unsigned argc = 3;
    int64_t fresh_until = entry_fresh_until(call_entry(call, 0));
    if (keep_times) {
        argv[argc++] = S("KEEPTTL");
    } else if (fresh_until != NO_DEADLINE) {
        argv[argc++] = S("PXAT");
        argv[argc++] = call_text_i64(call, fresh_until);
    }
    call_record(call, argc, argv);
}

err store_only_string(struct call *call, unsigned argument, int64_t deadline, bool keep_times)
{
    err e = store_string(call, 0, argument, deadline, keep_times);
    if (UNLIKELY(effect_wants_records(&call->effect)) && e == OK) {
        record(call, call_arg(call, argument), keep_times);
    }
    return e;
}
