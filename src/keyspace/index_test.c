/* The index by itself: a model under random growing and shrinking, what a walk promises, cursors that were never given
 * out. */
#include "keyspace/testing_priv.h"

#include "keyspace/entry_priv.h"
#include "keyspace/index_priv.h"
#include "keyspace/limbo_priv.h"

enum { KEYS = 30000, STEPS = 200000, LASTING = 500 };

struct world {
    struct index index;
    struct slab_bench slabs;
    struct hash_key hash_key;
    struct random random;
    struct entry *entries[KEYS]; /* NULL: not in */
    unsigned visits[KEYS];
    size_t count;
};

static slice key_of(const unsigned *number)
{
    return slice_make(number, sizeof *number);
}

static uint64_t hash_of(struct world *w, const unsigned *number)
{
    return hash_keyed(&w->hash_key, key_of(number));
}

static void put(struct world *w, unsigned number)
{
    if (!w->entries[number]) {
        struct content c = content_string(S("value"));
        w->entries[number] = entry_new(&w->slabs.slabs, key_of(&number), &c);
        assert_int_equal(index_insert(&w->index, hash_of(w, &number), w->entries[number]), OK);
        w->count++;
    }
}

static void take(struct world *w, unsigned number)
{
    if (w->entries[number]) {
        index_remove(&w->index, hash_of(w, &number), w->entries[number]);
        entry_free(&w->slabs.slabs, w->entries[number]);
        w->entries[number] = NULL;
        w->count--;
    }
}

/* Inserts and removes at random, in waves that swell and shrink. Keys below `from` are let alone. */
static void churn(struct world *w, unsigned from, unsigned step)
{
    unsigned number = from + (unsigned)random_below(&w->random, KEYS - from);
    bool swelling = step / (STEPS / 6) % 2 == 0;
    if (random_below(&w->random, 10) < (swelling ? 7 : 1)) {
        put(w, number);
    } else {
        take(w, number);
        number = from + (unsigned)random_below(&w->random, KEYS - from);
        take(w, number);
    }
}

static struct world *world_new(void)
{
    struct world *w = aligned_alloc(CACHE_LINE_BYTES, sizeof *w);
    memset(w, 0, sizeof *w);
    hash_key_init(&w->hash_key, (unsigned char[16]){5});
    slab_bench_init(&w->slabs);
    index_init(&w->index, &w->hash_key, &w->slabs.slabs, &w->slabs.limbo);
    random_init(&w->random, 3, 4);
    return w;
}

static void world_free(struct world *w)
{
    for (unsigned i = 0; i < KEYS; i++) {
        take(w, i);
    }
    assert_int_equal(w->index.bytes, 0);
    assert_null(w->index.directory);
    slab_bench_fini(&w->slabs);
    free(w);
}

static void test_agrees_with_a_model(void **state)
{
    (void)state;
    struct world *w = world_new();
    uint32_t deepest = 0, shallowest_after = UINT32_MAX;
    for (unsigned step = 0; step < STEPS; step++) {
        churn(w, 0, step);
        unsigned number = (unsigned)random_below(&w->random, KEYS);
        assert_ptr_equal(index_find(&w->index, hash_of(w, &number), key_of(&number)), w->entries[number]);
        assert_int_equal(w->index.count, w->count);
        if (w->index.depth > deepest) {
            deepest = w->index.depth;
            shallowest_after = UINT32_MAX;
        }
        shallowest_after = w->index.depth < shallowest_after ? w->index.depth : shallowest_after;
        if (step % (STEPS / 30) == 0) {
            index_check(&w->index);
        }
    }
    assert_true(deepest >= 5);
    assert_true(shallowest_after < deepest);
    world_free(w);
}

static void test_bytes_per_key(void **state)
{
    (void)state;
    struct world *w = world_new();
    double sum = 0;
    unsigned samples = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        put(w, i);
        if (i >= KEYS / 4) {
            sum += (double)w->index.bytes / (double)w->index.count;
            samples++;
        }
    }
    assert_true(sum / samples < 14);
    world_free(w);
}

