/* Eviction: each policy prefers what it should, volatile ones leave other keys alone, the limit is kept. */
#include "keyspace/testing_priv.h"

enum { KEYS = 6000, LATER_MS = 100000 };

/* Even numbers are what the policy should keep. */
static bool is_kept(unsigned number)
{
    return number % 2 == 0;
}

static unsigned count_left(struct bench *b, bool kept)
{
    unsigned count = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        count += is_kept(i) == kept && bench_has(b, 0, i);
    }
    return count;
}

/* Makes room until there is, or none can be made. */
static err make_all_room(struct bench *b, struct now now, uint64_t limit)
{
    err e = OK;
    while (e == OK && keyspace_used_bytes(b->ks) > limit) {
        e = keyspace_make_room(b->ks, now, 0);
    }
    return e;
}

/* Keys of which those to keep are read often and late; deadlines: far for those to keep, near for the others (none for
 * those to keep when `only_some`). Then the memory for a fifth of the keys is taken away. */
static void fill_and_squeeze(struct bench *b, enum eviction policy, bool only_some)
{
    bench_init(b, 1, 0, policy);
    for (unsigned i = 0; i < KEYS; i++) {
        bench_set(b, 0, i, S("0123456789012345678901234567890123456789"),
                  is_kept(i) ? (only_some ? NO_DEADLINE : NOW + 10000000 + i) : NOW + 5000000 + i);
    }
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < KEYS; i += 2) {
            struct key k = bench_key(b, 0, i);
            shard_lock(k.shard);
            shard_note_read(k.shard, shard_find(k.shard, &k), NOW + LATER_MS);
            shard_unlock(k.shard);
        }
    }
    uint64_t used = keyspace_used_bytes(b->ks);
    uint64_t limit = used - KEYS / 5 * 100;
    keyspace_set_limit(b->ks, limit, policy);
    assert_int_equal(make_all_room(b, (struct now){.wall_ms = NOW + LATER_MS, .mono_ms = 1}, limit), OK);
    assert_true(keyspace_used_bytes(b->ks) <= limit * 102 / 100);
    assert_true(keyspace_used_bytes(b->ks) > limit * 98 / 100);
    keyspace_check(b->ks);
}

static void test_policies_prefer_what_they_should(void **state)
{
    (void)state;
    static const enum eviction choosy[] = {EVICTION_ALLKEYS_LRU, EVICTION_ALLKEYS_LFU, EVICTION_VOLATILE_LRU,
                                           EVICTION_VOLATILE_LFU, EVICTION_VOLATILE_TTL};
    static const enum eviction blind[] = {EVICTION_ALLKEYS_RANDOM, EVICTION_VOLATILE_RANDOM};
    struct bench b;
    for (unsigned i = 0; i < countof(choosy); i++) {
        fill_and_squeeze(&b, choosy[i], false);
        assert_true(count_left(&b, true) >= KEYS / 2 - KEYS / 100);
        assert_true(count_left(&b, false) < KEYS / 2 - KEYS / 6);
        bench_fini(&b);
    }
    for (unsigned i = 0; i < countof(blind); i++) {
        fill_and_squeeze(&b, blind[i], false);
        unsigned kept = count_left(&b, true), others = count_left(&b, false);
        assert_true(kept > others * 9 / 10 && others > kept * 9 / 10);
        bench_fini(&b);
    }
}

static void test_volatile_policies_leave_keys_without_deadline_alone(void **state)
{
    (void)state;
    struct now now = {.wall_ms = NOW + LATER_MS, .mono_ms = 1};
    for (enum eviction policy = EVICTION_VOLATILE_LRU; policy < EVICTION_COUNT; policy++) {
        struct bench b;
        fill_and_squeeze(&b, policy, true);
        assert_int_equal(count_left(&b, true), KEYS / 2);
        assert_true(count_left(&b, false) < KEYS / 2 - KEYS / 6);
        keyspace_set_limit(b.ks, 1, policy);
        assert_int_equal(make_all_room(&b, now, 1), ERR_OOM);
        assert_int_equal(count_left(&b, true), KEYS / 2);
        assert_int_equal(count_left(&b, false), 0);
        keyspace_set_limit(b.ks, 0, policy);
        assert_int_equal(keyspace_make_room(b.ks, now, 0), OK);
        keyspace_check(b.ks);
        bench_fini(&b);
    }
}

