/* The RESP door: requests to calls, replies to bytes.
 *
 * Requests are parsed ahead, up to a batch; all of it is prepared (which fetches from memory what the keys will need)
 * before the first call runs, then they run in order. Whoever has not authenticated gets batches of one, since AUTH
 * changes what the next request may be.
 *
 * A fault of the protocol ends the connection, after the replies to what came before it. So do the first words of an
 * HTTP request: a web page can make a browser send one to a port on its user's machine, with commands of the page's
 * choice behind it.
 *
 * A request with large arguments, which a connection has received apart, is a batch of one, too: when its call is over they are let go, so that
 * a call behind it may change what it has stored.
 *
 * A call that parks leaves the batch; the rest of the batch is forgotten and parsed again from the input when the call
 * is done. So is the rest of a batch that has lasted as long as a turn should (adapt_ahead()).
 *
 * Worker threads only. Not here: the bytes themselves (wire/resp.c), buffers and what becomes of a connection
 * (conn.c). */
#include "door/resp.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"
#include "config/config.h"
#include "door/desk.h"
#include "door/intake.h"
#include "observe/log.h"
#include "observe/metric.h"
#include "wire/resp.h"

/* ---- replies ----------------------------------------------------------------------------------------------------- */

static struct buf *own(struct reply *r)
{
    return &r->out->own;
}

static void put_bytes(struct reply *r, slice bytes)
{
    resp_render_bulk(own(r), bytes);
}

static void put_held(struct reply *r, struct blob *b, slice bytes)
{
    resp_render_count(own(r), '$', bytes.len);
    output_hold(r->out, b, bytes);
    buf_append(own(r), S("\r\n"));
}

static void put_status(struct reply *r, slice word)
{
    resp_render_status(own(r), word);
}

static void put_integer(struct reply *r, int64_t value)
{
    resp_render_integer(own(r), value);
}

static void put_array(struct reply *r, size_t count)
{
    resp_render_count(own(r), '*', count);
}

static void put_error(struct reply *r, err e, slice text)
{
    const struct err_row *row = err_row(e);
    resp_render_error(own(r), slice_of(row->resp), text.len > 0 ? text : slice_of(row->text));
}

static void put_null_2(struct reply *r)
{
    resp_render_null_bulk(own(r));
}

static void put_null_array_2(struct reply *r)
{
    resp_render_null_array(own(r));
}

static void put_map_2(struct reply *r, size_t pair_count)
{
    resp_render_count(own(r), '*', pair_count * 2);
}

static void put_real_2(struct reply *r, double value)
{
    resp_render_real_bulk(own(r), value);
}

static void put_boolean_2(struct reply *r, bool value)
{
    resp_render_integer(own(r), value);
}

static void put_null_3(struct reply *r)
{
    resp_render_null(own(r));
}

static void put_map_3(struct reply *r, size_t pair_count)
{
    resp_render_count(own(r), '%', pair_count);
}

static void put_set_3(struct reply *r, size_t count)
{
    resp_render_count(own(r), '~', count);
}

static void put_push_3(struct reply *r, size_t count)
{
    resp_render_count(own(r), '>', count);
}

static void put_real_3(struct reply *r, double value)
{
    resp_render_real(own(r), value);
}

static void put_boolean_3(struct reply *r, bool value)
{
    resp_render_boolean(own(r), value);
}

static void put_big_number_3(struct reply *r, slice digits)
{
    resp_render_big_number(own(r), digits);
}

static void put_attribute_3(struct reply *r, size_t pair_count)
{
    resp_render_count(own(r), '|', pair_count);
}

static void put_verbatim_3(struct reply *r, slice text)
{
    resp_render_verbatim(own(r), text);
}

static const struct reply_ops reply_ops_2 = {
    .bytes = put_bytes,
    .held = put_held,
    .status = put_status,
    .integer = put_integer,
    .null = put_null_2,
    .null_array = put_null_array_2,
    .array = put_array,
    .map = put_map_2,
    .set = put_array,
    .push = put_array,
    .real = put_real_2,
    .boolean = put_boolean_2,
    .big_number = put_bytes,
    .verbatim = put_bytes,
    .error = put_error,
};

static const struct reply_ops reply_ops_3 = {
    .bytes = put_bytes,
    .held = put_held,
    .status = put_status,
    .integer = put_integer,
    .null = put_null_3,
    .null_array = put_null_3,
    .array = put_array,
    .map = put_map_3,
    .set = put_set_3,
    .push = put_push_3,
    .real = put_real_3,
    .boolean = put_boolean_3,
    .big_number = put_big_number_3,
    .attribute = put_attribute_3,
    .verbatim = put_verbatim_3,
    .error = put_error,
};

const struct reply_ops *resp_reply_ops(int protocol)
{
    return protocol == 3 ? &reply_ops_3 : &reply_ops_2;
}

/* ---- parsing ahead ----------------------------------------------------------------------------------------------- */

