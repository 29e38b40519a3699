/* The keyspace as a whole: expiry in order, what each change notes, flush and swap, scans, random keys, counts. */
#include "keyspace/keyspace_priv.h"
#include "keyspace/testing_priv.h"

#include "os/mem.h"

/* ---- a tap that remembers ---------------------------------------------------------------------------------------- */

/* Of "key:000077". */
static unsigned number_of(slice key)
{
    unsigned number = 0;
    for (size_t i = 4; i < key.len; i++) {
        number = number * 10 + (unsigned)(key.ptr[i] - '0');
    }
    return number;
}

struct watcher {
    struct tap tap;
    struct keyspace *ks;
    unsigned count[EVENT_COUNT];
    unsigned del_record_count;
    int64_t *deadlines; /* by number of the key: when it should go */
    int64_t last[SHARD_COUNT_MAX];
    unsigned disorder_count;
};

static void watch(struct tap *t, const struct effect *fx)
{
    struct watcher *w = container_of(t, struct watcher, tap);
    for (const struct touch *touch = fx->touches; touch; touch = touch->next) {
        w->count[touch->event]++;
        if (touch->event == EVENT_expired && w->deadlines) {
            assert_int_equal(touch->change, CHANGE_EXPIRED);
            struct key k = keyspace_key(w->ks, touch->db, touch->key);
            int64_t deadline = w->deadlines[number_of(touch->key)];
            assert_true(deadline <= fx->now.wall_ms);
            w->disorder_count += deadline < w->last[shard_number(k.shard)];
            w->last[shard_number(k.shard)] = deadline;
        }
    }
    for (const struct record *r = fx->records; r; r = r->next) {
        assert_true(fx->records_replaced);
        assert_int_equal(r->argc, 2);
        w->del_record_count += slice_equal(r->argv[0], S("DEL"));
    }
}

static void watcher_init(struct watcher *w, struct bench *b)
{
    *w = (struct watcher){.tap = {.wants_records = true, .effect = watch}, .ks = b->ks};
    assert_false(keyspace_wants_records(b->ks));
    keyspace_add_tap(b->ks, &w->tap);
    assert_true(keyspace_wants_records(b->ks));
}

/* ---- expiry ------------------------------------------------------------------------------------------------------ */

/* Ticks until no worker has had anything to do for three rounds: what one round puts into limbo, another frees. */
static void come_to_rest(struct keyspace *ks, unsigned worker_count, struct now now)
{
    for (unsigned i = 0, quiet = 0; quiet < 3 * worker_count; i++) {
        quiet = keyspace_tick(ks, i % worker_count, now, TICK_US) == now.mono_ms + 25 ? quiet + 1 : 0;
    }
}

static void test_expired_events_come_in_the_order_of_deadlines(void **state)
{
    (void)state;
    enum { COUNT = 1000000 };
    struct bench b;
    struct watcher w;
    struct random r;
    bench_init(&b, 2, 0, EVICTION_NONE);
    watcher_init(&w, &b);
    random_init(&r, 7, 8);
    w.deadlines = calloc(COUNT, sizeof *w.deadlines);
    for (unsigned i = 0; i < COUNT; i++) {
        w.deadlines[i] = NOW + 1 + (int64_t)random_below(&r, 3600000);
        bench_set(&b, i % 3, i, S("value"), w.deadlines[i]);
    }
    assert_int_equal(keyspace_expiring_count(b.ks, 0), (COUNT + 2) / 3);
    int64_t mean = keyspace_mean_ttl_ms(b.ks, 0, NOW);
    assert_true(mean > 1700000 && mean < 1900000);

    /* A little later a few are due, then all at once. */
    struct now now = {.wall_ms = NOW + 10000, .mono_ms = 11000};
    unsigned due = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        due += w.deadlines[i] <= now.wall_ms;
    }
    for (unsigned worker = 0; worker < 2; worker++) {
        while (keyspace_tick(b.ks, worker, now, TICK_US) == now.mono_ms) {}
    }
    assert_int_equal(w.count[EVENT_expired], due);
    now = (struct now){.wall_ms = NOW + 3600001, .mono_ms = 12000};
    unsigned before = w.count[EVENT_expired], ticks = 0, most = 0;
    while (w.count[EVENT_expired] < COUNT) {
        keyspace_tick(b.ks, ticks++ % 2, now, TICK_US);
        most = w.count[EVENT_expired] - before > most ? w.count[EVENT_expired] - before : most;
        before = w.count[EVENT_expired];
        assert_true(ticks < COUNT);
    }
    assert_true(most <= 2048);
    assert_int_equal(w.disorder_count, 0);
    assert_int_equal(w.del_record_count, COUNT);
    assert_int_equal(keyspace_key_count(b.ks, 0) + keyspace_key_count(b.ks, 1) + keyspace_key_count(b.ks, 2), 0);
    keyspace_check(b.ks);
    come_to_rest(b.ks, 2, now);
    assert_int_equal(keyspace_used_bytes(b.ks), 0);
    assert_int_equal(keyspace_slabs(b.ks).used_bytes, 0);
    free(w.deadlines);
    bench_fini(&b);
}

