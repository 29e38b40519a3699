/* See fake_door.h. Replies are rendered by the `text` operations below; a door's own rendering is tested where it lives. */
#include "command/fake_door.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/num.h"
#include "command/figures.h"
#include "command/park.h"

enum { ARGUMENTS_MAX = 1024, WAIT_TURNS_MAX = 5000 };

struct fake_door {
    struct session session;
    struct reply reply;
    struct output out;
    struct call call;
    struct random random;
    struct fake_engine *engine;
    struct buf words; /* the bytes of the arguments */
    slice argv[ARGUMENTS_MAX];
    bool parked;
    bool killed;
    struct buf told;
};

/* ---- rendering ------------------------------------------------------------------------------------------------------ */
static struct fake_door *door_of(struct reply *r)
{
    return container_of(r, struct fake_door, reply);
}

static bool is_resp3(struct reply *r)
{
    return door_of(r)->session.protocol == 3;
}

static struct buf *text_of(struct reply *r)
{
    return &r->out->own;
}

static void part(struct reply *r)
{
    if (text_of(r)->len > 0) {
        buf_append_byte(text_of(r), ' ');
    }
}

static void text_bytes(struct reply *r, slice bytes)
{
    part(r);
    buf_append_quoted(text_of(r), bytes);
}

static void text_held(struct reply *r, struct blob *b, slice bytes)
{
    (void)b;
    text_bytes(r, bytes);
}

static void text_word(struct reply *r, char mark, slice word)
{
    part(r);
    buf_append_byte(text_of(r), mark);
    buf_append(text_of(r), word);
}

static void text_count(struct reply *r, char mark, int64_t count)
{
    part(r);
    buf_append_byte(text_of(r), mark);
    buf_append_i64(text_of(r), count);
}

static void text_status(struct reply *r, slice word)
{
    text_word(r, '+', word);
}

static void text_integer(struct reply *r, int64_t value)
{
    text_count(r, ':', value);
}

static void text_null(struct reply *r)
{
    part(r);
    buf_append(text_of(r), S("nil"));
}

static void text_null_array(struct reply *r)
{
    part(r);
    buf_append(text_of(r), is_resp3(r) ? S("nil") : S("nil-array"));
}

static void text_array(struct reply *r, size_t count)
{
    text_count(r, '*', (int64_t)count);
}

static void text_map(struct reply *r, size_t pair_count)
{
    if (is_resp3(r)) {
        text_count(r, '%', (int64_t)pair_count);
    } else {
        text_count(r, '*', 2 * (int64_t)pair_count);
    }
}

static void text_set(struct reply *r, size_t count)
{
    text_count(r, is_resp3(r) ? '~' : '*', (int64_t)count);
}

static void text_push(struct reply *r, size_t count)
{
    text_count(r, is_resp3(r) ? '>' : '*', (int64_t)count);
}

static void text_real(struct reply *r, double value)
{
    char text[NUM_DOUBLE_CHARS];
    slice digits = slice_make(text, num_format_double(value, text));
    if (is_resp3(r)) {
        text_word(r, ',', digits);
    } else {
        text_bytes(r, digits);
    }
}

static void text_boolean(struct reply *r, bool value)
{
    if (is_resp3(r)) {
        text_word(r, '#', value ? S("t") : S("f"));
    } else {
        text_integer(r, value);
    }
}

static void text_big_number(struct reply *r, slice digits)
{
    text_word(r, '(', digits);
}

static void text_attribute(struct reply *r, size_t pair_count)
{
    text_count(r, '|', (int64_t)pair_count);
}

static void text_verbatim(struct reply *r, slice text)
{
    part(r);
    if (is_resp3(r)) {
        buf_append_byte(text_of(r), '=');
    }
    buf_append_quoted(text_of(r), text);
}

static void text_error(struct reply *r, err e, slice text)
{
    part(r);
    buf_printf(text_of(r), "-%s%s", err_row(e)->resp, err_row(e)->resp[0] ? " " : "");
    buf_append(text_of(r), text.len > 0 ? text : slice_of(err_row(e)->text));
}

static const struct reply_ops text_ops = {
    .bytes = text_bytes,
    .held = text_held,
    .status = text_status,
    .integer = text_integer,
    .null = text_null,
    .null_array = text_null_array,
    .array = text_array,
    .map = text_map,
    .set = text_set,
    .push = text_push,
    .real = text_real,
    .boolean = text_boolean,
    .big_number = text_big_number,
    .attribute = text_attribute,
    .verbatim = text_verbatim,
    .error = text_error,
};

