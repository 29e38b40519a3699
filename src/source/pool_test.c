/* How pool.c shares pipes, with pipes that do what the test says: idle ones first, then the least deep, then the queue; turns, cancelling, lost pipes,
 * attempts to connect. The test runs on its own thread and looks at what the pool's thread has done. */
#include "source/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/loop.h"

enum { PIPES_MAX = 64, DEPTH = 4, QUERIES_MAX = 64 };

struct driver_pipe {
    struct loop *loop;
    struct driver_listener *listener;
    struct timer step; /* what it reports, it reports from the loop */
    bool connected;
    bool forgotten; /* the first try was */
    struct driver_try *tries[DEPTH];
    unsigned count;
};

/* All under the lock. */
static struct {
    struct lock lock;
    struct condition changed;
    struct driver_pipe *pipes[PIPES_MAX]; /* by order of opening; NULL when closed */
    unsigned opened;
    unsigned connects; /* pipes that may still connect */
    unsigned answers;  /* tries that may still end */
    bool refusing;     /* attempts to connect fail */
    bool cancelled;    /* cancels end the query: its pipe reports it */
    unsigned cancels;
    unsigned depths[PIPES_MAX]; /* most that the pipe ever had */
} fake;

static const struct source_statement statement = {.sql = {"SELECT 1", 8}};
static const struct source_statement cancel_statement = {.sql = {"CANCEL", 6}};

static void changed(void) RELEASES(fake.lock)
{
    lock_release(&fake.lock);
    condition_wake_all(&fake.changed);
}

static void set_step(struct driver_pipe *p, int64_t ms)
{
    assert(loop_timer_set(p->loop, &p->step, loop_now(p->loop).mono_ms + ms) == OK);
}

/* Lets the first try end if that is allowed; a cancel always may. */
static void answer_first(struct driver_pipe *p)
{
    struct driver_try *t = p->tries[0];
    bool is_cancel = t && t->statement == &cancel_statement;
    lock_acquire(&fake.lock);
    bool may = p->count > 0 && (is_cancel || (p->forgotten ? fake.cancelled : fake.answers > 0));
    if (may && !is_cancel && !p->forgotten) {
        fake.answers--;
    }
    bool was_forgotten = p->forgotten;
    if (may) {
        p->count--;
        memmove(p->tries, p->tries + 1, p->count * sizeof p->tries[0]);
        p->forgotten = false;
        if (is_cancel) {
            fake.cancels++;
            fake.cancelled = true;
        }
    }
    changed();
    if (may) {
        p->listener->ended(p->listener, was_forgotten ? NULL : t, NULL);
    }
}

static void step(struct timer *timer, struct now now)
{
    struct driver_pipe *p = container_of(timer, struct driver_pipe, step);
    struct source_failure f;
    (void)now;
    set_step(p, 1);
    lock_acquire(&fake.lock);
    bool connects = !p->connected && fake.connects > 0;
    bool refused = !p->connected && fake.refusing;
    fake.connects -= connects && !refused;
    changed();
    if (refused) {
        source_failure_set(&f, ERR_SOURCE_DOWN, true, "refused");
        p->listener->lost(p->listener, &f);
    } else if (connects) {
        p->connected = true;
        p->listener->ready(p->listener);
    } else if (p->connected) {
        answer_first(p);
    }
}

static err fake_open(const struct config_source *config, struct loop *loop, struct driver_listener *listener,
                     struct driver_pipe **ret_pipe, struct source_failure *f)
{
    (void)config, (void)f;
    struct driver_pipe *p = calloc(1, sizeof *p);
    p->loop = loop;
    p->listener = listener;
    timer_init(&p->step, step);
    set_step(p, 0);
    lock_acquire(&fake.lock);
    assert(fake.opened < PIPES_MAX);
    fake.pipes[fake.opened++] = p;
    changed();
    *ret_pipe = p;
    return OK;
}

