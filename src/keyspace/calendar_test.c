/* The calendar: exact order, cancelling and rescheduling, bounded work, jumps of the clock both ways, blocks that are freed
 * and come again, and what it costs. */
#include "keyspace/calendar_priv.h"

#include "base/num.h"
#include "keyspace/limbo_priv.h"
#include "keyspace/testing_priv.h"

enum { COUNT = 20000, SLABS_BYTES = 256 << 20, DAY_MS = 86400 * 1000 };

struct world {
    struct slab_pool pool;
    struct limbo limbo;
    struct slabs slabs;
    struct calendar calendar;
    struct random random;
    struct entry *entries[COUNT]; /* NULL: none, or it has come up */
};

static struct world *world_new(void)
{
    struct world *w = aligned_alloc(CACHE_LINE_BYTES, sizeof *w);
    assert_non_null(w);
    memset(w, 0, sizeof *w);
    random_init(&w->random, 5, 6);
    assert_int_equal(slab_pool_init(&w->pool, SLABS_BYTES), OK);
    assert_int_equal(limbo_init(&w->limbo, 1, &w->pool), OK);
    slabs_init(&w->slabs, &w->pool, SLAB_POOL_ENTRIES, &w->limbo);
    calendar_init(&w->calendar, &w->slabs);
    return w;
}

/* An entry without key and value, scheduled. */
static struct entry *add(struct world *w, int64_t deadline, int64_t now)
{
    size_t bytes = sizeof(struct entry) + sizeof(struct entry_timed);
    struct entry *e = slab_alloc(&w->slabs, bytes);
    assert_non_null(e);
    *e = (struct entry){.flags = ENTRY_TIMED};
    *entry_timed(e) = (struct entry_timed){.mark = ENTRY_UNMARKED, .deadline = (uint64_t)deadline & ENTRY_DEADLINE_MAX};
    assert_true(calendar_reserve(&w->calendar, deadline, now));
    calendar_schedule(&w->calendar, e);
    return e;
}

static void drop(struct world *w, struct entry *e)
{
    calendar_cancel(&w->calendar, 1);
    slab_free(&w->slabs, e, sizeof(struct entry) + sizeof(struct entry_timed));
}

static void retime(struct world *w, struct entry *e, int64_t deadline, int64_t now)
{
    calendar_cancel(&w->calendar, 1);
    entry_timed(e)->deadline = (uint64_t)deadline & ENTRY_DEADLINE_MAX;
    assert_true(calendar_reserve(&w->calendar, deadline, now));
    calendar_schedule(&w->calendar, e);
}

static void check(const struct world *w)
{
    assert_int_equal(calendar_check(&w->calendar), w->calendar.entry_count);
}

/* Entries whose deadlines lie from 1 ms to some ten thousand years ahead, many of them close together. */
static struct world *world_full(void)
{
    struct world *w = world_new();
    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t range = (uint64_t)1 << random_below(&w->random, 48);
        w->entries[i] = add(w, NOW + 1 + (int64_t)random_below(&w->random, range), NOW);
    }
    check(w);
    return w;
}

static void world_free(struct world *w)
{
    for (unsigned i = 0; i < COUNT; i++) {
        if (w->entries[i]) {
            drop(w, w->entries[i]);
        }
    }
    calendar_clear(&w->calendar);
    assert_int_equal(calendar_bytes(&w->calendar), 0);
    slabs_fini(&w->slabs);
    limbo_fini(&w->limbo);
    slab_pool_fini(&w->pool);
    free(w);
}

static size_t due_count(const struct world *w, int64_t now)
{
    size_t count = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        count += w->entries[i] && entry_deadline(w->entries[i]) <= now;
    }
    return count;
}

static void forget(struct world *w, const struct entry *e)
{
    for (unsigned i = 0; i < COUNT; i++) {
        w->entries[i] = w->entries[i] == e ? NULL : w->entries[i];
    }
}

