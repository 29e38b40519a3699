/* Several threads at once on a few keys: changes, moves over two shards, scans, flushes, expiry, eviction, reaping. Run
 * under TSan. */
#include "keyspace/testing_priv.h"

#include "base/assert.h"
#include "os/thread.h"

enum { THREADS = 3, KEYS = 2000, STEPS = 15000 };

struct actor {
    struct thread thread;
    struct keyspace *ks;
    unsigned number;
    uint64_t touch_count;
};

static void look(void *argument, struct entry *e)
{
    *(uint64_t *)argument += entry_string(e).len;
}

static struct key random_key(struct keyspace *ks, struct random *r, char text[static 32])
{
    int len = snprintf(text, 32, "key:%06u", (unsigned)random_below(r, KEYS));
    return keyspace_key(ks, (unsigned)random_below(r, 2), slice_make(text, (size_t)len));
}

/* Sets, edits or removes a key. */
static void change(struct random *r, const struct key *k, struct effect *fx)
{
    struct entry *e = shard_find(k->shard, k);
    struct content c = content_string(S("some value or other"));
    char *value;
    c.deadline = c.fresh_until = random_below(r, 2) ? NO_DEADLINE : fx->now.wall_ms + (int64_t)random_below(r, 300);
    switch (random_below(r, 4)) {
    case 0:
        if (e) {
            shard_remove(k->shard, k, e, fx, CHANGE_DELETED, EVENT_del);
        }
        break;
    case 1:
        if (e) {
            assert(shard_edit_string(k->shard, k, e, random_below(r, 400), fx, EVENT_append, &e, &value) == OK);
        }
        break;
    default:
        assert((e ? shard_replace(k->shard, k, e, &c, fx, EVENT_set, &e)
                  : shard_insert(k->shard, k, &c, fx, EVENT_set, &e)) == OK);
    }
}

static void run(void *argument)
{
    role_assume_worker();
    struct actor *a = argument;
    struct arena arena;
    struct effect fx;
    struct random r;
    char text[2][32];
    uint64_t cursor = 0, bytes = 0;
    arena_init(&arena);
    random_init(&r, a->number, 77);
    for (unsigned step = 0; step < STEPS; step++) {
        struct now now = {.wall_ms = NOW + step, .mono_ms = step};
        struct key keys[2] = {random_key(a->ks, &r, text[0]), random_key(a->ks, &r, text[1])};
        size_t count = 1 + random_below(&r, 2);
        arena_reset(&arena);
        effect_init(&fx, &arena, now, true);
        struct sight sight;
        shard_look(&(struct look){.key = &keys[0], .sight = &sight, .to_write = step % 2}, 1);
        (void)!keyspace_make_room(a->ks, now, 100);
        keyspace_lock_keys(a->ks, keys, count);
        for (size_t i = 0; i < count; i++) {
            change(&r, &keys[i], &fx);
        }
        keyspace_publish(a->ks, &fx);
        keyspace_unlock_keys(a->ks, keys, count);
        a->touch_count += fx.touch_count;
        if (step % 16 == 0) {
            cursor = keyspace_scan(a->ks, step % 32 / 16, cursor, 20, look, &bytes);
            keyspace_tick(a->ks, a->number, now, TICK_US);
            (void)keyspace_key_count(a->ks, 0);
            (void)keyspace_mean_ttl_ms(a->ks, 0, now.wall_ms);
            keyspace_random_key(a->ks, 0, &arena, step, now.wall_ms);
        }
        if (step % 3000 == 2999) {
            keyspace_lock_all(a->ks);
            keyspace_flush_db(a->ks, 1);
            keyspace_swap_dbs(a->ks, 0, 1);
            keyspace_unlock_all(a->ks);
            keyspace_reap(a->ks, 50);
            keyspace_set_limit(a->ks, step % 2 ? 100000 : 0, (enum eviction)(step / 3000 % EVICTION_COUNT));
        }
    }
    arena_fini(&arena);
}

struct counter {
    struct tap tap;
    uint64_t count;
};

static void count_touches(struct tap *t, const struct effect *fx)
{
    struct counter *c = container_of(t, struct counter, tap);
    __atomic_add_fetch(&c->count, fx->touch_count, __ATOMIC_RELAXED);
}

static void test_many_threads(void **state)
{
    (void)state;
    struct bench b;
    struct actor actors[THREADS];
    struct counter counter = {.tap = {.effect = count_touches}};
    bench_init(&b, THREADS, 0, EVICTION_ALLKEYS_LRU);
    keyspace_add_tap(b.ks, &counter.tap);
    for (unsigned i = 0; i < THREADS; i++) {
        actors[i] = (struct actor){.ks = b.ks, .number = i};
        assert_int_equal(thread_start(&actors[i].thread, "actor", run, &actors[i]), OK);
    }
    uint64_t touches = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        thread_join(&actors[i].thread);
        touches += actors[i].touch_count;
    }
    assert_true(counter.count >= touches);
    assert_true(touches > THREADS * STEPS / 2);
    keyspace_check(b.ks);
    keyspace_lock_all(b.ks);
    keyspace_flush_db(b.ks, 0);
    keyspace_flush_db(b.ks, 1);
    keyspace_unlock_all(b.ks);
    assert_true(keyspace_reap(b.ks, 0));
    for (unsigned i = 0; i < THREADS; i++) {
        while (keyspace_tick(b.ks, i, (struct now){.wall_ms = NOW + 10 * STEPS, .mono_ms = 1}, TICK_US) == 1) {}
    }
    assert_int_equal(keyspace_used_bytes(b.ks), 0);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
