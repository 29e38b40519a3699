/* What systemd is told.
 *
 * The watchdog: at half of the time that systemd grants, the front asks every worker for a sign of life, by its outbox,
 * which wakes an idle one. WATCHDOG=1 is sent when all have answered what they were asked half the time before. So it
 * says that every loop of the process turns; one that is stuck for longer than the grant has the process ended and
 * started anew.
 *
 * The front's thread, except deliver_ping(). */
#include "main/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"
#include "observe/log.h"

struct service_ping {
    struct message message;
    bool asked; /* atomic: not answered yet */
};

static void deliver_ping(struct message *m, struct worker *w)
{
    (void)w;
    __atomic_store_n(&container_of(m, struct service_ping, message)->asked, false, __ATOMIC_RELEASE);
}

static bool all_have_answered(const struct service *s)
{
    for (unsigned i = 0; i < s->worker_count; i++) {
        if (__atomic_load_n(&s->pings[i].asked, __ATOMIC_ACQUIRE)) {
            return false;
        }
    }
    return true;
}

static void ask_all(struct service *s)
{
    for (unsigned i = 0; i < s->worker_count; i++) {
        __atomic_store_n(&s->pings[i].asked, true, __ATOMIC_RELAXED);
        worker_post(&s->workers[i], &s->pings[i].message);
    }
}

static void fire_watchdog(struct timer *t, struct now now)
{
    struct service *s = container_of(t, struct service, watchdog);
    if (all_have_answered(s)) {
        notify_send(&s->notify, "WATCHDOG=1");
        ask_all(s);
    }
    err e = loop_timer_set(s->front->loop, t, now.mono_ms + s->interval_ms);
    assert(e == OK); /* its place in the heap has just become free */
}

err service_open(struct service *s, const struct config *config, struct worker *front, struct worker *workers,
                 unsigned worker_count)
{
    *s = (struct service){.notify.fd = -1, .front = front, .workers = workers, .worker_count = worker_count};
    timer_init(&s->watchdog, fire_watchdog);
    if (config->supervised == SUPERVISED_NO) {
        return OK;
    }
    if (!notify_open(&s->notify) && config->supervised == SUPERVISED_SYSTEMD) {
        log_write(LOG_WARNING, "main",
                  "supervised is systemd, but $NOTIFY_SOCKET names no socket of a service manager");
    }
    if (s->notify.watchdog_us == 0) {
        return OK;
    }
    s->interval_ms = num_max_i64(s->notify.watchdog_us / 2000, 1);
    s->pings = calloc(worker_count, sizeof *s->pings);
    if (!s->pings) {
        return ERR_NOMEM;
    }
    for (unsigned i = 0; i < worker_count; i++) {
        s->pings[i].message.deliver = deliver_ping;
    }
    ask_all(s);
    return loop_timer_set(front->loop, &s->watchdog, loop_now(front->loop).mono_ms + s->interval_ms);
}

void service_ready(struct service *s)
{
    notify_send(&s->notify, "READY=1");
}

void service_reloading(struct service *s)
{
    char text[64];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_us());
    notify_send(&s->notify, text);
}

void service_stopping(struct service *s)
{
    notify_send(&s->notify, "STOPPING=1");
}

void service_close(struct service *s)
{
    if (!s->front) {
        return;
    }
    loop_timer_clear(s->front->loop, &s->watchdog);
    notify_close(&s->notify);
    free(s->pings);
}
