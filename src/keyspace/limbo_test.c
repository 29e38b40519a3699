/* Deferred freeing: nothing goes before every worker has ticked since it came, everything goes soon after. */
#include "keyspace/limbo_priv.h"

#include "keyspace/testing_priv.h"

static unsigned waiting(const struct limbo *l)
{
    unsigned count = 0;
    for (size_t i = 0; i < countof(l->bins); i++) {
        for (const struct limbo_block *b = l->bins[i]; b; b = b->next) {
            count++;
        }
    }
    return count;
}

/* A small block, which is of a slab, or a large one. */
static void put(struct limbo *l, size_t bytes)
{
    struct limbo_block *block = limbo_alloc(l, bytes);
    assert_non_null(block);
    memset(block + 1, 'x', bytes - sizeof *block);
    limbo_put(l, block);
}

static void test_waits_for_every_worker(void **state)
{
    (void)state;
    struct slab_pool pool;
    struct limbo l;
    assert_int_equal(slab_pool_init(&pool, 64 << 20), OK);
    assert_int_equal(limbo_init(&l, 2, &pool), OK);
    put(&l, 64);
    for (unsigned i = 0; i < 10; i++) {
        limbo_tick(&l, 0);
    }
    assert_int_equal(waiting(&l), 1); /* the other one may still be reading it */
    limbo_tick(&l, 1);
    assert_int_equal(waiting(&l), 0);
    assert_int_equal(slab_pool_stats(&pool).taken_bytes, 0);

    limbo_tick(&l, 0);
    put(&l, 100000);
    limbo_tick(&l, 1); /* moves the epoch on: by a tick of the first worker that was before the block came */
    assert_int_equal(waiting(&l), 1);
    limbo_tick(&l, 1);
    assert_int_equal(waiting(&l), 1);
    limbo_tick(&l, 0);
    assert_int_equal(waiting(&l), 0);
    limbo_fini(&l);
    slab_pool_fini(&pool);
}

static void test_what_comes_later_stays_longer(void **state)
{
    (void)state;
    struct slab_bench b;
    slab_bench_init(&b);
    for (unsigned i = 0; i < 20; i++) {
        put(&b.limbo, 100 + i * 1000);
        limbo_tick(&b.limbo, 0);
        assert_true(waiting(&b.limbo) <= 2);
        assert_true(waiting(&b.limbo) >= 1);
    }
    limbo_put(&b.limbo, NULL);
    limbo_tick(&b.limbo, 0);
    limbo_tick(&b.limbo, 0);
    assert_int_equal(waiting(&b.limbo), 0);
    put(&b.limbo, 64);
    slab_bench_fini(&b);
}

/* Whoever has many to free takes several ticks for it, and only then lets the next ones come. */
static void test_a_tick_frees_a_few(void **state)
{
    (void)state;
    enum { COUNT = 3 * LIMBO_PER_TICK };
    struct slab_bench b;
    slab_bench_init(&b);
    for (unsigned i = 0; i < COUNT; i++) {
        put(&b.limbo, 64);
    }
    limbo_tick(&b.limbo, 0);
    uint64_t left = slab_used_bytes(&b.limbo.slabs);
    assert_int_equal(left, COUNT * 64);
    unsigned ticks = 0;
    for (bool more = true; more; ticks++) {
        put(&b.limbo, 4096);
        more = limbo_tick(&b.limbo, 0);
        left -= LIMBO_PER_TICK * 64;
        assert_int_equal(slab_used_bytes(&b.limbo.slabs), left + (ticks + 1) * 4096);
    }
    assert_int_equal(left, 0);
    assert_int_equal(ticks, COUNT / LIMBO_PER_TICK);
    slab_bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_for_every_worker),
        cmocka_unit_test(test_what_comes_later_stays_longer),
        cmocka_unit_test(test_a_tick_frees_a_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
