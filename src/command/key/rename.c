/* RENAME, RENAMENX: the value and its times under another name. A key renamed to itself stays as it is. */
#include "command/key/transfer.h"
#include "command/verb.h"

err cmd_rename(struct call *call)
{
    if (!call_entry(call, 0)) {
        return ERR_NO_KEY;
    }
    if (!slice_equal(call_arg(call, 1), call_arg(call, 2))) {
        err e = transfer_move(call, 0, 1, EVENT_rename_from, EVENT_rename_to);
        if (e != OK) {
            return e;
        }
    }
    reply_ok(call->reply);
    return OK;
}

err cmd_renamenx(struct call *call)
{
    if (!call_entry(call, 0)) {
        return ERR_NO_KEY;
    }
    bool taken = call_entry(call, 1) != NULL;
    if (!taken) {
        err e = transfer_move(call, 0, 1, EVENT_rename_from, EVENT_rename_to);
        if (e != OK) {
            return e;
        }
    }
    reply_integer(call->reply, !taken);
    return OK;
}
