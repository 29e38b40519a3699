/* Shards against a model under random changes, growing and shrinking; walks; what each change notes; flush and swap. */
#include "keyspace/testing_priv.h"

#include "os/mem.h"

enum { KEYS = 20000, STEPS = 100000, VALUE_MAX = 700 };

struct model {
    bool there;
    bool negative;
    size_t len;
    char fill;
    int64_t deadline, fresh_until;
};

/* A change of a random kind to one key, made to the shard and to the model. */
static void change_one(struct bench *b, struct model *m, unsigned number, struct random *r)
{
    static char value[VALUE_MAX];
    struct key k = bench_key(b, number % 2, number);
    struct entry *e, *after = NULL;
    int64_t deadline = random_below(r, 2) ? NO_DEADLINE : NOW + 1 + (int64_t)random_below(r, 1000000);
    int64_t fresh_until = random_below(r, 4) || deadline == NO_DEADLINE
                              ? deadline
                              : NOW + (int64_t)random_below(r, (uint64_t)(deadline - NOW));
    size_t len = random_below(r, 4) ? random_below(r, 60) : random_below(r, VALUE_MAX);
    struct content c = {
        .string = {value, len}, .encoding = ENCODING_RAW, .deadline = deadline, .fresh_until = fresh_until};
    char *bytes;
    memset(value, 'a' + (int)random_below(r, 26), sizeof value);
    if (random_below(r, 10) == 0) {
        c.negative = true;
        c.string.len = 0;
    }
    if (random_below(r, 3) == 0) {
        c.load_ms = 7;
        c.loaded_at = NOW;
    }

    shard_lock(k.shard);
    e = shard_find(k.shard, &k);
    assert_int_equal(e != NULL, m->there);
    if (e) {
        assert_true(slice_equal(entry_key(e), k.bytes));
        slice string = entry_string(e);
        assert_int_equal(string.len, m->len);
        for (size_t i = 0; i < string.len; i += 37) {
            assert_int_equal(string.ptr[i], m->fill);
        }
        assert_true(entry_deadline(e) == m->deadline);
        assert_true(entry_fresh_until(e) == m->fresh_until);
        assert_int_equal(entry_negative(e), m->negative);
    }
    switch (!e ? 0 : 1 + random_below(r, 4)) {
    case 0:
        assert_int_equal(shard_insert(k.shard, &k, &c, &b->fx, EVENT_set, &after), OK);
        *m = (struct model){true, c.negative, c.string.len, value[0], deadline, fresh_until};
        break;
    case 1:
        assert_int_equal(shard_replace(k.shard, &k, e, &c, &b->fx, EVENT_set, &after), OK);
        *m = (struct model){true, c.negative, c.string.len, value[0], deadline, fresh_until};
        break;
    case 2:
        assert_int_equal(shard_set_times(k.shard, &k, e, deadline, fresh_until, &b->fx, EVENT_expire, &after), OK);
        m->deadline = deadline;
        m->fresh_until = fresh_until;
        break;
    case 3:
        if (!m->negative) {
            assert_int_equal(shard_edit_string(k.shard, &k, e, len, &b->fx, EVENT_append, &after, &bytes), OK);
            for (size_t i = m->len; i < len; i++) {
                assert_int_equal(bytes[i], 0);
            }
            memset(bytes, value[0], len);
            m->len = len;
            m->fill = value[0];
        }
        break;
    default: shard_remove(k.shard, &k, e, &b->fx, CHANGE_DELETED, EVENT_del); m->there = false;
    }
    assert_true(!after || shard_find(k.shard, &k) == after);
    shard_unlock(k.shard);
    bench_reset(b);
}