/* Why a batch ends. */
enum stop { STOP_FULL, STOP_MORE, STOP_FAULT, STOP_ATTACK, STOP_NOMEM };

static void resumed(struct call *call);

static bool is_attack(const struct resp_request *request)
{
    return slice_equal_nocase(request->argv[0], S("POST")) || slice_equal_nocase(request->argv[0], S("Host:"));
}

/* Fills the batch from input[*at ..) and moves *at behind the last request that was looked at. */
static enum stop parse_ahead(struct conn *c, slice input, size_t *at, unsigned *ret_count) ON(worker)
{
    struct desk *d = c->desk;
    struct resp_limits limits = {.bulk_bytes_max = config_now()->proto_max_bulk_len,
                                 .unknown = session_needs_auth(&c->session)};
    const struct intake *intake = c->intake;
    unsigned limit = limits.unknown || intake ? 1 : c->ahead;
    slice rest = slice_sub(input, *at, SIZE_MAX);
    for (*ret_count = 0; *ret_count < limit;) {
        struct call *call = desk_call(d, *ret_count);
        if (!call) {
            return STOP_NOMEM;
        }
        struct resp_request request;
        enum resp_step step = resp_parse(c->parser, rest, &limits, &call->arena, &request);
        if (step != RESP_REQUEST) {
            return step == RESP_MORE ? STOP_MORE : STOP_FAULT;
        }
        *at += request.bytes;
        rest = slice_make(rest.ptr + request.bytes, rest.len - request.bytes);
        if (request.argc == 0) {
            continue;
        }
        call->session = &c->session;
        call->reply = &c->reply;
        call->argc = request.argc;
        call->argv = request.argv;
        call->resumed = resumed;
        call->owner = c;
        if (UNLIKELY(intake != NULL)) {
            intake_lend(intake, call);
        }
        prepare_call(call);
        if (UNLIKELY(call->refused == ERR_UNKNOWN_COMMAND) && is_attack(&request)) {
            return STOP_ATTACK;
        }
        d->batch_ends[(*ret_count)++] = *at;
    }
    return STOP_FULL;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* After CLIENT REPLY some replies are not wanted: what is behind `before` is one. */
static void drop_unwanted(struct conn *c, bool skipped, size_t before)
{
    struct session *s = &c->session;
    bool skips_next = s->skip_next;
    s->skip_next = false;
    if (s->reply_mode == SESSION_REPLY_OFF) {
        output_cut(c->reply.out, before);
        return;
    }
    if ((skipped && s->reply_mode == SESSION_REPLY_SKIP) || skips_next) {
        output_cut(c->reply.out, before);
    }
    s->reply_mode = skips_next ? SESSION_REPLY_SKIP : SESSION_REPLY_ON;
}

static bool wants_replies(const struct conn *c)
{
    return LIKELY(c->session.reply_mode == SESSION_REPLY_ON && !c->session.skip_next);
}

static enum run run_call(struct conn *c, struct call *call) ON(worker)
{
    bool skipped = c->session.reply_mode == SESSION_REPLY_SKIP;
    size_t before = c->reply.out->own.len;
    if (dispatch_run(call) == RUN_PARKED) {
        return RUN_PARKED;
    }
    if (!wants_replies(c) || skipped) {
        drop_unwanted(c, skipped, before);
    }
    return RUN_DONE;
}

/* A call in front of the connection's input is over, or parked. */
static void resumed(struct call *call)
{
    role_assume_worker();
    struct conn *c = call->owner;
    assert(c->parked == call);
    size_t before = output_bytes(c->reply.out);
    dispatch_begin(c->desk->worker);
    enum run run = run_call(c, call);
    dispatch_end(c->desk->worker);
    if (run == RUN_PARKED) {
        return;
    }
    metric_add(METRIC_net_output_bytes, output_bytes(c->reply.out) - before);
    desk_note_active(c->desk, c);
    c->parked = NULL;
    desk_free_call(call);
    conn_forget_intake(c);
    if (c->session.close_after_reply) {
        conn_drain(c);
    } else {
        c->state = CONN_READY;
        conn_go_on(c);
    }
}

/* A batch that lasts leaves the rest to the next, which will be parsed again: so from then on as many are parsed ahead as have run, more when those do not
 * last. */
static void adapt_ahead(struct conn *c, bool lasts, unsigned run)
{
    c->ahead = (uint8_t)(lasts ? run : num_min_u64(2 * c->ahead, DESK_BATCH_CALLS));
}

/* Runs a call of the batch by itself. */
static enum conn_state run_single(struct conn *c, unsigned place, unsigned count) ON(worker)
{
    struct desk *d = c->desk;
    if (place + PREPARE_APPROACH < count) {
        prepare_approach(d->batch[place + PREPARE_APPROACH]);
    }
    if (run_call(c, d->batch[place]) == RUN_PARKED) {
        c->parked = desk_take_call(d, place);
        return CONN_PARKED;
    }
    return c->session.close_after_reply ? CONN_ENDS : CONN_READY;
}

/* Runs the batch. Returns how many calls left it: all, or up to one that parked, ends the connection, or with which the batch has lasted as long as a turn
 * should. */
static unsigned run_batch(struct conn *c, unsigned count, enum conn_state *ret_state) ON(worker)
{
    struct desk *d = c->desk;
    if (count == 0) {
        return 0;
    }
    prepare_fetch(d->batch, count);
    dispatch_begin(d->worker);
    unsigned run = 0;
    bool lasts = false;
    while (run < count && *ret_state == CONN_READY && !lasts) {
        unsigned alike = wants_replies(c) ? dispatch_run_alike(d->batch + run, count - run) : 0;
        run += alike > 0 ? alike : 1;
        if (alike == 0) {
            *ret_state = run_single(c, run - 1, count);
        }
        if (*ret_state == CONN_READY && !d->batch[run - 1]->brief) {
            lasts = loop_fills_turn(d->worker->loop, dispatch_lasted_ns(d->worker));
        }
    }
    dispatch_end(d->worker);
    adapt_ahead(c, lasts, run);
    return run;
}

/* The request with large arguments is over; a call that has parked takes them along. */
static void end_intake(struct conn *c) ON(worker)
{
    struct call *call = c->desk->batch[0];
    if (call) {
        call->blocks = NULL;
        call->block_count = 0;
        conn_forget_intake(c);
    }
}

static void reset_batch(struct desk *d, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (d->batch[i]) {
            call_reset(d->batch[i]);
        }
    }
}

