/* The system refuses memory now and then: whatever fails has changed nothing. Without LARDER_TEST_HOOKS nothing is
 * refused. */
#include "keyspace/testing_priv.h"

#include "keyspace/limbo_priv.h"
#include "keyspace/pending.h"
#include "keyspace/slab_priv.h"
#include "os/blob.h"
#include "os/mem.h"

enum { KEYS = 3000, STEPS = 60000 };

/* What a change may not touch when it fails. */
struct state_before {
    struct entry *entry;
    char value[1000];
    size_t len;
    int64_t deadline;
};

static void remember(struct entry *e, struct state_before *before)
{
    before->entry = e;
    if (e) {
        slice value = entry_string(e);
        memcpy(before->value, value.ptr, value.len);
        before->len = value.len;
        before->deadline = entry_deadline(e);
    }
}

static void expect_unchanged(struct shard *s, const struct key *k, struct bench *b, const struct state_before *before)
{
    struct entry *e = shard_find(s, k);
    assert_ptr_equal(e, before->entry);
    assert_int_equal(b->fx.touch_count, 0);
    if (e) {
        assert_true(slice_equal(entry_string(e), slice_make(before->value, before->len)));
        assert_true(entry_deadline(e) == before->deadline);
    }
}

static err change(struct bench *b, struct random *r, struct shard *s, const struct key *k, struct entry *e)
{
    static char bytes[1000];
    struct content c =
        content_string(slice_make(bytes, random_below(r, 2) ? random_below(r, 50) : random_below(r, sizeof bytes)));
    char *value;
    c.deadline = random_below(r, 2) ? NO_DEADLINE : NOW + (int64_t)random_below(r, 1000);
    c.fresh_until = c.deadline;
    if (!e) {
        return shard_insert(s, k, &c, &b->fx, EVENT_set, &e);
    }
    switch (random_below(r, 5)) {
    case 0: return shard_replace(s, k, e, &c, &b->fx, EVENT_set, &e);
    case 1: return shard_set_times(s, k, e, c.deadline, c.deadline, &b->fx, EVENT_expire, &e);
    case 2: return shard_edit_string(s, k, e, c.string.len, &b->fx, EVENT_append, &e, &value);
    case 3: return shard_soften(s, k, e, &b->fx, &e);
    default: shard_remove(s, k, e, &b->fx, CHANGE_DELETED, EVENT_del); return OK;
    }
}

/* Each `every`-th allocation from now on, or the `once`-th. True when the tests have the say. */
static bool refuse(unsigned every, unsigned once)
{
#ifdef LARDER_TEST_HOOKS
    static struct mem_refusals refusals;
    refusals = (struct mem_refusals){.every = every, .once = once};
    mem_refusals = &refusals;
    return true;
#else
    (void)every;
    (void)once;
    return false;
#endif
}

static void test_a_keyspace_that_cannot_be_made(void **state)
{
    (void)state;
    struct keyspace_options o = {.worker_count = 2, .db_count = 16, .maxmemory_bytes = 4 << 20};
    struct keyspace *ks;
    for (unsigned place = 1; refuse(0, place); place++) {
        if (keyspace_new(&o, &ks) == OK) {
            assert_true(place > 4);
            keyspace_free(ks);
            break;
        }
    }
    refuse(0, 0);
}

static void test_a_refused_change_changes_nothing(void **state)
{
    (void)state;
    struct bench b;
    struct random r;
    struct state_before before;
    struct keyspace_options o = {.worker_count = 1, .db_count = 16, .maxmemory_bytes = 4 << 20};
    unsigned refused = 0;
    assert_int_equal(keyspace_new(&o, &b.ks), OK);
    refuse(7, 0);
    arena_init(&b.arena);
    effect_init(&b.fx, &b.arena, (struct now){.wall_ms = NOW}, false);
    random_init(&r, 1, 9);
    for (unsigned step = 0; step < STEPS; step++) {
        struct key k = bench_key(&b, 0, (unsigned)random_below(&r, KEYS));
        shard_lock(k.shard);
        struct pending *p = pending_open(k.shard, &k, NULL);
        struct entry *e = shard_find(k.shard, &k);
        remember(e, &before);
        if (change(&b, &r, k.shard, &k, e) != OK) {
            refused++;
            expect_unchanged(k.shard, &k, &b, &before);
            assert_true(!p || p->attached);
        }
        if (p) {
            pending_close(p);
        }
        shard_unlock(k.shard);
        bench_reset(&b);
        if (step % 5000 == 4999) {
            refuse(0, 0); /* a check needs memory of its own */
            keyspace_check(b.ks);
            keyspace_lock_all(b.ks);
            keyspace_flush_db(b.ks, 0);
            keyspace_unlock_all(b.ks);
            keyspace_check(b.ks);
            refuse(7, 0);
            keyspace_reap(b.ks, 0);
        }
        keyspace_tick(b.ks, 0, (struct now){.wall_ms = NOW + step / 100, .mono_ms = step}, TICK_US);
    }
#ifdef LARDER_TEST_HOOKS
    assert_true(refused > STEPS / 50);
#endif
    refuse(0, 0);
    keyspace_check(b.ks);
    bench_fini(&b);
}

