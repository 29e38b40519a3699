/* MONITOR. Each worker has a list of its own sessions that watch. Whoever runs a command makes one line of text for each worker that has any, and posts it there; the outbox keeps
 * the order of posting, also between workers, so lines posted under one shard's lock arrive in the order in which the lock was held.
 *
 * Passwords are not shown, nor are administrators' commands, nor what was refused before it ran. Threads: any worker feeds; the lists are their workers' own. */
#include "command/monitor.h"

#include <inttypes.h>
#include <stdlib.h>

#include "command/command.h"
#include "command/engine.h"
#include "command/secret.h"
#include "command/verb.h"
#include "os/clock.h"

enum { LINE_BYTES_MAX = 1 << 30 };

unsigned monitor_count;

static struct {
    struct list sessions; /* of the worker's own */
    unsigned count;       /* atomic: others look whether to post */
} ALIGNED(CACHE_LINE_BYTES) watchers[WORKER_COUNT_MAX];

__attribute__((constructor)) static void init_watchers(void)
{
    for (size_t i = 0; i < WORKER_COUNT_MAX; i++) {
        list_init(&watchers[i].sessions);
    }
}

/* ---- who watches ---------------------------------------------------------------------------------------------------- */
static void count(const struct session *s, unsigned change)
{
    __atomic_fetch_add(&watchers[s->worker->index].count, change, __ATOMIC_RELAXED);
    __atomic_fetch_add(&monitor_count, change, __ATOMIC_RELAXED);
}

void monitor_enter(struct session *s)
{
    if (!s->monitors) {
        __atomic_store_n(&s->monitors, true, __ATOMIC_RELAXED);
        list_push_back(&watchers[s->worker->index].sessions, &s->monitor_link);
        count(s, 1);
    }
}

void monitor_leave(struct session *s)
{
    if (s->monitors) {
        __atomic_store_n(&s->monitors, false, __ATOMIC_RELAXED);
        list_remove(&s->monitor_link);
        count(s, 0u - 1);
    }
}

/* ---- what they are shown -------------------------------------------------------------------------------------------- */
struct line {
    struct message message;
    size_t len;
    char text[];
};

static void deliver(struct message *m, struct worker *w)
{
    struct line *line = container_of(m, struct line, message);
    LIST_EACH (node, &watchers[w->index].sessions) {
        struct session *s = container_of(node, struct session, monitor_link);
        s->ops->tell(s, slice_make(line->text, line->len));
    }
    free(line);
}

static void append_call(struct buf *out, const struct call *call)
{
    const struct session *s = call->session;
    int64_t us = clock_wall_us();
    buf_printf(out, "%" PRId64 ".%06d [%u %s%s]", us / 1000000, (int)(us % 1000000), s->db,
               s->unix_socket ? "unix:" : "", s->peer);
    for (unsigned i = 0; i < call->argc; i++) {
        buf_append_byte(out, ' ');
        buf_append_quoted(out, secret_shown(call, i));
    }
}

void monitor_feed(const struct call *call)
{
    if (call->command->traits & (TRAIT_ADMIN | TRAIT_SKIP_MONITOR)) {
        return;
    }
    struct buf text;
    buf_init(&text, LINE_BYTES_MAX);
    append_call(&text, call);
    for (unsigned i = 0; i < call->engine->worker_count && !buf_failed(&text); i++) {
        if (__atomic_load_n(&watchers[i].count, __ATOMIC_RELAXED) > 0) {
            struct line *line = malloc(sizeof *line + text.len);
            if (line) {
                *line = (struct line){.message.deliver = deliver, .len = text.len};
                memcpy(line->text, text.bytes, text.len);
                worker_post(&call->engine->workers[i], &line->message);
            }
        }
    }
    buf_fini(&text);
}

/* ---- the command ---------------------------------------------------------------------------------------------------- */
/* A second MONITOR of the same session has no answer, as in Redis. */
err cmd_monitor(struct call *call)
{
    if (!call->session->monitors) {
        monitor_enter(call->session);
        reply_ok(call->reply);
    }
    return OK;
}
