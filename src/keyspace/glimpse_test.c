/* Glimpses: what they say, when they say nothing, and that no half of a change is ever seen. */
#include "keyspace/testing_priv.h"

#include "os/thread.h"

enum { KEY = 7, ROUNDS = 40000, HOT_KEYS = 4, VALUE_MAX = 60 };

union memory {
    uint64_t aligned;
    char bytes[SHARD_GLIMPSE_BYTES_MAX];
};

static bool glimpse_at(struct bench *b, unsigned db, unsigned number, int64_t now_wall_ms, bool is_use,
                       union memory *memory, struct entry **ret_entry)
{
    role_assume_worker();
    struct key k = bench_key(b, db, number);
    struct sight sight = shard_prefetch_bucket(&k, false);
    return shard_glimpse(&k, &sight, now_wall_ms, is_use, memory, ret_entry);
}

static bool glimpse(struct bench *b, unsigned number, union memory *memory, struct entry **ret_entry)
{
    return glimpse_at(b, 0, number, NOW, true, memory, ret_entry);
}

static void test_a_copy_of_what_is_there(void **state)
{
    (void)state;
    struct bench b;
    union memory memory;
    struct entry *e;
    bench_init(&b, 1, 0, EVICTION_NONE);
    bench_set(&b, 0, KEY, S("value"), NOW + 5);
    assert_true(glimpse(&b, KEY, &memory, &e));
    assert_ptr_equal(e, &memory);
    assert_true(slice_equal(entry_string(e), S("value")));
    assert_true(slice_equal(entry_key(e), S("key:000007")));
    assert_int_equal(entry_deadline(e), NOW + 5);
    assert_true(glimpse_at(&b, 1, KEY, NOW, true, &memory, &e));
    assert_null(e);
    assert_true(glimpse(&b, KEY + 1, &memory, &e));
    assert_null(e);
    bench_fini(&b);
}

/* Some of them away from home. */
static void test_many_keys(void **state)
{
    (void)state;
    struct bench b;
    union memory memory;
    struct entry *e;
    enum { KEYS = 20000 };
    bench_init(&b, 1, 0, EVICTION_NONE);
    for (unsigned i = 0; i < KEYS; i += 2) {
        char value[16];
        bench_set(&b, 0, i, slice_make(value, (size_t)snprintf(value, sizeof value, "%u", i)), NO_DEADLINE);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        char value[16];
        assert_true(glimpse(&b, i, &memory, &e));
        assert_int_equal(e != NULL, i % 2 == 0);
        assert_true(!e ||
                    slice_equal(entry_string(e), slice_make(value, (size_t)snprintf(value, sizeof value, "%u", i))));
    }
    bench_fini(&b);
}

static void test_nothing_when_the_shard_is_or_was_locked(void **state)
{
    (void)state;
    struct bench b;
    union memory memory;
    struct entry *e;
    bench_init(&b, 1, 0, EVICTION_NONE);
    bench_set(&b, 0, KEY, S("value"), NO_DEADLINE);
    struct key k = bench_key(&b, 0, KEY);
    role_assume_worker();
    struct sight before = shard_prefetch_bucket(&k, false);
    assert_true(shard_glimpse(&k, &before, NOW, true, &memory, &e));
    shard_lock(k.shard);
    struct sight within = shard_prefetch_bucket(&k, false);
    assert_false(shard_glimpse(&k, &before, NOW, true, &memory, &e));
    assert_false(shard_glimpse(&k, &within, NOW, true, &memory, &e));
    shard_unlock(k.shard);
    assert_false(shard_glimpse(&k, &before, NOW, true, &memory, &e));
    assert_false(shard_glimpse(&k, &within, NOW, true, &memory, &e));
    struct sight to_write = shard_prefetch_bucket(&k, true), after = shard_prefetch_bucket(&k, false);
    assert_false(shard_glimpse(&k, &to_write, NOW, true, &memory, &e));
    assert_true(shard_glimpse(&k, &after, NOW, true, &memory, &e));
    bench_fini(&b);
}

static void test_what_needs_the_lock(void **state)
{
    (void)state;
    struct bench b;
    union memory memory;
    struct entry *e;
    char large[3000] = {0};
    bench_init(&b, 1, 0, EVICTION_NONE);
    bench_set(&b, 0, 1, S("expires"), NOW + 5);
    bench_set(&b, 0, 2, slice_make(large, sizeof large), NO_DEADLINE);
    assert_true(glimpse_at(&b, 0, 1, NOW + 4, false, &memory, &e));
    assert_false(glimpse_at(&b, 0, 1, NOW + 6, false, &memory, &e));
    assert_false(glimpse(&b, 2, &memory, &e));

    struct key k = bench_key(&b, 0, 3);
    struct content absent = {.negative = true, .deadline = NO_DEADLINE, .fresh_until = NO_DEADLINE};
    shard_lock(k.shard);
    assert_int_equal(shard_insert(k.shard, &k, &absent, &b.fx, EVENT_NONE, &e), OK);
    shard_unlock(k.shard);
    assert_false(glimpse(&b, 3, &memory, &e));
    bench_fini(&b);
}

static struct entry *find(struct bench *b, unsigned number)
{
    struct key k = bench_key(b, 0, number);
    shard_lock(k.shard);
    struct entry *e = shard_find(k.shard, &k);
    shard_unlock(k.shard);
    return e;
}

