/* The loop: timers in order, events that end each other within one batch, an fd number that is reused within one, deferred work. */
#include <sys/eventfd.h>
#include <unistd.h>

#include "os/testing_priv.h"

static struct loop *loop;

static int make_loop(void **state)
{
    (void)state;
    return loop_new(engine, &loop);
}

static int drop_loop(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

/* ---- timers -------------------------------------------------------------------------------------------------------- */

static char fired[64];
static size_t fired_count;

struct named_timer {
    struct timer timer;
    char name;
};

static void note(struct timer *t, struct now now)
{
    (void)now;
    fired[fired_count++] = container_of(t, struct named_timer, timer)->name;
    fired[fired_count] = '\0';
}

static void test_timers_fire_in_order_of_their_deadlines(void **state)
{
    (void)state;
    fired_count = 0;
    int64_t now_ms = loop_now(loop).mono_ms;
    struct named_timer timers[5];
    static const int deadlines_ms[] = {-10, -40, -30, -20, 100000000};
    for (int i = 0; i < 5; i++) {
        timer_init(&timers[i].timer, note);
        timers[i].name = (char)('a' + i);
        assert_int_equal(loop_timer_set(loop, &timers[i].timer, now_ms + deadlines_ms[i]), OK);
    }
    assert_int_equal(loop_timer_set(loop, &timers[3].timer, now_ms - 50), OK); /* moved to the front */
    loop_timer_clear(loop, &timers[2].timer);
    loop_turn(loop, -1);
    assert_string_equal(fired, "dba");
    loop_turn(loop, 0);
    assert_string_equal(fired, "dba");
    loop_timer_clear(loop, &timers[4].timer);
    loop_timer_clear(loop, &timers[4].timer);
}

static void note_and_rearm(struct timer *t, struct now now)
{
    note(t, now);
    assert_int_equal(loop_timer_set(loop, t, now.mono_ms - 1), OK);
}

static void test_a_timer_that_rearms_itself_for_the_past_fires_once_a_turn(void **state)
{
    (void)state;
    fired_count = 0;
    struct named_timer t = {.name = 'x'}, later = {.name = 'y'};
    timer_init(&t.timer, note_and_rearm);
    timer_init(&later.timer, note);
    assert_int_equal(loop_timer_set(loop, &t.timer, 0), OK);
    assert_int_equal(loop_timer_set(loop, &later.timer, loop_now(loop).mono_ms + 100000), OK);
    for (size_t turn = 1; turn <= 3; turn++) {
        loop_turn(loop, -1);
        assert_int_equal(fired_count, turn);
    }
    loop_timer_clear(loop, &t.timer);
    loop_timer_clear(loop, &later.timer);
}

static void test_the_sleep_ends_at_the_first_timer(void **state)
{
    (void)state;
    fired_count = 0;
    struct named_timer t = {.name = 'x'};
    timer_init(&t.timer, note);
    int64_t deadline_ms = clock_mono_ms() + 5;
    assert_int_equal(loop_timer_set(loop, &t.timer, deadline_ms), OK);
    while (fired_count == 0) {
        loop_turn(loop, -1);
    }
    assert_true(loop_now(loop).mono_ms >= deadline_ms);
}

/* ---- watches ------------------------------------------------------------------------------------------------------- */

enum { PEER_COUNT = 8 };
static struct watch peers[PEER_COUNT];
static int ready_count;

static int readable_eventfd(void)
{
    return eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void end(struct watch *w)
{
    int fd = w->fd;
    loop_unwatch(loop, w);
    close(fd);
}

static void end_all(struct watch *w, unsigned events)
{
    (void)w;
    assert_int_equal(events, LOOP_READ);
    ready_count++;
    for (int i = 0; i < PEER_COUNT; i++) {
        end(&peers[i]);
        peers[i] = (struct watch){.fd = -1}; /* as if its memory were used for something else */
    }
}

static void test_one_callback_may_end_all_watches_of_its_batch(void **state)
{
    (void)state;
    ready_count = 0;
    for (int i = 0; i < PEER_COUNT; i++) {
        assert_int_equal(loop_watch(loop, &peers[i], readable_eventfd(), LOOP_READ, end_all), OK);
    }
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    assert_int_equal(ready_count, 1);
    loop_unwatch(loop, &peers[0]);
}

static struct watch newcomer;

static void count_ready(struct watch *w, unsigned events)
{
    (void)w;
    (void)events;
    ready_count++;
}

static void replace_the_other(struct watch *w, unsigned events)
{
    (void)events;
    struct watch *other = w == &peers[0] ? &peers[1] : &peers[0];
    int fd = other->fd;
    end(other);
    int reused = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(reused, fd); /* the lowest free number */
    assert_int_equal(loop_watch(loop, &newcomer, reused, LOOP_READ, count_ready), OK);
    loop_rewatch(loop, w, 0);
}

static void test_an_fd_number_that_is_reused_in_a_batch_gets_no_stale_event(void **state)
{
    (void)state;
    ready_count = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(loop_watch(loop, &peers[i], readable_eventfd(), LOOP_READ, replace_the_other), OK);
    }
    loop_turn(loop, 0);
    assert_int_equal(ready_count, 0);
    uint64_t one = 1;
    assert_int_equal(write(newcomer.fd, &one, sizeof one), sizeof one);
    loop_turn(loop, 0);
    assert_int_equal(ready_count, 1);
    end(&newcomer);
    end(peers[0].ready ? &peers[0] : &peers[1]);
}

static void lose_interest_in_the_other(struct watch *w, unsigned events)
{
    (void)events;
    ready_count++;
    loop_rewatch(loop, w == &peers[0] ? &peers[1] : &peers[0], 0);
}

static void test_lost_interest_holds_within_the_batch(void **state)
{
    (void)state;
    ready_count = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(loop_watch(loop, &peers[i], readable_eventfd(), LOOP_READ, lose_interest_in_the_other), OK);
    }
    loop_turn(loop, 0);
    assert_int_equal(ready_count, 1);
    end(&peers[0]);
    end(&peers[1]);
}

