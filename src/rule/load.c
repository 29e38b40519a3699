/* Reading through. A load is one query for one key; it is tied to the key by a pending (keyspace/pending.h), which is where readers wait and where a change
 * of the key voids it.
 *
 *     worker, shard locked:   consult() -> start(): pending opened, query submitted          -> the call joins and parks
 *     helper:                 rows -> value -> [load_before_fill] -> shard locked: still attached? store; answer all waiters; close
 *
 * Invariants
 * I1: a load has exactly one pending, closes it, and answers everyone in it: OUTCOME_VALUE, _NEGATIVE or _ERROR, also when memory is refused (the
 *     outcome of last resort is made before the query is sent).
 * I2: a result is stored only if the pending is still attached, looked at under the same lock under which it is stored. So a change of the key that came
 *     before wins, whoever made it, and at most one load per key that is not voided is in flight.
 * I3: a load holds a reference of its rule's set, so rules and statements live as long as loads that need them. Its last step is to give it back.
 * I4: consult() never waits and takes no lock above the shard's but the source's.
 *
 * Stale values. An entry of a load rule stays for the longer of the two windows behind fresh_until. Within stale-while-revalidate it is answered, and one
 * refresh runs. Within stale-if-error a reader waits for the load and gets the old value only if that fails. With on-miss return nobody ever waits: what is
 * there is answered, and refreshed in the background. Who NEEDS the value to change it never builds on a stale one.
 *
 * Not here: arithmetic of times and chance (times.c), rows to values (value.c), turns and tries (source/). */
#include "rule/load.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/pause.h"
#include "base/random.h"
#include "observe/log.h"
#include "observe/metric.h"
#include "os/clock.h"
#include "os/entropy.h"
#include "rule/rules_priv.h"
#include "rule/times.h"
#include "rule/value.h"

struct load {
    struct source_query query;
    struct rules *rules;
    const struct rule *rule;
    struct pending *pending; /* owns the key's bytes */
    struct key key;
    slice parameters[SOURCE_PARAMETER_COUNT_MAX]; /* parts of the key */
    struct row_value value;
    struct outcome *last_resort;
    int64_t started_mono_us;
};

/* Uniform in [0, 1), of the calling thread. */
static double chance(void)
{
    static _Thread_local struct random random;
    static _Thread_local bool seeded;
    if (!seeded) {
        random_init(&random, entropy_u64(), entropy_u64());
        seeded = true;
    }
    return random_unit(&random);
}

bool load_governs(const struct rule *r)
{
    return r && r->source;
}

/* ---- the end of a load ------------------------------------------------------------------------------------------------------------------- */
/* Puts what came in the place of what is there. Also for nothing found: then `c` is NULL when the rule does not remember that. */
static err store(struct load *l, const struct content *c, struct effect *fx)
{
    struct shard *s = l->key.shard;
    struct entry *e = shard_find(s, &l->key);
    if (e && entry_expired(e, fx->now.wall_ms)) {
        shard_remove(s, &l->key, e, fx, CHANGE_EXPIRED, EVENT_expired);
        e = NULL;
    }
    if (!c) {
        if (e) {
            shard_remove(s, &l->key, e, fx, CHANGE_DELETED, EVENT_del);
        }
        return OK;
    }
    return e ? shard_replace(s, &l->key, e, c, fx, EVENT_fill, &e) : shard_insert(s, &l->key, c, fx, EVENT_fill, &e);
}

static void log_failure(const struct load *l, err e, slice text)
{
    static struct log_limit limit;
    slice words = text.len > 0 ? text : slice_of(err_row(e)->text);
    log_write_limited(&limit, LOG_WARNING, "rule", "a load for rule %.*s from source %.*s failed: %.*s",
                      SLICE_ARG(l->rule->config->pattern.text), SLICE_ARG(source_name(l->rule->source->source)),
                      SLICE_ARG(words));
}

static void count_end(const struct load *l, const struct outcome *o)
{
    metric_subtract(METRIC_loads_in_flight, 1);
    if (o->kind == OUTCOME_ERROR) {
        metric_add(o->error == ERR_SOURCE_TIMEOUT ? METRIC_loads_timed_out : METRIC_loads_failed, 1);
        rule_count(l->rule, FIGURE_failed);
    } else if (o->voided) {
        metric_add(METRIC_loads_voided, 1);
        rule_count(l->rule, FIGURE_voided);
    } else if (o->stored && o->kind == OUTCOME_VALUE) {
        metric_add(METRIC_loads_filled, 1);
    }
    if (o->kind == OUTCOME_NEGATIVE) {
        metric_add(METRIC_load_negative, 1);
        rule_count(l->rule, FIGURE_negative);
    }
}

