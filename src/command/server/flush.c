/* DBSIZE, FLUSHDB, FLUSHALL, SWAPDB: whole databases.
 *
 * A flush maps fresh spaces while every shard is locked, which is short however much there is: from then on everybody sees them. What was there is freed after the unlock, in
 * slices: with ASYNC by the workers' housekeeping, else by a chore, and the reply is made when nothing is left. Then only who asked waits. When the system refuses memory for the
 * chore, it is as with ASYNC: what gives memory back must not fail for want of it. */
#include <limits.h>

#include "command/chore.h"
#include "command/engine.h"
#include "command/verb.h"

err cmd_dbsize(struct call *call)
{
    reply_integer(call->reply, (int64_t)keyspace_key_count(call->engine->keyspace, call->session->db));
    return OK;
}

/* FLUSHDB and FLUSHALL take SYNC or ASYNC; what neither means is lazyfree-lazy-user-flush. */
static err parse_mode(struct call *call, bool *ret_async)
{
    if (call->argc == 1) {
        *ret_async = config_now()->lazyfree_lazy_user_flush;
        return OK;
    }
    bool async = call_arg_is(call, 1, S("ASYNC"));
    if (call->argc > 2 || (!async && !call_arg_is(call, 1, S("SYNC")))) {
        return ERR_SYNTAX;
    }
    *ret_async = async;
    return OK;
}

static err flush(struct call *call, unsigned first_db, unsigned end_db)
{
    if (call_chore(call)) {
        reply_ok(call->reply);
        return OK;
    }
    bool async;
    err e = parse_mode(call, &async);
    if (e != OK) {
        return e;
    }
    for (unsigned db = first_db; db < end_db; db++) {
        keyspace_flush_db(call->engine->keyspace, db);
    }
    call_record(call, call->argc, call->argv);
    if (!async && call_work_on_keyspace(call, keyspace_reap, NULL) == ERR_AGAIN) {
        return ERR_AGAIN;
    }
    reply_ok(call->reply);
    return OK;
}

err cmd_flushdb(struct call *call)
{
    return flush(call, call->session->db, call->session->db + 1);
}

err cmd_flushall(struct call *call)
{
    return flush(call, 0, keyspace_db_count(call->engine->keyspace));
}

static err parse_db(struct call *call, unsigned index, const char *which, int64_t *ret_db)
{
    if (call_arg_i64(call, index, ret_db) != OK || *ret_db < INT_MIN || *ret_db > INT_MAX) {
        return call_fail(call, ERR_INVALID_DB, "invalid %s DB index", which);
    }
    return OK;
}

err cmd_swapdb(struct call *call)
{
    int64_t a, b;
    err e = parse_db(call, 1, "first", &a);
    if (e == OK) {
        e = parse_db(call, 2, "second", &b);
    }
    if (e != OK) {
        return e;
    }
    int64_t count = keyspace_db_count(call->engine->keyspace);
    if (a < 0 || a >= count || b < 0 || b >= count) {
        return ERR_DB_INDEX;
    }
    if (a != b) {
        keyspace_swap_dbs(call->engine->keyspace, (unsigned)a, (unsigned)b);
        call_record(call, call->argc, call->argv);
    }
    reply_ok(call->reply);
    return OK;
}
