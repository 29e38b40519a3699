/* Listeners, and who may come in.
 *
 * The front accepts: its loop runs on the main thread, which has nothing else to do, so a new connection never waits
 * for a worker that is busy. It goes to the worker with the fewest connections, by that worker's outbox, and stays
 * there for life.
 *
 * TLS handshakes are the dear part of a connection, so they can be rationed: beyond tls-handshakes-per-second
 * connections wait here, in order, before anything is made for them. Whoever would wait longer than a handshake may
 * take is turned away at once.
 *
 * Invariants:
 * (I1) conn_count counts from accept to the end of the connection's memory; each desk's part of it likewise.
 * (I2) The unix socket's file exists while there is a listener on it.
 *
 * Everything runs on the front's thread except what door.h says otherwise about. Not here: the connection itself
 * (conn.c). */
#include "door/door.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"
#include "door/conn.h"
#include "door/tls.h"
#include "observe/log.h"
#include "observe/metric.h"
#include "os/sock.h"
#include "wire/resp.h"

enum {
    ACCEPT_TURN_MAX = 256,   /* connections accepted from one listener in a turn */
    ACCEPT_PAUSE_MS = 100,   /* after the system had no more descriptors */
    LISTENER_COUNT_MAX = 33, /* 16 addresses, with and without TLS, and the unix socket */
    LAST_WORDS_BYTES_MAX = 1024,
    HANDSHAKE_BURST_MS = 100, /* unused handshakes of this long may be made up for at once */
};

struct listener {
    struct watch watch;
    struct door *door;
    char *name; /* as `bind` has it, or the unix socket's path */
    int port;   /* -1: a unix socket */
    bool tls;
};

/* What the configuration wants listened on. */
struct wanted {
    slice name;
    int port;
    bool tls;
};

struct door {
    struct engine *engine;
    struct worker *front;
    struct desk *desks;                             /* one for each of the engine's workers */
    struct listener *listeners[LISTENER_COUNT_MAX]; /* watched: they do not move */
    unsigned listener_count;
    struct timer pause;
    struct lock tls_lock;
    struct ssl_ctx_st *tls; /* under tls_lock; NULL: no TLS */
    struct list waiting;    /* arrivals that may not begin their handshake yet */
    unsigned waiting_count;
    int64_t next_handshake_us; /* of the monotonic clock: when the next one may begin */
    struct timer next_handshake;
    unsigned conn_count; /* atomic */
    unsigned emptied_count;
    void (*emptied)(void *argument);
    void *emptied_argument;
};

/* An accepted connection on its way to its worker. */
struct arrival {
    struct message message;
    struct list link; /* while it waits for its handshake */
    struct desk *desk;
    int fd;
    bool tls;
};

/* ---- accepting --------------------------------------------------------------------------------------------------- */

/* The encryption of a new connection; NULL when memory is refused, or TLS has just been switched off. */
static struct stream_layer *make_layer(struct door *d)
{
    lock_acquire(&d->tls_lock);
    struct ssl_ctx_st *context = d->tls ? tls_context_ref(d->tls) : NULL;
    lock_release(&d->tls_lock);
    struct stream_layer *layer = context ? tls_layer_new(context) : NULL;
    tls_context_unref(context);
    return layer;
}

static void deliver_arrival(struct message *m, struct worker *w)
{
    (void)w;
    role_assume_worker();
    struct arrival a = *container_of(m, struct arrival, message);
    free(container_of(m, struct arrival, message));
    struct stream_layer *layer = a.tls && !a.desk->draining ? make_layer(a.desk->door) : NULL;
    if (a.desk->draining || (a.tls && !layer)) {
        sock_dismiss(a.fd, S(""));
        desk_forget(a.desk);
    } else {
        conn_open(a.desk, a.fd, layer);
    }
}

static struct desk *emptiest_desk(struct door *d)
{
    struct desk *best = &d->desks[0];
    unsigned best_count = __atomic_load_n(&best->conn_count, __ATOMIC_RELAXED);
    for (unsigned i = 1; i < d->engine->worker_count; i++) {
        unsigned count = __atomic_load_n(&d->desks[i].conn_count, __ATOMIC_RELAXED);
        if (count < best_count) {
            best = &d->desks[i];
            best_count = count;
        }
    }
    return best;
}