/* Tells everyone, after having stored what is to be stored. */
static void finish(struct load *l, struct outcome *o, const struct content *c, struct now now)
{
    struct arena arena;
    struct effect fx;
    arena_init(&arena);
    effect_init(&fx, &arena, now, keyspace_wants_records(l->rules->keyspace));
    uint64_t bytes = l->key.bytes.len + (c ? c->string.len : 0);
    bool has_room = o->kind == OUTCOME_ERROR || keyspace_make_room(l->rules->keyspace, now, bytes) != ERR_OOM;
    shard_lock(l->key.shard);
    o->voided = !l->pending->attached;
    if (!o->voided && o->kind != OUTCOME_ERROR && has_room && !keyspace_is_frozen(l->rules->keyspace, now)) {
        o->stored = store(l, c, &fx) == OK && c;
        keyspace_publish(l->rules->keyspace, &fx);
    }
    pending_resolve(l->pending, o);
    pending_close(l->pending);
    shard_unlock(l->key.shard);
    arena_fini(&arena);
}

static void free_load(struct load *l)
{
    struct rule_set *set = l->rule->set;
    row_value_fini(&l->value);
    outcome_unref(l->last_resort);
    free(l);
    rule_set_unref(set);
}

/* What the readers get, and in *c what is to be stored. */
static struct outcome *make_outcome(struct load *l, const struct source_failure *failure, struct now now,
                                    struct content *c, bool *ret_stores)
{
    struct outcome *o = NULL;
    err value_error = failure ? OK : row_value_finish(&l->value);
    struct times times;
    if (failure) {
        o = outcome_new_error(failure->error, slice_of(failure->text));
    } else if (value_error != OK) {
        o = value_error == ERR_NOMEM ? outcome_new_error(ERR_NOMEM, S(""))
                                     : outcome_new_error(ERR_SOURCE, S("the value is too large"));
    } else if (l->value.found) {
        times = times_of_load(l->rule->config, now.wall_ms, chance());
        *c = content_string(buf_slice(&l->value.out));
        *ret_stores = true;
        o = outcome_new_value(l->key.bytes, c);
    } else {
        *ret_stores = times_of_negative(l->rule->config, now.wall_ms, &times);
        *c = (struct content){.kind = KIND_STRING, .encoding = ENCODING_EMBSTR, .negative = true};
        o = outcome_new_negative();
    }
    if (*ret_stores) {
        int64_t took_ms = (clock_mono_us() - l->started_mono_us + 999) / 1000;
        c->deadline = times.deadline;
        c->fresh_until = times.fresh_until;
        c->load_ms = took_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)took_ms;
        c->loaded_at = now.wall_ms;
    }
    return o ? o : outcome_ref(l->last_resort);
}

static void load_done(struct source_query *q, const struct source_failure *failure)
{
    struct load *l = container_of(q, struct load, query);
    PAUSE_POINT(load_before_fill);
    struct now now = clock_now();
    struct content content;
    bool stores = false;
    struct outcome *o = make_outcome(l, failure, now, &content, &stores);
    if (o->kind == OUTCOME_ERROR) {
        log_failure(l, o->error, o->text);
    }
    finish(l, o, stores ? &content : NULL, now);
    count_end(l, o);
    outcome_unref(o);
    free_load(l);
}

static bool load_row(struct source_query *q, const struct source_row *row)
{
    return row_value_add(&container_of(q, struct load, query)->value, row);
}

static void load_restart(struct source_query *q)
{
    row_value_restart(&container_of(q, struct load, query)->value);
}

/* ---- the beginning ----------------------------------------------------------------------------------------------------------------------- */
static bool is_bindable(slice key)
{
    return slice_find_byte(key, '\0') == SIZE_MAX && slice_is_utf8(key);
}

static struct load *new_load(struct rules *rs, const struct rule *r, const struct key *k)
{
    struct load *l = calloc(1, sizeof *l);
    if (!l) {
        return NULL;
    }
    rule_set_ref(r->set);
    l->query = (struct source_query){.statement = &r->load,
                                     .parameters = l->parameters,
                                     .row = load_row,
                                     .restart = load_restart,
                                     .done = load_done};
    l->rules = rs;
    l->rule = r;
    l->key = *k;
    l->started_mono_us = clock_mono_us();
    row_value_init(&l->value, r->config->value, LOAD_VALUE_BYTES_MAX);
    l->last_resort = outcome_new_error(ERR_NOMEM, S(""));
    l->pending = l->last_resort ? pending_open(k->shard, k, l) : NULL;
    if (!l->pending) {
        free_load(l);
        return NULL;
    }
    l->key.bytes = l->pending->key;
    l->pending->waiter_total = &r->account->waiters;
    return l;
}