static void fake_send(struct driver_pipe *p, struct driver_try *t)
{
    lock_acquire(&fake.lock);
    assert(p->count < DEPTH);
    p->tries[p->count++] = t;
    for (unsigned i = 0; i < fake.opened; i++) {
        if (fake.pipes[i] == p && p->count > fake.depths[i]) {
            fake.depths[i] = p->count;
        }
    }
    changed();
}

static void fake_forget_first(struct driver_pipe *p)
{
    p->forgotten = true;
}

static void fake_make_cancel(struct driver_pipe *whom, struct driver_try *t)
{
    (void)whom;
    *t = (struct driver_try){.statement = &cancel_statement};
}

static void fake_close(struct driver_pipe *p)
{
    loop_timer_clear(p->loop, &p->step);
    lock_acquire(&fake.lock);
    for (unsigned i = 0; i < fake.opened; i++) {
        fake.pipes[i] = fake.pipes[i] == p ? NULL : fake.pipes[i];
    }
    changed();
    free(p);
}

static const struct driver_pipes pipes = {DEPTH, fake_open, fake_send, fake_forget_first, fake_make_cancel, fake_close};
static const struct driver driver = {.name = "pipes", .pipes = &pipes};

/* ---- queries ------------------------------------------------------------------------------------------------------- */
struct probe_query {
    struct source_query query;
    unsigned ends, restarts;
    err error;
};

static struct probe_query queries[QUERIES_MAX];
static unsigned submitted, end_count;
static struct config_source config;
static struct source *source;

static bool on_row(struct source_query *q, const struct source_row *row)
{
    (void)q, (void)row;
    return true;
}

static void on_restart(struct source_query *q)
{
    container_of(q, struct probe_query, query)->restarts++;
}

static void on_done(struct source_query *q, const struct source_failure *f)
{
    struct probe_query *p = container_of(q, struct probe_query, query);
    lock_acquire(&fake.lock);
    p->ends++;
    p->error = f ? f->error : OK;
    end_count++;
    changed();
}

static void submit(unsigned count)
{
    for (; count > 0; count--) {
        struct probe_query *p = &queries[submitted++];
        *p = (struct probe_query){
            .query = {.statement = &statement, .row = on_row, .restart = on_restart, .done = on_done}};
        assert_int_equal(source_submit(source, &p->query), OK);
    }
}

#define AWAIT(what)                                               \
    do {                                                          \
        lock_acquire(&fake.lock);                                 \
        while (!(what)) {                                         \
            condition_wait(&fake.changed, &fake.lock, INT64_MAX); \
        }                                                         \
        lock_release(&fake.lock);                                 \
    } while (0)

static void let(unsigned connects, unsigned answers)
{
    lock_acquire(&fake.lock);
    fake.connects += connects;
    fake.answers += answers;
    lock_release(&fake.lock);
}

static unsigned sent(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < fake.opened; i++) {
        count += fake.pipes[i] ? fake.pipes[i]->count : 0;
    }
    return count;
}

static void start(unsigned connections, unsigned max_inflight, int64_t timeout_ms)
{
    memset(&fake, 0, sizeof fake);
    lock_init(&fake.lock, LOCK_LOG, 1);
    condition_init(&fake.changed);
    submitted = end_count = 0;
    config = (struct config_source){.name = S("pipes"),
                                    .connections = connections,
                                    .max_inflight = max_inflight,
                                    .connect_timeout_ms = 60000,
                                    .timeout_ms = timeout_ms};
    assert_int_equal(source_open(&config, &driver, &source), OK);
}

/* ---- tests --------------------------------------------------------------------------------------------------------- */
static void idle_pipes_then_the_least_deep_then_the_queue(void **state)
{
    (void)state;
    start(3, 64, 60000);
    submit(20);
    AWAIT(fake.opened == 3); /* as many as there are places */
    let(3, 0);
    AWAIT(sent() == 12);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(fake.depths[i], DEPTH);
    }
    assert_int_equal(source_figures(source, 0).inflight, 12);
    assert_int_equal(source_figures(source, 0).queued, 8);
    assert_int_equal(source_figures(source, 0).connections, 3);
    let(0, 20);
    AWAIT(end_count == 20);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(queries[i].ends, 1);
        assert_int_equal(queries[i].error, OK);
    }
    assert_int_equal(fake.opened, 3);
    source_close(source);
}

