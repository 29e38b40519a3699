/* CLIENT PAUSE, UNPAUSE, UNBLOCK: calls that wait because somebody says so, and calls that are to wait no more.
 *
 * PAUSE answers when every worker has passed the new pause: then no write is running any more and none begins. UNPAUSE answers when all that was held has been set going. */
#include <limits.h>
#include <stdlib.h>

#include "base/num.h"
#include "command/command.h"
#include "command/engine.h"
#include "command/park.h"
#include "command/pause.h"
#include "command/tour.h"
#include "command/verb.h"

static err wrong_count(struct call *call)
{
    return call_fail(call, ERR_SYNTAX, "unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
                     SLICE_ARG(call_arg(call, 1)));
}

/* ---- PAUSE ---------------------------------------------------------------------------------------------------------- */
struct pause_tour {
    struct tour tour;
    uint64_t number;
};

/* On the last worker all have passed. */
static void pass(struct tour *t, struct worker *w)
{
    struct keyspace *ks = t->engine->keyspace;
    int64_t until_mono_ms;
    if (w->index + 1 < t->engine->worker_count) {
        return;
    }
    keyspace_lock_all(ks);
    if (pause_lasts(container_of(t, struct pause_tour, tour)->number, &until_mono_ms)) {
        keyspace_freeze(ks, until_mono_ms);
    }
    keyspace_unlock_all(ks);
}

static err parse_pause(struct call *call, int64_t *ret_until, enum pause_mode *ret_mode)
{
    int64_t ms;
    if (call->argc > 4) {
        return wrong_count(call);
    }
    *ret_mode = PAUSE_ALL;
    if (call->argc == 4 && call_arg_is(call, 3, S("WRITE"))) {
        *ret_mode = PAUSE_WRITES;
    } else if (call->argc == 4 && !call_arg_is(call, 3, S("ALL"))) {
        return call_fail(call, ERR_INVALID, "CLIENT PAUSE mode must be WRITE or ALL");
    }
    if (call_arg_i64(call, 2, &ms) != OK) {
        return call_fail(call, ERR_NOT_INTEGER, "timeout is not an integer or out of range");
    }
    if (ms < 0) {
        return call_fail(call, ERR_OUT_OF_RANGE, "timeout is negative");
    }
    *ret_until = call->now.mono_ms + num_min_i64(ms, INT64_MAX / 8); /* room for the mode */
    return OK;
}

err cmd_client_pause(struct call *call)
{
    if (call_tour(call)) {
        reply_ok(call->reply);
        return OK;
    }
    int64_t until = 0;
    enum pause_mode mode = PAUSE_ALL;
    err e = parse_pause(call, &until, &mode);
    if (e != OK) {
        return e;
    }
    struct pause_tour *t = malloc(sizeof *t);
    if (!t) {
        return ERR_NOMEM;
    }
    *t = (struct pause_tour){.tour.visit = pass, .number = pause_set(mode, until, call->now)};
    return call_travel(call, &t->tour);
}

/* ---- UNPAUSE -------------------------------------------------------------------------------------------------------- */
static void wake(struct tour *t, struct worker *w)
{
    (void)t;
    park_wake_postponed(w);
}

err cmd_client_unpause(struct call *call)
{
    if (call_tour(call)) {
        reply_ok(call->reply);
        return OK;
    }
    struct tour *t = malloc(sizeof *t);
    if (!t) {
        return ERR_NOMEM;
    }
    *t = (struct tour){.visit = wake};
    keyspace_freeze(call->engine->keyspace, 0);
    pause_end();
    return call_travel(call, t);
}

/* ---- UNBLOCK -------------------------------------------------------------------------------------------------------- */
struct unblock {
    struct tour tour;
    uint64_t id;
    bool with_error;
    bool done;
};

static void consider(void *argument, struct session *s)
{
    struct unblock *u = argument;
    if (s->id == u->id) {
        u->done = s->ops->unblock(s, u->with_error);
    }
}

static void visit(struct tour *t, struct worker *w)
{
    sessions_each_own(w, consider, container_of(t, struct unblock, tour));
}

err cmd_client_unblock(struct call *call)
{
    struct tour *back = call_tour(call);
    if (back) {
        reply_integer(call->reply, container_of(back, struct unblock, tour)->done);
        return OK;
    }
    int64_t id;
    bool with_error = call->argc == 4 && call_arg_is(call, 3, S("ERROR"));
    if (call->argc > 4) {
        return wrong_count(call);
    }
    if (call->argc == 4 && !with_error && !call_arg_is(call, 3, S("TIMEOUT"))) {
        return call_fail(call, ERR_INVALID, "CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
    err e = call_arg_i64(call, 2, &id);
    if (e != OK) {
        return e;
    }
    struct unblock *u = malloc(sizeof *u);
    if (!u) {
        return ERR_NOMEM;
    }
    *u = (struct unblock){.tour.visit = visit, .id = id > 0 ? (uint64_t)id : 0, .with_error = with_error};
    return call_travel(call, &u->tour);
}