/* Sends the load of a key that has none attached. */
static err start(struct rules *rs, const struct rule *r, const struct key *k, struct pending **ret_pending)
{
    if (!is_bindable(k->bytes)) {
        metric_add(METRIC_load_unbindable, 1);
        return ERR_SOURCE;
    }
    struct load *l = new_load(rs, r, k);
    if (!l) {
        return ERR_NOMEM;
    }
    slice parts[PATTERN_PART_COUNT_MAX];
    bool matches = pattern_match(&r->config->pattern, l->key.bytes, parts);
    assert(matches);
    for (unsigned i = 0; i < r->load.parameter_count; i++) {
        l->parameters[i] = parts[r->load.parts[i]];
    }
    struct pending *pending = l->pending;
    metric_add(METRIC_loads_in_flight, 1); /* before the helper can take it back */
    err e = source_submit(r->source->source, &l->query);
    if (e != OK) {
        metric_subtract(METRIC_loads_in_flight, 1);
        pending_close(pending);
        free_load(l);
        return e;
    }
    metric_add(METRIC_loads_started, 1);
    rule_count(r, FIGURE_loads);
    *ret_pending = pending; /* the load needs the shard's lock to close it, and that is ours */
    return OK;
}

err load_refresh(struct rules *rs, const struct rule *r, const struct key *k)
{
    struct pending *pending;
    if (pending_find(k->shard, k)) {
        return OK;
    }
    err e = start(rs, r, k, &pending);
    if (e == OK) {
        metric_add(METRIC_refreshes_started, 1);
        rule_count(r, FIGURE_refreshes);
    }
    return e;
}

/* A refresh that nobody waits for: whether it could be started is not the reader's concern. */
static void refresh(struct rules *rs, const struct rule *r, const struct key *k)
{
    err e = load_refresh(rs, r, k);
    (void)e;
}

/* ---- consulting -------------------------------------------------------------------------------------------------------------------------- */
enum freshness load_freshness(const struct rule *r, const struct entry *e, int64_t now_wall_ms)
{
    if (!e || entry_expired(e, now_wall_ms)) {
        return FRESHNESS_ABSENT;
    }
    if (entry_negative(e)) {
        return FRESHNESS_NEGATIVE;
    }
    if (!entry_stale(e, now_wall_ms)) {
        return FRESHNESS_FRESH;
    }
    if (!load_governs(r)) {
        return FRESHNESS_STALE;
    }
    int64_t stale_ms = now_wall_ms - entry_fresh_until(e);
    if (stale_ms < r->config->stale_while_revalidate_ms) {
        return FRESHNESS_STALE;
    }
    return stale_ms < r->config->stale_if_error_ms ? FRESHNESS_FALLBACK : FRESHNESS_ABSENT;
}

static bool is_servable_stale(enum freshness f)
{
    return f == FRESHNESS_STALE || f == FRESHNESS_FALLBACK;
}

static struct load_answer use_entry(void)
{
    return (struct load_answer){.verdict = VERDICT_USE};
}

static struct load_answer use_stale(const struct rule *r)
{
    metric_add(METRIC_stale_served, 1);
    rule_count(r, FIGURE_stale_hits);
    return use_entry();
}

static struct load_answer fail(err e, slice text)
{
    return (struct load_answer){.verdict = VERDICT_FAIL, .error = e, .error_text = text};
}

/* Joins the load under way, or starts one. */
static struct load_answer wait_for_load(struct rules *rs, const struct rule *r, const struct key *k, struct now now)
{
    if (__atomic_load_n(&r->account->waiters, __ATOMIC_RELAXED) >= r->config->max_waiters) {
        metric_add(METRIC_waiters_refused, 1);
        rule_count(r, FIGURE_refused);
        return fail(ERR_SOURCE_BUSY, S(""));
    }
    struct load_answer answer = {.verdict = VERDICT_PARK,
                                 .wait_until_mono_ms = now.mono_ms + r->config->wait_timeout_ms};
    answer.pending = pending_find(k->shard, k);
    if (answer.pending) {
        metric_add(METRIC_load_coalesced, 1);
        rule_count(r, FIGURE_coalesced);
        return answer;
    }
    err e = start(rs, r, k, &answer.pending);
    return e == OK ? answer : fail(e, e == ERR_SOURCE ? S("the key has bytes that cannot be bound as text") : S(""));
}

static bool is_time_to_refresh(const struct rule *r, const struct entry *e, int64_t now_wall_ms)
{
    switch (r->config->refresh) {
    case CONFIG_REFRESH_OFF: return false;
    case CONFIG_REFRESH_EARLY:
        return refresh_is_early(now_wall_ms, entry_fresh_until(e), entry_load_ms(e), r->config->refresh_beta, chance());
    case CONFIG_REFRESH_AHEAD:
        return refresh_is_ahead(now_wall_ms, entry_loaded_at(e), entry_fresh_until(e),
                                r->config->refresh_ahead_percent);
    }
    unreachable();
}

