/* Carries the queries of a source whose driver has pipes: one thread, one loop, `connections` places for pipes.
 *
 *     queue -> an idle pipe; else the one with the fewest tries, at most depth_max; else it stays in the queue
 *
 * A query that finds no idle pipe has one more opened, as long as there are places, and waits for it; so the pool grows with need. A pipe
 * that is lost is not replaced before somebody asks again. After a failed attempt to connect there is one attempt at a time, each after a
 * longer pause; those who wait for a connection while there is none learn of each failure: to them it is a failed try.
 *
 * Pipes answer in order, so the turn of a try comes when it is its pipe's first: from then on `timeout` counts. When it is over, the try
 * has ended for us; the pipe is told to forget it and takes no more until two things are over: the source has ended the query, and the
 * request to do so has been answered. That request cannot go over the pipe itself, so it goes over one more connection, `control`, which is
 * opened when it is needed and closed when nobody needs it. (libpq's own PQcancel() blocks, without a bound when the server does not react;
 * it would need a thread that cannot be stopped.) A request may come late and hit the query behind: what was on the pipe and is reported as
 * cancelled is sent again, uncounted. A source that does not react within connect-timeout loses the pipe; its own statement timeout ends
 * the query then.
 *
 * Threads: all on the pool's thread but start, stop, free and wake.
 * I1: a place has a pipe unless it is FREE; its tries are those that the pipe has, in order, but for one that was forgotten.
 * I2: a try that is in no place has been handed back to source.c.
 * I3: the timer of a CONNECTING place, of a draining one and of one with tries is set; of others it is not. */
#include "source/source_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "observe/log.h"
#include "os/loop.h"
#include "os/thread.h"

enum { DEPTH_MAX = 4, BACKOFF_MS_MIN = 50, BACKOFF_MS_MAX = 1000 };

struct attempt {
    struct driver_try t;
    struct source_query *query; /* NULL: free */
    bool beside_cancel;         /* a cancel was asked for while it was on the pipe: it may be hit instead */
};

enum place_state { PLACE_FREE, PLACE_CONNECTING, PLACE_READY };
enum cancel { CANCEL_NONE, CANCEL_WANTED, CANCEL_SENT };

struct pool_place {
    struct driver_listener listener;
    struct carrier *pool;
    enum place_state state;
    struct driver_pipe *pipe;
    unsigned depth;    /* tries that the pipe has, a forgotten one included */
    struct list tries; /* driver_try.link */
    struct timer timer;
    bool draining; /* a forgotten try has not ended yet */
    enum cancel cancel;
    struct driver_try cancel_try;
    struct attempt attempts[DEPTH_MAX];
};

struct carrier {
    struct source *source;
    const struct driver_pipes *pipes;
    struct thread thread;
    struct loop *loop;
    struct watch wake;
    bool woken;           /* atomic: the wake-up is on its way */
    unsigned failures;    /* attempts to connect that failed, since the last that did not */
    struct timer backoff; /* no attempts while it is set */
    struct deferred pumping;
    struct pool_place control;
    unsigned place_count;
    struct pool_place places[];
};

/* Sends what can be sent, at the end of the turn: then what is known by now of pipes that were lost has been seen to. */
static void pump(struct carrier *c)
{
    loop_defer(c->loop, &c->pumping);
}

/* Cannot fail: room for all timers was made at the start. */
static void set_timer(struct carrier *c, struct timer *t, int64_t ms)
{
    err e = loop_timer_set(c->loop, t, loop_now(c->loop).mono_ms + ms);
    assert(e == OK);
}

static bool is_set(const struct timer *t)
{
    return heap_holds(&t->node);
}

/* ---- places ------------------------------------------------------------------------------------------------------------------------------ */
static void watch_first(struct pool_place *p)
{
    if (!list_empty(&p->tries)) {
        set_timer(p->pool, &p->timer, p->pool->source->config->timeout_ms);
    } else {
        loop_timer_clear(p->pool->loop, &p->timer);
    }
}