/* Many deadlines in the calendar's slot of 17 minutes are dealt out before its time, so that nothing is late when it comes. */
static void test_nothing_is_late_at_the_edge_of_a_large_slot(void **state)
{
    (void)state;
    enum { COUNT = 400000, SLOT_MS = 1 << 20, APART_MS = 2, STEPS = 100, LATE_MOST = 15 };
    struct bench b;
    struct watcher w;
    int64_t begin = (NOW / SLOT_MS + 2) * SLOT_MS;
    bench_init(&b, 1, 0, EVICTION_NONE);
    watcher_init(&w, &b);
    for (unsigned i = 0; i < COUNT; i++) {
        bench_set(&b, 0, i, S("value"), begin + (int64_t)i * APART_MS);
    }
    for (int64_t left_ms = 480000; left_ms > 0; left_ms -= left_ms > 2000 ? 1000 : 25) {
        struct now now = {.wall_ms = begin - left_ms, .mono_ms = 480001 - left_ms};
        while (keyspace_tick(b.ks, 0, now, TICK_US) == now.mono_ms) {}
    }
    assert_int_equal(w.count[EVENT_expired], 0);
    for (unsigned i = 0; i < STEPS; i++) {
        keyspace_tick(b.ks, 0, (struct now){.wall_ms = begin + i * APART_MS, .mono_ms = 480001 + i * APART_MS},
                      TICK_US);
        assert_true(w.count[EVENT_expired] + LATE_MOST > i);
    }
    keyspace_check(b.ks);
    bench_fini(&b);
}

/* SET EX 86400 and DEL of ever new keys: what they leave in the calendar is tidied away as fast as it comes. */
static void test_deadlines_that_never_come_cost_nothing(void **state)
{
    (void)state;
    enum { COUNT = 400000, STAY = 1000 };
    struct bench b;
    struct now now = {.wall_ms = NOW, .mono_ms = 1};
    bench_init(&b, 1, 4 << 20, EVICTION_NONE);
    for (unsigned i = 0; i < STAY; i++) {
        bench_set(&b, i % 2, i, S("value"), NOW + 2 * 86400000);
    }
    uint64_t before = keyspace_used_bytes(b.ks), most = 0;
    for (unsigned i = STAY; i < STAY + COUNT; i++) {
        bench_set(&b, i % 2, i, S("value"), now.wall_ms + 86400000);
        assert_true(bench_remove(&b, i % 2, i));
        if (i % 100 == 0) {
            now.wall_ms++;
            now.mono_ms++;
            keyspace_tick(b.ks, 0, now, TICK_US);
            most = keyspace_used_bytes(b.ks) > most ? keyspace_used_bytes(b.ks) : most;
        }
    }
    assert_true(most < before + 100000);
    keyspace_check(b.ks);
    bench_fini(&b);
}

static void test_active_expiry_can_be_switched_off(void **state)
{
    (void)state;
    struct bench b;
    struct now now = {.wall_ms = NOW + 10, .mono_ms = 1};
    bench_init(&b, 1, 0, EVICTION_NONE);
    bench_set(&b, 0, 1, S("value"), NOW + 1);
    assert_true(keyspace_tick(b.ks, 0, (struct now){.wall_ms = NOW - 4, .mono_ms = 1}, TICK_US) <= 6);
    keyspace_set_active_expiry(b.ks, false);
    assert_true(keyspace_tick(b.ks, 0, now, TICK_US) > now.mono_ms); /* what is due and stays wakes nobody */
    assert_true(bench_has(&b, 0, 1));
    keyspace_set_active_expiry(b.ks, true);
    keyspace_tick(b.ks, 0, now, TICK_US);
    assert_false(bench_has(&b, 0, 1));
    bench_fini(&b);
}

static void freeze(struct bench *b, int64_t until_mono_ms)
{
    keyspace_lock_all(b->ks);
    keyspace_freeze(b->ks, until_mono_ms);
    keyspace_unlock_all(b->ks);
}

