/* Slabs: blocks do not overlap, handles lead back to them, any other handle is told apart; what is empty goes back to the pool. */
#include "keyspace/slab_priv.h"

#include "base/num.h"
#include "keyspace/limbo_priv.h"
#include "keyspace/testing_priv.h"

enum { SHARDS = 2, BLOCKS = 4000, STEPS = 200000 };

struct block {
    unsigned char *memory;
    size_t bytes;
};

struct world {
    struct slab_pool pool;
    struct limbo limbo;
    struct slabs slabs[SHARDS];
    struct block blocks[SHARDS][BLOCKS];
};

static struct world *world_new(void)
{
    struct world *w = aligned_alloc(CACHE_LINE_BYTES, sizeof *w);
    assert_non_null(w);
    *w = (struct world){0};
    assert_int_equal(slab_pool_init(&w->pool, 256 << 20), OK);
    assert_int_equal(limbo_init(&w->limbo, 1, &w->pool), OK);
    for (unsigned i = 0; i < SHARDS; i++) {
        slabs_init(&w->slabs[i], &w->pool, SLAB_POOL_ENTRIES, &w->limbo);
    }
    return w;
}

static void put(struct world *w, unsigned shard, unsigned i, size_t bytes)
{
    struct block *b = &w->blocks[shard][i];
    *b = (struct block){.memory = slab_alloc(&w->slabs[shard], bytes), .bytes = bytes};
    assert_non_null(b->memory);
    memset(b->memory, (int)(i % 251), slab_good_bytes(bytes));
}

/* Its bytes are as they were written. */
static void drop(struct world *w, unsigned shard, unsigned i)
{
    struct block *b = &w->blocks[shard][i];
    for (size_t at = 0; b->memory && at < slab_good_bytes(b->bytes); at++) {
        assert_int_equal(b->memory[at], i % 251);
    }
    slab_free(&w->slabs[shard], b->memory, b->bytes);
    *b = (struct block){0};
}

static void world_free(struct world *w)
{
    for (unsigned shard = 0; shard < SHARDS; shard++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            drop(w, shard, i);
        }
        slab_check(&w->slabs[shard]);
        slabs_fini(&w->slabs[shard]);
    }
    limbo_fini(&w->limbo);
    assert_int_equal(slab_pool_stats(&w->pool).taken_bytes, 0);
    slab_pool_fini(&w->pool);
    free(w);
}

static void test_sizes(void **state)
{
    (void)state;
    size_t before = 0;
    for (size_t bytes = 1; bytes <= SLAB_BLOCK_MAX; bytes++) {
        size_t good = slab_good_bytes(bytes);
        assert_true(good >= bytes);
        assert_true(good >= before);
        assert_int_equal(slab_good_bytes(good), good);
        assert_true(bytes < 16 || bytes > 128 || good - bytes < 8);
        assert_true(bytes < 128 || good - bytes <= bytes / 8);
        before = good;
    }
    assert_int_equal(slab_good_bytes(56), 56);
    assert_int_equal(slab_good_bytes(4096), 4096);
}

static size_t count_live(const struct slabs *s, uint32_t first_place, uint32_t place_count)
{
    size_t live = 0;
    for (handle h = first_place << SLAB_OFFSET_BITS; h < (first_place + place_count) << SLAB_OFFSET_BITS; h++) {
        live += slab_is_live(s, h);
    }
    return live;
}

/* How many handles of a shard are live, and those of its blocks among them. */
static void expect_live(struct world *w, unsigned shard, struct random *r)
{
    struct slabs *s = &w->slabs[shard];
    size_t blocks = 0;
    for (unsigned i = 0; i < BLOCKS; i++) {
        const struct block *b = &w->blocks[shard][i];
        if (b->memory) {
            handle h = slab_handle(s, b->memory);
            assert_int_not_equal(h, 0);
            assert_ptr_equal(slab_at(s, h), b->memory);
            assert_true(slab_is_live(s, h));
            blocks++;
        }
    }
    assert_int_equal(count_live(s, 0, (uint32_t)num_min_u64(s->owned_words * 64, SLAB_DIRECT_COUNT)) +
                         count_live(s, SLAB_DIRECT_COUNT, s->table_end),
                     blocks);
    for (unsigned i = 0; i < 1000; i++) {
        assert_false(slab_is_live(s, (handle)random_u64(r) | 0x80000000));
    }
}