static bool is_protected_from(const struct config *config, int fd)
{
    return config->protected_mode && config->requirepass.len == 0 && !sock_peer_is_loopback(fd);
}

/* Hands a connection to its worker. */
static void send_off(struct door *d, struct arrival *a)
{
    a->desk = emptiest_desk(d);
    __atomic_fetch_add(&a->desk->conn_count, 1, __ATOMIC_RELAXED);
    worker_post(a->desk->worker, &a->message);
}

/* Lets those begin their handshakes whose time has come. The others are looked at again when the next one may; if no
 * timer can be had, with the next arrival. */
static void send_off_waiting(struct door *d)
{
    int64_t per_second = config_now()->tls_handshakes_per_second;
    int64_t now_us = loop_now(d->front->loop).mono_ms * 1000;
    while (!list_empty(&d->waiting) && (per_second == 0 || d->next_handshake_us <= now_us)) {
        if (per_second > 0) {
            d->next_handshake_us =
                num_max_i64(d->next_handshake_us, now_us - HANDSHAKE_BURST_MS * 1000) + 1000 * 1000 / per_second;
        }
        d->waiting_count--;
        send_off(d, container_of(list_pop_front(&d->waiting), struct arrival, link));
    }
    if (!list_empty(&d->waiting)) {
        (void)!loop_timer_set(d->front->loop, &d->next_handshake, (d->next_handshake_us + 999) / 1000);
    }
}

static void fire_next_handshake(struct timer *t, struct now now)
{
    (void)now;
    send_off_waiting(container_of(t, struct door, next_handshake));
}

/* Over TLS there is no way to say why before the handshake, which is what is to be saved. */
static void turn_away(int fd, bool tls, err why)
{
    metric_add(METRIC_connections_rejected, 1);
    metric_add_error(why);
    struct buf last_words;
    buf_init(&last_words, LAST_WORDS_BYTES_MAX);
    if (!tls) {
        resp_render_error(&last_words, slice_of(err_row(why)->resp), slice_of(err_row(why)->text));
    }
    sock_dismiss(fd, buf_slice(&last_words));
    buf_fini(&last_words);
}

static bool queue_is_full(const struct door *d, const struct config *config)
{
    static struct log_limit limit;
    int64_t per_second = config->tls_handshakes_per_second;
    if (per_second == 0 || d->waiting_count < per_second * (DESK_HANDSHAKE_MS_MAX / 1000)) {
        return false;
    }
    log_write_limited(
        &limit, LOG_WARNING, "door",
        "a connection is turned away: %u wait for their handshakes, and tls-handshakes-per-second is %" PRId64,
        d->waiting_count, per_second);
    return true;
}

static void admit(struct door *d, int fd, bool tls)
{
    const struct config *config = config_now();
    metric_add(METRIC_connections_received, 1);
    if (door_conn_count(d) >= (uint64_t)config->maxclients) {
        turn_away(fd, tls, ERR_MAX_CLIENTS);
        return;
    }
    if (is_protected_from(config, fd)) {
        turn_away(fd, tls, ERR_DENIED);
        return;
    }
    if (tls && queue_is_full(d, config)) {
        turn_away(fd, tls, ERR_LIMIT);
        return;
    }
    struct arrival *a = malloc(sizeof *a);
    if (!a) {
        sock_dismiss(fd, S(""));
        return;
    }
    *a = (struct arrival){.message.deliver = deliver_arrival, .fd = fd, .tls = tls};
    __atomic_fetch_add(&d->conn_count, 1, __ATOMIC_RELAXED);
    if (tls) {
        list_push_back(&d->waiting, &a->link);
        d->waiting_count++;
        send_off_waiting(d);
    } else {
        send_off(d, a);
    }
}

/* The listening is over. */
static void turn_away_waiting(struct door *d)
{
    struct list *link;
    while ((link = list_pop_front(&d->waiting))) {
        struct arrival *a = container_of(link, struct arrival, link);
        sock_dismiss(a->fd, S(""));
        door_note_closed(d);
        free(a);
    }
    d->waiting_count = 0;
    loop_timer_clear(d->front->loop, &d->next_handshake);
}

