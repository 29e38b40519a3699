/* The queue, the helpers and the rules of trying again; the same for every kind of source.
 *
 *     source_submit() -> [ queue ] -> helper: turn -> try, try again -> done()
 *        any thread                    one connection each
 *
 * Why helpers that take from one queue: whoever is free takes the next, so no query waits behind a slow one while a connection is idle, and
 * the count of helpers is the bound on queries in flight.
 *
 * Invariants
 * I1: every query that was accepted gets exactly one done(), without the source's lock held.
 * I2: a query marked `probe` is the only one between breaker_ask() == GO_PROBE and breaker_note_probe().
 * I3: a connection is touched by its helper alone.
 * Not here: what a statement means (the drivers), what rows become (rule/). */
#include "source/source.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/pause.h"
#include "observe/log.h"
#include "observe/metric.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/thread.h"

struct helper {
    struct source *source;
    struct thread thread;
    struct driver_connection *connection; /* NULL while there is none */
};

struct source {
    const struct config_source *config;
    const struct driver *driver;
    struct lock lock; /* all below, until `stopping` */
    struct condition work;
    struct list queue;
    unsigned queued;
    unsigned inflight;
    unsigned connections;
    uint64_t queries, retries, errors, timeouts;
    struct breaker breaker;
    bool stopping; /* atomic: written under the lock, read by drivers without it */
    unsigned helper_count;
    struct helper helpers[];
};

/* ---- failures ---------------------------------------------------------------------------------------------------------------------------- */
/* Cuts at the first line break, makes control characters blanks and cuts again where UTF-8 breaks off. */
static void make_one_line(char *text)
{
    size_t len = strcspn(text, "\r\n");
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            text[i] = ' ';
        }
    }
    while (len > 0 && !slice_is_utf8(slice_make(text, len))) {
        len--;
    }
    text[len] = '\0';
}

void source_failure_set(struct source_failure *f, err error, bool transient, const char *format, ...)
{
    f->error = error;
    f->transient = transient;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(f->text, sizeof f->text, format, arguments);
    va_end(arguments);
    make_one_line(f->text);
}

/* ---- one query --------------------------------------------------------------------------------------------------------------------------- */
static bool receive_row(void *argument, const struct source_row *row)
{
    struct source_query *q = argument;
    return q->row(q, row);
}

static void drop_connection(struct helper *h)
{
    if (h->connection) {
        h->source->driver->close(h->connection);
        h->connection = NULL;
        lock_acquire(&h->source->lock);
        h->source->connections--;
        lock_release(&h->source->lock);
    }
}

static err get_connection(struct helper *h, struct source_failure *f)
{
    struct source *s = h->source;
    if (h->connection && s->driver->usable(h->connection)) {
        return OK;
    }
    drop_connection(h);
    struct source_limits limits = {clock_mono_ms() + s->config->connect_timeout_ms, &s->stopping};
    err e = s->driver->open(s->config, &limits, &h->connection, f);
    if (e == OK) {
        lock_acquire(&s->lock);
        s->connections++;
        lock_release(&s->lock);
    }
    return e;
}

/* One try, on a connection that is opened if need be. */
static err try_query(struct helper *h, struct source_query *q, struct source_failure *f)
{
    struct source *s = h->source;
    err e = get_connection(h, f);
    if (e != OK) {
        return e;
    }
    struct source_limits limits = {clock_mono_ms() + s->config->timeout_ms, &s->stopping};
    return s->driver->run(h->connection, q->statement, q->parameters, &limits, receive_row, q, f);
}

static void log_breaker(const struct source *s, bool opened, const char *why)
{
    if (opened) {
        metric_add(METRIC_breaker_opened, 1);
        log_write_fields(
            LOG_WARNING, "source",
            LOG_FIELDS(LOG_FIELD_SLICE("source", s->config->name), LOG_FIELD_SLICE("error", slice_of(why))),
            "too many queries fail: nothing is asked for a while");
    } else {
        log_write_fields(LOG_NOTICE, "source", LOG_FIELDS(LOG_FIELD_SLICE("source", s->config->name)),
                         "the source answers again");
    }
}