/* Takes out what is due, `work` steps at a time; checks that it is due and never before *last. */
static size_t drain(struct world *w, int64_t now, unsigned work_each, int64_t *last)
{
    size_t count = 0;
    for (bool more = true; more;) {
        unsigned work = work_each;
        for (struct entry *e; work > 0 && (e = calendar_due(&w->calendar, now, &work)); count++) {
            assert_true(entry_deadline(e) <= now);
            assert_true(entry_deadline(e) >= *last);
            *last = entry_deadline(e);
            forget(w, e);
            drop(w, e);
            work -= work > 0;
        }
        more = work == 0 || calendar_next_ms(&w->calendar) <= now;
    }
    return count;
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

static void test_everything_comes_out_in_order(void **state)
{
    (void)state;
    struct world *w = world_full();
    int64_t last = 0;
    size_t seen = 0;
    for (int64_t ahead = 1; ahead < (int64_t)1 << 47; ahead += 1 + ahead / 3) {
        size_t due = due_count(w, NOW + ahead);
        assert_true(due == 0 || calendar_next_ms(&w->calendar) <= NOW + ahead);
        assert_int_equal(drain(w, NOW + ahead, 7, &last), due);
        check(w);
        seen += due;
        assert_true(calendar_next_ms(&w->calendar) > NOW + ahead);
    }
    assert_int_equal(w->calendar.entry_count, COUNT - seen);
    assert_true(seen > COUNT * 9 / 10);
    world_free(w);
}

static void test_a_jump_keeps_the_order(void **state)
{
    (void)state;
    struct world *w = world_full();
    int64_t last = 0, now = NOW + ((int64_t)1 << 40);
    size_t due = due_count(w, now);
    assert_true(due > COUNT / 2);
    assert_int_equal(drain(w, now, 1000, &last), due);
    check(w);
    world_free(w);
}

static void test_the_last_deadline_comes_too(void **state)
{
    (void)state;
    struct world *w = world_new();
    int64_t last = 0;
    w->entries[0] = add(w, ENTRY_DEADLINE_MAX - 1, NOW);
    w->entries[1] = add(w, ENTRY_DEADLINE_MAX - 2, NOW);
    check(w);
    assert_int_equal(drain(w, ENTRY_DEADLINE_MAX - 3, 100, &last), 0);
    assert_int_equal(drain(w, ENTRY_DEADLINE_MAX, 100, &last), 2);
    world_free(w);
}

static void test_what_is_overdue_comes_at_once(void **state)
{
    (void)state;
    struct world *w = world_full();
    int64_t last = 0, now = NOW + ((int64_t)1 << 30);
    drain(w, now, 100, &last);
    struct entry *e = add(w, NOW, now);
    unsigned work = 100;
    check(w);
    assert_true(calendar_next_ms(&w->calendar) <= now);
    assert_ptr_equal(calendar_due(&w->calendar, now, &work), e);
    drop(w, e);
    world_free(w);
}

static void test_a_clock_that_is_set_back(void **state)
{
    (void)state;
    struct world *w = world_full();
    int64_t last = 0, far = NOW + ((int64_t)1 << 30);
    drain(w, far, 100, &last);
    for (unsigned i = 0; i < COUNT; i++) {
        if (w->entries[i]) {
            retime(w, w->entries[i], NOW + 1 + i, far);
        } else {
            w->entries[i] = add(w, NOW + 1 + i, far);
        }
    }
    check(w);
    last = 0;
    assert_int_equal(drain(w, NOW, 100, &last), 0);
    check(w);
    assert_int_equal(drain(w, NOW + COUNT / 2, 100, &last), COUNT / 2);
    check(w);
    assert_int_equal(drain(w, NOW + COUNT, 100, &last), COUNT - COUNT / 2);
    world_free(w);
}

/* ---- ahead ------------------------------------------------------------------------------------------------------- */

/* Ticks until COUNT entries have gone whose deadlines come evenly, one each 8 ms, from the beginning of a slot of 17 minutes on, with little work each
 * time; returns the most that was done between a deadline and its entry. */
static unsigned most_work_behind(struct world *w, unsigned work_each, bool ahead)
{
    enum { SLOT_MS = 1 << 20 }; /* of 17 minutes */
    int64_t now = NOW, begin = (NOW / SLOT_MS + 2) * SLOT_MS;
    for (unsigned i = 0; i < COUNT; i++) {
        w->entries[i] = add(w, begin + i * 8, now);
    }
    unsigned count = 0, most = 0;
    for (; count < COUNT; now += now < begin - 2000 ? 1000 : 1) {
        unsigned work = work_each;
        for (struct entry *e; work > 0 && (e = calendar_due(&w->calendar, now, &work)); count++) {
            assert_ptr_equal(e, w->entries[count]);
            most = (unsigned)num_max_u64(most, (uint64_t)(now - entry_deadline(e)) * work_each);
            drop(w, e);
            w->entries[count] = NULL;
        }
        if (ahead && work > 0) {
            calendar_deal_ahead(&w->calendar, work);
        }
    }
    return most;
}

/* A slot of 17 minutes that holds many is dealt out before its time: nothing waits for that. */
static void test_a_large_slot_is_dealt_out_ahead(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        struct world *w = world_new();
        unsigned most = most_work_behind(w, 100, round == 0);
        print_message("most work behind: %u\n", most);
        assert_true(round == 0 ? most <= 200 : most > COUNT / 2);
        world_free(w);
    }
}