static void visit_all(struct world *w, struct entry **met, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned number;
        memcpy(&number, entry_key(met[i]).ptr, sizeof number);
        assert_ptr_equal(w->entries[number], met[i]);
        w->visits[number]++;
    }
}

static void test_a_split_reads_no_entries(void **state)
{
    (void)state;
    struct world *w = world_new();
    unsigned splits = 0, untold = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        size_t bytes = w->index.bytes;
        bool was_told = index_is_told(&w->index, hash_of(w, &i));
        put(w, i);
        if (i > INDEX_STEP_MAX && w->index.bytes > bytes) { /* before that the only segment was made larger */
            splits++;
            untold += !was_told;
        }
    }
    assert_true(splits > KEYS / INDEX_STEP_MAX);
    assert_int_equal(untold, 0);
    world_free(w);
}

static unsigned count_untold(struct world *w, unsigned from, unsigned end)
{
    unsigned count = 0;
    for (unsigned i = from; i < end; i++) {
        count += !index_is_told(&w->index, hash_of(w, &i));
    }
    return count;
}

/* Where as many keys go as come no split is near, so none is prepared. */
static void test_a_full_cache_reads_no_entries(void **state)
{
    (void)state;
    enum { COUNT = 1500 };
    struct world *w = world_new();
    for (unsigned i = 0; i < COUNT; i++) {
        put(w, i);
    }
    assert_int_equal(w->index.depth, 2); /* where the bits that were known are used up */
    assert_int_equal(count_untold(w, 0, COUNT), COUNT);
    for (unsigned i = COUNT; i < KEYS; i++) {
        take(w, i - COUNT);
        put(w, i);
    }
    assert_int_equal(count_untold(w, KEYS - COUNT, KEYS), COUNT);
    index_check(&w->index);
    world_free(w);
}

static void test_a_walk_meets_what_was_there_throughout(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct entry *met[INDEX_STEP_MAX];
    unsigned step = 0, walks = 0;
    for (unsigned i = 0; i < LASTING; i++) {
        put(w, i);
    }
    while (step < STEPS) {
        uint64_t cursor = 0;
        memset(w->visits, 0, sizeof w->visits);
        do {
            visit_all(w, met, index_step(&w->index, &cursor, met));
            assert_true(cursor >> INDEX_CURSOR_BITS == 0);
            for (unsigned pace = 1 + walks % 40; pace > 0; pace--) {
                churn(w, LASTING, step++);
            }
        } while (cursor != 0);
        for (unsigned i = 0; i < LASTING; i++) {
            assert_true(w->visits[i] > 0);
        }
        walks++;
    }
    assert_true(walks > 10);
    world_free(w);
}

static void test_a_quiet_walk_meets_everything_once(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct entry *met[INDEX_STEP_MAX];
    for (unsigned count = 0; count < 5000; count += 1 + count / 3) {
        uint64_t cursor = 0;
        for (unsigned i = 0; i < count; i++) {
            put(w, i);
        }
        memset(w->visits, 0, sizeof w->visits);
        do {
            visit_all(w, met, index_step(&w->index, &cursor, met));
        } while (cursor != 0);
        for (unsigned i = 0; i < count; i++) {
            assert_int_equal(w->visits[i], 1);
        }
    }
    world_free(w);
}

static void test_any_cursor_is_safe(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct entry *met[INDEX_STEP_MAX];
    for (unsigned filled = 0; filled < 3; filled++) {
        for (unsigned i = 0; i < 50000; i++) {
            uint64_t cursor = random_u64(&w->random) >> random_below(&w->random, 64);
            visit_all(w, met, index_step(&w->index, &cursor, met));
            assert_true(cursor >> INDEX_CURSOR_BITS == 0);
        }
        for (unsigned i = 0; i < (filled ? KEYS : 10); i++) {
            put(w, i);
        }
    }
    world_free(w);
}

