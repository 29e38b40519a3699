/* maxmemory-policy adaptive: what it keeps, what it finds again, changes of the policy while it runs, and that its
 * queues agree with the entries under random operations. */
#include "keyspace/testing_priv.h"

#include "keyspace/shard_priv.h"

enum { KEYS = 4000, VALUE_BYTES = 1000, LIMIT = 4 << 20, FIT = 3500 }; /* about FIT of the keys fit */

static char value[20000];

static void use(struct bench *b, unsigned number)
{
    struct key k = bench_key(b, 0, number);
    shard_lock(k.shard);
    struct entry *e = shard_find(k.shard, &k);
    if (e) {
        shard_note_read(k.shard, e, b->fx.now.wall_ms);
    }
    shard_unlock(k.shard);
}

/* As a cache-aside client does: a look, and a SET when there is nothing. Whether there was something. */
static bool request(struct bench *b, unsigned number)
{
    if (bench_has(b, 0, number)) {
        use(b, number);
        return true;
    }
    assert_int_equal(keyspace_make_room(b->ks, b->fx.now, VALUE_BYTES), OK);
    bench_set(b, 0, number, slice_make(value, VALUE_BYTES), NO_DEADLINE);
    return false;
}

static void squeeze(struct bench *b, uint64_t limit)
{
    err e = OK;
    keyspace_set_limit(b->ks, limit, EVICTION_ADAPTIVE);
    while (e == OK && keyspace_used_bytes(b->ks) > limit) {
        e = keyspace_make_room(b->ks, b->fx.now, 0);
    }
    assert_int_equal(e, OK);
}

static double loop_hit_ratio(struct bench *b, unsigned first, unsigned count, unsigned rounds)
{
    unsigned hits = 0;
    for (unsigned i = 0; i < rounds * count; i++) {
        hits += request(b, first + i % count);
    }
    return (double)hits / rounds / count;
}

static void test_what_is_used_again_survives_a_scan(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, LIMIT, EVICTION_ADAPTIVE);
    loop_hit_ratio(&b, 0, FIT / 2, 3);
    loop_hit_ratio(&b, 10000, 10 * FIT, 1); /* once each */
    unsigned kept = 0;
    for (unsigned i = 0; i < FIT / 2; i++) {
        kept += bench_has(&b, 0, i);
    }
    assert_true(kept > FIT / 2 * 95 / 100);
    keyspace_check(b.ks);
    bench_fini(&b);
}

static void test_loops(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, LIMIT, EVICTION_ADAPTIVE);
    loop_hit_ratio(&b, 0, FIT * 2, 4);
    assert_true(loop_hit_ratio(&b, 0, FIT * 2, 4) > 0.25); /* more than fit: a part is kept; LRU has none */
    loop_hit_ratio(&b, 100000, FIT * 9 / 10, 20);          /* others, that fit: they are found out */
    assert_true(loop_hit_ratio(&b, 100000, FIT * 9 / 10, 4) > 0.99);
    keyspace_check(b.ks);
    bench_fini(&b);
}

static void test_of_two_used_alike_the_large_one_goes(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, LIMIT, EVICTION_ADAPTIVE);
    for (unsigned i = 0; i < 2000; i++) {
        bench_set(&b, 0, i, slice_make(value, i % 20 ? 500 : 10000), NO_DEADLINE);
        use(&b, i);
    }
    squeeze(&b, keyspace_used_bytes(b.ks) * 6 / 10);
    unsigned small = 0, large = 0;
    for (unsigned i = 0; i < 2000; i++) {
        *(i % 20 ? &small : &large) += bench_has(&b, 0, i);
    }
    assert_true(small > 1900 * 9 / 10);
    assert_true(large < 100 / 4);
    bench_fini(&b);
}

/* Ticks until there is nothing left to adopt. */
static void adopt_all(struct bench *b)
{
    for (unsigned i = 0; i < keyspace_shard_count(b->ks); i++) {
        while (evict_is_adopting(keyspace_shard(b->ks, i))) {
            keyspace_tick(b->ks, 0, b->fx.now, TICK_US);
        }
    }
}

