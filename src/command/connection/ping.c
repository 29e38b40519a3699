/* PING and ECHO. */
#include "command/verb.h"

err cmd_ping(struct call *call)
{
    if (call->argc > 2) {
        return ERR_ARITY;
    }
    if (call->argc == 2) {
        reply_bytes(call->reply, call_arg(call, 1));
    } else {
        reply_status(call->reply, S("PONG"));
    }
    return OK;
}

err cmd_echo(struct call *call)
{
    reply_bytes(call->reply, call_arg(call, 1));
    return OK;
}
