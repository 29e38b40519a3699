/* Workers and their outboxes.
 *
 * The inbox is a stack: a poster swings its head with a compare-and-swap (release), the worker takes all of it with one exchange (acquire)
 * and turns it round, so that messages are delivered in the order in which they were posted, over all posters. Whoever pushed onto an
 * empty stack writes the eventfd: between that and the worker's exchange nobody else has to. A burst costs one system call.
 *
 * Invariants:
 * (I1) A stack that is not empty has a wake-up on its way: from its first poster, or already in the eventfd.
 * (I2) A message belongs to the outbox from worker_post() until just before its deliver() is called; then it may be posted again or freed.
 *
 * worker_post() is for any thread, worker_self() too; the rest is for whoever set the worker up. */
#include "os/worker.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"

static _Thread_local struct worker *self;

/* True when there was something. */
static bool deliver_all(struct worker *w)
{
    bool any = false;
    struct message *newest = __atomic_exchange_n(&w->inbox, NULL, __ATOMIC_ACQUIRE);
    struct message *oldest = NULL;
    while (newest) {
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct message *m = oldest;
        oldest = m->next;
        m->deliver(m, w);
        any = true;
    }
    return any;
}

static void woken(struct watch *wake, unsigned events)
{
    (void)events;
    uint64_t count;
    (void)!read(wake->fd, &count, sizeof count); /* before the exchange: a wake-up that comes later is not lost */
    deliver_all(container_of(wake, struct worker, wake));
}

err worker_init(struct worker *w, unsigned index, enum loop_engine engine)
{
    assert(index < WORKER_COUNT_MAX);
    *w = (struct worker){.index = index, .wake.fd = -1};
    err e = loop_new(engine, &w->loop);
    if (e) {
        return e;
    }
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    e = fd < 0 ? ERR_SYSTEM : loop_watch(w->loop, &w->wake, fd, LOOP_READ, woken);
    if (e) {
        if (fd >= 0) {
            close(fd);
        }
        loop_free(w->loop);
        w->loop = NULL;
    }
    return e;
}

static void run(void *argument)
{
    role_assume_worker();
    self = argument;
    loop_run(self->loop);
}

err worker_start(struct worker *w)
{
    char name[16];
    snprintf(name, sizeof name, "worker-%u", w->index);
    return thread_start(&w->thread, name, run, w);
}

static void deliver_stop(struct message *m, struct worker *w)
{
    (void)m;
    loop_stop(w->loop);
}

void worker_stop(struct worker *w)
{
    if (!w->thread.started) {
        return;
    }
    assert(self != w);
    w->stop.deliver = deliver_stop;
    worker_post(w, &w->stop);
    thread_join(&w->thread);
}

bool worker_settle(struct worker *w)
{
    assert(!w->thread.started);
    return deliver_all(w);
}

void worker_fini(struct worker *w)
{
    if (!w->loop) {
        return;
    }
    assert(!w->thread.started);
    loop_unwatch(w->loop, &w->wake);
    close(w->wake.fd);
    loop_free(w->loop);
    w->loop = NULL;
}

void worker_post(struct worker *w, struct message *m)
{
    struct message *head = __atomic_load_n(&w->inbox, __ATOMIC_RELAXED);
    do {
        m->next = head;
    } while (!__atomic_compare_exchange_n(&w->inbox, &head, m, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    if (!head) {
        uint64_t one = 1;
        (void)!write(w->wake.fd, &one, sizeof one); /* can fail only when the counter is full, that is, readable */
    }
}

struct worker *worker_self(void)
{
    return self;
}