static void test_nothing_expires_while_frozen(void **state)
{
    (void)state;
    struct bench b;
    struct now now = {.wall_ms = NOW + 10, .mono_ms = 1};
    bench_init(&b, 1, 0, EVICTION_NONE);
    bench_set(&b, 0, 1, S("value"), NOW + 1);
    freeze(&b, 1000);
    assert_true(keyspace_tick(b.ks, 0, now, TICK_US) > now.mono_ms);
    assert_true(bench_has(&b, 0, 1));
    freeze(&b, 0);
    keyspace_tick(b.ks, 0, now, TICK_US);
    assert_false(bench_has(&b, 0, 1));
    bench_fini(&b);
}

/* ---- what a change notes ----------------------------------------------------------------------------------------- */

static void expect_touch(struct bench *b, const struct key *k, enum change change, enum event event)
{
    assert_int_equal(b->fx.touch_count, 1);
    assert_int_equal(b->fx.touches->change, change);
    assert_int_equal(b->fx.touches->event, event);
    assert_int_equal(b->fx.touches->db, k->db);
    assert_true(slice_equal(b->fx.touches->key, k->bytes));
    assert_false(b->fx.records_replaced);
    bench_reset(b);
}

/* Every function that alters notes its change, and voids a pending load but for fills, expiry and eviction. */
static void test_what_each_change_notes_and_voids(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_NONE);
    struct key k = bench_key(&b, 3, 1);
    struct shard *s = k.shard;
    struct content c = content_string(S("value"));
    struct entry *e;
    char *value;
    struct pending *p;
    c.deadline = NOW + 1000;
    c.fresh_until = NOW + 500;
    shard_lock(s);

#define STEP(call, change, event, voids)                      \
    do {                                                      \
        p = pending_open(s, &k, NULL);                        \
        call;                                                 \
        expect_touch(&b, &k, change, event);                  \
        assert_int_equal(!p->attached, voids);                \
        assert_int_equal(pending_find(s, &k) == p, !(voids)); \
        pending_close(p);                                     \
        shard_check(s);                                       \
    } while (0)

    STEP(assert_int_equal(shard_insert(s, &k, &c, &b.fx, EVENT_fill, &e), OK), CHANGE_FILLED, EVENT_fill, false);
    STEP(assert_int_equal(shard_replace(s, &k, e, &c, &b.fx, EVENT_fill, &e), OK), CHANGE_FILLED, EVENT_fill, false);
    STEP(assert_int_equal(shard_soften(s, &k, e, &b.fx, &e), OK), CHANGE_CHANGED, EVENT_NONE, true);
    assert_true(entry_stale(e, NOW));
    assert_true(entry_deadline(e) == NOW + 1000);
    STEP(assert_int_equal(shard_replace(s, &k, e, &c, &b.fx, EVENT_set, &e), OK), CHANGE_CHANGED, EVENT_set, true);
    assert_false(entry_stale(e, NOW));
    STEP(assert_int_equal(shard_set_times(s, &k, e, NO_DEADLINE, NO_DEADLINE, &b.fx, EVENT_persist, &e), OK),
         CHANGE_CHANGED, EVENT_persist, true);
    STEP(assert_int_equal(shard_set_times(s, &k, e, NOW + 5, NOW + 5, &b.fx, EVENT_expire, &e), OK), CHANGE_CHANGED,
         EVENT_expire, true);
    STEP(assert_int_equal(shard_edit_string(s, &k, e, 300, &b.fx, EVENT_setrange, &e, &value), OK), CHANGE_CHANGED,
         EVENT_setrange, true);
    assert_int_equal(entry_encoding(e), ENCODING_RAW);
    STEP(shard_remove(s, &k, e, &b.fx, CHANGE_DELETED, EVENT_del), CHANGE_DELETED, EVENT_del, true);
    STEP(assert_int_equal(shard_insert(s, &k, &c, &b.fx, EVENT_set, &e), OK), CHANGE_CREATED, EVENT_set, true);
    STEP(shard_remove(s, &k, e, &b.fx, CHANGE_EXPIRED, EVENT_expired), CHANGE_EXPIRED, EVENT_expired, false);
    STEP(assert_int_equal(shard_insert(s, &k, &c, &b.fx, EVENT_set, &e), OK), CHANGE_CREATED, EVENT_set, true);
    STEP(shard_remove(s, &k, e, &b.fx, CHANGE_EVICTED, EVENT_evicted), CHANGE_EVICTED, EVENT_evicted, false);
#undef STEP

    shard_unlock(s);
    assert_true(slice_equal(event_text(EVENT_rename_from), S("rename_from")));
    assert_int_equal(event_class(EVENT_expired), 'x');
    bench_fini(&b);
}