static void test_a_watch_that_the_system_refuses_is_not_watched(void **state)
{
    (void)state;
    struct watch w = {0};
    assert_int_equal(loop_watch(loop, &w, -1, LOOP_READ, count_ready), ERR_SYSTEM);
    loop_unwatch(loop, &w);
}

/* ---- sending ------------------------------------------------------------------------------------------------------- */

enum { TURN_BYTES = 2 * LOOP_SHARE_BYTES_MAX };

static void test_a_turn_has_so_much_to_send(void **state)
{
    (void)state;
    assert_int_equal(loop_send_share(loop), LOOP_SHARE_BYTES_MAX);
    loop_note_sent(loop, LOOP_SHARE_BYTES_MAX);
    assert_int_equal(loop_send_share(loop), LOOP_SHARE_BYTES_MAX);
    loop_note_sent(loop, LOOP_SHARE_BYTES_MAX / 2);
    assert_int_equal(loop_send_share(loop), LOOP_SHARE_BYTES_MAX / 2);
    loop_note_sent(loop, TURN_BYTES);
    size_t least = loop_send_share(loop);
    assert_true(least > 0);
    assert_true(least < LOOP_SHARE_BYTES_MAX / 16);
    loop_turn(loop, 0);
    assert_int_equal(loop_send_share(loop), LOOP_SHARE_BYTES_MAX);
}

static void send_a_share(struct watch *w, unsigned events)
{
    (void)w;
    assert_int_equal(events, LOOP_WRITE);
    assert_int_equal(loop_send_share(loop), TURN_BYTES / PEER_COUNT);
    loop_note_sent(loop, TURN_BYTES / PEER_COUNT);
    ready_count++;
}

static void test_all_who_can_send_get_the_same(void **state)
{
    (void)state;
    ready_count = 0;
    for (int i = 0; i < PEER_COUNT; i++) {
        peers[i] = (struct watch){0};
        assert_int_equal(loop_watch(loop, &peers[i], readable_eventfd(), LOOP_WRITE, send_a_share), OK);
    }
    loop_turn(loop, -1);
    assert_int_equal(ready_count, PEER_COUNT);
    loop_turn(loop, -1);
    assert_int_equal(ready_count, 2 * PEER_COUNT);
    for (int i = 0; i < PEER_COUNT; i++) {
        loop_unwatch(loop, &peers[i]);
        close(peers[i].fd);
    }
}