static uint64_t queued_count(struct bench *b)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < keyspace_shard_count(b->ks); i++) {
        const struct adaptive *a = &keyspace_shard(b->ks, i)->evict.adaptive;
        count += a->small.live + a->main.live;
    }
    return count;
}

/* The calls that meet the limit while a policy is new do not have to wait for what it learns. */
static void test_a_victim_costs_little_while_the_policy_is_new(void **state)
{
    (void)state;
    enum { COUNT = 50000, CALLS = 100 };
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_NONE);
    for (unsigned i = 0; i < COUNT; i++) {
        bench_set(&b, 0, i, S("value"), NO_DEADLINE);
    }
    keyspace_set_limit(b.ks, keyspace_used_bytes(b.ks) / 2, EVICTION_ADAPTIVE);
    for (unsigned i = 0; i < CALLS; i++) {
        assert_int_equal(keyspace_make_room(b.ks, b.fx.now, 0), OK);
    }
    uint64_t evicted = COUNT - keyspace_key_count(b.ks, 0);
    assert_true(evicted >= CALLS);
    assert_true(evicted <= CALLS);              /* the ticks do the most of it */
    assert_true(queued_count(&b) < COUNT / 50); /* a bucket a shard, to choose from */
    adopt_all(&b);
    assert_int_equal(queued_count(&b), keyspace_key_count(b.ks, 0));
    bench_fini(&b);
}

static void test_the_policy_changes_while_it_runs(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_ALLKEYS_LRU);
    for (unsigned i = 0; i < KEYS; i++) {
        bench_set(&b, i % 2, i, S("0123456789"), NO_DEADLINE);
    }
    uint64_t used = keyspace_used_bytes(b.ks);
    keyspace_set_limit(b.ks, 0, EVICTION_ADAPTIVE);
    keyspace_settle(b.ks);
    assert_int_equal(queued_count(&b), 0);
    bench_remove(&b, 1, 1);
    use(&b, 2);
    keyspace_check(b.ks);
    adopt_all(&b);
    assert_int_equal(queued_count(&b), KEYS - 1);
    assert_true(keyspace_used_bytes(b.ks) > used);
    keyspace_check(b.ks);

    keyspace_set_limit(b.ks, 0, EVICTION_ALLKEYS_LFU);
    keyspace_settle(b.ks);
    keyspace_reap(b.ks, 0);
    assert_true(keyspace_used_bytes(b.ks) < used);
    adopt_all(&b);
    struct key k = bench_key(&b, 0, 2);
    shard_lock(k.shard);
    assert_int_equal(entry_frequency(shard_find(k.shard, &k), NOW), 5);
    shard_unlock(k.shard);

    /* Also before a tick has come by: a victim is adopted first. */
    squeeze(&b, used / 2);
    keyspace_check(b.ks);
    bench_fini(&b);
}

static void test_a_flush_of_one_database_leaves_the_others_in_order(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_ADAPTIVE);
    for (unsigned i = 0; i < KEYS; i++) {
        bench_set(&b, i % 2, i, S("0123456789"), NO_DEADLINE);
    }
    assert_int_equal(queued_count(&b), KEYS);
    keyspace_lock_all(b.ks);
    keyspace_flush_db(b.ks, 1);
    keyspace_unlock_all(b.ks);
    assert_int_equal(queued_count(&b), 0);
    keyspace_reap(b.ks, 0);
    keyspace_check(b.ks);
    adopt_all(&b);
    assert_int_equal(queued_count(&b), KEYS / 2);
    keyspace_check(b.ks);
    squeeze(&b, keyspace_used_bytes(b.ks) / 2);
    bench_fini(&b);
}