static void test_records(void **state)
{
    (void)state;
    struct bench b;
    slice argv[] = {S("SET"), S("k"), S("v")};
    bench_init(&b, 1, 0, EVICTION_NONE);
    effect_record_before(&b.fx, 1, 3, argv);
    effect_record_before(&b.fx, 2, 2, argv);
    assert_false(b.fx.records_replaced);
    effect_record_instead(&b.fx, 3, 1, argv);
    assert_true(b.fx.records_replaced);
    unsigned db = 1;
    for (const struct record *r = b.fx.records; r; r = r->next) {
        assert_int_equal(r->db, db);
        assert_int_equal(r->argc, 4 - db++);
    }
    assert_int_equal(db, 4);
    effect_init(&b.fx, &b.arena, b.fx.now, false);
    effect_record_instead(&b.fx, 3, 1, argv);
    assert_null(b.fx.records);
    bench_fini(&b);
}

/* ---- negative entries -------------------------------------------------------------------------------------------- */

static void test_negative_entries_are_not_counted(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_NONE);
    struct key k = bench_key(&b, 0, 1);
    struct content c = {.negative = true, .deadline = NOW + 10, .fresh_until = NOW + 10};
    struct entry *e;
    shard_lock(k.shard);
    assert_int_equal(shard_insert(k.shard, &k, &c, &b.fx, EVENT_fill, &e), OK);
    assert_true(entry_negative(e));
    assert_int_equal(keyspace_key_count(b.ks, 0), 0);
    assert_int_equal(keyspace_expiring_count(b.ks, 0), 0);
    assert_null(shard_random(k.shard, 0, 1, NOW));
    c = content_string(S("value"));
    assert_int_equal(shard_replace(k.shard, &k, e, &c, &b.fx, EVENT_fill, &e), OK);
    assert_int_equal(keyspace_key_count(b.ks, 0), 1);
    assert_ptr_equal(shard_random(k.shard, 0, 1, NOW), e);
    shard_check(k.shard);
    shard_unlock(k.shard);
    bench_fini(&b);
}

static void test_negative_entries_go_without_an_event(void **state)
{
    (void)state;
    struct bench b;
    struct watcher w;
    bench_init(&b, 1, 0, EVICTION_NONE);
    watcher_init(&w, &b);
    struct key k = bench_key(&b, 0, 1);
    struct content c = {.negative = true, .deadline = NOW + 10, .fresh_until = NOW + 10};
    struct entry *e;
    shard_lock(k.shard);
    assert_int_equal(shard_insert(k.shard, &k, &c, &b.fx, EVENT_fill, &e), OK);
    shard_unlock(k.shard);
    keyspace_tick(b.ks, 0, (struct now){.wall_ms = NOW + 10, .mono_ms = 1}, TICK_US);
    assert_int_equal(w.count[EVENT_expired], 0);
    assert_int_equal(w.count[EVENT_NONE], 1);
    assert_false(bench_has(&b, 0, 1));
    bench_fini(&b);
}

/* ---- flush and swap ---------------------------------------------------------------------------------------------- */

/* A tick that goes on with another chore in the same millisecond does not ask again what expires, and still knows. */
static void test_what_expires_next_is_known_in_the_same_millisecond(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_NONE);
    struct now now = {.wall_ms = NOW, .mono_ms = 1000};
    bench_set(&b, 0, 1, S("v"), NOW + 5);
    while (keyspace_tick(b.ks, 0, now, TICK_US) == now.mono_ms) {}
    assert_int_equal(keyspace_tick(b.ks, 0, now, TICK_US), now.mono_ms + 5);
    b.ks->housekeepers[0].busy_chores = 2;
    assert_int_equal(keyspace_tick(b.ks, 0, now, TICK_US), now.mono_ms + 5);
    bench_fini(&b);
}