static void the_pool_grows_with_need_and_no_query_waits_behind_another_meanwhile(void **state)
{
    (void)state;
    start(4, 64, 60000);
    for (unsigned i = 1; i <= 4; i++) {
        let(1, 0);
        submit(1);
        AWAIT(sent() == i);
        assert_int_equal(fake.opened, i);
        assert_int_equal(fake.depths[i - 1], 1);
    }
    let(0, 1);
    AWAIT(end_count == 1);
    submit(1);
    AWAIT(sent() == 4);
    assert_int_equal(fake.opened, 4); /* the idle one was taken */
    source_close(source);
    assert_int_equal(end_count, 5);
}

static void max_inflight_bounds_what_is_sent(void **state)
{
    (void)state;
    start(8, 5, 60000);
    submit(10);
    let(8, 0);
    AWAIT(sent() == 5);
    assert_int_equal(source_figures(source, 0).inflight, 5);
    assert_int_equal(fake.opened, 5);
    let(0, 10);
    AWAIT(end_count == 10);
    source_close(source);
}

static void a_query_over_its_time_is_cancelled_over_another_connection(void **state)
{
    (void)state;
    start(1, 64, 30);
    submit(1);
    let(1, 0);
    AWAIT(end_count == 1);
    assert_int_equal(queries[0].error, ERR_SOURCE_TIMEOUT);
    AWAIT(fake.opened == 2); /* the one for cancels */
    submit(1);               /* waits: the pipe is not to be used before all that is over */
    assert_int_equal(end_count, 1);
    let(1, 0);
    AWAIT(fake.cancels == 1);
    let(0, 1);
    AWAIT(end_count == 2);
    assert_int_equal(queries[1].error, OK);
    AWAIT(!fake.pipes[1]); /* it is closed when nobody needs it */
    assert_int_equal(fake.opened, 2);
    assert_int_equal(source_figures(source, 0).timeouts, 1);
    source_close(source);
}

static void who_waits_for_a_connection_learns_that_there_is_none(void **state)
{
    (void)state;
    start(4, 64, 60000);
    lock_acquire(&fake.lock);
    fake.refusing = true;
    lock_release(&fake.lock);
    submit(10);
    AWAIT(end_count == 10);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(queries[i].error, ERR_SOURCE_DOWN);
    }
    assert_true(fake.opened <= 4);
    unsigned attempts = fake.opened;
    submit(5); /* one attempt at a time now */
    AWAIT(end_count == 15);
    assert_int_equal(fake.opened, attempts + 1);
    lock_acquire(&fake.lock);
    fake.refusing = false;
    lock_release(&fake.lock);
    let(4, 1);
    submit(1);
    AWAIT(end_count == 16);
    assert_int_equal(queries[15].error, OK);
    source_close(source);
}

static void stopping_answers_everyone(void **state)
{
    (void)state;
    start(2, 64, 60000);
    submit(20);
    let(1, 0); /* one connects, the other does not */
    AWAIT(sent() > 0);
    source_stop(source);
    assert_int_equal(end_count, 20);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(queries[i].ends, 1);
        assert_int_equal(queries[i].error, ERR_SOURCE_DOWN);
    }
    assert_int_equal(source_figures(source, 0).inflight, 0);
    assert_int_equal(source_figures(source, 0).connections, 0);
    source_close(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_pipes_then_the_least_deep_then_the_queue),
        cmocka_unit_test(the_pool_grows_with_need_and_no_query_waits_behind_another_meanwhile),
        cmocka_unit_test(max_inflight_bounds_what_is_sent),
        cmocka_unit_test(a_query_over_its_time_is_cancelled_over_another_connection),
        cmocka_unit_test(who_waits_for_a_connection_learns_that_there_is_none),
        cmocka_unit_test(stopping_answers_everyone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