/* What a policy knows of many entries is freed in steps when it changes or its entries are flushed. */
static void test_what_a_policy_knew_is_freed_in_steps(void **state)
{
    (void)state;
    enum { COUNT = 40000, STEP_BYTES = 64 * 1024 };
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_ADAPTIVE);
    struct shard *s = keyspace_shard(b.ks, 0);
    unsigned count = 0;
    for (unsigned i = 0; count < COUNT; i++) {
        if (bench_key(&b, 0, i).shard == s) {
            bench_set(&b, 0, i, S("value"), NO_DEADLINE);
            bench_reset(&b);
            count++;
        }
    }
    size_t bytes = s->evict.bytes;
    keyspace_set_limit(b.ks, 0, EVICTION_ALLKEYS_LFU);
    keyspace_settle(b.ks);
    assert_int_equal(s->evict.bytes, bytes);
    keyspace_check(b.ks);
    for (size_t before = bytes; shard_reap(s); before = s->evict.bytes) {
        assert_true(before - s->evict.bytes < STEP_BYTES);
    }
    assert_int_equal(s->evict.bytes, 0);

    keyspace_set_limit(b.ks, 0, EVICTION_ADAPTIVE);
    keyspace_settle(b.ks);
    adopt_all(&b);
    bytes = s->evict.bytes;
    keyspace_lock_all(b.ks);
    keyspace_flush_db(b.ks, 0);
    keyspace_unlock_all(b.ks);
    assert_int_equal(s->evict.bytes, bytes);
    bench_set(&b, 0, 1, S("value"), NO_DEADLINE);
    assert_true(shard_reap(s));
    assert_true(bytes - s->evict.bytes < STEP_BYTES);
    keyspace_check(b.ks);
    bench_fini(&b); /* with the rest of it */
}

/* Sets, removals, uses, flushes, changes of policy and limit at random, in two databases. */
static void test_random_operations(void **state)
{
    (void)state;
    struct bench b;
    struct random r;
    bench_init(&b, 2, LIMIT, EVICTION_ADAPTIVE);
    random_init(&r, 3, 4);
    for (unsigned step = 0; step < 200000; step++) {
        unsigned number = (unsigned)(random_below(&r, 100) * random_below(&r, 100)), db = number % 2;
        uint64_t dice = random_below(&r, 1000);
        size_t len = random_below(&r, 10) ? random_below(&r, 700) : random_below(&r, sizeof value);
        if (dice < 500) {
            use(&b, number);
        } else if (dice < 900) {
            assert_int_equal(keyspace_make_room(b.ks, b.fx.now, len), OK);
            bench_set(&b, db, number, slice_make(value, len),
                      random_below(&r, 2) ? NO_DEADLINE : b.fx.now.wall_ms + (int64_t)random_below(&r, 100000));
        } else if (dice < 997) {
            bench_remove(&b, db, number);
        } else if (step % 20 == 0) {
            keyspace_set_limit(b.ks, LIMIT, random_below(&r, 3) ? EVICTION_ADAPTIVE : EVICTION_ALLKEYS_LFU);
        } else if (step % 20 == 1) {
            keyspace_lock_all(b.ks);
            keyspace_flush_db(b.ks, (unsigned)random_below(&r, 2));
            keyspace_unlock_all(b.ks);
        }
        b.fx.now.wall_ms++;
        b.fx.now.mono_ms++;
        if (step % 50 == 0) {
            keyspace_tick(b.ks, step / 50 % 2, b.fx.now, TICK_US);
        }
        if (step % 5000 == 0) {
            keyspace_check(b.ks);
        }
    }
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_used_again_survives_a_scan),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_of_two_used_alike_the_large_one_goes),
        cmocka_unit_test(test_a_victim_costs_little_while_the_policy_is_new),
        cmocka_unit_test(test_the_policy_changes_while_it_runs),
        cmocka_unit_test(test_a_flush_of_one_database_leaves_the_others_in_order),
        cmocka_unit_test(test_what_a_policy_knew_is_freed_in_steps),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