static void test_flush(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct bench b;
    struct watcher w;
    bench_init(&b, 1, 0, EVICTION_NONE);
    watcher_init(&w, &b);
    for (unsigned i = 0; i < COUNT; i++) {
        bench_set(&b, i % 2, i, S("value"), i % 4 < 2 ? NO_DEADLINE : NOW + 5);
    }
    uint64_t full = keyspace_used_bytes(b.ks);
    struct key k = bench_key(&b, 0, COUNT);
    shard_lock(k.shard);
    struct pending *p = pending_open(k.shard, &k, NULL);
    shard_unlock(k.shard);

    keyspace_lock_all(b.ks);
    assert_int_equal(keyspace_flush_db(b.ks, 0), COUNT / 2);
    assert_int_equal(keyspace_flush_db(b.ks, 0), 0);
    assert_false(p->attached);
    pending_close(p);
    keyspace_unlock_all(b.ks);
    assert_int_equal(keyspace_key_count(b.ks, 0), 0);
    assert_int_equal(keyspace_expiring_count(b.ks, 0), 0);
    assert_int_equal(keyspace_key_count(b.ks, 1), COUNT / 2);
    keyspace_check(b.ks);

    /* The new space fills while the old one is being freed, whose deadlines come to nothing. */
    for (unsigned i = 0; i < 100; i++) {
        bench_set(&b, 0, i, S("new"), NO_DEADLINE);
    }
    struct now now = {.wall_ms = NOW + 10, .mono_ms = 0};
    for (unsigned i = 0; i < 1000; i++) {
        now.mono_ms++;
        keyspace_tick(b.ks, 0, now, TICK_US);
    }
    assert_int_equal(w.count[EVENT_expired], COUNT / 4);
    assert_true(keyspace_reap(b.ks, 0));
    keyspace_check(b.ks);
    assert_int_equal(keyspace_key_count(b.ks, 0), 100);
    assert_int_equal(keyspace_key_count(b.ks, 1), COUNT / 4);
    assert_true(keyspace_used_bytes(b.ks) < full / 2);

    keyspace_lock_all(b.ks);
    keyspace_flush_db(b.ks, 0);
    keyspace_flush_db(b.ks, 1);
    keyspace_unlock_all(b.ks);
    assert_true(keyspace_used_bytes(b.ks) > 0);
    while (!keyspace_reap(b.ks, 1)) {}
    assert_int_equal(keyspace_used_bytes(b.ks), 0);
    keyspace_check(b.ks);
    bench_fini(&b);
}

static void test_swap(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_NONE);
    for (unsigned i = 0; i < 1000; i++) {
        bench_set(&b, 1, i, S("value"), NOW + 5);
    }
    bench_set(&b, 2, 7, S("other"), NO_DEADLINE);
    keyspace_lock_all(b.ks);
    keyspace_swap_dbs(b.ks, 1, 2);
    keyspace_swap_dbs(b.ks, 2, 3);
    keyspace_swap_dbs(b.ks, 5, 5);
    keyspace_unlock_all(b.ks);
    assert_int_equal(keyspace_key_count(b.ks, 1), 1);
    assert_int_equal(keyspace_key_count(b.ks, 2), 0);
    assert_int_equal(keyspace_key_count(b.ks, 3), 1000);
    assert_int_equal(keyspace_expiring_count(b.ks, 3), 1000);
    assert_true(bench_has(&b, 3, 999));
    bench_set(&b, 3, 1, S("again"), NO_DEADLINE);
    keyspace_check(b.ks);
    for (unsigned i = 0; i < 100; i++) {
        keyspace_tick(b.ks, 0, (struct now){.wall_ms = NOW + 10, .mono_ms = i}, TICK_US);
    }
    assert_int_equal(keyspace_key_count(b.ks, 3), 1);
    bench_fini(&b);
}

/* ---- scans and random keys --------------------------------------------------------------------------------------- */

enum { SCANNED = 5000 };

static void mark(void *argument, struct entry *e)
{
    unsigned *seen = argument;
    seen[number_of(entry_key(e))]++;
}

static void test_scan(void **state)
{
    (void)state;
    struct bench b;
    struct random r;
    unsigned seen[SCANNED] = {0};
    bench_init(&b, 1, 0, EVICTION_NONE);
    random_init(&r, 9, 10);
    for (unsigned i = 0; i < SCANNED; i++) {
        bench_set(&b, 0, i, S("value"), NO_DEADLINE);
    }
    uint64_t cursor = 0;
    unsigned calls = 0;
    do {
        cursor = keyspace_scan(b.ks, 0, cursor, 10, mark, seen);
        assert_true(cursor < (uint64_t)1 << 53);
        calls++;
    } while (cursor != 0);
    for (unsigned i = 0; i < SCANNED; i++) {
        assert_int_equal(seen[i], 1);
    }
    assert_true(calls > SCANNED / 30 && calls <= SCANNED / 10);
    assert_int_equal(keyspace_scan(b.ks, 4, 0, 10, mark, seen), 0);
    for (unsigned i = 0; i < 10000; i++) {
        cursor = random_u64(&r) >> random_below(&r, 64);
        for (unsigned pace = 0; pace < 3; pace++) {
            cursor = keyspace_scan(b.ks, 0, cursor, 10, mark, seen);
        }
    }
    memset(seen, 0, sizeof seen);
    keyspace_lock_all(b.ks);
    keyspace_each(b.ks, 0, mark, seen);
    keyspace_unlock_all(b.ks);
    for (unsigned i = 0; i < SCANNED; i++) {
        assert_int_equal(seen[i], 1);
    }
    bench_fini(&b);
}

