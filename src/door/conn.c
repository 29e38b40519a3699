/* A connection: bytes come in, are served, replies leave.
 *
 * Ordinary requests are parsed where they were received and never copied; only what cannot be served at once (the
 * first part of a request, requests behind a parked call or beyond the share of a turn) is kept in `in`. An idle
 * connection has no buffers.
 *
 *     received --> [in] --> resp_serve() --> stream's output --> sent at the end of the turn
 *                   ^            |
 *                   '-- unserved '
 *
 * A large argument that has not come in full leaves this way: its bytes go where they may stay (intake.c), what is before and behind it goes
 * through `in`.
 *
 * Memory is bounded without deciding who is slow. A client that does not take its replies gets nothing more done
 * (CONN_FULL); its requests are still read for a while, so that one that sends everything before it reads anything is
 * served, too. Then its socket is left alone.
 *
 * A client may send requests and hang up in order. What had come in full still runs, and is answered if the client
 * takes it; if not, the connection stays, gone, until all has run. A call that is parked then is given up, and so is
 * what came behind it; a reset gives up everything.
 *
 * Invariants:
 * (I1) CONN_PARKED exactly if `parked` is set.
 * (I2) In `turn` only when CONN_READY.
 * (I3) CONN_FULL: the stream is blocked, so that drained() will come.
 * (I4) in_at <= in.len; `parser` belongs to the request at in_at.
 * (I5) With an intake: CONN_WAITS for the rest of the request at in_at, of which `in` holds what is not in the intake; or CONN_PARKED, and it
 * is that of the parked call.
 *
 * Worker threads only. Not here: syntax (resp.c), who may come in (door.c). */
#include "door/conn.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "command/park.h"
#include "config/config.h"
#include "door/desk.h"
#include "door/door.h"
#include "door/intake.h"
#include "door/resp.h"
#include "door/tls.h"
#include "observe/log.h"
#include "observe/metric.h"
#include "os/sock.h"

static const struct config_output_limit *output_limit(void)
{
    return &config_now()->client_output_buffer_limit.of[CLIENT_CLASS_NORMAL];
}

static size_t unserved_bytes(const struct conn *c)
{
    return c->in.len - c->in_at;
}

/* ---- what others see of it --------------------------------------------------------------------------------------- */

static void publish_figures(struct conn *c)
{
    uint64_t out_bytes = output_memory(stream_out(&c->stream));
    __atomic_store_n(&c->figures.query_bytes, unserved_bytes(c), __ATOMIC_RELAXED);
    __atomic_store_n(&c->figures.query_free_bytes, c->in.capacity - c->in.len, __ATOMIC_RELAXED);
    __atomic_store_n(&c->figures.out_fixed_bytes, out_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&c->figures.out_list_bytes, stream_pending_bytes(&c->stream), __ATOMIC_RELAXED);
    __atomic_store_n(&c->session.bytes_in, c->stream.bytes_in, __ATOMIC_RELAXED);
    __atomic_store_n(&c->session.bytes_out, c->stream.bytes_out, __ATOMIC_RELAXED);
}

static void publish_intake(struct conn *c)
{
    __atomic_store_n(&c->intake_bytes, c->intake ? intake_bytes(c->intake) : 0, __ATOMIC_RELAXED);
    __atomic_store_n(&c->intake_spare_bytes, c->intake ? intake_spare_bytes(c->intake) : 0, __ATOMIC_RELAXED);
}

