/* CACHE.INVALIDATE [SOFT] KEYS n key ... | PREFIX p | RULE pattern: answers how many entries it touched (rule/walk.h says what that is).
 *
 * Named keys are treated at once. A prefix or a rule means a walk over all entries of the database: the call parks while the walk is done slice by slice,
 * each in a turn of the worker's loop of its own, and the reply is made when it is over. A client that hangs up does not stop it: it was asked for. */
#include <stdlib.h>

#include "base/num.h"
#include "command/engine.h"
#include "command/verb.h"
#include "rule/rule.h"
#include "rule/walk.h"

/* A walk under way on a worker. */
struct invalidation {
    struct errand errand;
    struct message next_slice; /* posted by the worker to itself, so that every slice has its own turn */
    struct walk *walk;
};

static void drop(struct errand *errand)
{
    struct invalidation *v = container_of(errand, struct invalidation, errand);
    walk_free(v->walk);
    free(v);
}

static void do_slice(struct message *m, struct worker *w)
{
    struct invalidation *v = container_of(m, struct invalidation, next_slice);
    if (walk_step(v->walk, loop_now(w->loop))) {
        errand_end(&v->errand);
    } else {
        worker_post(w, m);
    }
}

static err begin_walk(struct call *call, const struct walk_order *order)
{
    struct invalidation *v = calloc(1, sizeof *v);
    if (!v) {
        return ERR_NOMEM;
    }
    v->errand.drop = drop;
    v->next_slice.deliver = do_slice;
    v->walk = walk_new(call->engine->rules, order);
    err e = v->walk ? call_await(call, &v->errand) : ERR_NOMEM;
    if (e != ERR_AGAIN) {
        drop(&v->errand);
        return e;
    }
    worker_post(call->session->worker, &v->next_slice);
    return ERR_AGAIN;
}

static err invalidate_keys(struct call *call, unsigned at, bool soft)
{
    int64_t count;
    if (num_parse_i64(call_arg(call, at), &count) != OK || count <= 0) {
        return call_fail(call, ERR_OUT_OF_RANGE, "numkeys should be greater than 0");
    }
    if (count != call->argc - at - 1) {
        return call_fail(call, ERR_SYNTAX, "the number of keys does not match numkeys");
    }
    uint64_t touched =
        walk_keys(call->engine->rules, call->session->db, (size_t)count, call->argv + at + 1, soft, call->now);
    reply_integer(call->reply, (int64_t)touched);
    return OK;
}

err cmd_cache_invalidate(struct call *call)
{
    struct errand *errand = call_errand(call);
    if (errand) {
        reply_integer(call->reply, (int64_t)walk_touched(container_of(errand, struct invalidation, errand)->walk));
        return OK;
    }
    bool soft = call_arg_is(call, 1, S("soft"));
    unsigned at = soft ? 2 : 1; /* of the word */
    if (at + 1 >= call->argc) {
        return ERR_SYNTAX;
    }
    if (call_arg_is(call, at, S("keys"))) {
        return invalidate_keys(call, at + 1, soft);
    }
    struct walk_order order = {.db = call->session->db, .soft = soft};
    if (at + 2 == call->argc && call_arg_is(call, at, S("prefix"))) {
        order.prefix = call_arg(call, at + 1);
        return begin_walk(call, &order);
    }
    if (at + 2 == call->argc && call_arg_is(call, at, S("rule"))) {
        order.rule = call_arg(call, at + 1);
        if (!rule_set_named(rules_published(call->engine->rules), order.db, order.rule)) {
            return call_fail(call, ERR_NOT_FOUND, "no such rule in this database");
        }
        return begin_walk(call, &order);
    }
    return ERR_SYNTAX;
}