struct sweeper {
    struct bench *bench;
    struct shard *shard;
    unsigned count;
};

static void remove_met(void *argument, struct entry *e)
{
    struct sweeper *w = argument;
    struct key k = keyspace_key(w->bench->ks, 0, entry_key(e));
    if (++w->count % 10 != 0) {
        shard_remove(w->shard, &k, e, &w->bench->fx, CHANGE_DELETED, EVENT_del);
    }
}

/* A walk whose visits remove meets everything all the same, though the index shrinks under it. */
static void test_removing_while_walking(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 4 << 20, EVICTION_NONE);
    for (unsigned i = 0; i < SCANNED; i++) {
        bench_set(&b, 0, i, S("value"), i % 2 ? NO_DEADLINE : NOW + 5);
    }
    unsigned round = 0;
    for (; keyspace_key_count(b.ks, 0) > 0; round++) {
        for (unsigned i = 0; i < keyspace_shard_count(b.ks); i++) {
            struct sweeper w = {.bench = &b, .shard = keyspace_shard(b.ks, i), .count = round};
            uint64_t before = shard_key_count(w.shard, 0);
            shard_lock(w.shard);
            assert_int_equal(shard_walk(w.shard, 0, 0, SIZE_MAX, remove_met, &w), 0);
            shard_check(w.shard);
            shard_unlock(w.shard);
            assert_true(w.count - round >= before);
        }
    }
    assert_true(round < 20);
    bench_fini(&b);
}

static void test_random_keys(void **state)
{
    (void)state;
    enum { COUNT = 500, DRAWS = 50000 };
    struct bench b;
    unsigned seen[COUNT] = {0};
    bench_init(&b, 1, 0, EVICTION_NONE);
    assert_null(keyspace_random_key(b.ks, 0, &b.arena, 1, NOW).ptr);
    for (unsigned i = 0; i < COUNT; i++) {
        bench_set(&b, 0, i, S("value"), NO_DEADLINE);
    }
    for (unsigned i = 0; i < DRAWS; i++) {
        slice key = keyspace_random_key(b.ks, 0, &b.arena, i, NOW);
        seen[number_of(key)]++;
        bench_reset(&b);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(seen[i] > DRAWS / COUNT / 3 && seen[i] < DRAWS / COUNT * 3);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        bench_set(&b, 0, i, S("value"), i == 77 ? NO_DEADLINE : NOW + 5);
    }
    slice last = keyspace_random_key(b.ks, 0, &b.arena, 5, NOW + 10);
    assert_non_null(last.ptr);
    assert_int_equal(number_of(last), 77);
    bench_fini(&b);
}

/* ---- locks ------------------------------------------------------------------------------------------------------- */

static void test_locking_many_keys(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    static const unsigned workers[] = {1, 64};
    for (unsigned i = 0; i < countof(workers); i++) {
        struct bench b;
        struct key keys[COUNT];
        bench_init(&b, workers[i], 0, EVICTION_NONE);
        for (unsigned count = 0; count < COUNT; count += 1 + count / 2) {
            for (unsigned k = 0; k < count; k++) {
                keys[k] = bench_key(&b, 0, k % 200);
            }
            keyspace_lock_keys(b.ks, keys, count);
            for (unsigned k = 0; k < count; k++) {
                shard_assert_locked(keys[k].shard);
            }
            keyspace_unlock_keys(b.ks, keys, count);
        }
        keyspace_lock_all(b.ks);
        keyspace_unlock_all(b.ks);
        keyspace_check(b.ks);
        bench_fini(&b);
    }
}

enum { MANY = 120000 };

static void fill_and_thin(struct bench *b)
{
    static char value[3000];
    memset(value, 'v', sizeof value);
    for (unsigned i = 0; i < MANY; i++) {
        bench_set(b, i % 2, i, slice_make(value, i % 7 == 0 ? 2500 : 100), i % 3 ? NOW + 1000000 + i : NO_DEADLINE);
    }
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 5) {
            assert_true(bench_remove(b, i % 2, i));
        }
    }
}

