/* CONFIG GET, SET, RESETSTAT, UNUSED. What options there are and what they accept is config/'s; what a change does besides being stored is the engine's
 * apply_config(), wired by main/. One CONFIG SET at a time, all of its values or none.
 * RESETSTAT visits the workers, since only a worker may set back what it counts. CONFIG REWRITE: config_rewrite.c. */
#include <stdlib.h>

#include "command/engine.h"
#include "command/figures.h"
#include "command/help.h"
#include "command/tour.h"
#include "command/verb.h"
#include "config/config.h"
#include "observe/metric.h"
#include "observe/turns.h"

static void count_pair(void *argument, slice name, slice value)
{
    (void)name;
    (void)value;
    ++*(size_t *)argument;
}

static void reply_pair(void *argument, slice name, slice value)
{
    struct reply *r = argument;
    reply_bytes(r, name);
    reply_bytes(r, value);
}

err cmd_config_get(struct call *call)
{
    const struct config *c = config_now();
    const slice *globs = call->argv + 2;
    size_t glob_count = call->argc - 2, count = 0;
    err e = config_get(c, globs, glob_count, count_pair, &count);
    if (e == OK) {
        reply_map(call->reply, count);
        e = config_get(c, globs, glob_count, reply_pair, call->reply);
    }
    return e;
}

/* With config_lock held. The words of a refusal go to `words`. */
static err set(struct call *call, const struct config_change *changes, size_t count, struct buf *words)
{
    struct engine *engine = call->engine;
    struct config *next;
    err e = config_set(config_now(), changes, count, words, &next);
    if (e != OK) {
        return e;
    }
    enum option option;
    const char *reason;
    e = engine->apply_config(engine, next, &option, &reason);
    if (e == ERR_CONFIG) {
        config_set_words(config_name(option), reason, words);
    }
    if (e != OK) {
        config_free(next);
    }
    return e;
}

err cmd_config_set(struct call *call)
{
    if (call->argc % 2 != 0) {
        return ERR_SYNTAX;
    }
    size_t count = (call->argc - 2) / 2;
    struct config_change *changes = call_alloc(call, count * sizeof *changes);
    if (!changes) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        changes[i] = (struct config_change){.name = call_arg(call, (unsigned)(2 + 2 * i)),
                                            .value = call_arg(call, (unsigned)(3 + 2 * i))};
    }
    struct buf words;
    buf_init(&words, 64 * 1024);
    lock_acquire(&call->engine->config_lock);
    err e = set(call, changes, count, &words);
    lock_release(&call->engine->config_lock);
    keyspace_settle(call->engine->keyspace);
    if (e == OK) {
        reply_ok(call->reply);
    } else if (words.len > 0) {
        (void)call_fail(call, e, "%.*s", SLICE_ARG(buf_slice(&words)));
    }
    buf_fini(&words);
    return e;
}

/* ---- RESETSTAT ------------------------------------------------------------------------------------------------------ */
static void reset_worker(struct tour *t, struct worker *w)
{
    role_assume_worker();
    figures_reset(w->index);
    turns_reset(w->index);
    keyspace_reset_expiry_lags(t->engine->keyspace, w->index);
}

err cmd_config_resetstat(struct call *call)
{
    if (!call_tour(call)) {
        struct tour *t = malloc(sizeof *t);
        if (!t) {
            return ERR_NOMEM;
        }
        *t = (struct tour){.visit = reset_worker};
        return call_travel(call, t);
    }
    metric_reset();
    reply_ok(call->reply);
    return OK;
}

/* ---- UNUSED --------------------------------------------------------------------------------------------------------- */
static void count_name(void *argument, slice name)
{
    (void)name;
    ++*(size_t *)argument;
}

static void reply_name(void *argument, slice name)
{
    reply_bytes(argument, name);
}

/* The options that somebody has set and that have no meaning here. */
err cmd_config_unused(struct call *call)
{
    const struct config *c = config_now();
    size_t count = 0;
    config_unused(c, count_name, &count);
    reply_array(call->reply, count);
    config_unused(c, reply_name, call->reply);
    return OK;
}

err cmd_config_help(struct call *call)
{
    static const char *const lines[] = {
        "GET pattern [pattern ...]",
        "    The options that match, with their values.",
        "RESETSTAT",
        "    Sets the counters of INFO back to zero.",
        "REWRITE",
        "    Writes what has changed into the configuration file.",
        "SET option value [option value ...]",
        "    Gives options values, all or none.",
        "UNUSED",
        "    The options that are set and have no meaning here.",
        NULL,
    };
    reply_help(call, lines);
    return OK;
}
