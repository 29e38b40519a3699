/* The queue of eviction: order, removing and replacing at a place, compaction, memory that the system refuses. */
#include "keyspace/testing_priv.h"

#include "keyspace/evict_queue_priv.h"
#include "os/mem.h"

enum { COUNT = 5000 };

static uint32_t positions[COUNT + 1]; /* by record */

static void note_position(void *owner, uint32_t record, uint32_t position)
{
    (void)owner;
    positions[record] = position;
}

static void push(struct queue *q, uint32_t record)
{
    assert_true(queue_push(q, record, &positions[record]));
}

static void test_first_in_first_out(void **state)
{
    (void)state;
    struct queue q = {0};
    assert_int_equal(queue_pop(&q), 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 1; i <= COUNT; i++) {
            push(&q, i);
        }
        queue_check(&q);
        for (unsigned i = 1; i <= COUNT; i++) {
            assert_int_equal(queue_at(&q, positions[i]), i);
        }
        for (unsigned i = 1; i <= COUNT; i++) {
            assert_int_equal(queue_pop(&q), i);
        }
        assert_int_equal(queue_pop(&q), 0);
        queue_check(&q);
    }
    queue_fini(&q);
    assert_int_equal(q.bytes, 0);
}

static void test_what_is_taken_out_is_not_met_and_what_replaces_it_is(void **state)
{
    (void)state;
    struct queue q = {0};
    for (unsigned i = 1; i <= 1000; i++) {
        push(&q, i);
    }
    for (unsigned i = 1; i <= 1000; i++) {
        if (i % 3 != 0) {
            queue_replace(&q, positions[i], i % 3 == 1 ? 0 : i + 1000);
        }
    }
    queue_check(&q);
    assert_int_equal(queue_at(&q, positions[1]), 0);
    uint32_t next[3];
    assert_int_equal(queue_peek(&q, 3, next), 3);
    assert_int_equal(next[0], 1002);
    assert_int_equal(next[1], 3);
    assert_int_equal(next[2], 1005);
    for (unsigned i = 1; i <= 1000; i++) {
        if (i % 3 != 1) {
            assert_int_equal(queue_pop(&q), i % 3 == 0 ? i : i + 1000);
        }
    }
    assert_int_equal(q.live, 0);
    assert_int_equal(queue_peek(&q, 3, next), 0);
    queue_check(&q);
    queue_fini(&q);
}

/* Random pushes, pops and removals beside a plain list. */
static void test_random_operations(void **state)
{
    (void)state;
    static unsigned order[COUNT]; /* of those in, the oldest first */
    size_t count = 0;
    static bool in[COUNT + 1];
    struct queue q = {0};
    struct random r;
    random_init(&r, 8, 9);
    q.tail = q.head = UINT32_MAX - 5000; /* the count goes round */
    for (unsigned step = 0; step < 300000; step++) {
        unsigned number = 1 + (unsigned)random_below(&r, COUNT);
        unsigned lean = step / 20000 % 2 ? 30 : 70; /* it grows and shrinks by turns */
        if (!in[number] && random_below(&r, 100) < lean) {
            push(&q, number);
            queue_compact(&q, 4, note_position, NULL);
            order[count++] = number;
            in[number] = true;
        } else if (in[number]) {
            size_t at = 0;
            while (order[at] != number) {
                at++;
            }
            if (at % 2) {
                at = 0;
                number = queue_pop(&q);
                assert_int_equal(number, order[0]);
            } else {
                assert_int_equal(queue_at(&q, positions[number]), number);
                queue_replace(&q, positions[number], 0);
            }
            memmove(&order[at], &order[at + 1], (--count - at) * sizeof *order);
            in[number] = false;
        }
        assert_int_equal(q.live, count);
        if (step % 1000 == 0) {
            queue_check(&q);
        }
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(queue_pop(&q), order[i]);
    }
    queue_fini(&q);
}

/* One stays for ever while others come and go: what it keeps from going is moved together. */
static void test_coming_and_going_grows_nothing(void **state)
{
    (void)state;
    struct queue q = {0};
    push(&q, COUNT);
    size_t bytes_max = 0;
    for (unsigned i = 0; i < 1000000; i++) {
        unsigned number = 1 + i % (COUNT - 1);
        push(&q, number);
        queue_compact(&q, 4, note_position, NULL);
        queue_replace(&q, positions[number], 0);
        bytes_max = q.bytes > bytes_max ? q.bytes : bytes_max;
    }
    queue_check(&q);
    assert_true(bytes_max < 2048 * sizeof(uint32_t));
    assert_int_equal(queue_pop(&q), COUNT);
    queue_fini(&q);
}

static void test_a_full_span_takes_no_more(void **state)
{
    (void)state;
    struct queue q = {0};
    uint32_t count = 0, position;
    while (queue_push(&q, 1 + count % COUNT, &position)) {
        assert_int_equal(position, count);
        count++;
    }
    assert_int_equal(count, QUEUE_SPAN_MAX);
    queue_check(&q);
    for (unsigned i = 0; i < QUEUE_CHUNK; i++) {
        assert_int_equal(queue_pop(&q), 1 + i);
    }
    assert_true(queue_push(&q, 7, &position));
    assert_int_equal(queue_at(&q, position), 7);
    queue_check(&q);
    queue_fini(&q);
}

static void test_draining_takes_as_many_steps_as_there_are_chunks(void **state)
{
    (void)state;
    struct queue q = {0};
    for (unsigned i = 1; i <= COUNT; i++) {
        push(&q, i);
    }
    unsigned steps = 1;
    for (size_t before = q.bytes; queue_drain(&q, 4); before = q.bytes, steps++) {
        assert_true(before - q.bytes <= 4 * mem_good_bytes(QUEUE_CHUNK * sizeof(uint32_t)));
    }
    assert_int_equal(q.bytes, 0);
    assert_true(steps >= COUNT / QUEUE_CHUNK / 4);
    assert_false(queue_drain(&q, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_in_first_out),
        cmocka_unit_test(test_what_is_taken_out_is_not_met_and_what_replaces_it_is),
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_coming_and_going_grows_nothing),
        cmocka_unit_test(test_a_full_span_takes_no_more),
        cmocka_unit_test(test_draining_takes_as_many_steps_as_there_are_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
