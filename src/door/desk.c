/* A worker's desk.
 *
 * Fairness: a connection that has used up its share of a turn goes to `ready`, and goes on at the end of the next turn. The list is taken as a whole, so who is
 * put back waits for the turn after; so do those whom a long turn does not come to, before all others.
 *
 * Idle connections: two lists, each ordered by the time of the last request. Who has not asked for a second gives back
 * its buffers and moves from `active` to `idle`; `timeout` looks at the front of both. So the second costs what there
 * is to do, not one step a connection.
 *
 * TLS handshakes have a list of their own and DESK_HANDSHAKE_MS_MAX; the second looks who is done and whose time is
 * over. One that stands still costs nothing meanwhile.
 *
 * Calls parsed ahead live in the batch and are used again and again with the memory of their arenas. One that parks
 * leaves the batch and belongs to its connection; its place gets a new one.
 *
 * Worker threads only, except desk_init() and desk_fini(). */
#include "door/desk.h"

#include <stdlib.h>

#include "base/assert.h"
#include "config/config.h"
#include "door/conn.h"
#include "door/door.h"
#include "observe/log.h"
#include "observe/metric.h"
#include "os/entropy.h"
#include "wire/resp.h"

enum { SECOND_MS = 1000, PARSER_KEEP_SPANS = 1024 };

/* ---- calls and parsers ------------------------------------------------------------------------------------------- */

struct call *desk_call(struct desk *d, unsigned i)
{
    assert(i < DESK_BATCH_CALLS);
    if (!d->batch[i]) {
        struct call *call = malloc(sizeof *call);
        if (!call) {
            return NULL;
        }
        call_init(call, d->engine, &d->random);
        d->batch[i] = call;
    }
    return d->batch[i];
}

struct call *desk_take_call(struct desk *d, unsigned i)
{
    struct call *call = d->batch[i];
    d->batch[i] = NULL;
    return call;
}

void desk_free_call(struct call *call)
{
    if (call) {
        call_fini(call);
        free(call);
    }
}

struct resp_parser *desk_take_parser(struct desk *d)
{
    struct resp_parser *p = d->parser;
    d->parser = NULL;
    if (!p && (p = malloc(sizeof *p))) {
        resp_parser_init(p);
    }
    return p;
}

