/* The calendar: exact order, cancelling, bounded work, jumps of the clock both ways. */
#include "keyspace/testing_priv.h"

#include "keyspace/calendar_priv.h"

enum { COUNT = 20000 };

struct world {
    struct calendar calendar;
    struct random random;
    struct entry *entries[COUNT];
};

/* Entries whose deadlines lie from 1 ms to some ten thousand years ahead, many of them close together. */
static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    random_init(&w->random, 5, 6);
    calendar_init(&w->calendar, NOW);
    for (unsigned i = 0; i < COUNT; i++) {
        struct content c = content_string(S("value"));
        c.deadline = c.fresh_until =
            NOW + 1 + (int64_t)random_below(&w->random, (uint64_t)1 << random_below(&w->random, 48));
        w->entries[i] = entry_new(NULL, slice_make(&i, sizeof i), &c);
        calendar_schedule(&w->calendar, w->entries[i]);
    }
    calendar_check(&w->calendar);
    return w;
}

static void world_free(struct world *w)
{
    for (unsigned i = 0; i < COUNT; i++) {
        entry_free(NULL, w->entries[i]);
    }
    free(w);
}

/* Takes out what is due, `work` steps at a time; checks the order. */
static size_t drain(struct world *w, int64_t now, unsigned work_each, int64_t *last)
{
    size_t count = 0;
    for (bool more = true; more;) {
        unsigned work = work_each;
        for (struct entry *e; work > 0 && (e = calendar_due(&w->calendar, now, &work)); count++) {
            assert_true(entry_deadline(e) <= now);
            assert_true(entry_deadline(e) >= *last);
            *last = entry_deadline(e);
            calendar_cancel(&w->calendar, e);
            work -= work > 0;
        }
        more = work == 0;
    }
    return count;
}

static size_t due_count(const struct world *w, int64_t now)
{
    size_t count = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        count += entry_deadline(w->entries[i]) <= now && entry_timed(w->entries[i])->previous;
    }
    return count;
}

static void test_everything_comes_out_in_order(void **state)
{
    (void)state;
    struct world *w = world_new();
    int64_t last = 0;
    size_t seen = 0;
    for (int64_t ahead = 1; ahead < (int64_t)1 << 47; ahead += 1 + ahead / 3) {
        size_t due = due_count(w, NOW + ahead);
        assert_true(due == 0 || calendar_next_ms(&w->calendar) <= NOW + ahead);
        assert_int_equal(drain(w, NOW + ahead, 7, &last), due);
        calendar_check(&w->calendar);
        seen += due;
        assert_true(calendar_next_ms(&w->calendar) > NOW + ahead);
    }
    assert_int_equal(w->calendar.count, COUNT - seen);
    assert_true(seen > COUNT * 9 / 10);
    world_free(w);
}

static void test_a_jump_keeps_the_order(void **state)
{
    (void)state;
    struct world *w = world_new();
    int64_t last = 0, now = NOW + ((int64_t)1 << 40);
    size_t due = due_count(w, now);
    assert_true(due > COUNT / 2);
    assert_int_equal(drain(w, now, 1000, &last), due);
    calendar_check(&w->calendar);
    world_free(w);
}

static void test_cancelled_ones_do_not_come(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (unsigned i = 0; i < COUNT; i += 2) {
        calendar_cancel(&w->calendar, w->entries[i]);
        calendar_cancel(&w->calendar, w->entries[i]);
    }
    calendar_check(&w->calendar);
    int64_t last = 0;
    assert_int_equal(drain(w, INT64_MAX, 100, &last), COUNT / 2);
    assert_int_equal(w->calendar.count, 0);
    assert_true(calendar_next_ms(&w->calendar) == INT64_MAX);
    world_free(w);
}

/* Each entry moves to another time again and again while time passes. */
static void test_rescheduling(void **state)
{
    (void)state;
    struct world *w = world_new();
    int64_t now = NOW, last = 0;
    for (unsigned i = 0; i < 5 * COUNT; i++) {
        struct entry *e = w->entries[random_below(&w->random, COUNT)];
        calendar_cancel(&w->calendar, e);
        entry_timed(e)->deadline = now + (int64_t)random_below(&w->random, 100000) - 50;
        calendar_schedule(&w->calendar, e);
        if (i % 100 == 0) {
            now += (int64_t)random_below(&w->random, 200);
            last = 0;
            size_t due = due_count(w, now);
            unsigned work = UINT32_MAX;
            size_t came = 0;
            for (struct entry *first; (first = calendar_due(&w->calendar, now, &work)); came++) {
                calendar_cancel(&w->calendar, first);
            }
            assert_int_equal(came, due);
        }
    }
    calendar_check(&w->calendar);
    (void)last;
    world_free(w);
}

static void test_a_clock_that_is_set_back(void **state)
{
    (void)state;
    struct world *w = world_new();
    int64_t last = 0, far = NOW + ((int64_t)1 << 30);
    drain(w, far, 100, &last);
    for (unsigned i = 0; i < COUNT; i++) {
        calendar_cancel(&w->calendar, w->entries[i]);
        entry_timed(w->entries[i])->deadline = NOW + 1 + i;
        calendar_schedule(&w->calendar, w->entries[i]);
    }
    last = 0;
    assert_int_equal(drain(w, NOW, 100, &last), 0);
    calendar_check(&w->calendar);
    assert_int_equal(drain(w, NOW + COUNT / 2, 100, &last), COUNT / 2);
    assert_int_equal(drain(w, NOW + COUNT, 100, &last), COUNT - COUNT / 2);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_comes_out_in_order), cmocka_unit_test(test_a_jump_keeps_the_order),
        cmocka_unit_test(test_cancelled_ones_do_not_come),    cmocka_unit_test(test_rescheduling),
        cmocka_unit_test(test_a_clock_that_is_set_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