/* ---- session -------------------------------------------------------------------------------------------------------- */
static void figures(const struct session *s, struct session_figures *ret_figures)
{
    (void)s;
    *ret_figures = (struct session_figures){.fd = -1};
}

static void set_protocol(struct session *s, int protocol)
{
    s->protocol = protocol;
}

static struct fake_door *door_of_session(struct session *s)
{
    return container_of(s, struct fake_door, session);
}

static void tell(struct session *s, slice line)
{
    struct fake_door *d = door_of_session(s);
    buf_append(&d->told, line);
    buf_append_byte(&d->told, '\n');
}

static void kill(struct session *s)
{
    door_of_session(s)->killed = true;
}

static bool unblock(struct session *s, bool with_error)
{
    role_assume_worker();
    struct fake_door *d = door_of_session(s);
    return d->parked && call_unblock(&d->call, with_error);
}

static const struct session_ops session_ops = {
    .figures = figures, .set_protocol = set_protocol, .tell = tell, .kill = kill, .unblock = unblock};

/* ---- the clock ------------------------------------------------------------------------------------------------------ */
#ifdef LARDER_TEST_HOOKS
static int64_t offsets[2];
static int clock_fd = -1;

static void take_clock(void)
{
    if (clock_fd >= 0) {
        return;
    }
    char path[] = "/tmp/larder-clock-XXXXXX";
    clock_fd = mkstemp(path);
    assert(clock_fd >= 0);
    assert(pwrite(clock_fd, offsets, sizeof offsets, 0) == sizeof offsets);
    setenv("LARDER_CLOCK_FILE", path, 1);
    clock_init();
    unlink(path);
}

bool fake_clock_advance(struct fake_engine *fe, int64_t ms)
{
    offsets[0] += ms;
    offsets[1] += ms;
    assert(pwrite(clock_fd, offsets, sizeof offsets, 0) == sizeof offsets);
    fake_turn(fe);
    fake_turn(fe);
    return true;
}
#else
static void take_clock(void)
{
}

bool fake_clock_advance(struct fake_engine *fe, int64_t ms)
{
    (void)fe;
    (void)ms;
    return false;
}
#endif

/* ---- the engine ----------------------------------------------------------------------------------------------------- */
static err apply_config(struct engine *engine, struct config *next, enum option *ret_option, const char **ret_reason)
{
    (void)ret_option;
    (void)ret_reason;
    keyspace_set_limit(engine->keyspace, next->maxmemory, (enum eviction)EVICTION_NONE);
    config_free(config_publish(next));
    return OK;
}

struct fake_engine *fake_engine_new_with(const struct keyspace_options *o)
{
    take_clock();
    struct fake_engine *fe = calloc(1, sizeof *fe);
    assert(fe != NULL);
    struct config *c = config_new();
    assert(c != NULL);
    config_free(config_publish(c));
    err e = worker_init(&fe->worker, 0, LOOP_EPOLL);
    assert(e == OK);
    e = keyspace_new(o, &fe->engine.keyspace);
    assert(e == OK);
    e = figures_open(1);
    assert(e == OK);
    fe->engine.workers = &fe->worker;
    fe->engine.worker_count = 1;
    memset(fe->engine.run_id, 'a', 40);
    fe->engine.started = clock_now();
    fe->engine.executable = "/usr/bin/larder";
    fe->engine.config_file = "";
    fe->engine.apply_config = apply_config;
    lock_init(&fe->engine.config_lock, LOCK_CONFIG, 0);
    return fe;
}

struct fake_engine *fake_engine_new(void)
{
    return fake_engine_new_with(&(struct keyspace_options){.worker_count = 1, .db_count = 16});
}

void fake_engine_free(struct fake_engine *fe)
{
    fake_turn(fe); /* what was posted about calls that are gone */
    worker_fini(&fe->worker);
    keyspace_free(fe->engine.keyspace);
    free(fe);
}

void fake_turn(struct fake_engine *fe)
{
    loop_turn(fe->worker.loop, 0);
}

/* ---- the door ------------------------------------------------------------------------------------------------------- */
struct fake_door *fake_door_open(struct fake_engine *fe)
{
    struct fake_door *d = calloc(1, sizeof *d);
    assert(d != NULL);
    d->engine = fe;
    random_init(&d->random, 1, 2);
    output_init(&d->out, 1 << 30);
    buf_init(&d->told, 1 << 30);
    buf_init(&d->words, 1 << 30);
    d->reply = (struct reply){.ops = &text_ops, .out = &d->out};
    call_init(&d->call, &fe->engine, &d->random);
    strcpy(d->session.peer, "127.0.0.1:50000");
    strcpy(d->session.local, "127.0.0.1:6379");
    session_open(&d->session, &fe->worker, &session_ops, loop_now(fe->worker.loop));
    return d;
}