/* ---- deferred work ------------------------------------------------------------------------------------------------- */

static struct deferred first_work, second_work, third_work;

static void run_noted(struct deferred *d)
{
    fired[fired_count++] = d == &first_work ? '1' : d == &second_work ? '2' : '3';
    fired[fired_count] = '\0';
    if (d == &first_work) {
        loop_defer(loop, &second_work);
        loop_undefer(loop, &third_work);
    }
}

static void test_deferred_work_runs_once_in_order_at_the_end_of_the_turn(void **state)
{
    (void)state;
    fired_count = 0;
    struct named_timer t = {.name = 't'};
    timer_init(&t.timer, note);
    assert_int_equal(loop_timer_set(loop, &t.timer, 0), OK);
    deferred_init(&first_work, run_noted);
    deferred_init(&second_work, run_noted);
    deferred_init(&third_work, run_noted);
    loop_defer(loop, &first_work);
    loop_defer(loop, &first_work);
    loop_defer(loop, &third_work);
    loop_turn(loop, -1); /* does not sleep */
    assert_string_equal(fired, "t12");
    loop_turn(loop, 0);
    assert_string_equal(fired, "t12");
}

static void run_and_come_again(struct deferred *d)
{
    run_noted(d);
    loop_defer_to_next(loop, d);
    loop_defer_to_next(loop, d);
}

static void test_what_is_deferred_to_the_next_turn_runs_once_in_each(void **state)
{
    (void)state;
    fired_count = 0;
    deferred_init(&third_work, run_and_come_again);
    loop_defer(loop, &third_work);
    loop_turn(loop, 0);
    assert_string_equal(fired, "3");
    loop_turn(loop, -1); /* does not sleep */
    assert_string_equal(fired, "33");
    loop_undefer(loop, &third_work);
    loop_turn(loop, 0);
    assert_string_equal(fired, "33");
}

static int hooked_count;

static void count_hook(void *argument, int64_t turn_ns)
{
    assert_ptr_equal(argument, &hooked_count);
    assert_true(turn_ns >= 0);
    hooked_count++;
}

static void stop_loop(struct timer *t, struct now now)
{
    (void)t;
    (void)now;
    loop_stop(loop);
}

static void test_run_ends_after_the_turn_that_stopped_it(void **state)
{
    (void)state;
    hooked_count = 0;
    loop_on_turn(loop, count_hook, &hooked_count);
    uint64_t before = loop_turn_count(loop);
    struct timer t;
    timer_init(&t, stop_loop);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(loop_timer_set(loop, &t, 0), OK);
        loop_run(loop);
    }
    assert_int_equal(loop_turn_count(loop) - before, 2);
    assert_int_equal(hooked_count, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_loop, drop_loop)

static int run(const char *name)
{
    const struct CMUnitTest tests[] = {
        TEST(test_timers_fire_in_order_of_their_deadlines),
        TEST(test_a_timer_that_rearms_itself_for_the_past_fires_once_a_turn),
        TEST(test_the_sleep_ends_at_the_first_timer),
        TEST(test_one_callback_may_end_all_watches_of_its_batch),
        TEST(test_an_fd_number_that_is_reused_in_a_batch_gets_no_stale_event),
        TEST(test_lost_interest_holds_within_the_batch),
        TEST(test_a_watch_that_the_system_refuses_is_not_watched),
        TEST(test_a_turn_has_so_much_to_send),
        TEST(test_all_who_can_send_get_the_same),
        TEST(test_deferred_work_runs_once_in_order_at_the_end_of_the_turn),
        TEST(test_what_is_deferred_to_the_next_turn_runs_once_in_each),
        TEST(test_run_ends_after_the_turn_that_stopped_it),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return run_on_each_engine(run);
}
