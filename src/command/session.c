/* Sessions, and the lists by which CLIENT LIST and INFO see those of all workers.
 *
 * Each worker has a list with a lock of its own; only the worker itself changes the list, and only under the lock, so that it may walk
 * it without. The texts change under the lock, too. Everything else that other threads read is a number written with a relaxed store.
 *
 * Invariants: (I1) a session is in the list of its worker from session_open() to session_close(); (I2) ids ascend in the order of opening.
 * Not here: what a connection is (door/), what CLIENT shows (connection/client.c). */
#include "command/session.h"

#include <stdlib.h>

#include "base/assert.h"
#include "command/monitor.h"
#include "config/config.h"
#include "os/lock.h"

static struct {
    struct lock lock;
    struct list sessions;
} ALIGNED(CACHE_LINE_BYTES) lists[WORKER_COUNT_MAX];

static int64_t rest_after_ms = SESSION_REST_AFTER_MS; /* atomic */
static uint64_t last_id;                              /* atomic */
static uint64_t count;                                /* atomic */

/* Before main(), so that whoever looks finds lists. */
__attribute__((constructor)) static void init_lists(void)
{
    for (unsigned i = 0; i < WORKER_COUNT_MAX; i++) {
        lock_init(&lists[i].lock, LOCK_SESSIONS, i);
        list_init(&lists[i].sessions);
    }
}

static bool password_is_set(void)
{
    return config_now()->requirepass.len > 0;
}

void session_open(struct session *s, struct worker *w, const struct session_ops *ops, struct now now)
{
    s->ops = ops;
    s->worker = w;
    s->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    s->protocol = 2;
    s->authenticated = !password_is_set();
    s->created_mono_ms = s->last_mono_ms = now.mono_ms;
    __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
    lock_acquire(&lists[w->index].lock);
    list_push_back(&lists[w->index].sessions, &s->link);
    lock_release(&lists[w->index].lock);
}

void session_close(struct session *s)
{
    monitor_leave(s);
    lock_acquire(&lists[s->worker->index].lock);
    list_remove(&s->link);
    lock_release(&lists[s->worker->index].lock);
    __atomic_fetch_sub(&count, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < SESSION_TEXT_COUNT; i++) {
        free((char *)s->texts[i].ptr);
        s->texts[i] = (slice){0};
    }
}

static void swap_text(struct session *s, enum session_text which, slice text)
{
    lock_acquire(&lists[s->worker->index].lock);
    slice old = s->texts[which];
    s->texts[which] = text;
    lock_release(&lists[s->worker->index].lock);
    free((char *)old.ptr);
}

err session_set_text(struct session *s, enum session_text which, slice text)
{
    slice copy = {0};
    if (text.len > 0) {
        char *bytes = malloc(text.len);
        if (!bytes) {
            return ERR_NOMEM;
        }
        memcpy(bytes, text.ptr, text.len);
        copy = slice_make(bytes, text.len);
    }
    swap_text(s, which, copy);
    return OK;
}

void session_reset(struct session *s)
{
    monitor_leave(s);
    __atomic_store_n(&s->db, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&s->protocol, 2, __ATOMIC_RELAXED);
    s->ops->set_protocol(s, 2);
    s->authenticated = !password_is_set();
    __atomic_store_n(&s->no_evict, false, __ATOMIC_RELAXED);
    __atomic_store_n(&s->no_touch, false, __ATOMIC_RELAXED);
    if (s->reply_mode == SESSION_REPLY_OFF) {
        s->reply_mode = SESSION_REPLY_ON; /* a SKIP said before holds for the reset's own reply */
    }
    s->skip_next = false;
    swap_text(s, SESSION_NAME, (slice){0});
}

bool session_needs_auth(const struct session *s)
{
    return !s->authenticated && password_is_set();
}

void sessions_each(void (*visit)(void *argument, const struct session *s), void *argument)
{
    for (unsigned i = 0; i < WORKER_COUNT_MAX; i++) {
        lock_acquire(&lists[i].lock);
        LIST_EACH (node, &lists[i].sessions) {
            visit(argument, container_of(node, struct session, link));
        }
        lock_release(&lists[i].lock);
    }
}

void sessions_each_own(struct worker *w, void (*visit)(void *argument, struct session *s), void *argument)
{
    LIST_EACH (node, &lists[w->index].sessions) {
        visit(argument, container_of(node, struct session, link));
    }
}

int64_t session_rest_after_ms(void)
{
    return __atomic_load_n(&rest_after_ms, __ATOMIC_RELAXED);
}

void session_set_rest_after(int64_t ms)
{
    __atomic_store_n(&rest_after_ms, ms, __ATOMIC_RELAXED);
}

uint64_t sessions_count(void)
{
    return __atomic_load_n(&count, __ATOMIC_RELAXED);
}
