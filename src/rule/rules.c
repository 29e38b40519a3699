/* The life of rule sets. A set is published (one reference), then retired (the reference is kept until every worker has passed), then reaped at 0.
 * I1: only the thread that reloads changes `published` and touches `retired`. */
#include "rule/rules.h"

#include <stdlib.h>

#include "base/assert.h"
#include "rule/rules_priv.h"

static void note_pass(struct message *m, struct worker *w)
{
    (void)w;
    struct rule_set *set = container_of(m, struct rule_pass, message)->set;
    if (__atomic_sub_fetch(&set->passes_missing, 1, __ATOMIC_ACQ_REL) == 0) {
        rule_set_unref(set);
    }
}

/* The set is not published any more: asks every worker to say when it cannot hold a pointer into it. */
static void retire(struct rules *rs, struct rule_set *set)
{
    list_push_back(&rs->retired, &set->link);
    if (rs->worker_count == 0) {
        rule_set_unref(set);
        return;
    }
    set->passes_missing = rs->worker_count;
    for (unsigned i = 0; i < rs->worker_count; i++) {
        set->passes[i] = (struct rule_pass){.message = {.deliver = note_pass}, .set = set};
        worker_post(&rs->workers[i], &set->passes[i].message);
    }
}

static err publish(struct rules *rs, struct config_blocks *blocks)
{
    struct rule_set *set;
    struct rule_set *before = rs->published;
    err e = rule_set_new(blocks, before, rs->worker_count, rs->driver_of, &set);
    if (e != OK) {
        return e;
    }
    rule_set_ref(set);
    __atomic_store_n(&rs->published, set, __ATOMIC_RELEASE);
    __atomic_store_n(&rs->loader.has_rules, set->rule_count > 0, __ATOMIC_RELAXED);
    if (before) {
        retire(rs, before);
    }
    return OK;
}

err rules_new(const struct rules_options *o, struct rules **ret_rules)
{
    struct config_blocks *none = blocks_new();
    struct rules *rs = calloc(1, sizeof *rs);
    err e = none && rs ? OK : ERR_NOMEM;
    if (e == OK) {
        rs->keyspace = o->keyspace;
        rs->workers = o->workers;
        rs->worker_count = o->worker_count;
        rs->driver_of = o->driver_of ? o->driver_of : driver_of;
        list_init(&rs->retired);
        load_init(&rs->loader);
        e = publish(rs, none);
    }
    blocks_unref(none);
    if (e != OK) {
        free(rs);
        return e;
    }
    *ret_rules = rs;
    return OK;
}

struct loader *rules_loader(struct rules *rs)
{
    return &rs->loader;
}

const struct rule_set *rules_published(const struct rules *rs)
{
    return __atomic_load_n(&rs->published, __ATOMIC_ACQUIRE);
}

err rules_reload(struct rules *rs, struct config_blocks *blocks)
{
    rules_reap(rs);
    return publish(rs, blocks);
}

bool rules_reap(struct rules *rs)
{
    LIST_EACH (link, &rs->retired) {
        struct rule_set *set = container_of(link, struct rule_set, link);
        if (__atomic_load_n(&set->references, __ATOMIC_ACQUIRE) == 0) {
            list_remove(&set->link);
            rule_set_free(set);
        }
    }
    return list_empty(&rs->retired);
}

static void stop_sources(struct rule_set *set)
{
    for (unsigned i = 0; i < set->source_count; i++) {
        source_stop(set->sources[i]->source);
    }
}

void rules_stop(struct rules *rs)
{
    __atomic_store_n(&rs->stopping, true, __ATOMIC_RELAXED);
    LIST_EACH (link, &rs->retired) {
        stop_sources(container_of(link, struct rule_set, link));
    }
    stop_sources(rs->published);
}

void rules_free(struct rules *rs)
{
    if (!rs) {
        return;
    }
    rules_stop(rs);
    LIST_EACH (link, &rs->retired) {
        struct rule_set *set = container_of(link, struct rule_set, link);
        list_remove(&set->link);
        set->references = 0; /* no worker runs, no load is left */
        rule_set_free(set);
    }
    rs->published->references = 0;
    rule_set_free(rs->published);
    free(rs);
}

void rules_info(struct rules *rs, struct buf *out, int64_t now_mono_ms)
{
    const struct rule_set *set = rules_published(rs);
    buf_printf(out, "cache_rules:%u\r\ncache_sources:%u\r\n", set->rule_count, set->source_count);
    for (unsigned i = 0; i < set->rule_count; i++) {
        const struct rule *r = &set->rules[i];
        buf_printf(out, "rule%u:pattern=%.*s,database=%u", i, SLICE_ARG(r->config->pattern.text), r->config->database);
        for (enum figure f = 0; f < FIGURE_COUNT; f++) {
            buf_printf(out, ",%s=%llu", figure_name(f), (unsigned long long)rule_figure(r, f));
        }
        buf_printf(out, ",waiters=%u\r\n", __atomic_load_n(&r->account->waiters, __ATOMIC_RELAXED));
    }
    for (unsigned i = 0; i < set->source_count; i++) {
        struct source *s = set->sources[i]->source;
        struct source_figures f = source_figures(s, now_mono_ms);
        buf_printf(
            out,
            "source%u:name=%.*s,kind=%s,breaker=%s,connections=%u,inflight=%u,queued=%u,queries=%llu,retries=%llu,errors=%llu,timeouts=%llu\r\n",
            i, SLICE_ARG(source_name(s)), set->sources[i]->driver->name, f.breaker, f.connections, f.inflight, f.queued,
            (unsigned long long)f.queries, (unsigned long long)f.retries, (unsigned long long)f.errors,
            (unsigned long long)f.timeouts);
    }
}