/* A change that takes a blob over leaves it to who holds it when it is refused, wherever that happens. */
static void test_a_refused_change_leaves_the_blob(void **state)
{
    (void)state;
    enum { LEN = 50000 };
    struct bench b;
    bench_init(&b, 1, 0, EVICTION_NONE);
    struct blob *blob = blob_new(blob_good_room(LEN));
    memset(blob->bytes, 'x', LEN);
    blob_hold(blob);
    blob_disown(blob);
    struct content c = content_string(slice_make(blob->bytes, LEN));
    c.blob = blob;
    c.deadline = c.fresh_until = NOW + 1000;
    static char name[5000];
    struct key k = keyspace_key(b.ks, 0, slice_make(name, sizeof name));
    struct entry *e;
    err failure = ERR_NOMEM;
    shard_lock(k.shard);
    for (unsigned place = 1; failure != OK; place++) {
        refuse(0, place);
        failure = shard_insert(k.shard, &k, &c, &b.fx, EVENT_set, &e);
        assert_true(failure == OK ? blob->holds == BLOB_OWNER + 1 : blob->holds == 1);
    }
    refuse(0, 0);
    assert_ptr_equal(entry_blob(e), blob);
    shard_unlock(k.shard);
    blob_release(blob);
    keyspace_check(b.ks);
    bench_fini(&b);
}

static void test_slabs_without_memory(void **state)
{
    (void)state;
    struct slab_pool pool;
    struct limbo limbo;
    struct slabs s;
    static void *blocks[KEYS];
    unsigned refused = 0;
    assert_int_equal(slab_pool_init(&pool, 64 << 20), OK);
    assert_int_equal(limbo_init(&limbo, 1, &pool), OK);
    slabs_init(&s, &pool, SLAB_POOL_ENTRIES, &limbo);
    refuse(7, 0);
    for (unsigned i = 0; i < KEYS; i++) {
        blocks[i] = slab_alloc(&s, 1 + i % 3000);
        refused += !blocks[i];
        slab_check(&s);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        slab_free(&s, blocks[i], 1 + i % 3000);
    }
#ifdef LARDER_TEST_HOOKS
    assert_true(refused > KEYS / 10);
#endif
    (void)refused;
    refuse(0, 0);
    slabs_fini(&s);
    limbo_fini(&limbo);
    slab_pool_fini(&pool);
}

/* More than the range has: what is taken stays good, what goes makes room. */
static void test_a_range_that_is_full(void **state)
{
    (void)state;
    struct slab_pool pool;
    assert_int_equal(slab_pool_init(&pool, 64 << 20), OK);
    refuse(7, 0);
    unsigned taken = 0, refused = 0;
    while (refused < 20) {
        uint32_t number = slab_pool_take(&pool, SLAB_POOL_ENTRIES);
        taken += number != 0;
        refused = number ? 0 : refused + 1;
    }
    assert_int_equal(taken, (64 << 20) / SLAB_BYTES - 1);
    slab_pool_give(&pool, 77);
    assert_int_equal(slab_pool_take(&pool, SLAB_POOL_ENTRIES), 77);
    for (uint32_t number = 1; number <= taken; number++) {
        slab_pool_give(&pool, number);
    }
    refuse(0, 0);
    slab_pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_keyspace_that_cannot_be_made),
        cmocka_unit_test(test_a_refused_change_changes_nothing),
        cmocka_unit_test(test_a_refused_change_leaves_the_blob),
        cmocka_unit_test(test_slabs_without_memory),
        cmocka_unit_test(test_a_range_that_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
