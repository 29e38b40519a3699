/* Reading a string and deciding on its life: GETEX (a time, none any more, or as it is) and GETDEL. */
#include "command/string/modifier.h"
#include "command/use.h"
#include "command/verb.h"

/* GETDEL: the reply is made before the drop, while the bytes are still there to lend. */
err cmd_getdel(struct call *call)
{
    call_count_look(call, 0);
    err e = cmd_get(call);
    if (e != OK || !call_entry(call, 0)) {
        return e;
    }
    call_drop(call, 0);
    call_record(call, 2, (slice[]){S("DEL"), call->keys[0].key.bytes});
    return OK;
}

enum key_use use_getex(unsigned spec, unsigned argc, const slice *argv)
{
    (void)spec;
    (void)argv;
    return argc > 2 ? KEY_NEEDS : KEY_READS;
}

static err give_deadline(struct call *call, int64_t deadline)
{
    err e = call_set_deadline(call, 0, deadline);
    if (e == OK && effect_wants_records(&call->effect)) {
        slice at = call_text_i64(call, entry_fresh_until(call_entry(call, 0)));
        call_record(call, 3, (slice[]){S("PEXPIREAT"), call->keys[0].key.bytes, at});
    }
    return e;
}

static err take_deadline(struct call *call)
{
    call->event = EVENT_persist;
    err e = call_set_deadline(call, 0, NO_DEADLINE);
    if (e == OK) {
        call_record(call, 2, (slice[]){S("PERSIST"), call->keys[0].key.bytes});
    }
    return e;
}

static void drop_expired(struct call *call)
{
    call->event = EVENT_del;
    call_drop(call, 0);
    call_record(call, 2, (slice[]){S("DEL"), call->keys[0].key.bytes});
}

/* What the time should be is looked at only when there is a string to give it to. */
err cmd_getex(struct call *call)
{
    struct modifiers m;
    err e = modifiers_parse(call->argc, call->argv, 2, MODIFIERS_OF_GETEX, &m);
    if (e != OK) {
        return e;
    }
    call_count_look(call, 0);
    e = cmd_get(call);
    struct entry *entry = call_entry(call, 0);
    if (e != OK || !entry) {
        return e;
    }
    int64_t deadline;
    e = modifiers_deadline(call, &m, &deadline);
    if (e != OK) {
        return e;
    }
    if (m.time && deadline <= call->now.wall_ms) {
        drop_expired(call);
        return OK;
    }
    if (m.time) {
        return give_deadline(call, deadline);
    }
    if ((m.seen & MODIFIER_PERSIST) && entry_deadline(entry) != NO_DEADLINE) {
        return take_deadline(call);
    }
    return OK;
}
