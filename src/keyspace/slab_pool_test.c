/* The pool of slabs: each is somebody's once, memory goes back to the system a block at a time, whole ones first, and another thread readies what is needed next. */
#include "keyspace/slab_pool_priv.h"

#include "keyspace/testing_priv.h"
#include "os/lazy.h"

enum { SLABS = 1000, STEPS = 100000, BLOCK = 128, SMALL_PAGES = 12 * BLOCK };

static char *memory_of(const struct slab_pool *p, uint32_t number)
{
    return p->base + (size_t)number * SLAB_BYTES;
}

static void test_each_is_somebodys_once(void **state)
{
    (void)state;
    struct slab_pool p;
    struct random r;
    static uint32_t numbers[SLABS];
    unsigned taken = 0;
    random_init(&r, 3, 4);
    assert_int_equal(slab_pool_init(&p, 256 << 20), OK);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)random_below(&r, SLABS);
        if (numbers[i]) {
            assert_int_equal(*memory_of(&p, numbers[i]), (char)i);
            assert_int_equal(memory_of(&p, numbers[i])[SLAB_BYTES - 1], (char)i);
            slab_pool_give(&p, numbers[i]);
            numbers[i] = 0;
            taken--;
        } else {
            numbers[i] = slab_pool_take(&p, SLAB_POOL_ENTRIES);
            assert_int_not_equal(numbers[i], 0);
            *memory_of(&p, numbers[i]) = memory_of(&p, numbers[i])[SLAB_BYTES - 1] = (char)i;
            taken++;
        }
        if (step % 100 == 0) {
            slab_pool_settle(&p, random_below(&r, 2));
        }
        assert_int_equal(slab_pool_stats(&p).taken_bytes, (uint64_t)taken * SLAB_BYTES);
    }
    for (unsigned i = 0; i < SLABS; i++) {
        if (numbers[i]) {
            slab_pool_give(&p, numbers[i]);
        }
    }
    slab_pool_fini(&p);
}

static void test_memory_goes_back(void **state)
{
    (void)state;
    struct slab_pool p;
    static uint32_t numbers[SLABS];
    assert_int_equal(slab_pool_init(&p, 256 << 20), OK);
    for (unsigned i = 0; i < SLABS; i++) {
        numbers[i] = slab_pool_take(&p, SLAB_POOL_ENTRIES);
        memset(memory_of(&p, numbers[i]), 'x', SLAB_BYTES);
    }
    assert_false(slab_pool_settle(&p, true));
    for (unsigned i = 0; i < SLABS; i++) {
        if (i % 3 != 1) {
            slab_pool_give(&p, numbers[i]);
        }
    }
    uint64_t idle = slab_pool_stats(&p).idle_bytes;
    assert_true(idle > SLABS / 2 * SLAB_BYTES);
    unsigned calls = 0;
    while (slab_pool_settle(&p, false)) {
        calls++;
    }
    assert_true(slab_pool_stats(&p).idle_bytes <= (1 << 20) + SLABS * SLAB_BYTES / 64);
    assert_true(calls > 3);
    while (slab_pool_settle(&p, true)) {}
    assert_int_equal(slab_pool_stats(&p).idle_bytes, 0);
    for (unsigned i = 0; i < SLABS; i++) { /* what was given back reads as zeros; all else is as it was */
        assert_int_equal(*memory_of(&p, numbers[i]), i % 3 == 1 ? 'x' : 0);
        if (i % 3 == 1) {
            slab_pool_give(&p, numbers[i]);
        }
    }
    slab_pool_fini(&p);
}

/* Takes slabs until it has `count`. */
static void take_up_to(struct slab_pool *p, uint32_t *numbers, unsigned *taken, unsigned count)
{
    for (; *taken < count; ++*taken) {
        numbers[*taken] = slab_pool_take(p, SLAB_POOL_ENTRIES);
        assert_int_not_equal(numbers[*taken], 0);
    }
}