/* Takes the pipe away; tries that it had go to `ret_tries`. */
static void close_pipe(struct pool_place *p, struct list *ret_tries)
{
    struct carrier *c = p->pool;
    if (p->state == PLACE_FREE) {
        return;
    }
    if (p->state == PLACE_READY && p != &c->control) {
        source_count_connections(c->source, -1);
    }
    c->pipes->close(p->pipe);
    loop_timer_clear(c->loop, &p->timer);
    list_splice(ret_tries, &p->tries);
    p->pipe = NULL;
    p->state = PLACE_FREE;
    p->depth = 0;
    p->draining = false;
}

static void open_pipe(struct pool_place *p, struct source_failure *ret_failure, bool *ret_opened)
{
    struct carrier *c = p->pool;
    *ret_opened = c->pipes->open(c->source->config, c->loop, &p->listener, &p->pipe, ret_failure) == OK;
    if (*ret_opened) {
        p->state = PLACE_CONNECTING;
        set_timer(c, &p->timer, c->source->config->connect_timeout_ms);
    }
}

static void end_attempt(struct carrier *c, struct driver_try *t, const struct source_failure *f)
{
    struct attempt *a = container_of(t, struct attempt, t);
    struct source_query *q = a->query;
    a->query = NULL;
    if (f && (f->error == ERR_AGAIN || (f->error == ERR_SOURCE_TIMEOUT && a->beside_cancel))) {
        source_undo_try(c->source, q);
    } else {
        source_end_try(c->source, q, f);
    }
}

/* ---- cancelling -------------------------------------------------------------------------------------------------------------------------- */
/* No request is under way or wanted any more. */
static void drop_control(struct carrier *c)
{
    struct list none;
    list_init(&none);
    close_pipe(&c->control, &none);
    for (unsigned i = 0; i < c->place_count; i++) {
        c->places[i].cancel = CANCEL_NONE;
    }
}

static void send_cancels(struct carrier *c)
{
    struct pool_place *control = &c->control;
    bool pending = false;
    for (unsigned i = 0; i < c->place_count; i++) {
        struct pool_place *p = &c->places[i];
        if (p->cancel == CANCEL_WANTED && control->state == PLACE_READY && control->depth < c->pipes->depth_max) {
            p->cancel = CANCEL_SENT;
            c->pipes->make_cancel(p->pipe, &p->cancel_try);
            c->pipes->send(control->pipe, &p->cancel_try);
            control->depth++;
            set_timer(c, &control->timer, c->source->config->connect_timeout_ms);
        }
        pending |= p->cancel != CANCEL_NONE;
    }
    if (!pending) {
        drop_control(c);
    } else if (control->state == PLACE_FREE) {
        struct source_failure f;
        bool opened;
        open_pipe(control, &f, &opened);
        if (!opened) {
            drop_control(c);
        }
    }
}

static void control_ready(struct driver_listener *l)
{
    struct pool_place *control = container_of(l, struct pool_place, listener);
    control->state = PLACE_READY;
    loop_timer_clear(control->pool->loop, &control->timer);
    send_cancels(control->pool);
}

static void control_ended(struct driver_listener *l, struct driver_try *t, const struct source_failure *f)
{
    struct pool_place *control = container_of(l, struct pool_place, listener);
    (void)f; /* whatever came of it: the pipe that it was about drains, or is closed in time */
    control->depth--;
    container_of(t, struct pool_place, cancel_try)->cancel = CANCEL_NONE;
    send_cancels(control->pool);
    pump(control->pool);
}

static void control_lost(struct driver_listener *l, const struct source_failure *f)
{
    struct carrier *c = container_of(l, struct pool_place, listener)->pool;
    (void)f;
    drop_control(c);
    pump(c);
}

static void control_late(struct timer *t, struct now now)
{
    struct carrier *c = container_of(t, struct pool_place, timer)->pool;
    (void)now;
    drop_control(c);
    pump(c);
}

/* The pipe is of no use any more; so are the tries that it had. */
static void lose_pipe(struct pool_place *p, const struct source_failure *f)
{
    struct carrier *c = p->pool;
    struct list tries;
    list_init(&tries);
    if (p->cancel == CANCEL_SENT) {
        drop_control(c); /* it holds the place's cancel_try */
    }
    p->cancel = CANCEL_NONE;
    close_pipe(p, &tries);
    send_cancels(c);
    struct list *link;
    while ((link = list_pop_front(&tries)) != NULL) {
        end_attempt(c, container_of(link, struct driver_try, link), f);
    }
}

