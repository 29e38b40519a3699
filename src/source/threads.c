/* Carries the queries of a source whose driver blocks: helpers, each with one connection.
 *
 * Why helpers that take from one queue: whoever is free takes the next, so no query waits behind a slow one while a connection is idle, and
 * the count of helpers is the bound on queries in flight.
 *
 * I1: a connection is touched by its helper alone. */
#include "source/source_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "os/clock.h"
#include "os/thread.h"

struct helper {
    struct source *source;
    struct carrier *carrier;
    struct thread thread;
    struct driver_connection *connection; /* NULL while there is none */
};

struct carrier {
    struct condition work; /* with the source's lock */
    unsigned helper_count;
    struct helper helpers[];
};

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
        source_count_connections(h->source, -1);
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
        source_count_connections(s, 1);
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

static void helper_run(void *argument)
{
    struct helper *h = argument;
    struct source *s = h->source;
    role_assume_helper();
    lock_acquire(&s->lock);
    while (!s->stopping) {
        struct source_query *q = source_take_locked(s);
        if (!q) {
            condition_wait(&h->carrier->work, &s->lock, INT64_MAX);
            continue;
        }
        lock_release(&s->lock);
        if (source_begin_try(s, q)) {
            struct source_failure f;
            err e = try_query(h, q, &f);
            source_end_try(s, q, e == OK ? NULL : &f);
        }
        lock_acquire(&s->lock);
    }
    lock_release(&s->lock);
    drop_connection(h);
}

static void threads_wake(struct carrier *c)
{
    condition_wake_one(&c->work);
}

static void threads_stop(struct carrier *c)
{
    condition_wake_all(&c->work);
    for (unsigned i = 0; i < c->helper_count; i++) {
        thread_join(&c->helpers[i].thread);
    }
}

static void threads_free(struct carrier *c)
{
    free(c);
}

static err threads_start(struct source *s, struct carrier **ret_carrier)
{
    const struct config_source *config = s->config;
    unsigned count = config->connections < config->max_inflight ? config->connections : config->max_inflight;
    struct carrier *c = calloc(1, sizeof *c + count * sizeof c->helpers[0]);
    if (!c) {
        return ERR_NOMEM;
    }
    *ret_carrier = c;
    condition_init(&c->work);
    err e = OK;
    for (; c->helper_count < count && e == OK; c->helper_count++) {
        struct helper *h = &c->helpers[c->helper_count];
        char name[16];
        snprintf(name, sizeof name, "source-%.*s", (int)(config->name.len < 8 ? config->name.len : 8),
                 config->name.ptr);
        h->source = s;
        h->carrier = c;
        e = thread_start(&h->thread, name, helper_run, h);
    }
    return e;
}

const struct engine engine_threads = {
    .start = threads_start,
    .wake = threads_wake,
    .stop = threads_stop,
    .free = threads_free,
};