static void test_a_block_is_readied_before_it_is_needed(void **state)
{
    (void)state;
    struct slab_pool p;
    static uint32_t numbers[SMALL_PAGES + 2 * BLOCK];
    unsigned taken = 0;
    assert_int_equal(slab_pool_init(&p, 256 << 20), OK);
    assert_int_equal(lazy_start(), OK);
    take_up_to(&p, numbers, &taken, SMALL_PAGES - BLOCK / 2 - 1); /* small pages come as they are touched */
    assert_int_equal(p.block_count, SMALL_PAGES / BLOCK);
    take_up_to(&p, numbers, &taken, SMALL_PAGES - 10);
    lazy_stop();
    assert_int_equal(p.block_count, SMALL_PAGES / BLOCK + 1);
    assert_false(slab_pool_settle(&p, true)); /* it stays */
    take_up_to(&p, numbers, &taken, SMALL_PAGES - 1 + BLOCK);
    assert_int_equal(p.block_count, SMALL_PAGES / BLOCK + 1);
    take_up_to(&p, numbers, &taken, SMALL_PAGES + BLOCK); /* nobody has readied another one */
    assert_int_equal(p.block_count, SMALL_PAGES / BLOCK + 2);

    while (taken > 0) {
        slab_pool_give(&p, numbers[--taken]);
    }
    uint64_t idle = slab_pool_stats(&p).idle_bytes;
    assert_int_equal(lazy_start(), OK);
    assert_true(slab_pool_tend(&p, 0));
    lazy_stop();
    assert_true(slab_pool_stats(&p).idle_bytes < idle);
    slab_pool_fini(&p);
}

/* There is another thread, but nobody tells it in time. */
static void test_who_comes_before_a_block_is_readied_gets_small_pages(void **state)
{
    (void)state;
    struct slab_pool p;
    static uint32_t numbers[SMALL_PAGES + 3 * BLOCK];
    unsigned taken = 0;
    assert_int_equal(slab_pool_init(&p, 256 << 20), OK);
    assert_int_equal(lazy_start(), OK);
    p.is_tended = true;
    take_up_to(&p, numbers, &taken, SMALL_PAGES - 1);
    p.is_tended = false;
    take_up_to(&p, numbers, &taken, SMALL_PAGES);
    assert_int_equal(p.block_count, SMALL_PAGES / BLOCK + 1);
    assert_int_equal(p.huge_count, 0);
    lazy_stop();
    take_up_to(&p, numbers, &taken, SMALL_PAGES + BLOCK);
    assert_int_equal(p.huge_count, 1); /* nobody else makes them now */
    while (taken > 0) {
        slab_pool_give(&p, numbers[--taken]);
    }
    slab_pool_fini(&p);
}

/* All shards take at about the same time, the more the more there are. */
static void test_more_is_readied_where_there_is_much(void **state)
{
    (void)state;
    enum { MUCH = 2 * SMALL_PAGES };
    struct slab_pool p;
    static uint32_t numbers[MUCH];
    unsigned taken = 0;
    assert_int_equal(slab_pool_init(&p, 512 << 20), OK);
    take_up_to(&p, numbers, &taken, MUCH - 2); /* slab 0 is nobody's */
    assert_int_equal(lazy_start(), OK);
    take_up_to(&p, numbers, &taken, MUCH - 1);
    lazy_stop();
    assert_true(p.free_count >= p.block_count);
    assert_true(p.free_count < p.block_count + 2 * BLOCK);
    while (taken > 0) {
        slab_pool_give(&p, numbers[--taken]);
    }
    slab_pool_fini(&p);
}

/* ---- huge pages -------------------------------------------------------------------------------------------------- */

enum { HUGE_BLOCKS = 40, FIRST_HUGE = SMALL_PAGES / BLOCK, ALL = SMALL_PAGES + HUGE_BLOCKS * BLOCK };

/* All of so many blocks is taken. There is no other thread. */
struct full {
    struct slab_pool pool;
    bool has[ALL + BLOCK];
};

static struct full *full_new(void)
{
    struct full *f = aligned_alloc(CACHE_LINE_BYTES, sizeof *f);
    assert_non_null(f);
    *f = (struct full){0};
    assert_int_equal(slab_pool_init(&f->pool, 256 << 20), OK);
    for (uint32_t number = 1; number < ALL; number++) { /* slab 0 is nobody's */
        assert_int_equal(slab_pool_take(&f->pool, SLAB_POOL_ENTRIES), number);
        memset(memory_of(&f->pool, number), 'x', SLAB_BYTES);
        f->has[number] = true;
    }
    assert_int_equal(f->pool.huge_count, HUGE_BLOCKS);
    return f;
}

static void full_free(struct full *f)
{
    for (uint32_t number = 1; number < countof(f->has); number++) {
        if (f->has[number]) {
            slab_pool_give(&f->pool, number);
        }
    }
    slab_pool_fini(&f->pool);
    free(f);
}

/* Gives the first slabs of a block. */
static void give(struct full *f, unsigned block, unsigned count)
{
    for (uint32_t number = block * BLOCK; number < block * BLOCK + count; number++) {
        slab_pool_give(&f->pool, number);
        f->has[number] = false;
    }
}

/* Takes one; of which block it is. */
static unsigned take(struct full *f, enum slab_pool_use use)
{
    uint32_t number = slab_pool_take(&f->pool, use);
    assert_true(number > 0 && number < countof(f->has));
    f->has[number] = true;
    return number / BLOCK;
}

