/* CACHE.INVALIDATE [SOFT] KEYS n key ... | PREFIX p | RULE pattern: answers how many entries it touched (rule/walk.h says what that is).
 *
 * Named keys are treated at once. A prefix or a rule means a walk over all entries of the database: the call parks while the walk is done slice by slice,
 * each in a turn of the worker's loop of its own, and the reply is made when it is over. A client that hangs up does not stop it: it was asked for. */
#include <stdlib.h>

#include "base/num.h"
#include "command/chore.h"
#include "command/engine.h"
#include "command/verb.h"
#include "rule/rule.h"
#include "rule/walk.h"

struct invalidation {
    struct chore chore;
    struct walk *walk;
};

static void drop(struct chore *chore)
{
    struct invalidation *v = container_of(chore, struct invalidation, chore);
    walk_free(v->walk);
    free(v);
}

static bool do_slice(struct chore *chore, struct now now)
{
    return walk_step(container_of(chore, struct invalidation, chore)->walk, now);
}

static err begin_walk(struct call *call, const struct walk_order *order)
{
    struct invalidation *v = calloc(1, sizeof *v);
    if (!v) {
        return ERR_NOMEM;
    }
    v->chore = (struct chore){.slice = do_slice, .drop = drop};
    v->walk = walk_new(call->engine->rules, order);
    if (!v->walk) {
        free(v);
        return ERR_NOMEM;
    }
    return call_work(call, &v->chore);
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
    struct chore *walked = call_chore(call);
    if (walked) {
        reply_integer(call->reply, (int64_t)walk_touched(container_of(walked, struct invalidation, chore)->walk));
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
