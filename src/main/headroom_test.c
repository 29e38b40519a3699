/* The arithmetic of maxmemory-process, look by look, with a process that is made up: data that wants to grow, others that come and go, and free
 * memory of three kinds: loose (given back when asked), in pieces (given back a part at a time), and stuck (never). */
#include "main/headroom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/num.h"

enum { MB = 1 << 20, LOOKS_TO_SETTLE = 200, STUCK_PART = 20, PIECES_LEFT = 2 };

static const uint64_t BOUND = 1024 * (uint64_t)MB, OTHERS = 64 * (uint64_t)MB;

struct process {
    struct headroom headroom;
    uint64_t others, used, loose, pieces;
    uint64_t growth; /* of the data until the next look, if it may */
    bool in_pieces;  /* what is evicted leaves pieces behind */
    uint64_t give_backs;
};

static struct process new_process(void)
{
    return (struct process){.headroom.bound_bytes = BOUND, .others = OTHERS, .growth = 20 * MB};
}

static struct footprint footprint_of(const struct process *p)
{
    uint64_t free_bytes = p->loose + p->pieces + p->used / STUCK_PART;
    return (struct footprint){.resident = p->others + p->used + free_bytes, .used = p->used, .others = p->others};
}

/* Takes what is free first. */
static void grow(struct process *p, uint64_t bytes)
{
    uint64_t loose = num_min_u64(bytes, p->loose), pieces = num_min_u64(bytes - loose, p->pieces);
    p->loose -= loose;
    p->pieces -= pieces;
    p->used += bytes;
}

static void look(struct process *p)
{
    struct footprint f = footprint_of(p);
    bool exceeded = headroom_is_exceeded(&p->headroom, &f);
    if (exceeded) {
        p->loose = 0;
        p->pieces /= PIECES_LEFT;
        p->give_backs++;
        f = footprint_of(p);
    }
    headroom_step(&p->headroom, &f, exceeded);
    uint64_t limit = p->headroom.data_bytes;
    if (p->used > limit) {
        *(p->in_pieces ? &p->pieces : &p->loose) += p->used - limit;
        p->used = limit;
    } else {
        grow(p, num_min_u64(p->growth, limit - p->used));
    }
}

static void looks(struct process *p, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        look(p);
    }
}

static void test_data_fills_what_the_others_leave(void **state)
{
    (void)state;
    struct process p = new_process();
    for (int i = 0; i < LOOKS_TO_SETTLE; i++) {
        look(&p);
        assert_true(footprint_of(&p).resident <= BOUND);
    }
    assert_true(footprint_of(&p).resident >= BOUND / 100 * 95);
    uint64_t settled = p.headroom.data_bytes;
    for (int i = 0; i < LOOKS_TO_SETTLE; i++) {
        look(&p);
        assert_true(p.headroom.data_bytes >= settled - settled / 100);
        assert_true(p.headroom.data_bytes <= settled + settled / 100);
    }
}

/* Nothing of what was evicted goes back by itself, and what is evicted leaves pieces: the data loses what the others take, and little more. */
static void test_others_that_take_more_start_no_spiral(void **state)
{
    (void)state;
    for (int in_pieces = 0; in_pieces <= 1; in_pieces++) {
        struct process p = new_process();
        looks(&p, 2 * LOOKS_TO_SETTLE);
        uint64_t before = p.headroom.data_bytes, least = before, taken = BOUND / 4;
        p.in_pieces = in_pieces;
        p.others += taken;
        for (int i = 0; i < LOOKS_TO_SETTLE; i++) {
            look(&p);
            least = num_min_u64(least, p.headroom.data_bytes);
            if (i > 10) {
                assert_true(footprint_of(&p).resident <= BOUND);
            }
        }
        assert_true(least >= before - taken - BOUND / 16);
        assert_true(p.headroom.data_bytes <= before - taken + BOUND / 16);
    }
}