/* The first try has had its time. */
static void expire(struct pool_place *p)
{
    struct carrier *c = p->pool;
    struct source_failure f;
    struct driver_try *first = container_of(list_pop_front(&p->tries), struct driver_try, link);
    c->pipes->forget_first(p->pipe);
    container_of(first, struct attempt, t)->beside_cancel = false; /* its own time was over */
    p->draining = true;
    p->cancel = p->cancel == CANCEL_NONE ? CANCEL_WANTED : p->cancel;
    LIST_EACH (link, &p->tries) {
        container_of(link, struct attempt, t.link)->beside_cancel = true;
    }
    set_timer(c, &p->timer, c->source->config->connect_timeout_ms);
    source_failure_set(&f, ERR_SOURCE_TIMEOUT, true, "%s", "");
    end_attempt(c, first, &f);
    send_cancels(c);
}

/* ---- connecting -------------------------------------------------------------------------------------------------------------------------- */
static unsigned count_places(const struct carrier *c, enum place_state state)
{
    unsigned count = 0;
    for (unsigned i = 0; i < c->place_count; i++) {
        count += c->places[i].state == state;
    }
    return count;
}

/* All whose turn it would be have tried in vain. The last is handed back first, so that those who stand in the queue again keep their order. */
static void fail_waiting(struct carrier *c, const struct source_failure *f)
{
    struct list taken;
    struct source_query *q;
    list_init(&taken);
    while ((q = source_take(c->source)) != NULL) {
        if (source_begin_try(c->source, q)) {
            list_push_front(&taken, &q->link);
        }
    }
    struct list *link;
    while ((link = list_pop_front(&taken)) != NULL) {
        source_end_try(c->source, container_of(link, struct source_query, link), f);
    }
}

static void note_connect_failure(struct carrier *c, const struct source_failure *f)
{
    static struct log_limit limit;
    int64_t pause_ms = (int64_t)BACKOFF_MS_MIN << (c->failures < 10 ? c->failures : 10);
    c->failures++;
    set_timer(c, &c->backoff, pause_ms < BACKOFF_MS_MAX ? pause_ms : BACKOFF_MS_MAX);
    log_write_limited(&limit, LOG_WARNING, "source", "source %.*s: cannot connect: %s",
                      SLICE_ARG(c->source->config->name), f->text);
    if (count_places(c, PLACE_READY) == 0 && count_places(c, PLACE_CONNECTING) == 0) {
        fail_waiting(c, f);
    }
}

/* Opens pipes for `waiting` queries, as many as are of use; after a failure one at a time. Returns how many are being opened. */
static unsigned connect_more(struct carrier *c, unsigned waiting)
{
    unsigned connecting = count_places(c, PLACE_CONNECTING);
    unsigned wanted = is_set(&c->backoff) ? 0 : c->failures > 0 ? 1 : waiting;
    for (unsigned i = 0; i < c->place_count && connecting < wanted; i++) {
        if (c->places[i].state == PLACE_FREE) {
            struct source_failure f;
            bool opened;
            open_pipe(&c->places[i], &f, &opened);
            if (!opened) {
                note_connect_failure(c, &f);
                return connecting;
            }
            connecting++;
        }
    }
    return connecting;
}

static void backoff_over(struct timer *t, struct now now)
{
    (void)now;
    pump(container_of(t, struct carrier, backoff));
}

/* ---- sending ----------------------------------------------------------------------------------------------------------------------------- */
static bool receive_row(void *argument, const struct source_row *row)
{
    struct source_query *q = argument;
    return q->row(q, row);
}

static void send_query(struct pool_place *p, struct source_query *q)
{
    struct attempt *a = p->attempts;
    while (a->query) {
        a++;
    }
    assert(a < p->attempts + DEPTH_MAX);
    *a = (struct attempt){
        .query = q,
        .t = {.statement = q->statement, .parameters = q->parameters, .receive = receive_row, .argument = q}};
    list_push_back(&p->tries, &a->t.link);
    p->depth++;
    p->pool->pipes->send(p->pipe, &a->t);
    if (p->depth == 1) {
        watch_first(p);
    }
}