static void test_draining(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct entry *met[INDEX_DRAIN_MAX];
    size_t all = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        put(w, i);
    }
    assert_false(index_is_draining(&w->index));
    for (size_t count; (count = index_drain(&w->index, met)) > 0; all += count) {
        assert_true(count <= INDEX_DRAIN_MAX);
        assert_true(index_is_draining(&w->index) == (all + count < KEYS));
        visit_all(w, met, count);
    }
    assert_int_equal(all, KEYS);
    assert_int_equal(w->index.bytes, 0);
    for (unsigned i = 0; i < KEYS; i++) {
        assert_int_equal(w->visits[i], 1);
        entry_free(&w->slabs.slabs, w->entries[i]);
        w->entries[i] = NULL;
    }
    put(w, 1);
    index_check(&w->index);
    world_free(w);
}

/* The next key whose home is the last bucket of its segment, however many buckets that has. */
static unsigned crowded_after(struct world *w, unsigned number)
{
    do {
        number++;
    } while (number < KEYS && (hash_of(w, &number) >> 16 & 0xffff) < 0xffff - 0xffff / 64);
    return number;
}

/* All homes are one bucket: what has no room there goes on to the first buckets of the segment and comes back. */
static void test_a_crowded_bucket(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct entry *met[INDEX_STEP_MAX];
    for (unsigned turn = 0; turn < 400; turn++) {
        unsigned puts = turn < 200 ? 7 : 3; /* of ten */
        for (unsigned i = crowded_after(w, 0); i < KEYS; i = crowded_after(w, i)) {
            if (random_below(&w->random, 50) == 0) {
                (random_below(&w->random, 10) < puts ? put : take)(w, i);
            }
            assert_ptr_equal(index_find(&w->index, hash_of(w, &i), key_of(&i)), w->entries[i]);
        }
        index_check(&w->index);
        uint64_t cursor = 0;
        size_t most = 0, count = 0;
        memset(w->visits, 0, sizeof w->visits);
        do {
            count = index_step(&w->index, &cursor, met);
            most = count > most ? count : most;
            visit_all(w, met, count);
        } while (cursor != 0);
        assert_int_equal(most, w->count);
        for (unsigned i = 0; i < KEYS; i++) {
            assert_int_equal(w->visits[i], w->entries[i] != NULL);
        }
    }
    world_free(w);
}

/* Comes through the whole index a few segments at a time, with changes in between. */
static void compact(struct world *w)
{
    size_t place = 0;
    do {
        index_compact(&w->index, &place, 3);
        churn(w, 0, (unsigned)random_below(&w->random, STEPS));
        limbo_tick(&w->slabs.limbo, 0);
    } while (place != 0);
}

/* After a mass deletion the segments that are left come together in fewer slabs. */
static void test_sparse_segments_move_together(void **state)
{
    (void)state;
    struct world *w = world_new();
    index_compact(&w->index, &(size_t){0}, 100); /* nothing to do */
    for (unsigned i = 0; i < KEYS; i++) {
        put(w, i);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        if (i % 6) {
            take(w, i);
        }
    }
    limbo_tick(&w->slabs.limbo, 0);
    limbo_tick(&w->slabs.limbo, 0);
    uint64_t before = slab_taken_bytes(&w->slabs.limbo.slabs);
    assert_true(limbo_is_sparse(&w->slabs.limbo));
    for (unsigned round = 0; limbo_is_sparse(&w->slabs.limbo); round++) {
        compact(w);
        assert_true(round < 10);
    }
    assert_true(slab_taken_bytes(&w->slabs.limbo.slabs) < before * 2 / 3);
    index_check(&w->index);
    slab_check(&w->slabs.limbo.slabs);
    for (unsigned i = 0; i < KEYS; i++) {
        assert_ptr_equal(index_find(&w->index, hash_of(w, &i), key_of(&i)), w->entries[i]);
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_a_model),
        cmocka_unit_test(test_bytes_per_key),
        cmocka_unit_test(test_a_split_reads_no_entries),
        cmocka_unit_test(test_a_full_cache_reads_no_entries),
        cmocka_unit_test(test_a_walk_meets_what_was_there_throughout),
        cmocka_unit_test(test_a_quiet_walk_meets_everything_once),
        cmocka_unit_test(test_any_cursor_is_safe),
        cmocka_unit_test(test_draining),
        cmocka_unit_test(test_a_crowded_bucket),
        cmocka_unit_test(test_sparse_segments_move_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
