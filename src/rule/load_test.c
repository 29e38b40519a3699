/* Reading through, on a real keyspace with a fake source: one query for many readers, invalidation against loads in flight, limits, windows, failures, reload and
 * stopping. The test plays the worker: it consults the loader with the shard locked and joins as dispatch does. */
#include "rule/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "os/clock.h"
#include "rule/rules_priv.h"
#include "rule/testing.h"
#include "rule/walk.h"

static struct keyspace *ks;
static struct rules *rs;
static struct lock wake_lock;
static struct condition woken;
static unsigned wake_count;

/* A reader: what dispatch keeps of a parked call. */
struct reader {
    struct waiter waiter;
    struct load_answer answer;
    bool there; /* the entry that it saw */
    char value[64];
};

static void reload(const char *text)
{
    struct config_blocks *blocks = testing_blocks(text);
    assert_int_equal(rules_reload(rs, blocks), OK);
    blocks_unref(blocks);
}

/* One rule, k:{id}, with further knobs; the source has no retries. */
static void start_with(const char *knobs)
{
    char text[1000];
    snprintf(
        text, sizeof text,
        "source s {\n sqlite \"x.db\"\n connections 4\n retries 0\n timeout 60s\n breaker errors=50%% window=1h open=1h\n}\n"
        "rule k:{id} {\n source s\n load \"SELECT {id}\"\n%s\n}\n",
        knobs);
    reload(text);
}

static int set_up(void **state)
{
    (void)state;
    struct keyspace_options options = {.worker_count = 1, .db_count = 16};
    assert_int_equal(keyspace_new(&options, &ks), OK);
    assert_int_equal(rules_new(&(struct rules_options){.keyspace = ks, .driver_of = testing_driver}, &rs), OK);
    keyspace_set_loader(ks, rules_loader(rs));
    fake_source_reset("v1");
    lock_init(&wake_lock, LOCK_LOG, 1);
    condition_init(&woken);
    wake_count = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rules_free(rs);
    keyspace_check(ks);
    keyspace_free(ks);
    return 0;
}

static void wake(struct waiter *w)
{
    (void)w;
    lock_acquire(&wake_lock);
    wake_count++;
    lock_release(&wake_lock);
    condition_wake_all(&woken);
}

static void await_wakes(unsigned count)
{
    lock_acquire(&wake_lock);
    while (wake_count < count) {
        condition_wait(&woken, &wake_lock, INT64_MAX);
    }
    lock_release(&wake_lock);
}

static struct now later(int64_t ms)
{
    struct now now = clock_now();
    return (struct now){now.wall_ms + ms, now.mono_ms + ms};
}

/* One run of a call at `now`; parks when told to. */
static enum verdict run(struct reader *r, const char *name, enum key_use use, struct outcome *outcome, struct now now)
{
    struct loader *loader = rules_loader(rs);
    struct key k = keyspace_key(ks, 0, slice_of(name));
    const struct rule *rule = loader->govern(loader, 0, k.bytes);
    assert_non_null(rule);
    *r = (struct reader){.waiter = {.wake = wake}};
    list_init(&r->waiter.link);
    shard_lock(k.shard);
    struct entry *e = shard_find(k.shard, &k);
    e = e && entry_expired(e, now.wall_ms) ? NULL : e;
    r->answer = loader->consult(loader, rule, &k, e, use, outcome, now);
    r->answer.error_text = slice_make(NULL, 0);
    r->there = e && !entry_negative(e);
    if (r->there) {
        snprintf(r->value, sizeof r->value, "%.*s", SLICE_ARG(entry_string(e)));
    }
    if (r->answer.verdict == VERDICT_PARK) {
        pending_join(r->answer.pending, &r->waiter);
    }
    shard_unlock(k.shard);
    return r->answer.verdict;
}

static enum verdict read_key(struct reader *r, const char *name)
{
    return run(r, name, KEY_READS, NULL, later(0));
}

