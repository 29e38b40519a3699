/* The queue and the rules of trying again; the same for every kind of source.
 *
 *     source_submit() -> [ queue ] -> turn -> try -> done(), or first in the queue again
 *        any thread                   engine: threads.c or pool.c
 *
 * Invariants
 * I1: every query that was accepted gets exactly one done(), without the source's lock held.
 * I2: a query marked `probe` is the only one between breaker_ask() == GO_PROBE and breaker_note_probe().
 * I3: a query that was taken is in flight until source_end_try(), source_undo_try(), or a source_begin_try() that says no.
 * Not here: what a statement means (the drivers), who runs it where (the engines), what rows become (rule/). */
#include "source/source.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/pause.h"
#include "observe/log.h"
#include "observe/metric.h"
#include "os/clock.h"
#include "source/source_priv.h"

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

void source_failure_stopping(struct source_failure *f)
{
    source_failure_set(f, ERR_SOURCE_DOWN, true, "the server is shutting down or the source was removed");
}

/* ---- one query --------------------------------------------------------------------------------------------------------------------------- */
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

unsigned source_waiting(struct source *s)
{
    lock_acquire(&s->lock);
    unsigned room = s->stopping ? 0 : s->config->max_inflight - s->inflight;
    unsigned waiting = s->queued < room ? s->queued : room;
    lock_release(&s->lock);
    return waiting;
}

struct source_query *source_take_locked(struct source *s)
{
    struct list *link = s->stopping || s->inflight == s->config->max_inflight ? NULL : list_pop_front(&s->queue);
    if (!link) {
        return NULL;
    }
    s->queued--;
    s->inflight++;
    return container_of(link, struct source_query, link);
}

struct source_query *source_take(struct source *s)
{
    lock_acquire(&s->lock);
    struct source_query *q = source_take_locked(s);
    lock_release(&s->lock);
    return q;
}

static void take_back(struct source *s, struct source_query *q) HOLDS(s->lock)
{
    s->inflight--;
    s->queued++;
    list_push_front(&s->queue, &q->link);
}

bool source_begin_try(struct source *s, struct source_query *q)
{
    PAUSE_POINT(load_before_query);
    lock_acquire(&s->lock);
    bool go = q->probe || s->breaker.state == BREAKER_CLOSED; /* it was accepted a while ago */
    bool again = q->tries > 0;
    s->inflight -= !go;
    s->queries += go;
    s->retries += go && again;
    q->tries++;
    lock_release(&s->lock);
    if (!go) {
        struct source_failure f;
        source_failure_set(&f, ERR_SOURCE_DOWN, true, "%s", "");
        metric_add(METRIC_breaker_refused, 1);
        q->done(q, &f);
        return false;
    }
    metric_add(METRIC_source_queries, 1);
    metric_add(METRIC_source_retries, again);
    return true;
}

/* Counts how a try ended and tells the breaker. True when another try makes sense. */
static bool note_try(struct source *s, struct source_query *q, const struct source_failure *f)
{
    bool failed = f && f->transient;
    bool opened = false;
    bool closed = false;
    int64_t now = clock_mono_ms();
    lock_acquire(&s->lock);
    s->errors += f != NULL;
    s->timeouts += f && f->error == ERR_SOURCE_TIMEOUT;
    bool was_probe = q->probe;
    if (was_probe) {
        q->probe = false;
        closed = breaker_note_probe(&s->breaker, failed, now);
        opened = !closed;
    } else {
        opened = breaker_note(&s->breaker, failed, now);
    }
    bool again =
        failed && !was_probe && q->tries <= s->config->retries && s->breaker.state == BREAKER_CLOSED && !s->stopping;
    lock_release(&s->lock);
    if (f) {
        metric_add(METRIC_source_errors, 1);
    }
    if (opened || closed) {
        log_breaker(s, opened, f ? f->text : "");
    }
    return again;
}

void source_end_try(struct source *s, struct source_query *q, const struct source_failure *f)
{
    bool again = note_try(s, q, f);
    if (again) {
        q->restart(q);
    }
    lock_acquire(&s->lock);
    if (again) {
        take_back(s, q);
    } else {
        s->inflight--;
    }
    lock_release(&s->lock);
    if (!again) {
        q->done(q, f);
    }
}

void source_undo_try(struct source *s, struct source_query *q)
{
    q->restart(q);
    lock_acquire(&s->lock);
    q->tries--;
    take_back(s, q);
    lock_release(&s->lock);
}

void source_count_connections(struct source *s, int change)
{
    lock_acquire(&s->lock);
    s->connections += (unsigned)change;
    lock_release(&s->lock);
}

/* ---- start, submit, stop ----------------------------------------------------------------------------------------------------------------- */
err source_open(const struct config_source *config, const struct driver *driver, struct source **ret_source)
{
    struct source *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR_NOMEM;
    }
    s->config = config;
    s->driver = driver;
    s->engine = driver->pipes ? &engine_pool : &engine_threads;
    lock_init(&s->lock, LOCK_SOURCE, config->index);
    list_init(&s->queue);
    breaker_init(&s->breaker, &config->breaker);
    err e = s->engine->start(s, &s->carrier);
    if (e != OK) {
        source_close(s);
        return e;
    }
    *ret_source = s;
    return OK;
}

void source_stop(struct source *s)
{
    lock_acquire(&s->lock);
    __atomic_store_n(&s->stopping, true, __ATOMIC_RELEASE);
    lock_release(&s->lock);
    if (s->carrier) {
        s->engine->stop(s->carrier);
    }
    struct source_failure f;
    source_failure_stopping(&f);
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
        if (s->carrier) {
            s->engine->free(s->carrier);
        }
        free(s);
    }
}

err source_submit(struct source *s, struct source_query *q)
{
    err e = OK;
    int64_t now = clock_mono_ms();
    q->probe = false;
    q->tries = 0;
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
        s->engine->wake(s->carrier);
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

bool source_receive_nothing(void *argument, const struct source_row *row)
{
    (void)argument, (void)row;
    return false;
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
    case SOURCE_KIND_POSTGRES: return &driver_postgres;
    }
    unreachable();
}