/* How many slabs of a block have lost what was in them: those that nobody has. */
static unsigned discarded(const struct full *f, unsigned block)
{
    unsigned count = 0;
    for (uint32_t number = block * BLOCK; number < (block + 1) * BLOCK; number++) {
        bool zero = *memory_of(&f->pool, number) == 0;
        assert_false(zero && f->has[number]);
        count += zero;
    }
    return count;
}

static void test_the_fullest_block_is_taken_of(void **state)
{
    (void)state;
    struct full *f = full_new();
    give(f, FIRST_HUGE, 60);
    give(f, FIRST_HUGE + 1, 10);
    give(f, FIRST_HUGE + 2, BLOCK);
    for (unsigned i = 0; i < 10 + 60 + BLOCK; i++) {
        assert_int_equal(take(f, SLAB_POOL_ENTRIES), FIRST_HUGE + (i < 10 ? 1 : i < 70 ? 0 : 2));
    }
    full_free(f);
}

static void test_each_use_has_its_blocks(void **state)
{
    (void)state;
    struct full *f = full_new();
    give(f, FIRST_HUGE, BLOCK);
    give(f, FIRST_HUGE + 1, BLOCK);
    unsigned of_indexes = take(f, SLAB_POOL_INDEXES), of_entries = take(f, SLAB_POOL_ENTRIES);
    assert_int_not_equal(of_indexes, of_entries);
    for (unsigned i = 1; i < BLOCK; i++) {
        assert_int_equal(take(f, SLAB_POOL_ENTRIES), of_entries);
    }
    assert_int_equal(take(f, SLAB_POOL_INDEXES), of_indexes);
    assert_int_equal(take(f, SLAB_POOL_ENTRIES), of_indexes); /* better than one more block */
    for (unsigned i = 3; i < BLOCK; i++) {
        assert_int_equal(take(f, SLAB_POOL_INDEXES), of_indexes);
    }
    give(f, of_entries, 10);
    assert_int_equal(take(f, SLAB_POOL_INDEXES), FIRST_HUGE + HUGE_BLOCKS); /* but entries' blocks are theirs */
    full_free(f);
}

static void test_what_is_wholly_free_goes_back_first(void **state)
{
    (void)state;
    struct full *f = full_new();
    for (unsigned i = 0; i < 5; i++) {
        give(f, FIRST_HUGE + i, 30);
    }
    give(f, FIRST_HUGE + 5, BLOCK);
    assert_false(slab_pool_tend(&f->pool, 1000));
    give(f, FIRST_HUGE + 6, BLOCK);
    assert_true(slab_pool_tend(&f->pool, 1000));
    assert_false(slab_pool_tend(&f->pool, 1000));
    assert_int_equal(discarded(f, FIRST_HUGE + 5) + discarded(f, FIRST_HUGE + 6), BLOCK);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(discarded(f, FIRST_HUGE + i), 0);
    }
    for (unsigned i = 0; i < 5 * 30 + BLOCK; i++) {
        (void)take(f, SLAB_POOL_ENTRIES);
    }
    assert_int_equal(f->pool.huge_count, HUGE_BLOCKS);
    (void)take(f, SLAB_POOL_ENTRIES); /* there is nothing else any more */
    assert_int_equal(f->pool.huge_count, HUGE_BLOCKS + 1);
    assert_int_equal(f->pool.block_count, FIRST_HUGE + HUGE_BLOCKS);
    full_free(f);
}

/* Whether anything more goes back in that second (ms). */
static bool goes_back(struct full *f, int64_t now_ms)
{
    bool any = slab_pool_tend(&f->pool, now_ms);
    while (slab_pool_tend(&f->pool, now_ms)) {}
    return any;
}

static void test_huge_pages_are_split_when_few_slabs_come_back(void **state)
{
    (void)state;
    struct full *f = full_new();
    for (unsigned i = 0; i < 10; i++) {
        give(f, FIRST_HUGE + i, i == 5 ? 60 : 25);
    }
    assert_false(goes_back(f, 999)); /* many have since the beginning */
    assert_false(goes_back(f, 1000));
    assert_false(goes_back(f, 1999));
    assert_true(slab_pool_tend(&f->pool, 2000));
    assert_int_equal(discarded(f, FIRST_HUGE + 5), 60); /* what has most first */
    (void)goes_back(f, 2000);
    struct slab_pool_stats stats = slab_pool_stats(&f->pool);
    assert_true(stats.idle_bytes <= stats.taken_bytes / 64 + (1 << 20));
    assert_true(stats.idle_bytes > stats.taken_bytes / 64);
    full_free(f);
}