static void test_noeviction_refuses(void **state)
{
    (void)state;
    struct bench b;
    struct now now = {.wall_ms = NOW, .mono_ms = 1};
    bench_init(&b, 1, 0, EVICTION_NONE);
    assert_int_equal(keyspace_make_room(b.ks, now, 0), OK);
    bench_set(&b, 0, 1, S("value"), NO_DEADLINE);
    keyspace_set_limit(b.ks, 1, EVICTION_NONE);
    assert_int_equal(keyspace_make_room(b.ks, now, 0), ERR_OOM);
    assert_true(bench_has(&b, 0, 1));
    /* What has been flushed is given back before anything is refused. */
    keyspace_lock_all(b.ks);
    keyspace_flush_db(b.ks, 0);
    keyspace_unlock_all(b.ks);
    assert_int_equal(keyspace_make_room(b.ks, now, 0), OK);
    bench_fini(&b);
}

/* A call gives back a little of what a flush has left behind, and as long as there is some it evicts nothing. */
static void test_a_call_reaps_a_little_and_evicts_nothing_meanwhile(void **state)
{
    (void)state;
    enum { COUNT = 100000, STAY = 100 };
    struct bench b;
    struct now now = {.wall_ms = NOW, .mono_ms = 1};
    bench_init(&b, 1, 0, EVICTION_ALLKEYS_LRU);
    for (unsigned i = 0; i < COUNT; i++) {
        bench_set(&b, 0, i, S("0123456789012345678901234567890123456789"), NO_DEADLINE);
        bench_reset(&b);
    }
    uint64_t used = keyspace_used_bytes(b.ks);
    keyspace_lock_all(b.ks);
    keyspace_flush_db(b.ks, 0);
    keyspace_unlock_all(b.ks);
    for (unsigned i = 0; i < STAY; i++) {
        bench_set(&b, 0, i, S("value"), NO_DEADLINE);
    }
    keyspace_set_limit(b.ks, used / 10, EVICTION_ALLKEYS_LRU);
    uint64_t before = keyspace_used_bytes(b.ks);
    assert_int_equal(keyspace_make_room(b.ks, now, 0), OK);
    assert_true(keyspace_used_bytes(b.ks) < before);
    assert_true(keyspace_used_bytes(b.ks) > before * 9 / 10);
    assert_int_equal(make_all_room(&b, now, used / 10), OK);
    assert_int_equal(keyspace_key_count(b.ks, 0), STAY);
    keyspace_check(b.ks);
    bench_fini(&b);
}

struct counter {
    struct tap tap;
    unsigned evicted, expired, records;
};

static void count_events(struct tap *t, const struct effect *fx)
{
    struct counter *c = container_of(t, struct counter, tap);
    for (const struct touch *touch = fx->touches; touch; touch = touch->next) {
        c->evicted += touch->event == EVENT_evicted && touch->change == CHANGE_EVICTED;
        c->expired += touch->event == EVENT_expired && touch->change == CHANGE_EXPIRED;
    }
    for (const struct record *r = fx->records; r; r = r->next) {
        c->records++;
    }
}

static void test_evicted_keys_are_told_and_expired_ones_go_first(void **state)
{
    (void)state;
    struct bench b;
    struct counter c = {.tap = {.wants_records = true, .effect = count_events}};
    bench_init(&b, 1, 0, EVICTION_ALLKEYS_LRU);
    keyspace_add_tap(b.ks, &c.tap);
    for (unsigned i = 0; i < KEYS; i++) {
        bench_set(&b, 0, i, S("0123456789"), i % 2 ? NO_DEADLINE : NOW + 5);
    }
    struct now now = {.wall_ms = NOW + 10, .mono_ms = 1};
    uint64_t limit = keyspace_used_bytes(b.ks) * 9 / 10;
    keyspace_set_limit(b.ks, limit, EVICTION_ALLKEYS_LRU);
    assert_int_equal(make_all_room(&b, now, limit), OK);
    assert_true(c.expired > KEYS / 20);
    assert_true(c.evicted < c.expired / 10);
    assert_int_equal(c.records, c.expired + c.evicted);
    keyspace_set_limit(b.ks, 1, EVICTION_ALLKEYS_LRU);
    assert_int_equal(make_all_room(&b, now, 1), ERR_OOM);
    assert_int_equal(c.expired + c.evicted, KEYS);
    assert_int_equal(keyspace_key_count(b.ks, 0), 0);
    bench_fini(&b);
}