/* While it is being dealt out, everything still comes in order, and what can be is there to see. */
static void test_dealing_ahead_at_random_keeps_the_order(void **state)
{
    (void)state;
    struct world *w = world_full();
    int64_t last = 0;
    size_t dealt = 0;
    for (int64_t ahead = 1; ahead < (int64_t)1 << 47; ahead += 1 + ahead / 100) {
        size_t due = due_count(w, NOW + ahead);
        assert_int_equal(drain(w, NOW + ahead, 50, &last), due);
        assert_true(calendar_next_ms(&w->calendar) > NOW + ahead);
        bool had = calendar_has_ahead(&w->calendar);
        calendar_deal_ahead(&w->calendar, (unsigned)random_below(&w->random, 30));
        dealt += had && !calendar_has_ahead(&w->calendar);
        if (random_below(&w->random, 10) == 0) {
            check(w);
        }
    }
    assert_true(dealt > 10);
    world_free(w);
}

/* ---- cancelling, other times, other blocks ----------------------------------------------------------------------- */

static void test_cancelled_ones_do_not_come(void **state)
{
    (void)state;
    struct world *w = world_full();
    for (unsigned i = 0; i < COUNT; i += 2) {
        drop(w, w->entries[i]);
        w->entries[i] = NULL;
    }
    check(w);
    int64_t last = 0;
    assert_int_equal(drain(w, ENTRY_DEADLINE_MAX, 100, &last), COUNT / 2);
    assert_true(calendar_next_ms(&w->calendar) == INT64_MAX);
    assert_int_equal(calendar_bytes(&w->calendar), 0);
    world_free(w);
}

/* Each entry gets another time, moves or goes and comes again, over and over, while time passes. */
static void test_rescheduling(void **state)
{
    (void)state;
    struct world *w = world_full();
    int64_t now = NOW;
    for (unsigned i = 0; i < 5 * COUNT; i++) {
        unsigned which = (unsigned)random_below(&w->random, COUNT);
        struct entry *e = w->entries[which];
        int64_t deadline = now + (int64_t)random_below(&w->random, 100000) - 50;
        if (e && random_below(&w->random, 2)) {
            retime(w, e, deadline, now);
        } else {
            if (e) {
                drop(w, e);
            }
            w->entries[which] = add(w, deadline, now);
        }
        if (i % 100 == 0) {
            int64_t last = 0;
            now += (int64_t)random_below(&w->random, 200);
            size_t due = due_count(w, now);
            assert_int_equal(drain(w, now, 64, &last), due);
            check(w);
        }
    }
    world_free(w);
}