/* Gives up waiting, as dispatch does when the time is over. */
static void leave(struct reader *r, const char *name)
{
    struct key k = keyspace_key(ks, 0, slice_of(name));
    shard_lock(k.shard);
    assert_true(pending_leave(&r->waiter));
    shard_unlock(k.shard);
}

static void change(const char *name, const char *value)
{
    struct arena arena;
    struct effect fx;
    struct key k = keyspace_key(ks, 0, slice_of(name));
    struct content c = content_string(slice_of(value));
    arena_init(&arena);
    effect_init(&fx, &arena, clock_now(), false);
    shard_lock(k.shard);
    struct entry *e = shard_find(k.shard, &k);
    if (!value) {
        shard_remove(k.shard, &k, e, &fx, CHANGE_DELETED, EVENT_del);
    } else if (e) {
        assert_int_equal(shard_replace(k.shard, &k, e, &c, &fx, EVENT_set, &e), OK);
    } else {
        assert_int_equal(shard_insert(k.shard, &k, &c, &fx, EVENT_set, &e), OK);
    }
    shard_unlock(k.shard);
    arena_fini(&arena);
}

static void assert_stored(const char *name, const char *value)
{
    struct key k = keyspace_key(ks, 0, slice_of(name));
    shard_lock(k.shard);
    struct entry *e = shard_find(k.shard, &k);
    if (value) {
        assert_non_null(e);
        assert_false(entry_negative(e));
        assert_true(slice_equal(entry_string(e), slice_of(value)));
    } else {
        assert_true(!e || entry_negative(e));
    }
    shard_unlock(k.shard);
}

static void assert_got(struct reader *r, const char *value)
{
    assert_non_null(r->waiter.outcome);
    assert_int_equal(r->waiter.outcome->kind, OUTCOME_VALUE);
    assert_true(slice_equal(entry_string(r->waiter.outcome->entry), slice_of(value)));
    outcome_unref(r->waiter.outcome);
}

/* Reads an absent key to its end. */
static void load_key(const char *name)
{
    struct reader r;
    unsigned before = wake_count;
    assert_int_equal(read_key(&r, name), VERDICT_PARK);
    await_wakes(before + 1);
    outcome_unref(r.waiter.outcome);
}

static void await_loads(unsigned long long ended)
{
    const struct rule *r = &rs->published->rules[0];
    while (__atomic_load_n(&r->set->references, __ATOMIC_ACQUIRE) > 1 || rule_figure(r, FIGURE_loads) < ended) {
        lock_acquire(&wake_lock);
        condition_wait(&woken, &wake_lock, clock_mono_ms() + 1);
        lock_release(&wake_lock);
    }
}

/* ---- one query for many ------------------------------------------------------------------------------------------------------------------ */
static void a_thousand_readers_make_one_query(void **state)
{
    (void)state;
    enum { READERS = 1000 };
    static struct reader readers[READERS];
    start_with(" ttl 10s");
    fake_source_close_gate();
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(read_key(&readers[i], "k:1"), VERDICT_PARK);
    }
    fake_source_open_gate();
    await_wakes(READERS);
    for (unsigned i = 0; i < READERS; i++) {
        assert_got(&readers[i], "v1");
    }
    assert_int_equal(fake_source_queries(), 1);
    struct reader r;
    assert_int_equal(read_key(&r, "k:1"), VERDICT_USE);
    assert_string_equal(r.value, "v1");
    await_loads(1);
    const struct rule *rule = &rs->published->rules[0];
    assert_int_equal(rule_figure(rule, FIGURE_coalesced), READERS - 1);
    assert_int_equal(rule_figure(rule, FIGURE_loads), 1);
    assert_int_equal(rule_figure(rule, FIGURE_hits), 1);
    assert_int_equal(rule->account->waiters, 0);
}