/* The first run of a call that reads. */
static struct load_answer read_entry(struct rules *rs, const struct rule *r, const struct key *k, const struct entry *e,
                                     enum freshness freshness, struct now now)
{
    switch (freshness) {
    case FRESHNESS_FRESH:
        rule_count(r, FIGURE_hits);
        if (is_time_to_refresh(r, e, now.wall_ms)) {
            refresh(rs, r, k);
        }
        return use_entry();
    case FRESHNESS_NEGATIVE:
        metric_add(METRIC_negative_served, 1);
        rule_count(r, FIGURE_negative_hits);
        return use_entry();
    case FRESHNESS_STALE: refresh(rs, r, k); return use_stale(r);
    case FRESHNESS_FALLBACK:
    case FRESHNESS_ABSENT: break;
    }
    if (r->config->on_miss == CONFIG_ON_MISS_RETURN) {
        if (e) {
            refresh(rs, r, k);
            return use_stale(r);
        }
        rule_count(r, FIGURE_misses);
        return use_entry();
    }
    rule_count(r, FIGURE_misses);
    struct load_answer answer = wait_for_load(rs, r, k, now);
    return answer.verdict == VERDICT_FAIL && freshness == FRESHNESS_FALLBACK ? use_stale(r) : answer;
}

/* A call that read, parked, and was woken. */
static struct load_answer read_outcome(const struct rule *r, enum freshness freshness, const struct outcome *o)
{
    if (o->kind == OUTCOME_VALUE || o->kind == OUTCOME_NEGATIVE) {
        return use_entry();
    }
    if (is_servable_stale(freshness)) {
        return use_stale(r);
    }
    if (freshness == FRESHNESS_FRESH || freshness == FRESHNESS_NEGATIVE) {
        return use_entry(); /* somebody wrote or loaded it meanwhile */
    }
    return fail(o->kind == OUTCOME_TIMEOUT ? ERR_SOURCE_TIMEOUT : o->error, o->text);
}

/* A call that will change what is there: it must be the newest that there is. */
static struct load_answer need(struct rules *rs, const struct rule *r, const struct key *k, const struct entry *e,
                               enum freshness freshness, const struct outcome *o, struct now now)
{
    if (freshness == FRESHNESS_FRESH) {
        return use_entry();
    }
    if (o && (o->kind == OUTCOME_ERROR || o->kind == OUTCOME_TIMEOUT)) {
        return fail(o->kind == OUTCOME_TIMEOUT ? ERR_SOURCE_TIMEOUT : o->error, o->text);
    }
    if (o && !o->voided && (o->stored ? freshness == FRESHNESS_NEGATIVE : !e)) {
        return use_entry(); /* absent in the source too, or a value that could not be stored: the outcome is all there is */
    }
    if (!e && r->config->on_miss == CONFIG_ON_MISS_RETURN) {
        return use_entry();
    }
    return wait_for_load(rs, r, k, now);
}

static struct load_answer consult(struct loader *loader, const struct rule *r, const struct key *k, struct entry *e,
                                  enum key_use use, struct outcome *o, struct now now)
{
    struct rules *rs = container_of(loader, struct rules, loader);
    enum freshness freshness = load_freshness(r, e, now.wall_ms);
    if (use != KEY_READS && use != KEY_NEEDS) {
        return use_entry();
    }
    if (!load_governs(r)) {
        if (use == KEY_READS) {
            rule_count(r, freshness == FRESHNESS_ABSENT ? FIGURE_misses : FIGURE_hits);
        }
        return use_entry();
    }
    if (use == KEY_NEEDS) {
        return need(rs, r, k, e, freshness, o, now);
    }
    return o ? read_outcome(r, freshness, o) : read_entry(rs, r, k, e, freshness, now);
}

static const struct rule *govern(struct loader *loader, unsigned db, slice key)
{
    return rule_set_find(rules_published(container_of(loader, struct rules, loader)), db, key);
}

static void times(struct loader *loader, const struct rule *r, struct now now, int64_t deadline, int64_t *ret_deadline,
                  int64_t *ret_fresh_until)
{
    (void)loader;
    struct times t = times_of_write(r->config, now.wall_ms, deadline, chance());
    *ret_deadline = t.deadline;
    *ret_fresh_until = t.fresh_until;
}

void load_init(struct loader *l)
{
    *l = (struct loader){.govern = govern, .consult = consult, .times = times};
}