static void test_the_limit_falls_at_once_and_rises_gently(void **state)
{
    (void)state;
    struct process p = new_process();
    looks(&p, 2 * LOOKS_TO_SETTLE);
    uint64_t before = p.headroom.data_bytes;
    p.others += BOUND / 4;
    look(&p);
    uint64_t low = p.headroom.data_bytes;
    assert_true(low <= before - BOUND / 5);
    p.others -= BOUND / 4;
    look(&p);
    assert_true(p.headroom.data_bytes > low);
    assert_true(p.headroom.data_bytes - low <= (before - low) / 4);
    for (int i = 0; i < LOOKS_TO_SETTLE; i++) {
        uint64_t last = p.headroom.data_bytes;
        look(&p);
        assert_true(p.headroom.data_bytes + last / 100 >= last);
    }
    assert_true(p.headroom.data_bytes >= before / 100 * 98);
}

static void test_small_changes_are_none(void **state)
{
    (void)state;
    struct process p = new_process();
    looks(&p, 4 * LOOKS_TO_SETTLE);
    p.others = 2 * OTHERS;
    look(&p);
    uint64_t settled = p.headroom.data_bytes;
    for (int i = 0; i < 20; i++) {
        p.others = 2 * OTHERS + (uint64_t)(i % 3) * MB;
        look(&p);
        assert_true(p.headroom.data_bytes == settled);
    }
}

static void test_free_memory_is_given_back_only_when_that_helps(void **state)
{
    (void)state;
    struct headroom h = {.bound_bytes = BOUND, .residual_bytes = 100 * MB, .data_bytes = BOUND / 2};
    struct footprint f = {.resident = BOUND, .used = BOUND / 2, .others = BOUND / 2 - 200 * MB};
    assert_true(headroom_is_exceeded(&h, &f));
    f.others = BOUND / 2 - 100 * MB; /* nothing that could be had back */
    assert_false(headroom_is_exceeded(&h, &f));
    f.resident = BOUND / 2;
    f.used = f.others = MB; /* nobody needs what is free */
    assert_false(headroom_is_exceeded(&h, &f));
    struct process p = new_process();
    p.growth = 0;
    p.loose = BOUND;
    look(&p);
    look(&p);
    assert_int_equal(p.loose, 0);
    assert_int_equal(p.give_backs, 1);
}

static void test_pieces_beyond_half_do_not_empty_the_keyspace(void **state)
{
    (void)state;
    struct headroom h = {.bound_bytes = BOUND};
    struct footprint f = {.used = 100 * MB, .resident = BOUND - 100 * MB, .others = OTHERS};
    for (int i = 0; i < LOOKS_TO_SETTLE; i++) {
        headroom_step(&h, &f, true);
        f.used = h.data_bytes; /* which sets nothing free */
        f.resident = f.used + f.others + BOUND;
    }
    assert_true(h.data_bytes >= (BOUND - OTHERS) / 2 - BOUND / 32);
}

static void test_others_that_take_all_leave_a_limit(void **state)
{
    (void)state;
    struct headroom h = {.bound_bytes = BOUND};
    struct footprint f = {.resident = 2 * BOUND, .used = MB, .others = 2 * BOUND};
    headroom_step(&h, &f, false);
    assert_int_equal(h.data_bytes, 1);
    f.resident = OTHERS + 2 * MB;
    f.others = OTHERS;
    for (int i = 0; i < LOOKS_TO_SETTLE; i++) {
        headroom_step(&h, &f, false);
    }
    assert_true(h.data_bytes > BOUND / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_fills_what_the_others_leave),
        cmocka_unit_test(test_others_that_take_more_start_no_spiral),
        cmocka_unit_test(test_the_limit_falls_at_once_and_rises_gently),
        cmocka_unit_test(test_small_changes_are_none),
        cmocka_unit_test(test_free_memory_is_given_back_only_when_that_helps),
        cmocka_unit_test(test_pieces_beyond_half_do_not_empty_the_keyspace),
        cmocka_unit_test(test_others_that_take_all_leave_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