void fake_door_close(struct fake_door *d)
{
    role_assume_worker();
    call_cancel(&d->call);
    call_fini(&d->call);
    session_close(&d->session);
    output_fini(&d->out);
    buf_fini(&d->told);
    buf_fini(&d->words);
    free(d);
}

struct session *fake_door_session(struct fake_door *d)
{
    return &d->session;
}

static void run(struct fake_door *d)
{
    role_assume_worker();
    dispatch_begin(&d->engine->worker);
    d->parked = dispatch_run(&d->call) == RUN_PARKED;
    dispatch_end(&d->engine->worker);
}

static void resumed(struct call *call)
{
    run(call->owner);
}

static enum run start(struct fake_door *d, unsigned argc, const slice *argv)
{
    assert(!d->parked);
    role_assume_worker();
    fake_turn(d->engine); /* takes the time */
    call_reset(&d->call);
    output_cut(&d->out, 0);
    d->call.session = &d->session;
    d->call.reply = &d->reply;
    d->call.resumed = resumed;
    d->call.owner = d;
    d->call.argc = argc;
    memmove(d->argv, argv, argc * sizeof *argv);
    d->call.argv = d->argv;
    prepare_call(&d->call);
    prepare_fetch((struct call *[]){&d->call}, 1);
    run(d);
    if (d->parked) {
        memset(d->argv, 0xEE, sizeof d->argv); /* it was lent */
        memset(d->words.bytes, 0xEE, d->words.len);
    }
    return d->parked ? RUN_PARKED : RUN_DONE;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* One escape of a "word", from behind the backslash. */
static const char *unescape(const char *at, struct buf *out)
{
    static const char letters[] = "nrtab", bytes[] = "\n\r\t\a\b";
    const char *letter = *at ? strchr(letters, *at) : NULL;
    if (*at == 'x' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
        buf_append_byte(out, (char)(hex_digit(at[1]) * 16 + hex_digit(at[2])));
        return at + 3;
    }
    buf_append_byte(out, letter ? bytes[letter - letters] : *at);
    return at + 1;
}

static unsigned split(struct fake_door *d, const char *line)
{
    size_t begins[ARGUMENTS_MAX + 1];
    unsigned argc = 0;
    buf_truncate(&d->words, 0);
    for (const char *at = line + strspn(line, " "); *at; at += strspn(at, " ")) {
        assert(argc < ARGUMENTS_MAX);
        begins[argc++] = d->words.len;
        char quote = *at == '"' || *at == '\'' ? *at++ : ' ';
        while (*at && *at != quote) {
            if (quote == '"' && *at == '\\') {
                at = unescape(at + 1, &d->words);
            } else {
                buf_append_byte(&d->words, *at++);
            }
        }
        if (quote != ' ') {
            assert(*at == quote);
            at++;
        }
    }
    begins[argc] = d->words.len;
    for (unsigned i = 0; i < argc; i++) {
        d->argv[i] = slice_make(d->words.bytes + begins[i], begins[i + 1] - begins[i]);
    }
    return argc;
}

enum run fake_door_start(struct fake_door *d, const char *line)
{
    unsigned argc = split(d, line);
    return start(d, argc, d->argv);
}

const char *fake_door_reply(struct fake_door *d)
{
    if (d->parked) {
        return NULL;
    }
    struct buf *text = &d->out.own;
    buf_append_byte(text, '\0');
    assert(!buf_failed(text));
    text->len--;
    return text->bytes;
}

static const char *finish(struct fake_door *d)
{
    for (unsigned turns = 0; d->parked; turns++) {
        assert(turns < WAIT_TURNS_MAX);
        loop_turn(d->engine->worker.loop, 1);
    }
    return fake_door_reply(d);
}

slice fake_door_told(const struct fake_door *d)
{
    return buf_slice(&d->told);
}

bool fake_door_killed(const struct fake_door *d)
{
    return d->killed;
}

const char *fake_door_run(struct fake_door *d, const char *line)
{
    fake_door_start(d, line);
    return finish(d);
}

const char *fake_door_run_argv(struct fake_door *d, unsigned argc, const slice *argv)
{
    assert(argc <= ARGUMENTS_MAX);
    start(d, argc, argv);
    return finish(d);
}