/* An idle place, else the one with the fewest tries; NULL when all have enough. */
static struct pool_place *find_place(struct carrier *c)
{
    struct pool_place *best = NULL;
    for (unsigned i = 0; i < c->place_count; i++) {
        struct pool_place *p = &c->places[i];
        bool takes =
            p->state == PLACE_READY && !p->draining && p->cancel == CANCEL_NONE && p->depth < c->pipes->depth_max;
        if (takes && (!best || p->depth < best->depth)) {
            best = p;
        }
    }
    return best;
}

/* Who finds no idle pipe waits for one that is being opened, if there is one for him. */
static void send_waiting(struct deferred *d)
{
    struct carrier *c = container_of(d, struct carrier, pumping);
    unsigned waiting;
    while ((waiting = source_waiting(c->source)) > 0) {
        struct pool_place *p = find_place(c);
        bool is_idle = p && p->depth == 0;
        if (!is_idle && (connect_more(c, waiting) >= waiting || !p)) {
            return;
        }
        struct source_query *q = source_take(c->source);
        if (q && source_begin_try(c->source, q)) {
            send_query(p, q);
        }
    }
}

/* ---- what pipes report ------------------------------------------------------------------------------------------------------------------- */
static void place_ready(struct driver_listener *l)
{
    struct pool_place *p = container_of(l, struct pool_place, listener);
    struct carrier *c = p->pool;
    p->state = PLACE_READY;
    loop_timer_clear(c->loop, &p->timer);
    source_count_connections(c->source, 1);
    loop_timer_clear(c->loop, &c->backoff);
    if (c->failures > 0) {
        c->failures = 0;
        log_write(LOG_NOTICE, "source", "source %.*s: connected again", SLICE_ARG(c->source->config->name));
    }
    pump(c);
}

static void place_ended(struct driver_listener *l, struct driver_try *t, const struct source_failure *f)
{
    struct pool_place *p = container_of(l, struct pool_place, listener);
    struct carrier *c = p->pool;
    p->depth--;
    if (t) {
        list_remove(&t->link);
    } else {
        p->draining = false;
        p->cancel = p->cancel == CANCEL_WANTED ? CANCEL_NONE : p->cancel;
    }
    if (!p->draining) {
        watch_first(p);
    }
    if (t) {
        end_attempt(c, t, f);
    } else {
        send_cancels(c);
    }
    pump(c);
}

/* Of a place that was connecting, or was connected. */
static void lose_place(struct pool_place *p, const struct source_failure *f)
{
    bool connecting = p->state == PLACE_CONNECTING;
    lose_pipe(p, f);
    if (connecting) {
        note_connect_failure(p->pool, f);
    }
    pump(p->pool);
}

static void place_lost(struct driver_listener *l, const struct source_failure *f)
{
    lose_place(container_of(l, struct pool_place, listener), f);
}

static void place_late(struct timer *t, struct now now)
{
    struct pool_place *p = container_of(t, struct pool_place, timer);
    struct source_failure f;
    (void)now;
    if (p->state == PLACE_CONNECTING) {
        source_failure_set(&f, ERR_SOURCE_TIMEOUT, true, "no connection within %lld ms",
                           (long long)p->pool->source->config->connect_timeout_ms);
        lose_place(p, &f);
    } else if (p->draining) {
        source_failure_set(&f, ERR_SOURCE_DOWN, true, "the source did not react to the cancelling of a query");
        lose_place(p, &f);
    } else {
        expire(p);
        pump(p->pool);
    }
}

/* ---- the thread -------------------------------------------------------------------------------------------------------------------------- */
static void shut_down(struct carrier *c)
{
    struct list tries;
    struct list *link;
    struct source_failure f;
    list_init(&tries);
    drop_control(c);
    for (unsigned i = 0; i < c->place_count; i++) {
        close_pipe(&c->places[i], &tries);
    }
    loop_timer_clear(c->loop, &c->backoff);
    loop_undefer(c->loop, &c->pumping);
    loop_stop(c->loop);
    source_failure_stopping(&f);
    while ((link = list_pop_front(&tries)) != NULL) {
        end_attempt(c, container_of(link, struct driver_try, link), &f);
    }
}