/* What the policy wants to know of a use it gets, and who saw the entry before still sees it. */
static void test_uses_are_noted(void **state)
{
    (void)state;
    struct bench b;
    union memory memory;
    struct entry *e;
    bench_init(&b, 1, 0, EVICTION_ALLKEYS_LRU);
    bench_set(&b, 0, KEY, S("value"), NO_DEADLINE);
    struct key k = bench_key(&b, 0, KEY);
    role_assume_worker();
    struct sight before = shard_prefetch_bucket(&k, false);
    assert_true(glimpse_at(&b, 0, KEY, NOW + 5000, false, &memory, &e));
    assert_int_equal(entry_accessed_at(find(&b, KEY), NOW + 9000), NOW);
    assert_true(glimpse_at(&b, 0, KEY, NOW + 5000, true, &memory, &e));
    assert_true(slice_equal(entry_string(e), S("value")));
    assert_int_equal(entry_accessed_at(find(&b, KEY), NOW + 9000), NOW + 5000);
    before = shard_prefetch_bucket(&k, false);
    assert_true(glimpse_at(&b, 0, KEY, NOW + 7000, true, &memory, &e));
    assert_true(shard_glimpse(&k, &before, NOW + 9000, true, &memory, &e));
    assert_int_equal(entry_accessed_at(find(&b, KEY), NOW + 9000), NOW + 9000);
    bench_fini(&b);

    bench_init(&b, 1, 0, EVICTION_ALLKEYS_LFU);
    bench_set(&b, 0, KEY, S("value"), NO_DEADLINE);
    unsigned frequency = entry_frequency(find(&b, KEY), NOW);
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(glimpse(&b, KEY, &memory, &e));
    }
    assert_in_range(entry_frequency(find(&b, KEY), NOW), frequency + 1, 255);
    bench_fini(&b);
}

/* A use of an entry that has changed since it was seen is nobody's. */
static void test_no_use_is_noted_of_what_has_changed(void **state)
{
    (void)state;
    struct bench b;
    union memory memory;
    struct entry *e;
    bench_init(&b, 1, 0, EVICTION_ALLKEYS_LRU);
    bench_set(&b, 0, KEY, S("value"), NO_DEADLINE);
    struct key k = bench_key(&b, 0, KEY);
    role_assume_worker();
    struct sight before = shard_prefetch_bucket(&k, false);
    bench_set(&b, 0, KEY, S("other"), NO_DEADLINE);
    assert_false(shard_glimpse(&k, &before, NOW + 5000, true, &memory, &e));
    assert_int_equal(entry_accessed_at(find(&b, KEY), NOW + 9000), NOW);
    bench_fini(&b);
}

/* ---- beside changes ---------------------------------------------------------------------------------------------- */

struct actor {
    struct keyspace *ks;
    struct thread thread;
    unsigned number, seen_count;
};

/* Values of one letter, of many lengths, some of which move the entry; now and then the key goes. */
static void write_values(void *argument)
{
    struct actor *a = argument;
    struct bench b = {.ks = a->ks};
    arena_init(&b.arena);
    effect_init(&b.fx, &b.arena, (struct now){.wall_ms = NOW, .mono_ms = 1}, false);
    for (unsigned i = 0; i < ROUNDS; i++) {
        char value[VALUE_MAX];
        memset(value, 'a' + (int)(i % 26), sizeof value);
        unsigned number = i % HOT_KEYS;
        if (i % 7 == a->number) {
            bench_remove(&b, 0, number);
        } else {
            bench_set(&b, 0, number, slice_make(value, i % VALUE_MAX + 1), i % 3 ? NO_DEADLINE : NOW + 1000);
        }
        if (i % 64 == 0) {
            keyspace_tick(a->ks, a->number, (struct now){.wall_ms = NOW, .mono_ms = i});
        }
    }
    arena_fini(&b.arena);
}

/* With a time of its own each, so that there is something to note. */
static void read_values(void *argument)
{
    struct actor *a = argument;
    struct bench b = {.ks = a->ks};
    for (unsigned i = 0; i < ROUNDS; i++) {
        union memory memory;
        struct entry *e;
        if (glimpse_at(&b, 0, i % HOT_KEYS, NOW + i % 900, true, &memory, &e) && e) {
            slice value = entry_string(e);
            assert_in_range(value.len, 1, VALUE_MAX);
            for (size_t c = 1; c < value.len; c++) {
                assert_int_equal(value.ptr[c], value.ptr[0]);
            }
            a->seen_count++;
        }
        if (i % 64 == 0) {
            keyspace_tick(a->ks, a->number, (struct now){.wall_ms = NOW, .mono_ms = i});
        }
    }
}

static void test_no_half_of_a_change_is_seen(void **state)
{
    (void)state;
    struct bench b;
    struct actor actors[4];
    bench_init(&b, countof(actors), 0, EVICTION_ALLKEYS_LFU);
    for (unsigned i = 0; i < countof(actors); i++) {
        actors[i] = (struct actor){.ks = b.ks, .number = i};
        assert_int_equal(thread_start(&actors[i].thread, "actor", i < 2 ? write_values : read_values, &actors[i]), OK);
    }
    for (unsigned i = 0; i < countof(actors); i++) {
        thread_join(&actors[i].thread);
    }
    keyspace_check(b.ks);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_of_what_is_there),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_nothing_when_the_shard_is_or_was_locked),
        cmocka_unit_test(test_what_needs_the_lock),
        cmocka_unit_test(test_uses_are_noted),
        cmocka_unit_test(test_no_use_is_noted_of_what_has_changed),
        cmocka_unit_test(test_no_half_of_a_change_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
