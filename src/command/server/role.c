/* ROLE and WAIT: a master without replicas. */
#include "command/verb.h"

err cmd_role(struct call *call)
{
    reply_array(call->reply, 3);
    reply_bytes(call->reply, S("master"));
    reply_integer(call->reply, 0); /* how far its stream of changes has come: there is none */
    reply_array(call->reply, 0);
    return OK;
}

/* How many replicas have acknowledged. It does not wait for any: none can come. */
err cmd_wait(struct call *call)
{
    int64_t replicas, timeout_ms;
    err e = call_arg_i64(call, 1, &replicas);
    if (e != OK) {
        return e;
    }
    if (call_arg_i64(call, 2, &timeout_ms) != OK) {
        return call_fail(call, ERR_NOT_INTEGER, "timeout is not an integer or out of range");
    }
    if (timeout_ms < 0) {
        return call_fail(call, ERR_OUT_OF_RANGE, "timeout is negative");
    }
    reply_integer(call->reply, 0);
    return OK;
}