static void an_absent_row_is_remembered(void **state)
{
    (void)state;
    struct reader r;
    start_with(" ttl 10s\n negative-ttl 5s");
    fake_source_reset(NULL);
    assert_int_equal(read_key(&r, "k:1"), VERDICT_PARK);
    await_wakes(1);
    assert_int_equal(r.waiter.outcome->kind, OUTCOME_NEGATIVE);
    outcome_unref(r.waiter.outcome);
    await_loads(1);
    assert_int_equal(read_key(&r, "k:1"), VERDICT_USE);
    assert_false(r.there);
    assert_int_equal(run(&r, "k:1", KEY_READS, NULL, later(5001)), VERDICT_PARK);
    await_wakes(2);
    outcome_unref(r.waiter.outcome);
    assert_int_equal(fake_source_queries(), 2);
}

static void a_row_that_is_gone_takes_the_stale_value_with_it(void **state)
{
    (void)state;
    struct reader r;
    start_with(" ttl 10s\n stale-if-error 1h\n negative-ttl 0s");
    load_key("k:1");
    fake_source_set_row(NULL);
    assert_int_equal(run(&r, "k:1", KEY_READS, NULL, later(10001)), VERDICT_PARK);
    await_wakes(2);
    assert_int_equal(r.waiter.outcome->kind, OUTCOME_NEGATIVE);
    outcome_unref(r.waiter.outcome);
    assert_stored("k:1", NULL);
    assert_int_equal(keyspace_key_count(ks, 0), 0);
}

/* ---- changes while a load is in flight ------------------------------------------------------------------------------------------------- */
static void a_write_during_a_load_wins_and_waiters_get_the_row(void **state)
{
    (void)state;
    struct reader before, after;
    start_with(" ttl 10s");
    fake_source_close_gate();
    assert_int_equal(read_key(&before, "k:1"), VERDICT_PARK);
    fake_source_await(1);
    change("k:1", "written");
    assert_int_equal(read_key(&after, "k:1"), VERDICT_USE);
    assert_string_equal(after.value, "written");
    fake_source_open_gate();
    await_wakes(1);
    assert_true(before.waiter.outcome->voided);
    assert_false(before.waiter.outcome->stored);
    assert_got(&before, "v1");
    await_loads(1);
    assert_stored("k:1", "written");
}

static void readers_after_an_invalidation_start_a_new_load(void **state)
{
    (void)state;
    struct reader before, after, later_still;
    start_with(" ttl 10s");
    fake_source_close_gate();
    assert_int_equal(read_key(&before, "k:1"), VERDICT_PARK);
    fake_source_await(1);
    assert_int_equal(walk_keys(rs, 0, 1, &(slice){"k:1", 3}, false, clock_now()), 0);
    fake_source_set_row("v2");
    assert_int_equal(read_key(&after, "k:1"), VERDICT_PARK);
    assert_int_equal(read_key(&later_still, "k:1"), VERDICT_PARK);
    fake_source_await(2); /* the voided one and one more */
    fake_source_open_gate();
    await_wakes(3);
    assert_got(&before, "v1");
    assert_got(&after, "v2");
    assert_got(&later_still, "v2");
    await_loads(2);
    assert_stored("k:1", "v2");
    assert_int_equal(fake_source_queries(), 2);
    assert_int_equal(rule_figure(&rs->published->rules[0], FIGURE_voided), 1);
}

static void a_write_never_builds_on_what_was_overtaken(void **state)
{
    (void)state;
    struct reader r, again;
    start_with(" ttl 10s");
    fake_source_close_gate();
    assert_int_equal(run(&r, "k:1", KEY_NEEDS, NULL, later(0)), VERDICT_PARK);
    fake_source_await(1);
    assert_int_equal(walk_keys(rs, 0, 1, &(slice){"k:1", 3}, false, clock_now()), 0);
    fake_source_set_row("v2");
    fake_source_open_gate();
    await_wakes(1);
    struct outcome *o = r.waiter.outcome;
    assert_true(o->voided);
    assert_int_equal(run(&again, "k:1", KEY_NEEDS, o, later(0)), VERDICT_PARK);
    outcome_unref(o);
    await_wakes(2);
    o = again.waiter.outcome;
    assert_true(o->stored);
    assert_int_equal(run(&r, "k:1", KEY_NEEDS, o, later(0)), VERDICT_USE);
    assert_string_equal(r.value, "v2");

    change("k:1", NULL); /* between the fill and the run: the outcome says nothing any more */
    assert_int_equal(run(&r, "k:1", KEY_NEEDS, o, later(0)), VERDICT_PARK);
    await_wakes(3);
    outcome_unref(o);
    outcome_unref(r.waiter.outcome);
}

