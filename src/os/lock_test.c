/* Locks: mutual exclusion under contention, conditions, and that a wrong order does not go unnoticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/lock.h"
#include "os/thread.h"

enum { THREAD_COUNT = 4, ROUNDS = 20000 };

static void start(struct thread *t, const char *name, void (*run)(void *), void *argument)
{
    assert_int_equal(thread_start(t, name, run, argument), OK);
}

/* THREAD_COUNT threads, to their end. */
static void run_together(const char *name, void (*run)(void *), void *argument)
{
    struct thread threads[THREAD_COUNT];
    for (int i = 0; i < THREAD_COUNT; i++) {
        start(&threads[i], name, run, argument);
    }
    for (int i = 0; i < THREAD_COUNT; i++) {
        thread_join(&threads[i]);
    }
}

/* ---- exclusion ----------------------------------------------------------------------------------------------------- */

struct account {
    struct lock lock;
    int left, right; /* their sum is 0 outside the lock */
    int wrong_count;
};

static void acquire_after_a_look(struct lock *l) ACQUIRES(*l) UNCHECKED_LOCKS
{
    uint32_t version;
    while (!lock_look(l, &version) || !lock_acquire_untouched(l, version)) {
        usleep(0);
    }
}

static void transfer(void *argument)
{
    struct account *a = argument;
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0) {
            while (!lock_try(&a->lock)) {
                usleep(0);
            }
        } else if (i % 3 == 1) {
            acquire_after_a_look(&a->lock);
        } else {
            lock_acquire(&a->lock);
        }
        lock_assert_held(&a->lock);
        a->wrong_count += a->left + a->right != 0;
        a->left++;
        a->right--;
        lock_release(&a->lock);
    }
}

static void test_one_at_a_time(void **state)
{
    (void)state;
    struct account a = {0};
    lock_init(&a.lock, LOCK_SHARD, 0);
    run_together("transfer", transfer, &a);
    assert_int_equal(a.wrong_count, 0);
    assert_int_equal(a.left, THREAD_COUNT * ROUNDS);
}

/* Long enough that all others have gone to sleep, again and again. */
static void hold_long(void *argument)
{
    struct account *a = argument;
    for (int i = 0; i < 20; i++) {
        lock_acquire(&a->lock);
        usleep(2000);
        a->left++;
        lock_release(&a->lock);
    }
}

static void test_who_sleeps_is_woken(void **state)
{
    (void)state;
    struct account a = {0};
    lock_init(&a.lock, LOCK_SHARD, 0);
    run_together("hold", hold_long, &a);
    assert_int_equal(a.left, THREAD_COUNT * 20);
    assert_int_equal(a.lock.sleepers, 0);
}

static void test_after_a_look_only_the_untouched_is_acquired(void **state) UNCHECKED_LOCKS
{
    (void)state;
    struct lock l;
    uint32_t version;
    lock_init(&l, LOCK_SHARD, 0);
    assert_true(lock_look(&l, &version));
    lock_acquire(&l);
    lock_release_unchanged(&l);
    for (int i = 0; i < 2; i++) {
        assert_true(lock_acquire_untouched(&l, version));
        lock_release_unchanged(&l);
    }
    lock_acquire(&l);
    lock_release(&l);
    assert_false(lock_acquire_untouched(&l, version));
    assert_true(lock_look(&l, &version));
    assert_true(lock_acquire_untouched(&l, version));
    lock_release(&l);
    assert_false(lock_acquire_untouched(&l, version));
}

/* ---- conditions ---------------------------------------------------------------------------------------------------- */

struct queue {
    struct lock lock;
    struct condition filled;
    int count;
    int taken;
    bool ended;
};

static void take(void *argument)
{
    struct queue *q = argument;
    lock_acquire(&q->lock);
    for (;;) {
        while (q->count == 0 && !q->ended) {
            condition_wait(&q->filled, &q->lock, INT64_MAX);
        }
        if (q->count == 0) {
            break;
        }
        q->count--;
        q->taken++;
    }
    lock_release(&q->lock);
}

