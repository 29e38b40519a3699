/* Lists of records: first in first out, one account over several lists, what a record costs. */
#include "keyspace/records_priv.h"

#include "keyspace/testing_priv.h"

enum { LISTS = 3, STEPS = 200000, MANY = 100000 };

static void push(struct records *r, struct records_sum *sum, uint32_t record)
{
    assert_true(records_reserve(r, sum));
    records_push(r, sum, record);
}

static uint32_t pop(struct records *r, struct records_sum *sum)
{
    size_t count;
    uint32_t record = *records_front(r, &count);
    assert_true(count > 0);
    records_drop(r, sum, 1);
    return record;
}

static void check(const struct records lists[LISTS], const struct records_sum *sum)
{
    struct records_sum found = {0};
    for (unsigned i = 0; i < LISTS; i++) {
        records_check(&lists[i], &found);
    }
    assert_int_equal(found.count, sum->count);
    assert_int_equal(found.bytes, sum->bytes);
}

/* Lists that swell and shrink, each with numbers that count up: what comes out is what went in, in order. */
static void test_first_in_first_out(void **state)
{
    (void)state;
    struct random r;
    struct records lists[LISTS] = {0};
    struct records_sum sum = {0};
    uint32_t in[LISTS] = {0}, out[LISTS] = {0};
    random_init(&r, 1, 2);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)random_below(&r, LISTS);
        bool swells = step / (STEPS / 8) % 2 == 0;
        if (random_below(&r, 3) < (swells ? 2 : 1)) {
            push(&lists[i], &sum, in[i]++);
        } else if (!records_empty(&lists[i])) {
            assert_int_equal(pop(&lists[i], &sum), out[i]++);
        }
        assert_int_equal(records_empty(&lists[i]), in[i] == out[i]);
        if (step % 1000 == 0) {
            check(lists, &sum);
        }
    }
    for (unsigned i = 0; i < LISTS; i++) {
        while (!records_empty(&lists[i])) {
            assert_int_equal(pop(&lists[i], &sum), out[i]++);
        }
        assert_int_equal(in[i], out[i]);
    }
    assert_int_equal(sum.count, 0);
    assert_int_equal(sum.bytes, 0);
}

static void test_what_lies_side_by_side_is_dropped_at_once(void **state)
{
    (void)state;
    struct records r = {0};
    struct records_sum sum = {0};
    for (uint32_t i = 0; i < MANY; i++) {
        push(&r, &sum, i);
    }
    size_t count;
    uint32_t next = 0;
    for (const uint32_t *front; (front = records_front(&r, &count)), count > 0;) {
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(front[i], next++);
        }
        records_drop(&r, &sum, count);
    }
    assert_int_equal(next, MANY);
    assert_int_equal(sum.bytes, 0);
}

static void test_room_that_was_reserved_stays(void **state)
{
    (void)state;
    struct records r = {0};
    struct records_sum sum = {0};
    assert_true(records_reserve(&r, &sum));
    assert_true(records_empty(&r));
    size_t bytes = sum.bytes;
    assert_true(records_reserve(&r, &sum));
    assert_int_equal(sum.bytes, bytes);
    records_push(&r, &sum, 7);
    assert_int_equal(pop(&r, &sum), 7);
    assert_int_equal(sum.bytes, 0);
}

static void test_looking_and_forgetting(void **state)
{
    (void)state;
    struct records r = {0};
    struct records_sum sum = {0};
    struct records_cursor cursor = {0};
    uint32_t record, next = 10;
    assert_false(records_next(&r, &cursor, &record));
    for (uint32_t i = 0; i < 1000; i++) {
        push(&r, &sum, i);
    }
    for (uint32_t i = 0; i < next; i++) {
        pop(&r, &sum);
    }
    while (records_next(&r, &cursor, &record)) {
        assert_int_equal(record, next++);
    }
    assert_int_equal(next, 1000);
    assert_false(records_next(&r, &cursor, &record));
    assert_int_equal(sum.count, 990);
    records_clear(&r, &sum);
    assert_true(records_empty(&r));
    assert_int_equal(sum.count, 0);
    assert_int_equal(sum.bytes, 0);
    assert_true(records_reserve(&r, &sum));
    records_clear(&r, &sum);
    assert_int_equal(sum.bytes, 0);
}

static void test_what_a_record_costs(void **state)
{
    (void)state;
    struct records r = {0};
    struct records_sum sum = {0};
    push(&r, &sum, 0);
    assert_true(sum.bytes <= 40);
    for (uint32_t i = 1; i < MANY; i++) {
        push(&r, &sum, i);
    }
    assert_true(sum.bytes <= MANY * 4.2);
    while (!records_empty(&r)) {
        pop(&r, &sum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_in_first_out),
        cmocka_unit_test(test_what_lies_side_by_side_is_dropped_at_once),
        cmocka_unit_test(test_room_that_was_reserved_stays),
        cmocka_unit_test(test_looking_and_forgetting),
        cmocka_unit_test(test_what_a_record_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
