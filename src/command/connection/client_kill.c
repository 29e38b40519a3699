/* CLIENT KILL: closes connections, each on its own worker. The call visits the workers with the filters; when it comes home they are closed, and counted. Its own connection gets its
 * reply first. */
#include <stdlib.h>

#include "base/num.h"
#include "command/command.h"
#include "command/engine.h"
#include "command/tour.h"
#include "command/verb.h"

enum { ADDRESS_BYTES_MAX = sizeof(((struct session *)0)->peer) };

struct kill {
    struct tour tour;
    uint64_t caller; /* id of the session that asks */
    bool spares_caller;
    bool found_caller;
    bool nobody; /* a filter that no connection passes */
    uint64_t id; /* 0: any */
    int64_t age_s_min;
    struct now now;
    char peer[ADDRESS_BYTES_MAX], local[ADDRESS_BYTES_MAX]; /* "": any */
    uint64_t count;
};

static bool matches(const struct kill *k, const struct session *s)
{
    return !k->nobody && (k->id == 0 || k->id == s->id) && (!k->peer[0] || strcmp(k->peer, s->peer) == 0) &&
           (!k->local[0] || strcmp(k->local, s->local) == 0) &&
           (k->now.mono_ms - s->created_mono_ms) / 1000 >= k->age_s_min;
}

static void consider(void *argument, struct session *s)
{
    struct kill *k = argument;
    if (!matches(k, s) || (s->id == k->caller && k->spares_caller)) {
        return;
    }
    k->count++;
    if (s->id == k->caller) {
        k->found_caller = true;
    } else {
        s->ops->kill(s);
    }
}

static void visit(struct tour *t, struct worker *w)
{
    sessions_each_own(w, consider, container_of(t, struct kill, tour));
}

/* ---- filters -------------------------------------------------------------------------------------------------------- */
static void take_address(struct kill *k, char room[static ADDRESS_BYTES_MAX], slice address)
{
    bool is_text = address.len > 0 && slice_find_byte(address, '\0') == SIZE_MAX;
    k->nobody = k->nobody || !is_text || address.len >= ADDRESS_BYTES_MAX;
    if (!k->nobody) {
        memcpy(room, address.ptr, address.len);
        room[address.len] = '\0';
    }
}

static err take_type(struct call *call, struct kill *k, slice type)
{
    if (slice_equal_nocase(type, S("normal"))) {
        return OK;
    }
    static const char *const others[] = {"master", "slave", "replica", "pubsub"};
    for (size_t i = 0; i < countof(others); i++) {
        if (slice_equal_nocase(type, slice_of(others[i]))) {
            k->nobody = true;
            return OK;
        }
    }
    return call_fail(call, ERR_INVALID, "Unknown client type '%.*s'", SLICE_ARG(type));
}

static err take_filter(struct call *call, struct kill *k, unsigned i)
{
    slice value = call_arg(call, i + 1);
    int64_t number;
    if (call_arg_is(call, i, S("ID"))) {
        if (num_parse_i64(value, &number) != OK || number < 1) {
            return call_fail(call, ERR_INVALID, "client-id should be greater than 0");
        }
        k->id = (uint64_t)number;
    } else if (call_arg_is(call, i, S("TYPE"))) {
        return take_type(call, k, value);
    } else if (call_arg_is(call, i, S("ADDR"))) {
        take_address(k, k->peer, value);
    } else if (call_arg_is(call, i, S("LADDR"))) {
        take_address(k, k->local, value);
    } else if (call_arg_is(call, i, S("USER"))) {
        if (!slice_equal(value, S("default"))) {
            return call_fail(call, ERR_INVALID, "No such user '%.*s'", SLICE_ARG(value));
        }
    } else if (call_arg_is(call, i, S("SKIPME")) && slice_equal_nocase(value, S("yes"))) {
        k->spares_caller = true;
    } else if (call_arg_is(call, i, S("SKIPME")) && slice_equal_nocase(value, S("no"))) {
        k->spares_caller = false;
    } else if (call_arg_is(call, i, S("MAXAGE"))) {
        if (num_parse_i64(value, &number) != OK) {
            return call_fail(call, ERR_NOT_INTEGER, "maxage is not an integer or out of range");
        }
        if (number <= 0) {
            return call_fail(call, ERR_INVALID, "maxage should be greater than 0");
        }
        k->age_s_min = number;
    } else {
        return ERR_SYNTAX;
    }
    return OK;
}

static err parse(struct call *call, struct kill *k)
{
    if (call->argc == 3) { /* the old form: an address */
        take_address(k, k->peer, call_arg(call, 2));
        return OK;
    }
    k->spares_caller = true;
    for (unsigned i = 2; i < call->argc; i += 2) {
        err e = i + 1 < call->argc ? take_filter(call, k, i) : ERR_SYNTAX;
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* ---- the command ---------------------------------------------------------------------------------------------------- */
static err finish(struct call *call, const struct kill *k)
{
    if (k->found_caller) {
        __atomic_store_n(&call->session->close_after_reply, true, __ATOMIC_RELAXED);
    }
    if (call->argc > 3) {
        reply_integer(call->reply, (int64_t)k->count);
    } else if (k->count > 0) {
        reply_ok(call->reply);
    } else {
        return call_fail(call, ERR_INVALID, "No such client");
    }
    return OK;
}

err cmd_client_kill(struct call *call)
{
    struct tour *back = call_tour(call);
    if (back) {
        return finish(call, container_of(back, struct kill, tour));
    }
    struct kill *k = calloc(1, sizeof *k);
    if (!k) {
        return ERR_NOMEM;
    }
    k->tour.visit = visit;
    k->caller = call->session->id;
    k->now = call->now;
    err e = parse(call, k);
    if (e != OK) {
        free(k);
        return e;
    }
    return call_travel(call, &k->tour);
}