static void test_blocks_and_handles_of_two_shards(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct random r;
    random_init(&r, 1, 2);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned shard = (unsigned)random_below(&r, SHARDS), i = (unsigned)random_below(&r, BLOCKS);
        bool was_there = w->blocks[shard][i].memory;
        drop(w, shard, i);
        /* More come than go, then more go than come. */
        if (!was_there || random_below(&r, 8) < (step / 40000 % 2 ? 1 : 7)) {
            put(w, shard, i, 1 + (random_below(&r, 10) ? random_below(&r, 200) : random_below(&r, SLAB_BLOCK_MAX)));
        }
        if (step % 20000 == 0) {
            slab_check(&w->slabs[shard]);
            expect_live(w, shard, &r);
            limbo_tick(&w->limbo, 0);
        }
    }
#ifdef LARDER_CHECKS
    assert_true(w->slabs[0].table_end > 0);
#endif
    world_free(w);
}

/* The smallest sizes have more blocks in a slab than its record has bits. */
static void test_full_slabs_of_every_small_size(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, 3, 4);
    for (size_t bytes = 16; bytes <= 64; bytes += 8) {
        struct world *w = world_new();
        for (unsigned i = 0; i < BLOCKS; i++) {
            put(w, 0, i, bytes);
        }
        slab_check(&w->slabs[0]);
        expect_live(w, 0, &r);
        assert_true(slab_taken_bytes(&w->slabs[0]) < BLOCKS * bytes * 102 / 100 + SLAB_BYTES);
        world_free(w);
    }
}

static void test_what_is_empty_goes_back(void **state)
{
    (void)state;
    struct world *w = world_new();
    assert_int_equal(slab_taken_bytes(&w->slabs[0]), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        put(w, 0, i, 100);
    }
    assert_int_equal(w->slabs[0].used_bytes, BLOCKS * 104);
    uint64_t taken = slab_taken_bytes(&w->slabs[0]);
    assert_int_equal(slab_pool_stats(&w->pool).taken_bytes, taken);
    assert_true(taken < BLOCKS * 104 + 2 * SLAB_BYTES);
    for (unsigned i = 0; i < BLOCKS; i += 2) { /* half of each: they are filled again before a new one is taken */
        drop(w, 0, i);
    }
    assert_int_equal(slab_taken_bytes(&w->slabs[0]), taken);
    for (unsigned i = 0; i < BLOCKS; i += 2) {
        put(w, 0, i, 99);
    }
    assert_int_equal(slab_taken_bytes(&w->slabs[0]), taken);
    for (unsigned i = 1; i < BLOCKS; i++) {
        drop(w, 0, i);
    }
    assert_int_equal(slab_taken_bytes(&w->slabs[0]), SLAB_BYTES);
    assert_int_equal(slab_pool_stats(&w->pool).taken_bytes, SLAB_BYTES);
    assert_int_equal(slab_pool_stats(&w->pool).idle_bytes, taken - SLAB_BYTES);
    world_free(w);
}

/* Moves what is in sparse slabs, as the owner of the blocks does. */
static void compact(struct world *w, bool thorough)
{
    struct slabs *s = &w->slabs[0];
    for (unsigned char *from; (from = slab_sparse_block(s, thorough));) {
        unsigned i = 0;
        while (w->blocks[0][i].memory != from) {
            i++;
        }
        struct block *b = &w->blocks[0][i];
        b->memory = slab_alloc(s, b->bytes);
        memcpy(b->memory, from, slab_good_bytes(b->bytes));
        slab_free(s, from, b->bytes);
    }
    slab_check(s);
}

static void test_sparse_slabs_are_emptied(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct slabs *s = &w->slabs[0];
    struct random r;
    random_init(&r, 5, 6);
    for (unsigned i = 0; i < BLOCKS; i++) {
        put(w, 0, i, i % 2 ? 200 : 900);
    }
    assert_false(slab_may_be_sparse(s));
    assert_null(slab_sparse_block(s, false));
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (random_below(&r, 5)) {
            drop(w, 0, i);
        }
    }
    assert_true(slab_may_be_sparse(s));
    assert_true(slab_taken_bytes(s) > 4 * slab_used_bytes(s));
    /* What stops halfway is as if it had not begun. */
    assert_non_null(slab_sparse_block(s, false));
    slab_stop_draining(s);
    slab_check(s);
    compact(w, false);
    assert_true(slab_taken_bytes(s) <= slab_used_bytes(s) * 8 / 7 + 6 * SLAB_BYTES);
    compact(w, true);
    assert_true(slab_taken_bytes(s) <= slab_used_bytes(s) * 21 / 20 + 2 * SLAB_BYTES);
    world_free(w);
}