/* Counts how a try ended and tells the breaker. True when another try makes sense. */
static bool note_try(struct source *s, struct source_query *q, err e, const struct source_failure *f)
{
    bool failed = e != OK && f->transient;
    bool opened = false;
    bool closed = false;
    int64_t now = clock_mono_ms();
    lock_acquire(&s->lock);
    s->errors += e != OK;
    s->timeouts += e == ERR_SOURCE_TIMEOUT;
    bool was_probe = q->probe;
    if (was_probe) {
        q->probe = false;
        closed = breaker_note_probe(&s->breaker, failed, now);
        opened = !closed;
    } else {
        opened = breaker_note(&s->breaker, failed, now);
    }
    bool again = failed && !was_probe && s->breaker.state == BREAKER_CLOSED && !s->stopping;
    lock_release(&s->lock);
    if (e != OK) {
        metric_add(METRIC_source_errors, 1);
    }
    if (opened || closed) {
        log_breaker(s, opened, f->text);
    }
    return again;
}

/* Whether the query may be sent now, though it was accepted a while ago. */
static bool may_go(struct source *s, const struct source_query *q)
{
    lock_acquire(&s->lock);
    bool go = q->probe || s->breaker.state == BREAKER_CLOSED;
    lock_release(&s->lock);
    return go;
}

static void run_query(struct helper *h, struct source_query *q)
{
    struct source *s = h->source;
    struct source_failure f = {.error = OK};
    err e = ERR_SOURCE_DOWN;
    PAUSE_POINT(load_before_query);
    if (!may_go(s, q)) {
        metric_add(METRIC_breaker_refused, 1);
        source_failure_set(&f, e, true, "%s", "");
    }
    for (unsigned tries = 0; f.error == OK; tries++) {
        metric_add(METRIC_source_queries, 1);
        lock_acquire(&s->lock);
        s->queries++;
        s->retries += tries > 0;
        lock_release(&s->lock);
        e = try_query(h, q, &f);
        if (!note_try(s, q, e, &f) || tries == s->config->retries) {
            break;
        }
        metric_add(METRIC_source_retries, 1);
        f = (struct source_failure){.error = OK};
        q->restart(q);
    }
    lock_acquire(&s->lock);
    s->inflight--;
    lock_release(&s->lock);
    q->done(q, e == OK ? NULL : &f);
}

/* ---- helpers ----------------------------------------------------------------------------------------------------------------------------- */
static void helper_run(void *argument)
{
    struct helper *h = argument;
    struct source *s = h->source;
    role_assume_helper();
    lock_acquire(&s->lock);
    while (!s->stopping) {
        struct list *link = list_pop_front(&s->queue);
        if (!link) {
            condition_wait(&s->work, &s->lock, INT64_MAX);
            continue;
        }
        s->queued--;
        s->inflight++;
        lock_release(&s->lock);
        run_query(h, container_of(link, struct source_query, link));
        lock_acquire(&s->lock);
    }
    lock_release(&s->lock);
    drop_connection(h);
}

err source_open(const struct config_source *config, const struct driver *driver, struct source **ret_source)
{
    unsigned count = config->connections < config->max_inflight ? config->connections : config->max_inflight;
    struct source *s = calloc(1, sizeof *s + count * sizeof s->helpers[0]);
    if (!s) {
        return ERR_NOMEM;
    }
    s->config = config;
    s->driver = driver;
    lock_init(&s->lock, LOCK_SOURCE, config->index);
    condition_init(&s->work);
    list_init(&s->queue);
    breaker_init(&s->breaker, &config->breaker);
    for (; s->helper_count < count; s->helper_count++) {
        struct helper *h = &s->helpers[s->helper_count];
        char name[16];
        snprintf(name, sizeof name, "source-%.*s", (int)(config->name.len < 8 ? config->name.len : 8),
                 config->name.ptr);
        h->source = s;
        err e = thread_start(&h->thread, name, helper_run, h);
        if (e != OK) {
            source_close(s);
            return e;
        }
    }
    *ret_source = s;
    return OK;
}