static void test_a_later_deadline_writes_no_record(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->entries[0] = add(w, NOW + 1000, NOW);
    for (unsigned i = 0; i < 1000; i++) {
        retime(w, w->entries[0], NOW + 1000 + i * 1000, NOW);
    }
    assert_int_equal(w->calendar.sum.count, 1);
    check(w);
    int64_t last = 0;
    assert_int_equal(drain(w, NOW + 999999, 100, &last), 0);
    assert_int_equal(w->calendar.sum.count, 1);
    assert_int_equal(drain(w, NOW + 1000000, 100, &last), 1);
    world_free(w);
}

static void test_a_copy_takes_its_place(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct entry *e = add(w, NOW + 1000, NOW), *copy = slab_alloc(&w->slabs, 200);
    *copy = *e;
    *entry_timed(copy) = *entry_timed(e);
    assert_true(calendar_reserve(&w->calendar, NOW + 1000, NOW));
    calendar_moved(&w->calendar, copy);
    slab_free(&w->slabs, e, sizeof *e + sizeof(struct entry_timed));
    check(w);
    unsigned work = 100;
    assert_ptr_equal(calendar_due(&w->calendar, NOW + 1000, &work), copy);
    calendar_cancel(&w->calendar, 1);
    slab_free(&w->slabs, copy, 200);
    world_free(w);
}

/* What a flush leaves behind is no longer scheduled, but still there. */
static void test_what_was_forgotten_does_not_come_again(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->entries[0] = add(w, NOW + 2, NOW);
    struct entry *e = add(w, NOW + 1, NOW);
    calendar_cancel(&w->calendar, 1);
    unsigned work = 100;
    assert_ptr_equal(calendar_due(&w->calendar, NOW + 1, &work), e);
    calendar_forget(e);
    assert_null(calendar_due(&w->calendar, NOW + 1, &work));
    check(w);
    assert_ptr_equal(calendar_due(&w->calendar, NOW + 2, &work), w->entries[0]);
    slab_free(&w->slabs, e, sizeof *e + sizeof(struct entry_timed));
    world_free(w);
}

/* ---- the nearest ------------------------------------------------------------------------------------------------- */

static int64_t nearest_deadline(const struct world *w)
{
    int64_t nearest = INT64_MAX;
    for (unsigned i = 0; i < COUNT; i++) {
        nearest = w->entries[i] ? num_min_i64(nearest, entry_deadline(w->entries[i])) : nearest;
    }
    return nearest;
}

/* Nothing has come up yet: whether two deadlines are in one slot as seen from NOW. */
static bool in_one_slot(int64_t a, int64_t b)
{
    unsigned level = 0;
    while ((a >> 5 * (level + 1)) - (NOW >> 5 * (level + 1)) > (level < 5 ? 1 : 0)) {
        level++;
    }
    return a >> 5 * level == b >> 5 * level;
}

static void test_the_nearest_is_near(void **state)
{
    (void)state;
    struct world *w = world_full();
    for (unsigned i = 0; i < COUNT; i += 3) { /* some are gone, some last longer than their records say */
        drop(w, w->entries[i]);
        w->entries[i] = NULL;
        retime(w, w->entries[i + 1], entry_deadline(w->entries[i + 1]) + DAY_MS, NOW);
    }
    for (size_t left = w->calendar.entry_count; left > 0; left--) {
        struct entry *e = calendar_nearest(&w->calendar);
        if (left % 50 == 0) {
            assert_true(in_one_slot(nearest_deadline(w), entry_deadline(e)));
        }
        forget(w, e);
        drop(w, e);
    }
    assert_null(calendar_nearest(&w->calendar));
    world_free(w);
}

/* ---- what it costs ----------------------------------------------------------------------------------------------- */