static void woken(struct watch *w, unsigned events)
{
    struct carrier *c = container_of(w, struct carrier, wake);
    uint64_t count;
    (void)events;
    (void)!read(w->fd, &count, sizeof count);
    __atomic_store_n(&c->woken, false,
                     __ATOMIC_SEQ_CST); /* before the look at the queue: who comes later wakes again */
    if (__atomic_load_n(&c->source->stopping, __ATOMIC_ACQUIRE)) {
        shut_down(c);
    } else {
        pump(c);
    }
}

static void pool_wake(struct carrier *c)
{
    if (!__atomic_exchange_n(&c->woken, true, __ATOMIC_SEQ_CST)) {
        uint64_t one = 1;
        (void)!write(c->wake.fd, &one, sizeof one);
    }
}

static void pool_run(void *argument)
{
    struct carrier *c = argument;
    role_assume_helper();
    loop_run(c->loop);
}

static void place_init(struct pool_place *p, struct carrier *c)
{
    *p = (struct pool_place){.pool = c, .listener = {.ready = place_ready, .ended = place_ended, .lost = place_lost}};
    list_init(&p->tries);
    timer_init(&p->timer, place_late);
}

/* All timers are set once, so that setting them again needs no memory. */
static err make_room_for_timers(struct carrier *c)
{
    err e = loop_timer_set(c->loop, &c->backoff, INT64_MAX);
    e = e == OK ? loop_timer_set(c->loop, &c->control.timer, INT64_MAX) : e;
    for (unsigned i = 0; i < c->place_count && e == OK; i++) {
        e = loop_timer_set(c->loop, &c->places[i].timer, INT64_MAX);
    }
    loop_timer_clear(c->loop, &c->backoff);
    loop_timer_clear(c->loop, &c->control.timer);
    for (unsigned i = 0; i < c->place_count; i++) {
        loop_timer_clear(c->loop, &c->places[i].timer);
    }
    return e;
}

static void pool_stop(struct carrier *c)
{
    pool_wake(c);
    thread_join(&c->thread);
}

static void pool_free(struct carrier *c)
{
    if (c->loop) {
        loop_unwatch(c->loop, &c->wake);
        loop_free(c->loop);
    }
    if (c->wake.fd >= 0) {
        close(c->wake.fd);
    }
    free(c);
}

static err pool_start(struct source *s, struct carrier **ret_carrier)
{
    const struct config_source *config = s->config;
    unsigned count = config->connections < config->max_inflight ? config->connections : config->max_inflight;
    struct carrier *c = calloc(1, sizeof *c + count * sizeof c->places[0]);
    if (!c) {
        return ERR_NOMEM;
    }
    assert(s->driver->pipes->depth_max <= DEPTH_MAX);
    *ret_carrier = c;
    c->source = s;
    c->pipes = s->driver->pipes;
    c->place_count = count;
    c->wake.fd = -1;
    timer_init(&c->backoff, backoff_over);
    deferred_init(&c->pumping, send_waiting);
    place_init(&c->control, c);
    c->control.listener =
        (struct driver_listener){.ready = control_ready, .ended = control_ended, .lost = control_lost};
    c->control.timer.fire = control_late;
    for (unsigned i = 0; i < count; i++) {
        place_init(&c->places[i], c);
    }
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        return ERR_SYSTEM;
    }
    c->wake.fd = fd;
    err e = loop_new(LOOP_EPOLL, &c->loop);
    e = e == OK ? loop_watch(c->loop, &c->wake, fd, LOOP_READ, woken) : e;
    e = e == OK ? make_room_for_timers(c) : e;
    char name[16];
    snprintf(name, sizeof name, "source-%.*s", (int)(config->name.len < 8 ? config->name.len : 8), config->name.ptr);
    return e == OK ? thread_start(&c->thread, name, pool_run, c) : e;
}

const struct engine engine_pool = {
    .start = pool_start,
    .wake = pool_wake,
    .stop = pool_stop,
    .free = pool_free,
};