void desk_give_parser(struct desk *d, struct resp_parser *p)
{
    if (!p) {
        return;
    }
    if (p->span_capacity > PARSER_KEEP_SPANS) {
        resp_parser_fini(p);
    }
    resp_parser_reset(p);
    if (!d->parser) {
        d->parser = p;
    } else {
        resp_parser_fini(p);
        free(p);
    }
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

void desk_defer(struct desk *d, struct conn *c)
{
    if (!list_linked(&c->turn)) {
        list_push_back(&d->ready, &c->turn);
    }
    loop_defer_to_next(d->worker->loop, &d->next_turn);
}

static void run_ready(struct deferred *deferred)
{
    role_assume_worker();
    struct desk *d = container_of(deferred, struct desk, next_turn);
    struct list now, *turn;
    list_init(&now);
    list_splice(&now, &d->ready);
    while ((turn = list_pop_front(&now))) {
        conn_go_on(container_of(turn, struct conn, turn));
        if (loop_turn_is_long(d->worker->loop)) {
            break;
        }
    }
    list_splice(&now, &d->ready);
    list_splice(&d->ready, &now);
    if (!list_empty(&d->ready)) {
        loop_defer_to_next(d->worker->loop, &d->next_turn);
    }
}

/* ---- the second -------------------------------------------------------------------------------------------------- */

void desk_note_new(struct desk *d, struct conn *c)
{
    if (conn_is_shaking_hands(c)) {
        list_push_back(&d->shaking, &c->place);
    } else {
        desk_note_active(d, c);
    }
}

void desk_note_active(struct desk *d, struct conn *c)
{
    __atomic_store_n(&c->session.last_mono_ms, loop_now(d->worker->loop).mono_ms, __ATOMIC_RELAXED);
    list_remove(&c->place);
    list_push_back(&d->active, &c->place);
}

static void close_idle(struct desk *d, struct list *conns, int64_t before_mono_ms) ON(worker)
{
    LIST_EACH (place, conns) {
        struct conn *c = container_of(place, struct conn, place);
        if (c->session.last_mono_ms > before_mono_ms) {
            return;
        }
        if (c->parked) {
            desk_note_active(d, c); /* it waits for us, not we for it */
        } else if (!c->gone && c->state != CONN_ENDS) {
            metric_add(METRIC_connections_timed_out, 1);
            log_write(LOG_VERBOSE, "door", "client %s closed: idle for longer than timeout", c->session.peer);
            conn_close(c);
        }
    }
}

static void rest_idle(struct desk *d, int64_t before_mono_ms) ON(worker)
{
    LIST_EACH (place, &d->active) {
        struct conn *c = container_of(place, struct conn, place);
        if (c->session.last_mono_ms > before_mono_ms) {
            return;
        }
        conn_rest(c);
        if (stream_pending_bytes(&c->stream) == 0) { /* what the others cost still changes */
            list_remove(place);
            list_push_back(&d->idle, place);
        }
    }
}

static void check_handshakes(struct desk *d, int64_t before_mono_ms) ON(worker)
{
    static struct log_limit limit;
    LIST_EACH (place, &d->shaking) {
        struct conn *c = container_of(place, struct conn, place);
        if (!conn_is_shaking_hands(c)) {
            desk_note_active(d, c);
        } else if (c->session.created_mono_ms <= before_mono_ms && c->state != CONN_ENDS) {
            metric_add(METRIC_tls_faults, 1);
            log_write_limited(&limit, LOG_WARNING, "door", "client %s closed: its TLS handshake took longer than %d s",
                              c->session.peer, DESK_HANDSHAKE_MS_MAX / SECOND_MS);
            conn_close(c);
        }
    }
}

static void check_outputs(struct list *conns, struct now now) ON(worker)
{
    LIST_EACH (place, conns) {
        conn_check_output(container_of(place, struct conn, place), now);
    }
}

static void fire_second(struct timer *t, struct now now)
{
    role_assume_worker();
    struct desk *d = container_of(t, struct desk, second);
    const struct config *config = config_now();
    if (config->timeout > 0) {
        close_idle(d, &d->idle, now.mono_ms - config->timeout * SECOND_MS);
        close_idle(d, &d->active, now.mono_ms - config->timeout * SECOND_MS);
    }
    check_handshakes(d, now.mono_ms - DESK_HANDSHAKE_MS_MAX);
    rest_idle(d, now.mono_ms - session_rest_after_ms());
    if (config->client_output_buffer_limit.of[CLIENT_CLASS_NORMAL].soft_bytes > 0) {
        check_outputs(&d->active, now);
        check_outputs(&d->idle, now);
    }
    err e = loop_timer_set(d->worker->loop, t, now.mono_ms + SECOND_MS);
    assert(e == OK); /* its place in the heap has just become free */
}

/* ---- the end of the server --------------------------------------------------------------------------------------- */

static void deliver_emptied(struct message *m, struct worker *w)
{
    (void)w;
    door_note_emptied(container_of(m, struct desk, emptied)->door);
}

static void report_if_empty(struct desk *d)
{
    if (d->draining && list_empty(&d->active) && list_empty(&d->idle) && list_empty(&d->shaking) &&
        !d->emptied.deliver) {
        d->emptied.deliver = deliver_emptied;
        worker_post(door_front(d->door), &d->emptied);
    }
}

void desk_forget(struct desk *d)
{
    __atomic_fetch_sub(&d->conn_count, 1, __ATOMIC_RELAXED);
    door_note_closed(d->door);
    report_if_empty(d);
}

static void drain_each(struct list *conns) ON(worker)
{
    LIST_EACH (place, conns) {
        conn_drain(container_of(place, struct conn, place));
    }
}

static void cut_each(struct list *conns) ON(worker)
{
    LIST_EACH (place, conns) {
        conn_cut(container_of(place, struct conn, place));
    }
}

static void deliver_drain(struct message *m, struct worker *w)
{
    (void)w;
    role_assume_worker();
    struct desk *d = container_of(m, struct desk, drain);
    d->draining = true;
    drain_each(&d->active);
    drain_each(&d->idle);
    drain_each(&d->shaking);
    report_if_empty(d);
}

static void deliver_close_all(struct message *m, struct worker *w)
{
    (void)w;
    role_assume_worker();
    struct desk *d = container_of(m, struct desk, close_all);
    cut_each(&d->active);
    cut_each(&d->idle);
    cut_each(&d->shaking);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

err desk_init(struct desk *d, struct door *door, struct engine *engine, struct worker *w)
{
    *d = (struct desk){.door = door, .engine = engine, .worker = w};
    random_init(&d->random, entropy_u64(), entropy_u64());
    list_init(&d->active);
    list_init(&d->idle);
    list_init(&d->shaking);
    list_init(&d->ready);
    timer_init(&d->second, fire_second);
    deferred_init(&d->next_turn, run_ready);
    d->drain.deliver = deliver_drain;
    d->close_all.deliver = deliver_close_all;
    return loop_timer_set(w->loop, &d->second, loop_now(w->loop).mono_ms + SECOND_MS);
}

void desk_fini(struct desk *d)
{
    if (!d->worker) {
        return;
    }
    assert(list_empty(&d->active));
    assert(list_empty(&d->idle));
    assert(list_empty(&d->shaking));
    loop_timer_clear(d->worker->loop, &d->second);
    loop_undefer(d->worker->loop, &d->next_turn);
    for (unsigned i = 0; i < DESK_BATCH_CALLS; i++) {
        desk_free_call(d->batch[i]);
    }
    if (d->parser) {
        resp_parser_fini(d->parser);
        free(d->parser);
    }
    *d = (struct desk){0};
}