void source_stop(struct source *s)
{
    lock_acquire(&s->lock);
    __atomic_store_n(&s->stopping, true, __ATOMIC_RELEASE);
    lock_release(&s->lock);
    condition_wake_all(&s->work);
    for (unsigned i = 0; i < s->helper_count; i++) {
        thread_join(&s->helpers[i].thread);
    }
    struct source_failure f;
    source_failure_set(&f, ERR_SOURCE_DOWN, true, "the server is shutting down or the source was removed");
    struct list *link;
    while ((link = list_pop_front(&s->queue)) != NULL) {
        struct source_query *q = container_of(link, struct source_query, link);
        s->queued--;
        q->done(q, &f);
    }
}

void source_close(struct source *s)
{
    if (s) {
        source_stop(s);
        free(s);
    }
}

err source_submit(struct source *s, struct source_query *q)
{
    err e = OK;
    int64_t now = clock_mono_ms();
    q->probe = false;
    lock_acquire(&s->lock);
    if (s->stopping) {
        e = ERR_SOURCE_DOWN;
    } else if (s->queued == SOURCE_QUEUE_COUNT_MAX) {
        e = ERR_SOURCE_BUSY;
    } else {
        enum breaker_answer answer = breaker_ask(&s->breaker, now);
        q->probe = answer == BREAKER_GO_PROBE;
        e = answer == BREAKER_REFUSE ? ERR_SOURCE_DOWN : OK;
    }
    if (e == OK) {
        s->queued++;
        list_push_back(&s->queue, &q->link);
    }
    lock_release(&s->lock);
    if (e == OK) {
        condition_wake_one(&s->work);
    } else if (e == ERR_SOURCE_DOWN) {
        metric_add(METRIC_breaker_refused, 1);
    }
    return e;
}

/* ---- looking in -------------------------------------------------------------------------------------------------------------------------- */
slice source_name(const struct source *s)
{
    return s->config->name;
}

const struct config_source *source_config(const struct source *s)
{
    return s->config;
}

struct source_figures source_figures(struct source *s, int64_t now_mono_ms)
{
    lock_acquire(&s->lock);
    struct source_figures f = {
        .breaker = breaker_state_name(&s->breaker, now_mono_ms),
        .connections = s->connections,
        .inflight = s->inflight,
        .queued = s->queued,
        .queries = s->queries,
        .retries = s->retries,
        .errors = s->errors,
        .timeouts = s->timeouts,
    };
    lock_release(&s->lock);
    return f;
}

/* ---- statements and drivers -------------------------------------------------------------------------------------------------------------- */
/* The number of the parameter that carries `part`, given one if it has none yet. */
static unsigned parameter_number(struct source_statement *s, unsigned part)
{
    for (unsigned i = 0; i < s->parameter_count; i++) {
        if (s->parts[i] == part) {
            return i;
        }
    }
    assert(s->parameter_count < SOURCE_PARAMETER_COUNT_MAX);
    s->parts[s->parameter_count] = part;
    return s->parameter_count++;
}

err source_statement_make(const struct statement *statement, const struct driver *driver, struct arena *arena,
                          struct source_statement *ret_statement)
{
    struct source_statement made = {.parameter_count = 0};
    struct buf sql;
    buf_init(&sql, SIZE_MAX / 2);
    for (unsigned i = 0; i < statement->piece_count; i++) {
        const struct statement_piece *piece = &statement->pieces[i];
        if (piece->part == STATEMENT_TEXT) {
            buf_append(&sql, piece->text);
        } else {
            driver->append_parameter(&sql, parameter_number(&made, (unsigned)piece->part));
        }
    }
    buf_append_byte(&sql, '\0');
    made.sql = buf_failed(&sql) ? slice_make(NULL, 0) : arena_copy(arena, buf_slice(&sql));
    buf_fini(&sql);
    if (!made.sql.ptr) {
        return ERR_NOMEM;
    }
    made.sql.len--;
    made.hash = hash_plain(made.sql);
    *ret_statement = made;
    return OK;
}

const struct driver *driver_of(enum config_source_kind kind)
{
    switch (kind) {
    case SOURCE_KIND_SQLITE: return &driver_sqlite;
    }
    unreachable();
}