/* ---- the blocks of the pool ---------------------------------------------------------------------------------------- */

enum {
    BYTES = 1024,
    IN_A_SLAB = SLAB_BYTES / BYTES,
    POOL_BLOCKS = 50,
    SMALL_PAGES = 12, /* blocks that are not emptied as a whole */
    COUNT = POOL_BLOCKS * SLAB_POOL_BLOCK_SLABS * IN_A_SLAB
};

/* What fills them, each with its number in it. */
static uint32_t **fill_pool(struct slabs *s)
{
    static uint32_t *blocks[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        blocks[i] = slab_alloc(s, BYTES);
        assert_non_null(blocks[i]);
        *blocks[i] = i;
    }
    return blocks;
}

static void move_together(struct slabs *s, uint32_t **blocks)
{
    for (uint32_t *from; (from = slab_sparse_block(s, false));) {
        uint32_t i = *from;
        blocks[i] = slab_alloc(s, BYTES);
        *blocks[i] = i;
        slab_free(s, from, BYTES);
    }
    slab_check(s);
}

static void drop_all(struct slabs *s, uint32_t **blocks)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_true(!blocks[i] || *blocks[i] == i);
        slab_free(s, blocks[i], BYTES);
    }
}

/* Half is dropped at random and the rest moved together: then nearly half of the pool's blocks are free as a whole, not half of each. */
static void test_the_pools_blocks_are_emptied_one_after_the_other(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct slabs *s = &w->slabs[0];
    struct random r;
    uint32_t **blocks = fill_pool(s);
    random_init(&r, 7, 8);
    for (uint32_t i = 0; i < COUNT; i++) {
        if (random_below(&r, 2)) {
            slab_free(s, blocks[i], BYTES);
            blocks[i] = NULL;
        }
    }
    move_together(s, blocks);
    while (slab_pool_settle(&w->pool, true)) {}
    assert_true(w->pool.bare_count >= (POOL_BLOCKS - SMALL_PAGES) / 2 - 3);
    drop_all(s, blocks);
    world_free(w);
}

/* Drops what is in four slabs of five. */
static void drop_slabs(struct slabs *s, uint32_t **blocks)
{
    struct random r;
    random_init(&r, 9, 10);
    for (uint32_t i = 0; i < COUNT; i += IN_A_SLAB) {
        bool drops = random_below(&r, 5);
        for (uint32_t k = i; drops && k < i + IN_A_SLAB; k++) {
            slab_free(s, blocks[k], BYTES);
            blocks[k] = NULL;
        }
    }
}

/* Of those that can have huge pages. */
static uint64_t blocks_with_memory(const struct slab_pool *p)
{
    return p->block_count - SMALL_PAGES - p->bare_count;
}

/* Lets so much time pass that blocks are to be vacated. */
static void begin_vacating(struct slab_pool *p)
{
    for (int64_t second = 1; second <= 2; second++) {
        while (slab_pool_tend(p, second * 1000)) {}
    }
    assert_true(slab_pool_is_vacating(p));
}

/* Full slabs are moved, too, when nothing else makes blocks free. */
static void test_the_pools_blocks_are_vacated(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct slabs *s = &w->slabs[0];
    uint32_t **blocks = fill_pool(s);
    drop_slabs(s, blocks);
    move_together(s, blocks);
    uint64_t taken = slab_taken_bytes(s);
    assert_false(slab_may_be_sparse(s));
    begin_vacating(&w->pool);
    assert_true(slab_may_be_sparse(s));
    assert_non_null(slab_sparse_block(s, false));
    slab_check(s);
    slab_stop_draining(s);
    slab_check(s);
    move_together(s, blocks);
    assert_int_equal(slab_taken_bytes(s), taken);
    while (slab_pool_settle(&w->pool, true)) {}
    assert_true(blocks_with_memory(&w->pool) * SLAB_POOL_BLOCK_SLABS * SLAB_BYTES < taken * 5 / 4);
    drop_all(s, blocks);
    world_free(w);
}

