/* Glimpses: what they say, when they say nothing, and that no half of a change is ever seen. */
#include "keyspace/testing_priv.h"

#include "base/assert.h"
#include "os/thread.h"

enum { KEY = 7, ROUNDS = 40000, HOT_KEYS = 4, VALUE_MAX = 60 };

union memory {
    uint64_t aligned;
    char bytes[SHARD_GLIMPSE_BYTES_MAX];
};

static struct sight look(const struct key *k)
{
    role_assume_worker();
    struct sight sight;
    shard_look(&(struct look){.key = k, .sight = &sight}, 1);
    return sight;
}

static bool glimpse_at(struct bench *b, unsigned db, unsigned number, int64_t now_wall_ms, bool is_use,
                       union memory *memory, struct entry **ret_entry)
{
    role_assume_worker();
    struct key k = bench_key(b, db, number);
    struct sight sight = look(&k);
    if (number % 2) {
        sight.entry = NULL; /* then it is searched for */
    }
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
    struct sight before = look(&k);
    assert_true(shard_glimpse(&k, &before, NOW, true, &memory, &e));
    shard_lock(k.shard);
    struct sight within = look(&k);
    assert_false(shard_glimpse(&k, &before, NOW, true, &memory, &e));
    assert_false(shard_glimpse(&k, &within, NOW, true, &memory, &e));
    shard_unlock(k.shard);
    assert_false(shard_glimpse(&k, &before, NOW, true, &memory, &e));
    assert_false(shard_glimpse(&k, &within, NOW, true, &memory, &e));
    struct sight after = look(&k);
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
    struct sight before = look(&k);
    assert_true(glimpse_at(&b, 0, KEY, NOW + 5000, false, &memory, &e));
    assert_int_equal(entry_accessed_at(find(&b, KEY), NOW + 9000), NOW);
    assert_true(glimpse_at(&b, 0, KEY, NOW + 5000, true, &memory, &e));
    assert_true(slice_equal(entry_string(e), S("value")));
    assert_int_equal(entry_accessed_at(find(&b, KEY), NOW + 9000), NOW + 5000);
    before = look(&k);
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
    struct sight before = look(&k);
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
            keyspace_tick(a->ks, a->number, (struct now){.wall_ms = NOW, .mono_ms = i}, TICK_US);
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
            keyspace_tick(a->ks, a->number, (struct now){.wall_ms = NOW, .mono_ms = i}, TICK_US);
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

/* ---- keys that stay ---------------------------------------------------------------------------------------------- */

/* Around some keys that are always there everything goes on that can move them, their buckets or their databases: other
 * keys come and go until the index has split and merged, some expire; slabs become sparse and are moved together; values
 * change; databases are swapped and others flushed. A value begins with its key's number, in each database another
 * letter follows. Whoever looks, with a sight that is a while old or with the lock, finds the key and what is its own. */
enum { STAYING = 40, COMING = 6000, WAVES = 12, AHEAD = 8, DBS = 2 };

static unsigned makers_left; /* atomic */

static slice staying_value(char text[static 128], unsigned number, unsigned letter, unsigned len)
{
    int head = snprintf(text, 128, "%06u", number);
    memset(text + head, 'a' + (int)letter, len);
    return slice_make(text, (size_t)head + len);
}

static void check_staying(const struct entry *e, unsigned number)
{
    char text[128];
    assert(e != NULL);
    slice value = entry_string(e);
    assert(value.len >= 7 && value.len <= 106);
    unsigned letter = (unsigned)(value.ptr[6] - 'a');
    assert(slice_equal(value, staying_value(text, number, letter, (unsigned)value.len - 6)));
}

/* One more of the other keys, in one of the databases; every third expires soon. */
static void let_come(struct bench *b, unsigned number)
{
    bench_set(b, number % DBS, STAYING + number, S("comes and goes"), number % 3 ? NO_DEADLINE : b->fx.now.wall_ms + 1);
}

static void change_staying(struct bench *b, struct random *r)
{
    char text[128];
    unsigned number = (unsigned)random_below(r, STAYING), len = 1 + (unsigned)random_below(r, 100);
    slice value = staying_value(text, number, (unsigned)random_below(r, 26), len);
    bench_set(b, (unsigned)random_below(r, DBS), number, value,
              random_below(r, 2) ? NO_DEADLINE : NOW + 1000 * 1000 * 1000);
}

static void swap_and_flush(struct bench *b)
{
    keyspace_lock_all(b->ks);
    keyspace_swap_dbs(b->ks, 0, 1);
    keyspace_flush_db(b->ks, DBS);
    keyspace_unlock_all(b->ks);
}

static void make_waves(void *argument)
{
    struct actor *a = argument;
    struct bench b = {.ks = a->ks};
    struct random r;
    random_init(&r, a->number, 5);
    arena_init(&b.arena);
    for (unsigned wave = 0; wave < WAVES; wave++) {
        for (unsigned i = a->number; i < COMING; i += 2) {
            effect_init(&b.fx, &b.arena, (struct now){.wall_ms = NOW + wave * COMING + i, .mono_ms = i}, false);
            if (wave % 2 == 0) {
                let_come(&b, i);
            } else {
                bench_remove(&b, i % DBS, STAYING + i);
                bench_remove(&b, 1 - i % DBS, STAYING + i);
            }
            change_staying(&b, &r);
            if (i % 512 == a->number) {
                bench_set(&b, DBS, i, S("to be flushed"), NO_DEADLINE);
                swap_and_flush(&b);
            }
            if (i % 64 == a->number) {
                keyspace_tick(a->ks, a->number, b.fx.now, TICK_US);
                arena_reset(&b.arena);
            }
        }
    }
    arena_fini(&b.arena);
    __atomic_sub_fetch(&makers_left, 1, __ATOMIC_RELEASE);
}

/* As a batch does: all are prepared, then looked up one after the other. While others change something, and until one was
 * seen without the lock. */
static void look_for_staying(void *argument)
{
    struct actor *a = argument;
    role_assume_worker();
    char text[AHEAD][32];
    for (unsigned i = 0; __atomic_load_n(&makers_left, __ATOMIC_ACQUIRE) > 0 || a->seen_count == 0; i++) {
        struct key keys[AHEAD];
        struct sight sights[AHEAD];
        struct look looks[AHEAD];
        for (unsigned k = 0; k < AHEAD; k++) {
            int len = snprintf(text[k], sizeof text[k], "key:%06u", (i + k) % STAYING);
            keys[k] = keyspace_key(a->ks, i % DBS, slice_make(text[k], (size_t)len));
            looks[k] = (struct look){.key = &keys[k], .sight = &sights[k]};
        }
        shard_look(looks, AHEAD);
        for (unsigned k = 0; k < AHEAD; k++) {
            union memory memory;
            struct entry *e;
            if (shard_glimpse(&keys[k], &sights[k], NOW, false, &memory, &e)) {
                check_staying(e, (i + k) % STAYING);
                a->seen_count++;
            } else {
                shard_lock(keys[k].shard);
                check_staying(shard_find(keys[k].shard, &keys[k]), (i + k) % STAYING);
                shard_unlock(keys[k].shard);
            }
        }
        if (i % 16 == 0) {
            keyspace_tick(a->ks, a->number, (struct now){.wall_ms = NOW + i / 16, .mono_ms = i}, TICK_US);
        }
    }
}

static void test_keys_that_stay_are_always_found(void **state)
{
    (void)state;
    struct bench b;
    struct actor actors[4];
    char text[128];
    bench_init(&b, countof(actors), 4 << 20, EVICTION_NONE);
    assert_int_equal(keyspace_shard_count(b.ks), 4); /* few, so that each has many keys */
    keyspace_set_limit(b.ks, 0, EVICTION_NONE);
    makers_left = 2;
    for (unsigned i = 0; i < DBS * STAYING; i++) {
        bench_set(&b, i % DBS, i / DBS, staying_value(text, i / DBS, 0, 5), NO_DEADLINE);
    }
    for (unsigned i = 0; i < countof(actors); i++) {
        actors[i] = (struct actor){.ks = b.ks, .number = i};
        assert_int_equal(thread_start(&actors[i].thread, "actor", i < 2 ? make_waves : look_for_staying, &actors[i]),
                         OK);
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
        cmocka_unit_test(test_keys_that_stay_are_always_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