static void agree_with_a_model(enum eviction policy)
{
    struct bench b;
    struct random r;
    struct model *models = calloc(KEYS, sizeof *models);
    bench_init(&b, 1, 4 << 20, policy); /* few shards, so that indexes are deep */
    random_init(&r, 1, 2);
    for (unsigned step = 0; step < STEPS; step++) {
        /* The range of keys in use swells and shrinks. */
        unsigned range = step / (STEPS / 4) % 2 ? KEYS / 20 : KEYS;
        unsigned number = (unsigned)random_below(&r, range);
        change_one(&b, &models[number], number, &r);
        if (range < KEYS) {
            unsigned other = range + (unsigned)random_below(&r, KEYS - range);
            assert_int_equal(bench_remove(&b, other % 2, other), models[other].there);
            models[other].there = false;
        }
        if (step % (STEPS / 20) == 0) {
            keyspace_check(b.ks);
        }
    }
    keyspace_check(b.ks);
    uint64_t visible[2] = {0}, expiring[2] = {0};
    for (unsigned i = 0; i < KEYS; i++) {
        visible[i % 2] += models[i].there && !models[i].negative;
        expiring[i % 2] += models[i].there && !models[i].negative && models[i].deadline != NO_DEADLINE;
    }
    for (unsigned db = 0; db < 2; db++) {
        assert_int_equal(keyspace_key_count(b.ks, db), visible[db]);
        assert_int_equal(keyspace_expiring_count(b.ks, db), expiring[db]);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        assert_int_equal(bench_remove(&b, i % 2, i), models[i].there);
    }
    keyspace_set_active_expiry(b.ks, true);
    assert_true(keyspace_reap(b.ks, 0));
    keyspace_check(b.ks);
    for (unsigned i = 0; i < keyspace_shard_count(b.ks); i++) {
        keyspace_tick(b.ks, 0, (struct now){.wall_ms = NOW + 2000000, .mono_ms = i}, 0);
    }
    assert_int_equal(keyspace_used_bytes(b.ks), 0);
    assert_true(keyspace_peak_bytes(b.ks) > 0);
    bench_fini(&b);
    free(models);
}

static void test_random_changes_agree_with_a_model(void **state)
{
    (void)state;
    agree_with_a_model(EVICTION_NONE);
    agree_with_a_model(EVICTION_ADAPTIVE);
}

static void test_an_exchange_is_taken_back(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_ALLKEYS_LRU);
    bench_set(&b, 0, 1, S("old"), NOW + 1000);
    bench_set(&b, 0, 2, S("old"), NO_DEADLINE);
    for (unsigned number = 1; number <= 2; number++) {
        struct key k = bench_key(&b, 0, number);
        struct content first = content_string(S("first")), second = content_string(S("second"));
        second.deadline = second.fresh_until = NOW + 2000;
        shard_lock(k.shard);
        struct entry *old = shard_find(k.shard, &k);
        struct exchange one, two;
        effect_touch(&b.fx, 0, S("before"), CHANGE_CHANGED, EVENT_set);
        struct effect_mark mark = effect_mark(&b.fx);
        assert_int_equal(shard_exchange(k.shard, &k, old, &first, &b.fx, EVENT_set, &one), OK);
        assert_int_equal(one.in_place, number == 2);
        assert_int_equal(shard_exchange(k.shard, &k, one.made, &second, &b.fx, EVENT_set, &two), OK);
        assert_ptr_equal(shard_find(k.shard, &k), two.made);
        shard_exchange_back(k.shard, &k, &two);
        shard_exchange_back(k.shard, &k, &one);
        effect_rewind(&b.fx, mark);
        effect_touch(&b.fx, 0, S("after"), CHANGE_CHANGED, EVENT_del);
        assert_ptr_equal(shard_find(k.shard, &k), old);
        assert_true(slice_equal(entry_string(old), S("old")));
        assert_int_equal(b.fx.touch_count, 2);
        assert_true(slice_equal(b.fx.touches->next->key, S("after")));
        shard_check(k.shard);
        assert_int_equal(shard_exchange(k.shard, &k, old, &second, &b.fx, EVENT_set, &two), OK);
        shard_exchange_end(k.shard, &two);
        shard_unlock(k.shard);
        bench_reset(&b);
    }
    keyspace_check(b.ks);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_exchange_is_taken_back),
        cmocka_unit_test(test_random_changes_agree_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
