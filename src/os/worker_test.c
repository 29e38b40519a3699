/* Workers: messages arrive once, in order, on the worker's thread, also those posted just before the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/worker.h"

enum { POSTER_COUNT = 3, MESSAGE_COUNT = 5000 };

struct numbered {
    struct message message;
    unsigned poster;
    unsigned number;
};

struct tally {
    unsigned next[POSTER_COUNT]; /* the number expected from each poster */
    unsigned wrong_count;
};

static void deliver_numbered(struct message *m, struct worker *w)
{
    struct numbered *n = container_of(m, struct numbered, message);
    struct tally *t = w->owner;
    t->wrong_count += worker_self() != w || t->next[n->poster] != n->number;
    t->next[n->poster]++;
    free(n);
}

struct poster {
    struct thread thread;
    struct worker *worker;
    unsigned index;
};

static void post_all(void *argument)
{
    struct poster *p = argument;
    for (unsigned i = 0; i < MESSAGE_COUNT; i++) {
        struct numbered *n = malloc(sizeof *n);
        *n = (struct numbered){.message.deliver = deliver_numbered, .poster = p->index, .number = i};
        worker_post(p->worker, &n->message);
    }
}

static void test_messages_arrive_in_the_order_of_each_poster(void **state)
{
    (void)state;
    struct tally tally = {0};
    struct worker w;
    assert_int_equal(worker_init(&w, 1, LOOP_EPOLL), OK);
    w.owner = &tally;
    assert_int_equal(worker_start(&w), OK);
    struct poster posters[POSTER_COUNT];
    for (unsigned i = 0; i < POSTER_COUNT; i++) {
        posters[i] = (struct poster){.worker = &w, .index = i};
        assert_int_equal(thread_start(&posters[i].thread, "poster", post_all, &posters[i]), OK);
    }
    for (unsigned i = 0; i < POSTER_COUNT; i++) {
        thread_join(&posters[i].thread);
    }
    worker_stop(&w);
    for (unsigned i = 0; i < POSTER_COUNT; i++) {
        assert_int_equal(tally.next[i], MESSAGE_COUNT);
    }
    assert_int_equal(tally.wrong_count, 0);
    assert_null(worker_self());
    worker_fini(&w);
}

/* A message that goes to and fro between two workers, each time posted again from its own delivery. */
struct ball {
    struct message message;
    struct worker *players[2];
    int touch_count;
};

static void deliver_ball(struct message *m, struct worker *w)
{
    struct ball *b = container_of(m, struct ball, message);
    b->touch_count++;
    if (b->touch_count < MESSAGE_COUNT) {
        worker_post(b->players[!w->index], m);
    } else {
        loop_stop(w->loop);
    }
}

static void test_a_message_is_posted_again_from_its_delivery(void **state)
{
    (void)state;
    struct worker players[2];
    struct ball ball = {.message.deliver = deliver_ball};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(worker_init(&players[i], i, LOOP_EPOLL), OK);
        ball.players[i] = &players[i];
    }
    worker_post(&players[0], &ball.message); /* before it runs */
    assert_int_equal(worker_start(&players[0]), OK);
    assert_int_equal(worker_start(&players[1]), OK);
    thread_join(&players[MESSAGE_COUNT % 2 == 0].thread); /* the one that touched last has ended itself */
    worker_stop(&players[0]);
    worker_stop(&players[1]);
    assert_int_equal(ball.touch_count, MESSAGE_COUNT);
    worker_fini(&players[0]);
    worker_fini(&players[1]);
    worker_fini(&players[1]);
}

static char delivered[4];

static void note(struct message *m, struct worker *w)
{
    (void)m;
    (void)w;
    delivered[strlen(delivered)] = '1';
}

static void note_and_post(struct message *m, struct worker *w)
{
    static struct message later = {.deliver = note};
    (void)m;
    delivered[strlen(delivered)] = '0';
    worker_post(w, &later);
}

static void test_a_burst_wakes_once(void **state)
{
    (void)state;
    struct worker w;
    struct message messages[] = {{.deliver = note_and_post}, {.deliver = note}};
    uint64_t wake_count;
    assert_int_equal(worker_init(&w, 0, LOOP_EPOLL), OK);
    worker_post(&w, &messages[0]);
    worker_post(&w, &messages[1]);
    assert_int_equal(read(w.wake.fd, &wake_count, sizeof wake_count), sizeof wake_count);
    assert_int_equal(wake_count, 1);
    assert_int_equal(write(w.wake.fd, &wake_count, sizeof wake_count), sizeof wake_count);
    loop_turn(w.loop, -1);
    assert_string_equal(delivered, "01"); /* what is posted meanwhile comes in the next turn */
    loop_turn(w.loop, -1);
    assert_string_equal(delivered, "011");
    worker_fini(&w);
}

static void test_what_is_posted_after_the_end_is_settled(void **state)
{
    (void)state;
    struct worker w;
    struct message m = {.deliver = note_and_post};
    memset(delivered, 0, sizeof delivered);
    assert_int_equal(worker_init(&w, 0, LOOP_EPOLL), OK);
    assert_int_equal(worker_start(&w), OK);
    worker_stop(&w);
    worker_post(&w, &m);
    assert_true(worker_settle(&w));
    assert_true(worker_settle(&w));
    assert_false(worker_settle(&w));
    assert_string_equal(delivered, "01");
    worker_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_arrive_in_the_order_of_each_poster),
        cmocka_unit_test(test_a_burst_wakes_once),
        cmocka_unit_test(test_a_message_is_posted_again_from_its_delivery),
        cmocka_unit_test(test_what_is_posted_after_the_end_is_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