/* ---- limits ------------------------------------------------------------------------------------------------------------------------------ */
static void max_waiters_are_parked_and_no_more(void **state)
{
    (void)state;
    struct reader readers[3], refused;
    start_with(" ttl 10s\n max-waiters 3");
    fake_source_close_gate();
    assert_int_equal(read_key(&readers[0], "k:1"), VERDICT_PARK);
    assert_int_equal(read_key(&readers[1], "k:1"), VERDICT_PARK);
    assert_int_equal(read_key(&readers[2], "k:2"), VERDICT_PARK);
    assert_int_equal(read_key(&refused, "k:1"), VERDICT_FAIL);
    assert_int_equal(refused.answer.error, ERR_SOURCE_BUSY);
    assert_int_equal(read_key(&refused, "k:3"), VERDICT_FAIL);
    leave(&readers[2], "k:2");
    assert_int_equal(read_key(&readers[2], "k:1"), VERDICT_PARK);
    fake_source_open_gate();
    await_wakes(3);
    for (unsigned i = 0; i < 3; i++) {
        outcome_unref(readers[i].waiter.outcome);
    }
}

static void a_reader_waits_for_wait_timeout_and_the_load_fills_all_the_same(void **state)
{
    (void)state;
    struct reader r;
    struct outcome timed_out = {.references = 1, .kind = OUTCOME_TIMEOUT};
    start_with(" ttl 10s\n wait-timeout 250ms");
    fake_source_close_gate();
    struct now now = later(0);
    assert_int_equal(run(&r, "k:1", KEY_READS, NULL, now), VERDICT_PARK);
    assert_int_equal(r.answer.wait_until_mono_ms, now.mono_ms + 250);
    leave(&r, "k:1");
    assert_int_equal(run(&r, "k:1", KEY_READS, &timed_out, later(0)), VERDICT_FAIL);
    assert_int_equal(r.answer.error, ERR_SOURCE_TIMEOUT);
    assert_int_equal(run(&r, "k:1", KEY_NEEDS, &timed_out, later(0)), VERDICT_FAIL);
    fake_source_open_gate();
    await_loads(1);
    assert_stored("k:1", "v1");
}

static void a_key_that_cannot_be_bound_is_refused_without_a_query(void **state)
{
    (void)state;
    struct loader *loader = rules_loader(rs);
    static const slice keys[] = {{"k:a\0b", 5}, {"k:\xff", 3}};
    start_with(" ttl 10s");
    for (size_t i = 0; i < countof(keys); i++) {
        struct key k = keyspace_key(ks, 0, keys[i]);
        shard_lock(k.shard);
        struct load_answer a =
            loader->consult(loader, loader->govern(loader, 0, keys[i]), &k, NULL, KEY_READS, NULL, clock_now());
        assert_int_equal(a.verdict, VERDICT_FAIL);
        assert_int_equal(a.error, ERR_SOURCE);
        assert_true(slice_equal(a.error_text, S("the key has bytes that cannot be bound as text")));
        assert_null(pending_find(k.shard, &k));
        shard_unlock(k.shard);
    }
    assert_int_equal(fake_source_queries(), 0);
}