static void test_blocks_that_are_half_free_are_vacated_first(void **state)
{
    (void)state;
    struct full *f = full_new();
    uint32_t firsts[SLAB_POOL_FIRSTS];
    for (unsigned i = 0; i < 4; i++) {
        give(f, FIRST_HUGE + i, 60 + 20 * i);
    }
    give(f, FIRST_HUGE + 4, 10); /* this is the next to be taken of */
    assert_false(goes_back(f, 1000));
    assert_false(slab_pool_is_vacating(&f->pool));
    assert_false(goes_back(f, 2000));
    assert_true(slab_pool_is_vacating(&f->pool));
    assert_int_equal(slab_pool_emptiest(&f->pool, false, firsts), 4);
    assert_int_equal(slab_pool_emptiest(&f->pool, true, firsts), 3);
    assert_int_equal(firsts[0], (FIRST_HUGE + 3) * BLOCK);
    for (uint32_t number = firsts[0] + 120; number < firsts[0] + BLOCK; number++) { /* somebody does */
        slab_pool_give(&f->pool, number);
        f->has[number] = false;
    }
    assert_false(goes_back(f, 3000)); /* it gets on */
    assert_true(slab_pool_is_vacating(&f->pool));
    assert_true(goes_back(f, 4000)); /* it does not */
    assert_false(slab_pool_is_vacating(&f->pool));
    assert_int_equal(discarded(f, FIRST_HUGE + 3), BLOCK);
    full_free(f);
}

static void test_blocks_of_indexes_are_vacated(void **state)
{
    (void)state;
    struct full *f = full_new();
    uint32_t firsts[SLAB_POOL_FIRSTS];
    give(f, FIRST_HUGE, BLOCK);
    give(f, FIRST_HUGE + 1, BLOCK);
    for (unsigned i = 0; i < 2 * BLOCK; i++) {
        (void)take(f, SLAB_POOL_INDEXES);
    }
    give(f, FIRST_HUGE, 90);
    give(f, FIRST_HUGE + 1, 110);
    assert_false(goes_back(f, 1000));
    assert_false(goes_back(f, 2000));
    assert_true(slab_pool_is_vacating(&f->pool));
    assert_int_equal(slab_pool_emptiest(&f->pool, false, firsts), 0);
    assert_int_equal(slab_pool_emptiest(&f->pool, true, firsts), 1);
    assert_int_equal(firsts[0], (FIRST_HUGE + 1) * BLOCK);
    full_free(f);
}

static void test_huge_pages_are_split_after_some_time(void **state)
{
    (void)state;
    struct full *f = full_new();
    for (unsigned second = 1; second < 10; second++) {
        for (unsigned i = 0; i < 3; i++) {
            give(f, FIRST_HUGE + 3 * second + i, 30);
        }
        assert_false(goes_back(f, second * 1000));
    }
    give(f, FIRST_HUGE, 30);
    assert_true(goes_back(f, 10 * 1000));
    struct slab_pool_stats stats = slab_pool_stats(&f->pool);
    assert_true(stats.idle_bytes <= stats.taken_bytes / 8 + (1 << 20));
    assert_true(stats.idle_bytes > stats.taken_bytes / 8);
    full_free(f);
}

static void test_addresses_are_halved_until_granted(void **state)
{
    (void)state;
    struct slab_pool p;
    assert_int_equal(slab_pool_init(&p, UINT64_C(1) << 50), OK);
    assert_true(p.range_bytes >= 64 << 20);
    assert_true(p.range_bytes < UINT64_C(1) << 48);
    uint32_t number = slab_pool_take(&p, SLAB_POOL_ENTRIES);
    assert_int_equal(*memory_of(&p, number), 0);
    slab_pool_give(&p, number);
    slab_pool_fini(&p);
    slab_pool_fini(&(struct slab_pool){0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_somebodys_once),
        cmocka_unit_test(test_memory_goes_back),
        cmocka_unit_test(test_a_block_is_readied_before_it_is_needed),
        cmocka_unit_test(test_who_comes_before_a_block_is_readied_gets_small_pages),
        cmocka_unit_test(test_more_is_readied_where_there_is_much),
        cmocka_unit_test(test_the_fullest_block_is_taken_of),
        cmocka_unit_test(test_each_use_has_its_blocks),
        cmocka_unit_test(test_what_is_wholly_free_goes_back_first),
        cmocka_unit_test(test_huge_pages_are_split_when_few_slabs_come_back),
        cmocka_unit_test(test_huge_pages_are_split_after_some_time),
        cmocka_unit_test(test_blocks_that_are_half_free_are_vacated_first),
        cmocka_unit_test(test_blocks_of_indexes_are_vacated),
        cmocka_unit_test(test_addresses_are_halved_until_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