static void watch_listeners(struct door *d, unsigned events)
{
    for (unsigned i = 0; i < d->listener_count; i++) {
        loop_rewatch(d->front->loop, &d->listeners[i]->watch, events);
    }
}

static void fire_pause_over(struct timer *t, struct now now)
{
    (void)now;
    watch_listeners(container_of(t, struct door, pause), LOOP_READ);
}

/* The connection still waits in the system's queue: looking again at once would be looking all the time. */
static void pause_accepting(struct door *d)
{
    static struct log_limit limit;
    log_write_limited(&limit, LOG_WARNING, "door",
                      "no file descriptor or memory is left for a new connection; it waits");
    if (loop_timer_set(d->front->loop, &d->pause, loop_now(d->front->loop).mono_ms + ACCEPT_PAUSE_MS) == OK) {
        watch_listeners(d, 0);
    }
}

static void accept_ready(struct watch *w, unsigned events)
{
    (void)events;
    struct listener *l = container_of(w, struct listener, watch);
    for (unsigned i = 0; i < ACCEPT_TURN_MAX; i++) {
        int fd;
        err e = sock_accept(w->fd, &fd);
        if (e == ERR_LIMIT) {
            pause_accepting(l->door);
            return;
        }
        if (e == ERR_AGAIN) {
            return;
        }
        if (e == OK) {
            admit(l->door, fd, l->tls);
        }
    }
}

/* ---- listening --------------------------------------------------------------------------------------------------- */

static void close_listener(struct listener *l)
{
    loop_unwatch(l->door->front->loop, &l->watch);
    if (l->watch.fd >= 0) {
        sock_close(l->watch.fd);
        if (l->port < 0) {
            remove(l->name);
        }
    }
    free(l->name);
    free(l);
}

static err open_fd(const struct listener *l, const struct config *config, int *ret_fd, struct buf *why)
{
    int backlog = (int)config->tcp_backlog;
    if (l->port < 0) {
        buf_printf(why, "unixsocket %s: ", l->name);
        return sock_listen_unix(l->name, (unsigned)config->unixsocketperm, backlog, ret_fd, why);
    }
    buf_printf(why, "%s %s %d: ", l->name, l->tls ? "tls-port" : "port", l->port);
    return sock_listen(slice_of(l->name), (uint16_t)l->port, backlog, ret_fd, why);
}

static err open_listener(struct door *d, const struct config *config, const struct wanted *wanted, struct buf *why)
{
    struct listener *l = calloc(1, sizeof *l);
    if (!l) {
        return ERR_NOMEM;
    }
    *l = (struct listener){.watch.fd = -1,
                           .door = d,
                           .name = strndup(wanted->name.ptr, wanted->name.len),
                           .port = wanted->port,
                           .tls = wanted->tls};
    int fd = -1;
    size_t why_before = why->len;
    err e = l->name ? open_fd(l, config, &fd, why) : ERR_NOMEM;
    if (e == OK) {
        e = loop_watch(d->front->loop, &l->watch, fd, LOOP_READ, accept_ready);
    }
    if (e) {
        close_listener(l);
        return e;
    }
    buf_truncate(why, why_before);
    d->listeners[d->listener_count++] = l;
    return OK;
}

static void want_port(const struct config *config, int64_t port, bool tls, struct wanted *wanted, unsigned *count)
{
    for (unsigned i = 0; i < config->bind.count && port > 0; i++) {
        assert(*count < LISTENER_COUNT_MAX - 1);
        wanted[(*count)++] = (struct wanted){config->bind.items[i], (int)port, tls};
    }
}

static unsigned list_wanted(const struct config *config, struct wanted wanted[static LISTENER_COUNT_MAX])
{
    unsigned count = 0;
    want_port(config, config->port, false, wanted, &count);
    want_port(config, config->tls_port, true, wanted, &count);
    if (config->unixsocket.len > 0) {
        wanted[count++] = (struct wanted){config->unixsocket, -1, false};
    }
    return count;
}

static bool is_listener_of(const struct listener *l, const struct wanted *w)
{
    return l->port == w->port && l->tls == w->tls && slice_equal(slice_of(l->name), w->name);
}