static void expect_thinned(struct bench *b)
{
    keyspace_check(b->ks);
    for (unsigned i = 0; i < MANY; i++) {
        struct key k = bench_key(b, i % 2, i);
        shard_lock(k.shard);
        struct entry *e = shard_find(k.shard, &k);
        assert_int_equal(e != NULL, i % 5 == 0);
        if (e) {
            assert_int_equal(entry_string(e).len, i % 7 == 0 ? 2500 : 100);
            assert_true(entry_deadline(e) == (i % 3 ? NOW + 1000000 + i : NO_DEADLINE));
        }
        shard_unlock(k.shard);
    }
}

/* What a mass deletion leaves sparse is moved together, by ticks or at once; calendar and eviction follow. */
static void test_sparse_entries_move_together(void **state)
{
    (void)state;
    static const enum eviction policies[] = {EVICTION_NONE, EVICTION_ADAPTIVE};
    for (unsigned round = 0; round < 4; round++) {
        struct bench b;
        struct now now = {.wall_ms = NOW, .mono_ms = 1};
        bench_init(&b, 1, 0, policies[round % 2]);
        fill_and_thin(&b);
        struct keyspace_slabs before = keyspace_slabs(b.ks), after;
        assert_true(before.held_bytes > 3 * before.used_bytes);
        if (round < 2) {
            do {
                now.mono_ms++;
            } while (keyspace_tick(b.ks, 0, now, TICK_US) <= now.mono_ms + 1);
        } else {
            while (!keyspace_purge(b.ks, 100)) {}
        }
        after = keyspace_slabs(b.ks);
        assert_true(after.used_bytes <= before.used_bytes);
        assert_true(after.held_bytes < before.held_bytes * 2 / 3);
        expect_thinned(&b);
        now.wall_ms = NOW + 1000000 + MANY;
        while (keyspace_tick(b.ks, 0, now, TICK_US) == now.mono_ms) {}
        assert_int_equal(keyspace_key_count(b.ks, 0) + keyspace_key_count(b.ks, 1), MANY / 15);
        keyspace_set_limit(b.ks, 1, EVICTION_ADAPTIVE);
        while (keyspace_make_room(b.ks, now, 0) == OK) {}
        keyspace_check(b.ks);
        bench_fini(&b);
    }
}

/* Blocks of the pool that stay half free become free as a whole, also those of indexes, of which no size is sparse any more. */
static void test_ticks_vacate_blocks(void **state)
{
    (void)state;
    enum { LARGE = 12000, SMALL = 400000, SECONDS = 10 };
    struct bench b;
    struct now now = {.wall_ms = NOW, .mono_ms = 1};
    uint32_t firsts[SLAB_POOL_FIRSTS];
    char large[2000];
    memset(large, 'x', sizeof large);
    bench_init(&b, 1, 0, EVICTION_NONE);
    for (unsigned i = 0; i < LARGE; i++) { /* what comes later has huge pages */
        bench_set(&b, 1, i, slice_make(large, sizeof large), NO_DEADLINE);
    }
    for (unsigned i = 0; i < SMALL; i++) {
        bench_set(&b, 0, i, S(""), NO_DEADLINE);
    }
    for (unsigned i = 0; i < SMALL; i++) {
        assert_true(i % 8 == 0 || bench_remove(&b, 0, i));
    }
    bool vacated = false;
    for (unsigned second = 0; second < SECONDS; second++, now.mono_ms += 1000) {
        vacated = vacated || slab_pool_is_vacating(&b.ks->slab_pool);
        for (int64_t due = now.mono_ms; due <= now.mono_ms + 1 || limbo_is_sparse(&b.ks->limbo);) {
            due = keyspace_tick(b.ks, 0, now, TICK_US);
        }
    }
    assert_true(vacated);
    assert_int_equal(slab_pool_emptiest(&b.ks->slab_pool, true, firsts), 0);
    assert_true(b.ks->slab_pool.bare_count >= 3);
    keyspace_check(b.ks);
    for (unsigned i = 0; i < SMALL; i += 8) {
        assert_true(bench_has(&b, 0, i));
    }
    bench_fini(&b);
}