/* Writes go on for long under a limit: what is used stays within 2 % of it. */
static void test_the_limit_is_kept(void **state)
{
    (void)state;
    static const uint64_t limits[] = {1 << 20, 4 << 20, 16 << 20};
    static char value[20000];
    for (unsigned i = 0; i < countof(limits); i++) {
        struct bench b;
        struct random r;
        random_init(&r, i, 1);
        bench_init(&b, 2, limits[i], EVICTION_ALLKEYS_LRU);
        for (unsigned step = 0; step < 60000; step++) {
            size_t len = random_below(&r, 20) ? random_below(&r, 300) : random_below(&r, sizeof value);
            assert_int_equal(keyspace_make_room(b.ks, b.fx.now, len), OK);
            assert_true(keyspace_used_bytes(b.ks) <= limits[i] + limits[i] / 50);
            bench_set(&b, step % 2, (unsigned)random_below(&r, 1000000), slice_make(value, len),
                      random_below(&r, 2) ? NO_DEADLINE : NOW + 1000000);
        }
        assert_true(keyspace_used_bytes(b.ks) > limits[i] * 96 / 100);
        keyspace_check(b.ks);
        bench_fini(&b);
    }
}

/* However far the limit is below: a call evicts what it needs and little more, so that none has to wait for all of it. */
static void test_a_call_evicts_little_under_a_lowered_limit(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_ALLKEYS_LRU);
    for (unsigned i = 0; i < KEYS; i++) {
        bench_set(&b, 0, i, S("value"), NO_DEADLINE);
    }
    uint64_t half = keyspace_used_bytes(b.ks) / 2;
    keyspace_set_limit(b.ks, half, EVICTION_ALLKEYS_LRU);
    for (uint64_t count = KEYS, left; keyspace_used_bytes(b.ks) > half; count = left) {
        assert_int_equal(keyspace_make_room(b.ks, b.fx.now, 100), OK);
        left = keyspace_key_count(b.ks, 0);
        assert_in_range(count - left, 1, 4);
    }
    bench_fini(&b);
}

/* Ticks for so long, and returns how many keys they have evicted. */
static uint64_t evicted_by_ticks(struct bench *b, int64_t ms)
{
    uint64_t before = keyspace_key_count(b->ks, 0);
    for (int64_t end_ms = b->fx.now.mono_ms + ms; b->fx.now.mono_ms < end_ms; b->fx.now.mono_ms++) {
        while (keyspace_tick(b->ks, 0, b->fx.now, TICK_US) == b->fx.now.mono_ms) {}
    }
    return before - keyspace_key_count(b->ks, 0);
}

/* Ticks make room for calls to come, so that those need not evict; but only while there are such calls. */
static void test_room_is_made_ahead(void **state)
{
    (void)state;
    enum { COUNT = 20000, CALL_BYTES = 2000 };
    static char value[1000];
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_ALLKEYS_LRU);
    for (unsigned i = 0; i < COUNT; i++) {
        bench_set(&b, 0, i, slice_make(value, sizeof value), NO_DEADLINE);
    }
    uint64_t limit = keyspace_used_bytes(b.ks), ahead = limit / 1024;
    keyspace_set_limit(b.ks, limit, EVICTION_ALLKEYS_LRU);
    assert_int_equal(evicted_by_ticks(&b, 2000), 0);

    assert_int_equal(keyspace_make_room(b.ks, b.fx.now, CALL_BYTES), OK);
    uint64_t left = keyspace_key_count(b.ks, 0);
    assert_true(left < COUNT);
    assert_in_range(evicted_by_ticks(&b, 10), (ahead - CALL_BYTES) / 1100, ahead / sizeof value);
    assert_true(keyspace_used_bytes(b.ks) <= limit - ahead);
    left = keyspace_key_count(b.ks, 0);
    assert_int_equal(keyspace_make_room(b.ks, b.fx.now, CALL_BYTES), OK);
    assert_int_equal(keyspace_key_count(b.ks, 0), left);

    /* It goes on as long as it is used up, */
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 10; k++) {
            bench_set(&b, 0, COUNT + i * 10 + k, slice_make(value, sizeof value), NO_DEADLINE);
        }
        assert_true(evicted_by_ticks(&b, 500) > 0);
    }
    /* and not longer. */
    assert_int_equal(evicted_by_ticks(&b, 2000), 0);
    bench_set(&b, 0, COUNT + 100, slice_make(value, sizeof value), NO_DEADLINE);
    assert_int_equal(evicted_by_ticks(&b, 2000), 0);
    keyspace_check(b.ks);
    bench_fini(&b);
}