/* What a batch that did not end for want of space or bytes means: the connection ends. */
static void say_why(struct conn *c, enum stop stop)
{
    static struct log_limit attacks;
    switch (stop) {
    case STOP_FAULT:
        metric_add_error(ERR_PROTOCOL);
        put_error(&c->reply, ERR_PROTOCOL, slice_of(c->parser->fault));
        log_write(LOG_VERBOSE, "door", "client %s closed: %s", c->session.peer, c->parser->fault);
        break;
    case STOP_ATTACK:
        log_write_limited(
            &attacks, LOG_WARNING, "door",
            "Possible SECURITY ATTACK detected: client %s sends an HTTP request, as a page in a browser does "
            "that wants to have commands run here; its connection is closed",
            c->session.peer);
        break;
    case STOP_NOMEM:
        metric_add_error(ERR_NOMEM);
        put_error(&c->reply, ERR_NOMEM, S(""));
        break;
    case STOP_FULL:
    case STOP_MORE: unreachable();
    }
}

void resp_forecast(struct conn *c, slice input)
{
    slice key = resp_lone_second_word(input);
    if (key.ptr) {
        forecast_add(&c->desk->forecast, &c->session, c->desk->engine, key);
    }
}

bool resp_misses_large(struct conn *c, slice rest, unsigned *ret_argument, size_t *ret_begin, size_t *ret_bytes)
{
    struct resp_parser *p = c->parser;
    size_t bytes = resp_parser_bulk_bytes(p);
    if (bytes < CALL_BLOCK_BYTES_MIN || rest.len - p->at >= bytes) {
        return false;
    }
    *ret_argument = p->span_count;
    *ret_begin = p->at;
    *ret_bytes = bytes;
    resp_parser_leave_out(p);
    return true;
}

void resp_forget(struct conn *c)
{
    desk_give_parser(c->desk, c->parser);
    c->parser = NULL;
}

enum conn_state resp_serve(struct conn *c, slice input, size_t *ret_used)
{
    struct desk *d = c->desk;
    size_t used = 0, out_before = output_bytes(c->reply.out);
    unsigned served = 0;
    enum conn_state state = CONN_READY;
    if (!c->parser && !(c->parser = desk_take_parser(d))) {
        *ret_used = 0;
        return CONN_ENDS;
    }
    while (state == CONN_READY && served < CONN_TURN_CALLS &&
           output_bytes(c->reply.out) - out_before < CONN_TURN_REPLY_BYTES &&
           (served == 0 || !loop_turn_is_long(d->worker->loop))) {
        size_t at = used;
        unsigned count;
        enum stop stop = parse_ahead(c, input, &at, &count);
        unsigned run = run_batch(c, count, &state);
        served += run;
        if (UNLIKELY(c->intake != NULL) && count > 0) {
            end_intake(c);
        }
        if (state != CONN_READY || run < count) {
            used = d->batch_ends[run - 1];
            resp_parser_reset(c->parser);
        } else {
            used = at;
            if (stop == STOP_MORE || (stop == STOP_FULL && used == input.len)) {
                state = CONN_WAITS;
            } else if (stop != STOP_FULL) {
                say_why(c, stop);
                state = CONN_ENDS;
            }
        }
        reset_batch(d, num_min_u64(count + 1, DESK_BATCH_CALLS));
    }
    if (state != CONN_WAITS || used == input.len) {
        resp_forget(c);
    }
    metric_add(METRIC_net_output_bytes, output_bytes(c->reply.out) - out_before);
    *ret_used = used;
    return state;
}