/* All that a tick may have to do goes on at the same time: none of it waits until another is done. */
static void test_chores_take_turns(void **state)
{
    (void)state;
    enum { EACH = 60000, COST_MAX = 64 /* of an entry, all in */ };
    struct bench b;
    struct watcher w;
    struct now now = {.wall_ms = NOW + 10, .mono_ms = 1};
    bench_init(&b, 1, 0, EVICTION_NONE);
    watcher_init(&w, &b);
    for (unsigned i = 0; i < EACH; i++) {
        bench_set(&b, 0, i, S("to be flushed"), NO_DEADLINE);
        bench_set(&b, 1, i, S("to expire"), NOW + 5);
        bench_set(&b, 2, i, S("to be evicted"), NO_DEADLINE);
    }
    keyspace_lock_all(b.ks);
    keyspace_flush_db(b.ks, 0);
    keyspace_unlock_all(b.ks);
    keyspace_set_limit(b.ks, 1, EVICTION_ALLKEYS_LRU);
    uint64_t before = keyspace_used_bytes(b.ks), reaped = 0;
    while (w.count[EVENT_expired] == 0 || w.count[EVENT_evicted] == 0 || reaped == 0) {
        now.mono_ms++;
        keyspace_tick(b.ks, 0, now, TICK_US);
        uint64_t gone = w.count[EVENT_expired] + w.count[EVENT_evicted], freed = before - keyspace_used_bytes(b.ks);
        reaped = freed > gone * COST_MAX ? freed - gone * COST_MAX : 0;
    }
    assert_in_range(w.count[EVENT_expired], 1, EACH - 1);
    assert_in_range(w.count[EVENT_evicted], 1, EACH - 1);
    assert_in_range(reaped, 1, before / 2);
    come_to_rest(b.ks, 1, now);
    assert_int_equal(keyspace_used_bytes(b.ks), 0);
    bench_fini(&b);
}

/* Without a budget one tick frees, evicts and moves all that there is. */
static void test_a_tick_that_takes_its_time(void **state)
{
    (void)state;
    struct bench b;
    struct now now = {.wall_ms = NOW, .mono_ms = 1};
    bench_init(&b, 1, 0, EVICTION_NONE);
    fill_and_thin(&b);
    uint64_t used_before = keyspace_used_bytes(b.ks);
    for (unsigned i = 0; i < MANY; i++) {
        bench_set(&b, 2, i, S("to be flushed"), NO_DEADLINE);
    }
    keyspace_lock_all(b.ks);
    keyspace_flush_db(b.ks, 2);
    keyspace_unlock_all(b.ks);
    struct keyspace_slabs before = keyspace_slabs(b.ks);
    keyspace_tick(b.ks, 0, now, 0);
    assert_in_range(keyspace_used_bytes(b.ks), 1, used_before * 11 / 10);
    keyspace_give_back(b.ks);
    assert_true(keyspace_slabs(b.ks).held_bytes < before.held_bytes * 2 / 3);
    expect_thinned(&b);
    keyspace_set_limit(b.ks, 1, EVICTION_ADAPTIVE);
    while (keyspace_key_count(b.ks, 0) + keyspace_key_count(b.ks, 1) > 0) {
        assert_true(now.mono_ms++ < 4);
        keyspace_tick(b.ks, 0, now, 0);
    }
    keyspace_check(b.ks);
    bench_fini(&b);
}

static void test_shard_count(void **state)
{
    (void)state;
    static const struct {
        unsigned workers;
        uint64_t limit;
        unsigned shards;
    } rows[] = {{1, 0, 64},        {2, 0, 64},      {3, 0, 128},    {100, 0, 2048},
                {4, 64 << 20, 64}, {4, 4 << 20, 4}, {4, 1 << 20, 4}};
    for (unsigned i = 0; i < countof(rows); i++) {
        struct bench b;
        bench_init(&b, rows[i].workers, rows[i].limit, EVICTION_NONE);
        assert_int_equal(keyspace_shard_count(b.ks), rows[i].shards);
        bench_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expired_events_come_in_the_order_of_deadlines),
        cmocka_unit_test(test_nothing_is_late_at_the_edge_of_a_large_slot),
        cmocka_unit_test(test_deadlines_that_never_come_cost_nothing),
        cmocka_unit_test(test_active_expiry_can_be_switched_off),
        cmocka_unit_test(test_nothing_expires_while_frozen),
        cmocka_unit_test(test_what_each_change_notes_and_voids),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_negative_entries_are_not_counted),
        cmocka_unit_test(test_negative_entries_go_without_an_event),
        cmocka_unit_test(test_flush),
        cmocka_unit_test(test_what_expires_next_is_known_in_the_same_millisecond),
        cmocka_unit_test(test_swap),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_removing_while_walking),
        cmocka_unit_test(test_random_keys),
        cmocka_unit_test(test_locking_many_keys),
        cmocka_unit_test(test_sparse_entries_move_together),
        cmocka_unit_test(test_ticks_vacate_blocks),
        cmocka_unit_test(test_chores_take_turns),
        cmocka_unit_test(test_a_tick_that_takes_its_time),
        cmocka_unit_test(test_shard_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
