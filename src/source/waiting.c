/* See waiting.h. A query that outlasts its limits costs the connection: there is nobody who would wait for its end. */
#include "source/waiting.h"

#include <stdlib.h>

#include "os/loop.h"
#include "source/source_priv.h"

enum { TURN_MS = 10 }; /* between two looks at the limits */

struct driver_connection {
    const struct driver_pipes *pipes;
    struct driver_listener listener;
    struct loop *loop;
    struct driver_pipe *pipe; /* NULL: lost */
    bool ready;
    struct driver_try *running;    /* NULL: it has ended */
    struct source_failure failure; /* of what ended last; error OK: none */
};

static void on_ready(struct driver_listener *l)
{
    container_of(l, struct driver_connection, listener)->ready = true;
}

static void on_ended(struct driver_listener *l, struct driver_try *t, const struct source_failure *f)
{
    struct driver_connection *c = container_of(l, struct driver_connection, listener);
    (void)t;
    c->running = NULL;
    c->failure = f ? *f : (struct source_failure){.error = OK};
}

static void lose(struct driver_connection *c, const struct source_failure *f)
{
    c->pipes->close(c->pipe);
    c->pipe = NULL;
    c->running = NULL;
    c->failure = *f;
}

static void on_lost(struct driver_listener *l, const struct source_failure *f)
{
    lose(container_of(l, struct driver_connection, listener), f);
}

/* One turn; what takes too long loses the pipe. */
static void turn(struct driver_connection *c, const struct source_limits *limits)
{
    struct source_failure f;
    loop_turn(c->loop, TURN_MS);
    if (!c->pipe) {
        return;
    }
    if (__atomic_load_n(limits->stopping, __ATOMIC_ACQUIRE)) {
        source_failure_stopping(&f);
        lose(c, &f);
    } else if (clock_mono_ms() >= limits->deadline_mono_ms) {
        source_failure_set(&f, ERR_SOURCE_TIMEOUT, true, "%s", "");
        lose(c, &f);
    }
}

static err no_memory(struct source_failure *f)
{
    source_failure_set(f, ERR_NOMEM, false, "%s", "");
    return ERR_NOMEM;
}

err waiting_open(const struct driver_pipes *pipes, const struct config_source *config,
                 const struct source_limits *limits, struct driver_connection **ret_connection,
                 struct source_failure *f)
{
    struct driver_connection *c = calloc(1, sizeof *c);
    if (!c) {
        return no_memory(f);
    }
    *c = (struct driver_connection){.pipes = pipes, .listener = {on_ready, on_ended, on_lost}};
    err e = loop_new(LOOP_EPOLL, &c->loop);
    if (e != OK) {
        waiting_close(c);
        return no_memory(f);
    }
    e = pipes->open(config, c->loop, &c->listener, &c->pipe, f);
    while (e == OK && c->pipe && !c->ready) {
        turn(c, limits);
    }
    if (e == OK && !c->pipe) {
        *f = c->failure;
        e = f->error;
    }
    if (e != OK) {
        waiting_close(c);
        return e;
    }
    *ret_connection = c;
    return OK;
}

bool waiting_usable(struct driver_connection *c)
{
    return c->pipe != NULL;
}

/* Once more when it came to nothing by nobody's fault. */
static err run_try(struct driver_connection *c, struct driver_try *t, const struct source_limits *limits,
                   struct source_failure *f)
{
    bool again = c->pipe != NULL;
    while (again) {
        c->running = t;
        c->pipes->send(c->pipe, t);
        while (c->running) {
            turn(c, limits);
        }
        again = c->pipe && c->failure.error == ERR_AGAIN;
    }
    *f = c->failure; /* of the connection, if it is lost */
    return f->error;
}

err waiting_check(struct driver_connection *c, const struct source_statement *s, const struct source_limits *limits,
                  unsigned *ret_column_count, struct source_failure *f)
{
    struct driver_try t = {.statement = s};
    err e = run_try(c, &t, limits, f);
    if (e == OK) {
        *ret_column_count = t.column_count;
    }
    return e;
}

err waiting_run(struct driver_connection *c, const struct source_statement *s, const slice *parameters,
                const struct source_limits *limits, source_receive *receive, void *argument, struct source_failure *f)
{
    struct driver_try t = {.statement = s, .parameters = parameters, .receive = receive, .argument = argument};
    return run_try(c, &t, limits, f);
}

void waiting_close(struct driver_connection *c)
{
    if (c->pipe) {
        c->pipes->close(c->pipe);
    }
    loop_free(c->loop);
    free(c);
}