/* Asks about each, as who owns indexes does. */
static void walk_and_move(struct slabs *s, uint32_t **blocks)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t *from = blocks[i];
        if (from && slab_should_move(s, from)) {
            blocks[i] = slab_alloc(s, BYTES);
            *blocks[i] = i;
            slab_free(s, from, BYTES);
        }
    }
    slab_check(s);
}

/* What belongs to indexes is found by walks; in one of their blocks there are entries. */
static void test_blocks_of_indexes_are_vacated(void **state)
{
    (void)state;
    enum { ENTRIES = 20 };
    struct world *w = world_new();
    struct slabs *s = &w->slabs[0], *entries = &w->slabs[1];
    slabs_init(s, &w->pool, SLAB_POOL_INDEXES, &w->limbo);
    uint32_t **blocks = fill_pool(s);
    drop_slabs(s, blocks);
    assert_false(slab_is_sparse(s));
    for (unsigned i = 0; i < ENTRIES; i++) {
        put(w, 1, i, SLAB_BLOCK_MAX);
    }
    uint64_t taken = slab_taken_bytes(s) + slab_taken_bytes(entries);
    begin_vacating(&w->pool);
    unsigned rounds = 0;
    while (slab_is_sparse(s)) {
        slab_check(s);
        walk_and_move(s, blocks);
        assert_true(++rounds < 2 * POOL_BLOCKS);
    }
    assert_true(rounds > POOL_BLOCKS / 4);
    for (unsigned char *from; (from = slab_sparse_block(entries, false));) {
        drop(w, 1, *from);
        put(w, 1, *from, SLAB_BLOCK_MAX);
    }
    while (slab_pool_settle(&w->pool, true)) {}
    assert_int_equal(slab_taken_bytes(s) + slab_taken_bytes(entries), taken);
    assert_true(blocks_with_memory(&w->pool) * SLAB_POOL_BLOCK_SLABS * SLAB_BYTES < taken * 5 / 4);
    drop_all(s, blocks);
    world_free(w);
}

/* What is being vacated gets nothing new, unless there is no other place; then it is given up. */
static void test_what_is_vacated_gets_nothing_new(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct slabs *s = &w->slabs[0];
    slabs_init(s, &w->pool, SLAB_POOL_INDEXES, &w->limbo);
    uint32_t **blocks = fill_pool(s);
    drop_slabs(s, blocks);
    begin_vacating(&w->pool);
    assert_true(slab_is_sparse(s));
    uint32_t left = s->drained.left;
    assert_true(left > 0);
    uint32_t filled = 0;
    for (; s->drained.count > 0; filled++) {
        assert_int_equal(s->drained.left, left);
        assert_true(filled < COUNT);
        if (!blocks[filled]) {
            blocks[filled] = slab_alloc(s, BYTES);
            *blocks[filled] = filled;
        }
    }
    assert_false(slab_should_move(s, blocks[filled - 1]));
    slab_check(s);
    drop_all(s, blocks);
    world_free(w);
}

/* A block of 64 bytes is a line, one of 4096 bytes a page. */
static void test_powers_of_two_are_aligned(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (unsigned i = 0; i < 100; i++) {
        put(w, 0, i, 64);
        put(w, 1, i, 4096);
        assert_int_equal((uintptr_t)w->blocks[0][i].memory % 64, 0);
        assert_int_equal((uintptr_t)w->blocks[1][i].memory % 4096, 0);
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_blocks_and_handles_of_two_shards),
        cmocka_unit_test(test_full_slabs_of_every_small_size),
        cmocka_unit_test(test_what_is_empty_goes_back),
        cmocka_unit_test(test_powers_of_two_are_aligned),
        cmocka_unit_test(test_sparse_slabs_are_emptied),
        cmocka_unit_test(test_the_pools_blocks_are_emptied_one_after_the_other),
        cmocka_unit_test(test_the_pools_blocks_are_vacated),
        cmocka_unit_test(test_blocks_of_indexes_are_vacated),
        cmocka_unit_test(test_what_is_vacated_gets_nothing_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
