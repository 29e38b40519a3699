/* Ghosts: what is remembered, for how long, of which kind, and how seldom it is wrong. */
#include "keyspace/testing_priv.h"

#include "keyspace/evict_ghosts_priv.h"

enum { CAPACITY = 64 * 1024 };

static uint64_t hash_of(uint64_t number)
{
    return hash_plain(slice_make((const char *)&number, sizeof number));
}

static void test_remembers_each_once_with_its_kind(void **state)
{
    (void)state;
    struct ghosts g = {0};
    assert_int_equal(ghosts_take(&g, hash_of(1)), GHOST_NONE);
    ghosts_add(&g, hash_of(1), GHOST_OF_SMALL, 10);
    assert_int_equal(ghosts_take(&g, hash_of(1)), GHOST_NONE);
    ghosts_resize(&g, 100);
    assert_true(ghosts_capacity(&g) >= 100);
    ghosts_add(&g, hash_of(1), GHOST_OF_SMALL, 10);
    ghosts_add(&g, hash_of(2), GHOST_OF_MAIN, 10);
    ghosts_check(&g);
    assert_int_equal(ghosts_take(&g, hash_of(1)), GHOST_OF_SMALL);
    assert_int_equal(ghosts_take(&g, hash_of(1)), GHOST_NONE);
    assert_int_equal(ghosts_take(&g, hash_of(2)), GHOST_OF_MAIN);
    assert_int_equal(g.counts[GHOST_OF_SMALL] + g.counts[GHOST_OF_MAIN], 0);
    ghosts_resize(&g, 0);
    assert_int_equal(g.bytes, 0);
}

/* How many of `count` numbers from `first` are remembered. */
static unsigned count_remembered(struct ghosts *g, uint64_t first, unsigned count)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) {
        found += ghosts_take(g, hash_of(first + i)) != GHOST_NONE;
    }
    return found;
}

static void test_forgets_the_oldest(void **state)
{
    (void)state;
    struct ghosts g = {0};
    ghosts_resize(&g, CAPACITY);
    for (uint64_t i = 0; i < 3 * CAPACITY; i++) {
        ghosts_add(&g, hash_of(i), GHOST_OF_SMALL, 0);
    }
    ghosts_check(&g);
    assert_true(count_remembered(&g, 0, CAPACITY) < CAPACITY / 200);
    assert_true(count_remembered(&g, 2 * CAPACITY + CAPACITY / 2, CAPACITY / 2) > CAPACITY / 2 * 98 / 100);
    assert_true(count_remembered(&g, 10 * CAPACITY, CAPACITY) < CAPACITY / 200); /* never there */
    ghosts_check(&g);
    ghosts_resize(&g, 0);
}

static void test_the_kind_with_more_than_its_share_goes(void **state)
{
    (void)state;
    struct ghosts g = {0};
    ghosts_resize(&g, CAPACITY);
    for (uint64_t i = 0; i < 8 * CAPACITY; i++) {
        ghosts_add(&g, hash_of(i), i % 2 ? GHOST_OF_MAIN : GHOST_OF_SMALL, CAPACITY / 4);
    }
    ghosts_check(&g);
    assert_true(g.counts[GHOST_OF_MAIN] > CAPACITY / 4 * 95 / 100);
    assert_true(g.counts[GHOST_OF_MAIN] < CAPACITY / 4 * 105 / 100);
    ghosts_resize(&g, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers_each_once_with_its_kind),
        cmocka_unit_test(test_forgets_the_oldest),
        cmocka_unit_test(test_the_kind_with_more_than_its_share_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
