/* SHUTDOWN: ends the server as SIGTERM does. The connection ends with it, without a reply. */
#include "command/engine.h"
#include "command/verb.h"

err cmd_shutdown(struct call *call)
{
    bool save = false, no_save = false, now = false, abort = false;
    for (unsigned i = 1; i < call->argc; i++) {
        if (call_arg_is(call, i, S("NOSAVE")) && !save) {
            no_save = true;
        } else if (call_arg_is(call, i, S("SAVE")) && !no_save) {
            save = true;
        } else if (call_arg_is(call, i, S("NOW"))) {
            now = true;
        } else if (call_arg_is(call, i, S("ABORT")) && call->argc == 2) {
            abort = true;
        } else if (!call_arg_is(call, i, S("FORCE"))) { /* there is nothing that could fail and be forced */
            return ERR_SYNTAX;
        }
    }
    if (abort) {
        return call_fail(call, ERR_INVALID, "No shutdown in progress.");
    }
    if (save) {
        return call_fail(call, ERR_INVALID, "SHUTDOWN SAVE: there is nothing that the data could be saved to");
    }
    call->session->close_after_reply = true;
    call->engine->shut_down(call->engine, now);
    return OK;
}