/* Ticks as a worker gives them. */
static void tick(struct world *w, int64_t now)
{
    for (unsigned i = 0; i < 32 && calendar_next_ms(&w->calendar) <= now; i++) {
        unsigned work = 64;
        assert_null(calendar_due(&w->calendar, now, &work));
    }
}

static void test_churn_grows_nothing(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (unsigned i = 0; i < 1000; i++) { /* something that stays */
        w->entries[i] = add(w, NOW + 2 * DAY_MS + i, NOW);
    }
    size_t most = 0;
    for (unsigned i = 0; i < 100 * COUNT; i++) {
        int64_t now = NOW + i / 100;
        drop(w, add(w, now + DAY_MS, now));
        if (i % 250 == 0) {
            tick(w, now);
            most = num_max_u64(most, calendar_bytes(&w->calendar));
        }
    }
    assert_true(w->calendar.sum.count < 5000);
    assert_true(most < 30000);
    check(w);
    world_free(w);
}

/* Blocks that are freed and taken again by entries of the same slot make their old records count again: so many times
 * that moving must tell them apart. */
static void test_blocks_that_come_again_grow_nothing(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (unsigned i = 0; i < 200 * COUNT; i++) {
        unsigned which = i % 100;
        if (w->entries[which]) {
            drop(w, w->entries[which]);
        }
        w->entries[which] = add(w, NOW + DAY_MS + i % 1000, NOW);
        if (i % 1000 == 0) {
            tick(w, NOW);
        }
    }
    assert_true(w->calendar.sum.count < 5000);
    check(w);
    world_free(w);
}

/* Bytes an entry of one shard in 64, with so many in all of them, their times to live all equal or spread over a day. */
static double bytes_per_entry(unsigned all, bool spread)
{
    struct world *w = world_new();
    unsigned count = all / 64;
    struct entry **entries = calloc(count, sizeof *entries);
    for (unsigned i = 0; i < count; i++) {
        int64_t now = NOW + i * 10000 / count;
        entries[i] = add(w, now + (spread ? (int64_t)random_below(&w->random, DAY_MS) : DAY_MS), now);
    }
    double bytes = (double)calendar_bytes(&w->calendar) / count;
    print_message("%u keys, times to live %s: %.2f bytes each\n", all, spread ? "spread" : "equal", bytes);
    for (unsigned i = 0; i < count; i++) {
        drop(w, entries[i]);
    }
    free(entries);
    world_free(w);
    return bytes;
}

static void test_what_an_entry_costs(void **state)
{
    (void)state;
    assert_true(bytes_per_entry(1000, false) < 330);
    assert_true(bytes_per_entry(1000, true) < 350);
    assert_true(bytes_per_entry(100000, false) < 7.5);
    assert_true(bytes_per_entry(100000, true) < 10);
    assert_true(bytes_per_entry(4000000, false) < 4.4);
    assert_true(bytes_per_entry(4000000, true) < 4.7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_comes_out_in_order),
        cmocka_unit_test(test_a_jump_keeps_the_order),
        cmocka_unit_test(test_the_last_deadline_comes_too),
        cmocka_unit_test(test_what_is_overdue_comes_at_once),
        cmocka_unit_test(test_a_clock_that_is_set_back),
        cmocka_unit_test(test_a_large_slot_is_dealt_out_ahead),
        cmocka_unit_test(test_dealing_ahead_at_random_keeps_the_order),
        cmocka_unit_test(test_cancelled_ones_do_not_come),
        cmocka_unit_test(test_rescheduling),
        cmocka_unit_test(test_a_later_deadline_writes_no_record),
        cmocka_unit_test(test_a_copy_takes_its_place),
        cmocka_unit_test(test_what_was_forgotten_does_not_come_again),
        cmocka_unit_test(test_the_nearest_is_near),
        cmocka_unit_test(test_churn_grows_nothing),
        cmocka_unit_test(test_blocks_that_come_again_grow_nothing),
        cmocka_unit_test(test_what_an_entry_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