/* What a huge value needs is made in several goes, each of them short. */
static void test_room_for_much_is_made_in_goes(void **state)
{
    (void)state;
    enum { COUNT = 50000, GO_MAX = 1024 + 4 };
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_ADAPTIVE);
    for (unsigned i = 0; i < COUNT; i++) {
        bench_set(&b, 0, i, S("value"), NO_DEADLINE);
    }
    uint64_t limit = keyspace_used_bytes(b.ks), left = COUNT;
    keyspace_set_limit(b.ks, limit, EVICTION_ADAPTIVE);
    err e = ERR_AGAIN;
    for (unsigned goes = 0; e == ERR_AGAIN; goes++) {
        assert_true(goes < COUNT / 1000);
        e = keyspace_make_room(b.ks, b.fx.now, limit / 2);
        assert_true(left - keyspace_key_count(b.ks, 0) <= GO_MAX);
        left = keyspace_key_count(b.ks, 0);
    }
    assert_int_equal(e, OK);
    assert_true(keyspace_used_bytes(b.ks) <= limit / 2 + limit / 50);
    assert_int_equal(keyspace_make_room(b.ks, b.fx.now, limit + 1), ERR_OOM);
    assert_int_equal(keyspace_key_count(b.ks, 0), left);
    bench_fini(&b);
}

static void test_stamps(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_ALLKEYS_LFU);
    bench_set(&b, 0, 1, S("value"), NO_DEADLINE);
    struct key k = bench_key(&b, 0, 1);
    shard_lock(k.shard);
    struct entry *e = shard_find(k.shard, &k);
    assert_int_equal(entry_frequency(e, NOW), 5);
    for (unsigned i = 0; i < 10000; i++) {
        shard_note_read(k.shard, e, NOW);
    }
    unsigned frequency = entry_frequency(e, NOW);
    assert_true(frequency > 20 && frequency < 120);
    assert_int_equal(entry_frequency(e, NOW + 10 * 60000), frequency - 10);
    assert_int_equal(entry_frequency(e, NOW + 1000 * 60000), 0);
    /* What is written anew keeps its frequency, also when it has to move. */
    static char large[1000];
    struct content c = content_string(slice_make(large, sizeof large));
    char *value;
    assert_int_equal(shard_replace(k.shard, &k, e, &c, &b.fx, EVENT_set, &e), OK);
    assert_true(entry_frequency(e, NOW) >= frequency);
    assert_int_equal(shard_set_times(k.shard, &k, e, NOW + 5, NOW + 5, &b.fx, EVENT_expire, &e), OK);
    assert_int_equal(shard_edit_string(k.shard, &k, e, 5000, &b.fx, EVENT_append, &e, &value), OK);
    assert_true(entry_frequency(e, NOW) >= frequency);
    shard_unlock(k.shard);
    keyspace_set_limit(b.ks, 0, EVICTION_ALLKEYS_LRU);
    keyspace_settle(b.ks);
    shard_lock(k.shard);
    shard_note_read(k.shard, e, NOW + 3000);
    assert_true(entry_accessed_at(e, NOW + 8000) == NOW + 3000);
    assert_true(entry_accessed_at(e, NOW + 1000) == NOW + 1000);
    shard_unlock(k.shard);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies_prefer_what_they_should),
        cmocka_unit_test(test_volatile_policies_leave_keys_without_deadline_alone),
        cmocka_unit_test(test_noeviction_refuses),
        cmocka_unit_test(test_a_call_reaps_a_little_and_evicts_nothing_meanwhile),
        cmocka_unit_test(test_evicted_keys_are_told_and_expired_ones_go_first),
        cmocka_unit_test(test_the_limit_is_kept),
        cmocka_unit_test(test_a_call_evicts_little_under_a_lowered_limit),
        cmocka_unit_test(test_room_is_made_ahead),
        cmocka_unit_test(test_room_for_much_is_made_in_goes),
        cmocka_unit_test(test_stamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