static void test_a_condition_wakes_whoever_waits(void **state)
{
    (void)state;
    struct queue q = {0};
    lock_init(&q.lock, LOCK_SOURCE, 0);
    condition_init(&q.filled);
    struct thread threads[THREAD_COUNT];
    for (int i = 0; i < THREAD_COUNT; i++) {
        start(&threads[i], "take", take, &q);
    }
    for (int i = 0; i < ROUNDS; i++) {
        lock_acquire(&q.lock);
        q.count++;
        lock_release(&q.lock);
        condition_wake_one(&q.filled);
    }
    lock_acquire(&q.lock);
    q.ended = true;
    lock_release(&q.lock);
    condition_wake_all(&q.filled);
    for (int i = 0; i < THREAD_COUNT; i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(q.taken, ROUNDS);
}

static void test_a_wait_ends_at_its_deadline(void **state)
{
    (void)state;
    struct queue q = {0};
    lock_init(&q.lock, LOCK_SOURCE, 0);
    condition_init(&q.filled);
    lock_acquire(&q.lock);
    assert_false(condition_wait(&q.filled, &q.lock, clock_mono_ms() - 1));
    int64_t deadline_ms = clock_mono_ms() + 3;
    while (condition_wait(&q.filled, &q.lock, deadline_ms)) {}
    assert_true(clock_mono_ms() >= deadline_ms);
    lock_assert_held(&q.lock);
    lock_release(&q.lock);
}

/* ---- order --------------------------------------------------------------------------------------------------------- */

static void test_try_does_not_wait_and_any_order_is_free_to_it(void **state) UNCHECKED_LOCKS
{
    (void)state;
    struct lock low, high;
    lock_init(&low, LOCK_SHARD, 1);
    lock_init(&high, LOCK_SHARD, 2);
    lock_acquire(&high);
    assert_true(lock_try(&low));
    assert_false(lock_try(&low));
    lock_release(&high);
    lock_release(&low);
}

static void test_who_holds_the_gate_takes_shards_in_any_order(void **state)
{
    (void)state;
    struct lock gate, low, high;
    lock_init(&gate, LOCK_GATE, 0);
    lock_init(&low, LOCK_SHARD, 1);
    lock_init(&high, LOCK_SHARD, 2);
    lock_acquire(&gate);
    lock_acquire(&high);
    lock_acquire(&low);
    lock_release(&gate);
    lock_release(&high);
    lock_release(&low);
}

#ifdef LARDER_CHECKS
/* Whether `act` ends the process by abort(), tried in a child. */
static bool aborts(void (*act)(void))
{
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        act();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void descend_in_rank(void) UNCHECKED_LOCKS
{
    struct lock shard, log;
    lock_init(&shard, LOCK_SHARD, 0);
    lock_init(&log, LOCK_LOG, 0);
    lock_acquire(&log);
    lock_acquire(&shard);
}

static void descend_in_order(void) UNCHECKED_LOCKS
{
    struct lock low, high;
    lock_init(&low, LOCK_SHARD, 1);
    lock_init(&high, LOCK_SHARD, 2);
    lock_acquire(&high);
    lock_acquire(&low);
}

static void release_what_is_not_held(void) UNCHECKED_LOCKS
{
    struct lock l;
    lock_init(&l, LOCK_SHARD, 0);
    lock_release(&l);
}

static void claim_to_hold(void) UNCHECKED_LOCKS
{
    struct lock l;
    lock_init(&l, LOCK_SHARD, 0);
    lock_assert_held(&l);
}

static void test_a_wrong_order_is_a_bug(void **state)
{
    (void)state;
    assert_true(aborts(descend_in_rank));
    assert_true(aborts(descend_in_order));
    assert_true(aborts(release_what_is_not_held));
    assert_true(aborts(claim_to_hold));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_who_sleeps_is_woken),
        cmocka_unit_test(test_after_a_look_only_the_untouched_is_acquired),
        cmocka_unit_test(test_a_condition_wakes_whoever_waits),
        cmocka_unit_test(test_a_wait_ends_at_its_deadline),
        cmocka_unit_test(test_try_does_not_wait_and_any_order_is_free_to_it),
        cmocka_unit_test(test_who_holds_the_gate_takes_shards_in_any_order),
#ifdef LARDER_CHECKS
        cmocka_unit_test(test_a_wrong_order_is_a_bug),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