static void close_unwanted(struct door *d, const struct wanted *wanted, unsigned wanted_count)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < d->listener_count; i++) {
        bool keep = false;
        for (unsigned j = 0; j < wanted_count; j++) {
            keep = keep || is_listener_of(d->listeners[i], &wanted[j]);
        }
        if (keep) {
            d->listeners[kept++] = d->listeners[i];
        } else {
            close_listener(d->listeners[i]);
        }
    }
    d->listener_count = kept;
}

/* What is not wanted goes first, since `*` cannot be had while one of its addresses is taken by ourselves. */
err door_listen(struct door *d, const struct config *config, struct buf *why)
{
    struct wanted wanted[LISTENER_COUNT_MAX] = {0};
    unsigned count = list_wanted(config, wanted);
    close_unwanted(d, wanted, count);
    for (unsigned i = 0; i < count; i++) {
        bool is_open = false;
        for (unsigned j = 0; j < d->listener_count; j++) {
            is_open = is_open || is_listener_of(d->listeners[j], &wanted[i]);
        }
        size_t why_before = why->len;
        err e = is_open ? OK : open_listener(d, config, &wanted[i], why);
        if (e == ERR_NOT_FOUND) {
            buf_truncate(why, why_before);
        } else if (e) {
            return e;
        }
    }
    return OK;
}

void door_unlisten(struct door *d)
{
    loop_timer_clear(d->front->loop, &d->pause);
    close_unwanted(d, NULL, 0);
    turn_away_waiting(d);
}

void door_set_tls(struct door *d, struct ssl_ctx_st *context)
{
    lock_acquire(&d->tls_lock);
    struct ssl_ctx_st *before = d->tls;
    d->tls = context;
    lock_release(&d->tls_lock);
    tls_context_unref(before);
}

unsigned door_listener_count(const struct door *d)
{
    return d->listener_count;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

void door_drain(struct door *d, void (*emptied)(void *argument), void *argument)
{
    assert(d->listener_count == 0);
    d->emptied = emptied;
    d->emptied_argument = argument;
    for (unsigned i = 0; i < d->engine->worker_count; i++) {
        worker_post(d->desks[i].worker, &d->desks[i].drain);
    }
}

void door_close_all(struct door *d)
{
    for (unsigned i = 0; i < d->engine->worker_count; i++) {
        worker_post(d->desks[i].worker, &d->desks[i].close_all);
    }
}

void door_note_emptied(struct door *d)
{
    if (++d->emptied_count == d->engine->worker_count) {
        d->emptied(d->emptied_argument);
    }
}

unsigned door_conn_count(const struct door *d)
{
    return __atomic_load_n(&d->conn_count, __ATOMIC_RELAXED);
}

void door_note_closed(struct door *d)
{
    __atomic_fetch_sub(&d->conn_count, 1, __ATOMIC_RELAXED);
}

struct worker *door_front(struct door *d)
{
    return d->front;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

err door_new(struct engine *engine, struct worker *front, struct door **ret_door)
{
    struct door *d = calloc(1, sizeof *d);
    if (!d) {
        return ERR_NOMEM;
    }
    d->engine = engine;
    d->front = front;
    timer_init(&d->pause, fire_pause_over);
    timer_init(&d->next_handshake, fire_next_handshake);
    list_init(&d->waiting);
    lock_init(&d->tls_lock, LOCK_TLS, 0);
    d->desks = calloc(engine->worker_count, sizeof *d->desks);
    err e = d->desks ? OK : ERR_NOMEM;
    for (unsigned i = 0; e == OK && i < engine->worker_count; i++) {
        e = desk_init(&d->desks[i], d, engine, &engine->workers[i]);
    }
    if (e) {
        door_free(d);
        return e;
    }
    *ret_door = d;
    return OK;
}

void door_free(struct door *d)
{
    if (!d) {
        return;
    }
    door_unlisten(d);
    for (unsigned i = 0; d->desks && i < d->engine->worker_count; i++) {
        desk_fini(&d->desks[i]);
    }
    tls_context_unref(d->tls);
    free(d->desks);
    free(d);
}