static void session_figures(const struct session *s, struct session_figures *ret_figures)
{
    const struct conn *c = container_of(s, struct conn, session);
    uint64_t out = __atomic_load_n(&c->figures.out_fixed_bytes, __ATOMIC_RELAXED);
    uint64_t query = __atomic_load_n(&c->figures.query_bytes, __ATOMIC_RELAXED) +
                     __atomic_load_n(&c->intake_bytes, __ATOMIC_RELAXED);
    uint64_t query_free = __atomic_load_n(&c->figures.query_free_bytes, __ATOMIC_RELAXED) +
                          __atomic_load_n(&c->intake_spare_bytes, __ATOMIC_RELAXED);
    *ret_figures = (struct session_figures){
        .query_bytes = query,
        .query_free_bytes = query_free,
        .out_fixed_bytes = out,
        .out_fixed_peak_bytes = out,
        .out_list_bytes = __atomic_load_n(&c->figures.out_list_bytes, __ATOMIC_RELAXED),
        .total_bytes = sizeof *c + query + query_free + out,
        .fd = c->figures.fd,
    };
}

static void set_protocol(struct session *s, int protocol)
{
    struct conn *c = container_of(s, struct conn, session);
    c->reply.ops = resp_reply_ops(protocol);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

void conn_forget_intake(struct conn *c)
{
    intake_free(c->intake);
    c->intake = NULL;
    publish_intake(c);
}

static void give_up_parked(struct conn *c) ON(worker)
{
    if (c->parked) {
        call_cancel(c->parked);
        desk_free_call(c->parked);
        c->parked = NULL;
        conn_forget_intake(c);
    }
}

static void conn_free(struct conn *c)
{
    struct desk *d = c->desk;
    assert(!c->parked);
    resp_forget(c);
    intake_free(c->intake);
    list_remove(&c->place);
    list_remove(&c->turn);
    session_close(&c->session);
    buf_fini(&c->in);
    output_fini(stream_out(&c->stream));
    free(c);
    metric_subtract(METRIC_connections_open, 1);
    desk_forget(d);
}

void conn_close(struct conn *c)
{
    if (c->gone) {
        conn_free(c);
        return;
    }
    c->state = c->parked ? CONN_PARKED : CONN_ENDS;
    stream_close(&c->stream);
}

void conn_drain(struct conn *c)
{
    if (!c->parked && !c->gone) {
        c->state = CONN_ENDS;
        stream_close_after_flush(&c->stream);
    }
}

static void say_no_memory(const struct conn *c, const char *what)
{
    static struct log_limit limit;
    log_write_limited(&limit, LOG_WARNING, "door", "client %s closed: the system refused memory for its %s",
                      c->session.peer, what);
}

static void closed(struct stream *s, err reason)
{
    role_assume_worker();
    struct conn *c = container_of(s, struct conn, stream);
    if (reason == ERR_LIMIT) {
        metric_add(METRIC_output_limit_reached, 1);
        log_write(LOG_WARNING, "door", "client %s closed: its replies outgrew client-output-buffer-limit",
                  c->session.peer);
    } else if (reason == ERR_NOMEM) {
        say_no_memory(c, "replies");
    }
    c->gone = true;
    bool goes_on = reason == OK && c->state == CONN_READY;
    give_up_parked(c);
    if (goes_on) {
        c->state = CONN_READY;
        desk_defer(c->desk, c);
    } else {
        conn_free(c);
    }
}

/* ---- large arguments --------------------------------------------------------------------------------------------- */

/* Has what they still miss come to where it is to be. */
static void place_rest(struct conn *c)
{
    char *place = NULL;
    size_t bytes = intake_place(c->intake, &place);
    stream_place(&c->stream, place, bytes);
}

/* Takes from the front of *input what large arguments still miss. */
static void fill_intake(struct conn *c, slice *input)
{
    err e = intake_fill(c->intake, input);
    c->in.failure = e != OK ? e : c->in.failure;
    place_rest(c);
    publish_intake(c);
}

/* The bound of `in` is that of the whole request. */
static void bound_intake(struct conn *c)
{
    if (!buf_failed(&c->in) && intake_bytes(c->intake) + c->in.len > c->in.bytes_max) {
        c->in.failure = ERR_LIMIT;
    }
}

/* Where an argument begins in `rest`, the first part of a request, that is large and has not come in full: its bytes are in the intake from now
 * on. Everything when there is none. */
static size_t divert(struct conn *c, slice rest)
{
    unsigned argument;
    size_t begin, bytes;
    if (!resp_misses_large(c, rest, &argument, &begin, &bytes)) {
        return rest.len;
    }
    if (!c->intake && !(c->intake = intake_new())) {
        c->in.failure = ERR_NOMEM;
        return begin;
    }
    err e = intake_begin(c->intake, argument, bytes);
    if (e != OK) {
        c->in.failure = e;
        return begin;
    }
    slice here = slice_sub(rest, begin, SIZE_MAX);
    fill_intake(c, &here);
    return begin;
}

/* Keeps `rest`, which is lent or the end of `in`. */
static void keep_rest(struct conn *c, slice rest, bool lent)
{
    size_t kept = c->state == CONN_WAITS ? divert(c, rest) : rest.len;
    if (lent) {
        buf_append(&c->in, slice_sub(rest, 0, kept));
    } else {
        c->in.len -= rest.len - kept;
    }
}

/* ---- serving ----------------------------------------------------------------------------------------------------- */

/* How much may wait in `in` before the socket is left alone. */
static size_t allowance(const struct conn *c)
{
    switch (c->state) {
    case CONN_WAITS: return SIZE_MAX;
    case CONN_READY: return CONN_READ_AHEAD_BYTES;
    case CONN_FULL: return CONN_UNSERVED_BYTES_MAX;
    case CONN_PARKED:
    case CONN_ENDS: break;
    }
    return 0;
}

static void update_reading(struct conn *c)
{
    bool pause = c->state != CONN_WAITS && unserved_bytes(c) >= allowance(c);
    if (pause != c->paused) {
        c->paused = pause;
        (pause ? stream_pause : stream_resume)(&c->stream);
    }
}

/* The output may grow to the hard limit from here on. */
static void bound_output(struct conn *c)
{
    const struct config_output_limit *limit = output_limit();
    output_bound(stream_out(&c->stream), limit->hard_bytes ? limit->hard_bytes : CONN_OUTPUT_BYTES_MAX);
}

static bool is_full(struct conn *c)
{
    if (stream_pending_bytes(&c->stream) > CONN_UNSENT_BYTES_MAX) {
        stream_flush(&c->stream);
    }
    return stream_pending_bytes(&c->stream) > CONN_UNSENT_BYTES_MAX;
}

/* Serves from `input`, which is `in` or, when nothing waits there, lent. */
static void serve(struct conn *c, slice input, bool lent) ON(worker)
{
    bound_output(c);
    size_t used;
    c->state = resp_serve(c, input, &used);
    if (!lent) {
        c->in_at += used;
    }
    if (used < input.len && c->state != CONN_ENDS) {
        keep_rest(c, slice_sub(input, used, SIZE_MAX), lent);
    }
    if (c->in.bytes && c->in_at == c->in.len) {
        buf_fini(&c->in);
        c->in_at = 0;
    }
}

/* After anything that may have changed its state. */
static void settle(struct conn *c) ON(worker)
{
    if (c->gone) {
        output_fini(stream_out(&c->stream));
        give_up_parked(c);
        if (c->state == CONN_READY) {
            desk_defer(c->desk, c);
        } else {
            conn_free(c);
        }
        return;
    }
    if (c->in.failure == ERR_NOMEM) {
        say_no_memory(c, "requests");
        conn_close(c);
    } else if (buf_failed(&c->in)) {
        metric_add(METRIC_query_limit_reached, 1);
        log_write(LOG_WARNING, "door", "client %s closed: its request outgrew client-query-buffer-limit",
                  c->session.peer);
        conn_close(c);
    } else if (c->state == CONN_ENDS) {
        stream_close_after_flush(&c->stream);
    } else {
        if (c->state == CONN_READY && is_full(c)) {
            c->state = CONN_FULL;
        } else if (c->state == CONN_READY) {
            desk_defer(c->desk, c);
        }
        update_reading(c);
        if (c->desk->draining) {
            conn_drain(c);
        }
    }
    stream_touch(&c->stream);
    publish_figures(c);
}

static void keep(struct conn *c, slice bytes)
{
    if (c->in_at > 0 && c->in_at >= c->in.len / 2) {
        buf_consume(&c->in, c->in_at);
        c->in_at = 0;
    }
    buf_append(&c->in, bytes);
}

/* The first words of a TLS client; no request begins so. */
static bool is_client_hello(const struct conn *c, slice bytes)
{
    return UNLIKELY(bytes.ptr[0] == 0x16) && c->stream.bytes_in == bytes.len && slice_starts(bytes, S("\x16\x03"));
}

static void turn_away_tls(struct conn *c) ON(worker)
{
    static struct log_limit limit;
    log_write_limited(&limit, LOG_WARNING, "door",
                      "client %s closed: it speaks TLS, and this port has none (tls-port has)", c->session.peer);
    c->state = CONN_ENDS;
    stream_close_after_flush(&c->stream);
}

static void coming(struct stream *s, slice bytes)
{
    role_assume_worker();
    struct conn *c = container_of(s, struct conn, stream);
    if (c->state == CONN_WAITS && c->in.len == 0) {
        resp_forecast(c, bytes);
    }
}

static void received(struct stream *s, slice bytes)
{
    role_assume_worker();
    struct conn *c = container_of(s, struct conn, stream);
    if (c->desk->forecast.count > 0) {
        forecast_fetch(&c->desk->forecast);
    }
    metric_add(METRIC_net_input_bytes, bytes.len);
    desk_note_active(c->desk, c);
    if (is_client_hello(c, bytes)) {
        turn_away_tls(c);
        return;
    }
    if (c->in.len == 0) {
        buf_init(&c->in, config_now()->client_query_buffer_limit);
    }
    if (c->state == CONN_WAITS && c->in.len == 0) {
        serve(c, bytes, true);
    } else {
        if (c->intake) {
            fill_intake(c, &bytes);
            keep(c, bytes);
            bound_intake(c);
        } else {
            keep(c, bytes);
        }
        if (c->state == CONN_WAITS && bytes.len > 0 && !buf_failed(&c->in)) {
            serve(c, slice_sub(buf_slice(&c->in), c->in_at, SIZE_MAX), false);
        }
    }
    settle(c);
}

/* Of a large argument. */
static void placed(struct stream *s, size_t bytes)
{
    role_assume_worker();
    struct conn *c = container_of(s, struct conn, stream);
    metric_add(METRIC_net_input_bytes, bytes);
    desk_note_active(c->desk, c);
    intake_placed(c->intake, bytes);
    place_rest(c);
    publish_intake(c);
    bound_intake(c);
    settle(c);
}

void conn_go_on(struct conn *c)
{
    if (c->state == CONN_ENDS) {
        return;
    }
    serve(c, slice_sub(buf_slice(&c->in), c->in_at, SIZE_MAX), false);
    settle(c);
}

static void drained(struct stream *s)
{
    role_assume_worker();
    struct conn *c = container_of(s, struct conn, stream);
    c->over_soft_since_mono_ms = 0;
    if (c->state == CONN_FULL) {
        c->state = CONN_READY;
        desk_defer(c->desk, c);
        update_reading(c);
    }
}

/* ---- what others do to it ---------------------------------------------------------------------------------------- */

static void tell(struct session *s, slice line)
{
    struct conn *c = container_of(s, struct conn, session);
    if (!c->gone && c->state != CONN_ENDS && s->reply_mode != SESSION_REPLY_OFF) {
        bound_output(c);
        size_t before = output_bytes(c->reply.out);
        reply_status(&c->reply, line);
        metric_add(METRIC_net_output_bytes, output_bytes(c->reply.out) - before);
        stream_touch(&c->stream);
    }
}

static void kill(struct session *s)
{
    role_assume_worker();
    struct conn *c = container_of(s, struct conn, session);
    if (!c->gone) {
        conn_close(c);
    }
}

static bool unblock(struct session *s, bool with_error)
{
    role_assume_worker();
    struct conn *c = container_of(s, struct conn, session);
    return c->parked && call_unblock(c->parked, with_error);
}

static const struct session_ops session_ops = {
    .figures = session_figures, .set_protocol = set_protocol, .tell = tell, .kill = kill, .unblock = unblock};

void conn_cut(struct conn *c)
{
    if (c->parked && !c->gone) {
        give_up_parked(c);
        if (c->session.reply_mode == SESSION_REPLY_ON) {
            bound_output(c);
            reply_error(&c->reply, ERR_ENDING, S(""));
            metric_add_error(ERR_ENDING);
            stream_flush(&c->stream);
        }
    }
    conn_close(c);
}

/* ---- over time --------------------------------------------------------------------------------------------------- */

void conn_rest(struct conn *c)
{
    buf_shrink(&c->in, c->in.len);
    output_shrink(stream_out(&c->stream), 0);
    publish_figures(c);
    stream_look_again(&c->stream);
}

void conn_check_output(struct conn *c, struct now now)
{
    const struct config_output_limit *limit = output_limit();
    if (c->gone || stream_pending_bytes(&c->stream) <= limit->soft_bytes) {
        c->over_soft_since_mono_ms = 0;
    } else if (c->over_soft_since_mono_ms == 0) {
        c->over_soft_since_mono_ms = now.mono_ms;
    } else if (now.mono_ms - c->over_soft_since_mono_ms > limit->soft_seconds * 1000) {
        metric_add(METRIC_output_limit_reached, 1);
        log_write(LOG_WARNING, "door",
                  "client %s closed: its replies were over the soft client-output-buffer-limit for too long",
                  c->session.peer);
        conn_close(c);
    }
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

/* Requests that had come before the peer's end get their replies; a call that is parked then is given up. */
static bool owes(const struct stream *s)
{
    const struct conn *c = container_of(s, struct conn, stream);
    return c->state == CONN_READY || c->state == CONN_FULL;
}

static const struct stream_ops stream_ops = {
    .coming = coming, .received = received, .placed = placed, .drained = drained, .owes = owes, .closed = closed};

bool conn_is_shaking_hands(const struct conn *c)
{
    return c->stream.layer && !tls_layer_is_established(c->stream.layer);
}

void conn_open(struct desk *d, int fd, struct stream_layer *layer)
{
    const struct config *config = config_now();
    struct conn *c = calloc(1, sizeof *c);
    if (!c || stream_open(&c->stream, d->worker->loop, fd, &stream_ops, CONN_OUTPUT_BYTES_MAX)) {
        sock_dismiss(fd, S(""));
        stream_layer_free(layer);
        free(c);
        desk_forget(d);
        return;
    }
    if (layer) {
        stream_put_layer(&c->stream, layer);
    }
    sock_set_nodelay(fd);
    sock_set_keepalive(fd, (unsigned)config->tcp_keepalive);
    c->desk = d;
    c->ahead = DESK_BATCH_CALLS;
    c->figures.fd = fd;
    c->reply = (struct reply){.ops = resp_reply_ops(2), .out = stream_out(&c->stream)};
    buf_init(&c->in, config->client_query_buffer_limit);
    list_init(&c->place);
    list_init(&c->turn);
    char name[SOCK_NAME_CHARS];
    sock_peer_name(fd, name);
    snprintf(c->session.peer, sizeof c->session.peer, "%.*s", (int)sizeof c->session.peer - 1, name);
    sock_local_name(fd, name);
    snprintf(c->session.local, sizeof c->session.local, "%.*s", (int)sizeof c->session.local - 1, name);
    c->session.unix_socket = name[0] == '/';
    session_open(&c->session, d->worker, &session_ops, loop_now(d->worker->loop));
    desk_note_new(d, c);
    metric_add(METRIC_connections_open, 1);
}