/* ---- windows ----------------------------------------------------------------------------------------------------------------------------- */
static void within_stale_while_revalidate_the_old_value_is_served_and_one_refresh_runs(void **state)
{
    (void)state;
    struct reader r;
    start_with(" ttl 10s\n stale-while-revalidate 20s");
    load_key("k:1");
    fake_source_set_row("v2");
    fake_source_close_gate();
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(run(&r, "k:1", KEY_READS, NULL, later(10001)), VERDICT_USE);
        assert_string_equal(r.value, "v1");
    }
    fake_source_await(1);
    assert_int_equal(run(&r, "k:1", KEY_NEEDS, NULL, later(10001)), VERDICT_PARK); /* joins the refresh */
    fake_source_open_gate();
    await_wakes(2);
    assert_got(&r, "v2");
    await_loads(2);
    assert_stored("k:1", "v2");
    assert_int_equal(fake_source_queries(), 2);
    const struct rule *rule = &rs->published->rules[0];
    assert_int_equal(rule_figure(rule, FIGURE_stale_hits), 5);
    assert_int_equal(rule_figure(rule, FIGURE_refreshes), 1);
    assert_int_equal(run(&r, "k:1", KEY_READS, NULL, later(30001)), VERDICT_PARK); /* past the window */
    await_wakes(3);
    outcome_unref(r.waiter.outcome);
}

static void within_stale_if_error_the_old_value_is_served_only_when_the_load_fails(void **state)
{
    (void)state;
    struct reader r;
    struct outcome timed_out = {.references = 1, .kind = OUTCOME_TIMEOUT};
    start_with(" ttl 10s\n stale-if-error 20s\n max-waiters 1");
    load_key("k:1");
    fake_source_fail(1, ERR_SOURCE, true);
    assert_int_equal(run(&r, "k:1", KEY_READS, NULL, later(10001)), VERDICT_PARK);
    await_wakes(2);
    struct outcome *failed = r.waiter.outcome;
    assert_int_equal(failed->kind, OUTCOME_ERROR);
    assert_int_equal(run(&r, "k:1", KEY_READS, failed, later(10001)), VERDICT_USE);
    assert_string_equal(r.value, "v1");
    assert_int_equal(run(&r, "k:1", KEY_NEEDS, failed, later(10001)), VERDICT_FAIL); /* never builds on stale */
    assert_int_equal(run(&r, "k:1", KEY_READS, failed, later(30001)), VERDICT_FAIL);
    assert_int_equal(r.answer.error, ERR_SOURCE);
    outcome_unref(failed);
    assert_int_equal(run(&r, "k:1", KEY_READS, &timed_out, later(10001)), VERDICT_USE);

    fake_source_close_gate();
    struct reader first;
    assert_int_equal(run(&first, "k:1", KEY_READS, NULL, later(10001)), VERDICT_PARK);
    assert_int_equal(run(&r, "k:1", KEY_READS, NULL, later(10001)), VERDICT_USE); /* max-waiters: as if timed out */
    assert_string_equal(r.value, "v1");
    fake_source_open_gate();
    await_wakes(3);
    outcome_unref(first.waiter.outcome);
}

static void an_open_breaker_answers_at_once_with_the_stale_value_if_there_is_one(void **state)
{
    (void)state;
    struct reader r;
    start_with(" ttl 10s\n stale-if-error 1h");
    load_key("k:old");
    fake_source_fail(1000, ERR_SOURCE, true);
    for (unsigned i = 0; i < BREAKER_QUERY_COUNT_MIN + 1; i++) {
        char name[16];
        snprintf(name, sizeof name, "k:%u", i);
        if (read_key(&r, name) == VERDICT_PARK) {
            await_wakes(i + 2);
            outcome_unref(r.waiter.outcome);
        }
    }
    assert_int_equal(read_key(&r, "k:new"), VERDICT_FAIL);
    assert_int_equal(r.answer.error, ERR_SOURCE_DOWN);
    unsigned queries = fake_source_queries();
    assert_int_equal(run(&r, "k:old", KEY_READS, NULL, later(10001)), VERDICT_USE);
    assert_string_equal(r.value, "v1");
    assert_int_equal(run(&r, "k:old", KEY_NEEDS, NULL, later(10001)), VERDICT_FAIL);
    assert_int_equal(fake_source_queries(), queries);
}

