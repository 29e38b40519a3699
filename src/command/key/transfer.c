/* Moving and copying entries between keys of a call. The times move with the value: what was stale stays stale.
 *
 * A move puts first (that can fail), then drops (that cannot), and tells the events last, in Redis's order: the old name before the new. So the put
 * itself has no event. */
#include "command/key/transfer.h"

#include "command/engine.h"

err transfer_copy(struct call *call, unsigned from, unsigned to, enum event event)
{
    const struct entry *entry = call_entry(call, from);
    struct content content = {
        .kind = entry_kind(entry),
        .encoding = entry_encoding(entry),
        .string = entry_string(entry),
        .blob = entry_blob(entry), /* a large value is not copied: both have it until one is changed */
        .deadline = entry_deadline(entry),
        .fresh_until = entry_fresh_until(entry),
        .load_ms = entry_load_ms(entry),
        .loaded_at = entry_loaded_at(entry),
    };
    call->event = event;
    return call_put(call, to, &content);
}

err transfer_move(struct call *call, unsigned from, unsigned to, enum event from_event, enum event to_event)
{
    err e = transfer_copy(call, from, to, EVENT_NONE);
    if (e != OK) {
        return e;
    }
    call->event = from_event;
    call_drop(call, from);
    call_event(call, to, to_event);
    return OK;
}

err transfer_db(struct call *call, unsigned index, unsigned *ret_db)
{
    int64_t db;
    err e = call_arg_i64(call, index, &db);
    if (e != OK) {
        return e;
    }
    if (db < INT32_MIN || db > INT32_MAX) {
        return call_fail(call, ERR_OUT_OF_RANGE, "value is out of range, value must between %d and %d", INT32_MIN,
                         INT32_MAX);
    }
    if (db < 0 || db >= keyspace_db_count(call->engine->keyspace)) {
        return ERR_DB_INDEX;
    }
    *ret_db = (unsigned)db;
    return OK;
}
