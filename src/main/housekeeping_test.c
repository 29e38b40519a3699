/* Slices between the turns of a worker's loop: one a turn, none where something else was done, and not put off for ever. */
#include "main/housekeeping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/arena.h"
#include "config/config.h"

enum { KEYS = 100000, BUSY_NS = 10000 };

struct world {
    struct keyspace *ks;
    struct worker worker;
    struct housekeeping housekeeping;
    struct deferred busy; /* what a turn has to do besides */
    uint64_t busy_turns, busy_and_worked;
};

static bool is_empty(struct keyspace *ks)
{
    return keyspace_used_bytes(ks) == 0;
}

/* A database that was full of keys and is flushed: much to do. */
static void fill_and_flush(struct keyspace *ks)
{
    struct arena arena;
    struct effect fx;
    arena_init(&arena);
    for (unsigned i = 0; i < KEYS; i++) {
        char text[16];
        int len = snprintf(text, sizeof text, "%u", i);
        struct key k = keyspace_key(ks, 0, slice_make(text, (size_t)len));
        struct content c = content_string(S("value"));
        struct entry *e;
        effect_init(&fx, &arena, clock_now(), false);
        shard_lock(k.shard);
        assert_int_equal(shard_insert(k.shard, &k, &c, &fx, EVENT_set, &e), OK);
        shard_unlock(k.shard);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    keyspace_lock_all(ks);
    keyspace_flush_db(ks, 0);
    keyspace_unlock_all(ks);
}

static void set_up(struct world *w)
{
    *w = (struct world){0};
    struct keyspace_options options = {.worker_count = 1, .db_count = 1, .seed = {1}};
    assert_int_equal(keyspace_new(&options, &w->ks), OK);
    assert_int_equal(worker_init(&w->worker, 0, LOOP_EPOLL), OK);
    fill_and_flush(w->ks);
    assert_int_equal(housekeeping_begin(&w->housekeeping, &w->worker, w->ks), OK);
}

static void tear_down(struct world *w)
{
    housekeeping_end(&w->housekeeping);
    housekeeping_end(&w->housekeeping);
    worker_fini(&w->worker);
    keyspace_free(w->ks);
}

static void test_what_is_much_takes_many_turns(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    unsigned turns = 0, worked = 0;
    for (uint64_t before; !is_empty(w.ks); turns++) {
        before = keyspace_used_bytes(w.ks);
        loop_turn(w.worker.loop, -1);
        worked += keyspace_used_bytes(w.ks) < before;
    }
    assert_true(worked > KEYS / 10000);
    tear_down(&w);
}

static void be_busy(struct deferred *d)
{
    struct world *w = container_of(d, struct world, busy);
    for (int64_t end_ns = clock_mono_ns() + BUSY_NS; clock_mono_ns() < end_ns;) {}
    w->busy_turns++;
}

/* Every turn has something to do: most of them have no slice besides, and yet all is worked. */
static void test_a_worker_that_is_always_busy(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    deferred_init(&w.busy, be_busy);
    while (!is_empty(w.ks)) {
        uint64_t before = keyspace_used_bytes(w.ks);
        loop_defer(w.worker.loop, &w.busy);
        loop_turn(w.worker.loop, 0);
        w.busy_and_worked += keyspace_used_bytes(w.ks) < before;
    }
    assert_true(w.busy_and_worked > 0);
    assert_true(w.busy_and_worked < w.busy_turns / 2);
    tear_down(&w);
}

int main(void)
{
    config_free(config_publish(config_new()));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_much_takes_many_turns),
        cmocka_unit_test(test_a_worker_that_is_always_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