static void a_read_past_its_share_of_ttl_refreshes_ahead(void **state)
{
    (void)state;
    struct reader r;
    start_with(" ttl 10s\n refresh ahead 50%");
    load_key("k:1");
    assert_int_equal(run(&r, "k:1", KEY_READS, NULL, later(1000)), VERDICT_USE);
    assert_int_equal(fake_source_queries(), 1);
    fake_source_set_row("v2");
    assert_int_equal(run(&r, "k:1", KEY_READS, NULL, later(6000)), VERDICT_USE);
    assert_string_equal(r.value, "v1");
    await_loads(2);
    assert_stored("k:1", "v2");
}

static void with_on_miss_return_nobody_waits(void **state)
{
    (void)state;
    struct reader r;
    start_with(" ttl 10s\n stale-if-error 1h\n on-miss return");
    assert_int_equal(read_key(&r, "k:1"), VERDICT_USE);
    assert_false(r.there);
    assert_int_equal(run(&r, "k:1", KEY_NEEDS, NULL, later(0)), VERDICT_USE);
    assert_int_equal(fake_source_queries(), 0);
    struct key k = keyspace_key(ks, 0, S("k:1"));
    shard_lock(k.shard);
    assert_int_equal(load_refresh(rs, &rs->published->rules[0], &k), OK);
    assert_int_equal(load_refresh(rs, &rs->published->rules[0], &k), OK); /* one is enough */
    shard_unlock(k.shard);
    await_loads(1);
    assert_stored("k:1", "v1");
    fake_source_set_row("v2");
    assert_int_equal(run(&r, "k:1", KEY_READS, NULL, later(10001)), VERDICT_USE);
    assert_string_equal(r.value, "v1");
    await_loads(2);
    assert_stored("k:1", "v2");
}

/* ---- walks ------------------------------------------------------------------------------------------------------------------------------- */
static uint64_t walk_all(const struct walk_order *order)
{
    struct walk *w = walk_new(rs, order);
    assert_non_null(w);
    while (!walk_step(w, clock_now())) {}
    uint64_t touched = walk_touched(w);
    walk_free(w);
    return touched;
}

static void a_walk_touches_what_it_names_and_voids_loads(void **state)
{
    (void)state;
    struct reader in_flight, r;
    start_with(" ttl 10s\n stale-if-error 1h");
    for (unsigned i = 0; i < 2000; i++) {
        char name[16];
        snprintf(name, sizeof name, "%s:%u", i % 2 ? "k" : "other", i);
        change(name, "set");
    }
    fake_source_close_gate();
    assert_int_equal(read_key(&in_flight, "k:x"), VERDICT_PARK);
    fake_source_await(1);
    assert_int_equal(walk_all(&(struct walk_order){.rule = S("k:{id}")}), 1000);
    fake_source_open_gate();
    await_wakes(1);
    assert_got(&in_flight, "v1");
    await_loads(1);
    assert_stored("k:x", NULL);
    assert_int_equal(keyspace_key_count(ks, 0), 1000);
    assert_int_equal(walk_all(&(struct walk_order){.prefix = S("other:1")}),
                     555); /* 1, 1x, 1xx, 1xxx: the even ones, and without 1 itself */
    assert_int_equal(keyspace_key_count(ks, 0), 445);
    assert_int_equal(walk_all(&(struct walk_order){.db = 1, .prefix = S("")}), 0);

    load_key("k:soft");
    assert_int_equal(walk_all(&(struct walk_order){.prefix = S("k:"), .soft = true}), 1);
    fake_source_fail(1, ERR_SOURCE, true);
    assert_int_equal(read_key(&r, "k:soft"), VERDICT_PARK); /* stale now, so it is loaded */
    await_wakes(3);
    struct outcome *failed = r.waiter.outcome;
    assert_int_equal(run(&r, "k:soft", KEY_READS, failed, later(0)), VERDICT_USE);
    assert_string_equal(r.value, "v1");
    outcome_unref(failed);
    assert_int_equal(walk_all(&(struct walk_order){.prefix = S("other:"), .soft = true}),
                     445); /* nothing could refresh these: they go */
    assert_int_equal(keyspace_key_count(ks, 0), 1);
}

