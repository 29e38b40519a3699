/* Reading whole strings: GET, MGET, STRLEN. */
#include "command/verb.h"

FLATTEN err cmd_get(struct call *call)
{
    struct entry *entry;
    err e = call_entry_of_kind(call, 0, KIND_STRING, &entry);
    if (e != OK) {
        return e;
    }
    if (entry) {
        call_reply_string(call, entry, entry_string(entry));
    } else {
        reply_null(call->reply);
    }
    return OK;
}

/* A key of another kind reads as absent here: one odd key must not cost the others their answer. */
err cmd_mget(struct call *call)
{
    reply_array(call->reply, call->key_count);
    for (unsigned k = 0; k < call->key_count; k++) {
        struct entry *entry = call_entry(call, k);
        if (entry && entry_kind(entry) == KIND_STRING) {
            call_reply_string(call, entry, entry_string(entry));
        } else {
            reply_null(call->reply);
        }
    }
    return OK;
}

err cmd_strlen(struct call *call)
{
    struct entry *entry;
    err e = call_entry_of_kind(call, 0, KIND_STRING, &entry);
    if (e != OK) {
        return e;
    }
    reply_integer(call->reply, entry ? (int64_t)entry_string(entry).len : 0);
    return OK;
}
