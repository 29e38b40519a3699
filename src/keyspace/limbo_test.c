/* Deferred freeing: nothing goes before every worker has ticked since it came, everything goes soon after. */
#include "keyspace/limbo_priv.h"

#include "keyspace/testing_priv.h"
#include "os/mem.h"

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

static void put(struct limbo *l)
{
    limbo_put(l, mem_alloc(64));
}

static void test_waits_for_every_worker(void **state)
{
    (void)state;
    struct limbo l;
    assert_int_equal(limbo_init(&l, 2), OK);
    put(&l);
    for (unsigned i = 0; i < 10; i++) {
        limbo_tick(&l, 0);
    }
    assert_int_equal(waiting(&l), 1); /* the other one may still be reading it */
    limbo_tick(&l, 1);
    assert_int_equal(waiting(&l), 0);

    limbo_tick(&l, 0);
    put(&l);
    limbo_tick(&l, 1); /* moves the epoch on: by a tick of the first worker that was before the block came */
    assert_int_equal(waiting(&l), 1);
    limbo_tick(&l, 1);
    assert_int_equal(waiting(&l), 1);
    limbo_tick(&l, 0);
    assert_int_equal(waiting(&l), 0);
    limbo_fini(&l);
}

static void test_what_comes_later_stays_longer(void **state)
{
    (void)state;
    struct limbo l;
    assert_int_equal(limbo_init(&l, 1), OK);
    for (unsigned i = 0; i < 20; i++) {
        put(&l);
        limbo_tick(&l, 0);
        assert_true(waiting(&l) <= 2);
        assert_true(waiting(&l) >= 1);
    }
    limbo_put(&l, NULL);
    limbo_tick(&l, 0);
    limbo_tick(&l, 0);
    assert_int_equal(waiting(&l), 0);
    put(&l);
    limbo_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_for_every_worker),
        cmocka_unit_test(test_what_comes_later_stays_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