/* ---- life -------------------------------------------------------------------------------------------------------------------------------- */
static void a_reload_keeps_the_rules_of_loads_that_run(void **state)
{
    (void)state;
    struct reader r;
    start_with(" ttl 10s");
    fake_source_close_gate();
    assert_int_equal(read_key(&r, "k:1"), VERDICT_PARK);
    fake_source_await(1);
    reload("");
    assert_false(rules_reap(rs)); /* the load still needs the old set */
    struct loader *loader = rules_loader(rs);
    assert_null(loader->govern(loader, 0, S("k:1")));
    fake_source_open_gate();
    await_wakes(1);
    assert_got(&r, "v1");
    while (!rules_reap(rs)) {
        lock_acquire(&wake_lock);
        condition_wait(&woken, &wake_lock, clock_mono_ms() + 1);
        lock_release(&wake_lock);
    }
    assert_stored("k:1", "v1");
}

static void stopping_answers_everyone_who_waits(void **state)
{
    (void)state;
    static struct reader readers[100];
    struct reader late;
    start_with(" ttl 10s");
    fake_source_close_gate();
    for (unsigned i = 0; i < countof(readers); i++) {
        char name[16];
        snprintf(name, sizeof name, "k:%u", i / 2);
        assert_int_equal(read_key(&readers[i], name), VERDICT_PARK);
    }
    rules_stop(rs);
    assert_int_equal(wake_count, countof(readers));
    for (unsigned i = 0; i < countof(readers); i++) {
        assert_int_equal(readers[i].waiter.outcome->kind, OUTCOME_ERROR);
        assert_int_equal(readers[i].waiter.outcome->error, ERR_SOURCE_DOWN);
        outcome_unref(readers[i].waiter.outcome);
    }
    assert_int_equal(read_key(&late, "k:1"), VERDICT_FAIL);
    assert_int_equal(late.answer.error, ERR_SOURCE_DOWN);
}

static void info_tells_of_rules_and_sources(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 16);
    start_with(" ttl 10s");
    load_key("k:1");
    await_loads(1);
    rules_info(rs, &out, clock_mono_ms());
    buf_append_byte(&out, '\0');
    assert_string_equal(
        out.bytes,
        "cache_rules:1\r\ncache_sources:1\r\n"
        "rule0:pattern=k:{id},database=0,hits=0,stale_hits=0,negative_hits=0,misses=1,coalesced=0,refused=0,loads=1,refreshes=0,"
        "failed=0,negative=0,voided=0,waiters=0\r\n"
        "source0:name=s,kind=fake,breaker=closed,connections=1,inflight=0,queued=0,queries=1,retries=0,errors=0,timeouts=0\r\n");
    buf_fini(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_thousand_readers_make_one_query),
        TEST(an_absent_row_is_remembered),
        TEST(a_row_that_is_gone_takes_the_stale_value_with_it),
        TEST(a_write_during_a_load_wins_and_waiters_get_the_row),
        TEST(readers_after_an_invalidation_start_a_new_load),
        TEST(a_write_never_builds_on_what_was_overtaken),
        TEST(max_waiters_are_parked_and_no_more),
        TEST(a_reader_waits_for_wait_timeout_and_the_load_fills_all_the_same),
        TEST(a_key_that_cannot_be_bound_is_refused_without_a_query),
        TEST(within_stale_while_revalidate_the_old_value_is_served_and_one_refresh_runs),
        TEST(within_stale_if_error_the_old_value_is_served_only_when_the_load_fails),
        TEST(an_open_breaker_answers_at_once_with_the_stale_value_if_there_is_one),
        TEST(a_read_past_its_share_of_ttl_refreshes_ahead),
        TEST(with_on_miss_return_nobody_waits),
        TEST(a_walk_touches_what_it_names_and_voids_loads),
        TEST(a_reload_keeps_the_rules_of_loads_that_run),
        TEST(stopping_answers_everyone_who_waits),
        TEST(info_tells_of_rules_and_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
