/* SELECT, RESET and QUIT: where a connection stands. */
#include <limits.h>

#include "command/engine.h"
#include "command/verb.h"

err cmd_select(struct call *call)
{
    int64_t db;
    err e = call_arg_i64(call, 1, &db);
    if (e != OK) {
        return e;
    }
    if (db < INT_MIN || db > INT_MAX) {
        return call_fail(call, ERR_OUT_OF_RANGE, "value is out of range, value must between %d and %d", INT_MIN,
                         INT_MAX);
    }
    if (db < 0 || db >= keyspace_db_count(call->engine->keyspace)) {
        return ERR_DB_INDEX;
    }
    __atomic_store_n(&call->session->db, (unsigned)db, __ATOMIC_RELAXED);
    reply_ok(call->reply);
    return OK;
}

err cmd_reset(struct call *call)
{
    session_reset(call->session);
    reply_status(call->reply, S("RESET"));
    return OK;
}

err cmd_quit(struct call *call)
{
    __atomic_store_n(&call->session->close_after_reply, true, __ATOMIC_RELAXED);
    reply_ok(call->reply);
    return OK;
}
