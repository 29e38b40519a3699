/* The event loop: watches on epoll, level-triggered, whatever the engine. With io_uring it sleeps in the ring (ring.c), which receives and
 * sends for its streams and says when the epoll instance has something: that is then looked at without sleeping.
 *
 * Every registration carries the pointer of its watch. A batch of events is what one epoll_wait() gave; callbacks may end any watch, also
 * one whose event waits later in the same batch, and may free its memory or reuse its fd number. So loop_unwatch() strikes the watch's
 * events from the rest of the batch: what is delivered always belongs to a watch that is watched now. A batch has 256 events at most, and
 * striking costs less than the system call beside it.
 *
 * Invariants:
 * (I1) A watch is watched as long as its `ready` is not NULL; watch_count counts those.
 * (I2) batch[batch_at .. batch_count) holds what is still to be delivered, in the next turn when this one is full; a struck event has the pointer NULL.
 * (I3) A turn fires at most as many timers as were due at its beginning, so that one that rearms itself for the past does not stop it.
 * (I4) It never sleeps while deferred work is queued or events are to be delivered.
 *
 * One thread, except loop_turn_count(). Not here: bytes (stream.c), messages from other threads (worker.c). */
#include "os/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/num.h"
#include "os/ring.h"
#include "os/turn.h"

/* To send SEND_BYTES to readers that are as fast as we are takes most of a millisecond. */
enum { BATCH_COUNT_MAX = 256, SEND_BYTES = 2 << 20, SHARE_BYTES_MIN = 32 * 1024 };

struct loop {
    int epoll_fd;
    struct ring *ring; /* NULL: the engine is epoll alone */
    bool stopping;
    bool turning;
    struct now now;
    struct heap timers;
    struct list deferred;
    struct list deferred_to_next;
    size_t watch_count;
    uint64_t turn_count; /* atomic */
    struct turn_clock clock;
    int64_t full_turn_ns; /* 0: none */
    void (*turn_hook)(void *argument, int64_t turn_ns);
    void *turn_hook_argument;
    size_t sent_bytes;   /* in this turn */
    size_t writer_count; /* who can send, by the events of this turn; 0: not counted yet */
    int batch_at;
    int batch_count;
    struct epoll_event batch[BATCH_COUNT_MAX];
    struct loop_arrivals arrivals;
};

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static err open_engine(struct loop *l, enum loop_engine engine, struct buf *why)
{
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0) {
        return ERR_SYSTEM;
    }
    err e = engine == LOOP_URING ? ring_new(l->epoll_fd, &l->ring, why) : OK;
    if (e) {
        close(l->epoll_fd);
    }
    return e;
}

static err new_loop(enum loop_engine engine, struct loop **ret_loop, struct buf *why)
{
    struct loop *l = malloc(sizeof *l);
    if (!l) {
        return ERR_NOMEM;
    }
    *l = (struct loop){.now = clock_now()};
    err e = open_engine(l, engine, why);
    if (e) {
        free(l);
        return e;
    }
    heap_init(&l->timers);
    list_init(&l->deferred);
    list_init(&l->deferred_to_next);
    *ret_loop = l;
    return OK;
}

err loop_new(enum loop_engine engine, struct loop **ret_loop)
{
    return new_loop(engine, ret_loop, NULL);
}

err loop_engine_try(enum loop_engine engine, struct buf *why)
{
    struct loop *l;
    err e = new_loop(engine, &l, why);
    if (e == OK) {
        loop_free(l);
    }
    return e;
}

void loop_free(struct loop *l)
{
    if (!l) {
        return;
    }
    assert(!l->turning);
    assert(l->watch_count == 0);
    heap_fini(&l->timers);
    ring_free(l->ring);
    close(l->epoll_fd);
    free(l);
}

const char *loop_engine_name(const struct loop *l)
{
    return l->ring ? "io_uring" : "epoll";
}

struct ring *loop_ring(const struct loop *l)
{
    return l->ring;
}

/* ---- the turn ------------------------------------------------------------------------------------------------------ */

static bool has_undelivered(const struct loop *l)
{
    return l->batch_at < l->batch_count;
}

static int sleep_ms(const struct loop *l, int wait_ms)
{
    if (!list_empty(&l->deferred) || !list_empty(&l->deferred_to_next) || has_undelivered(l)) {
        return 0;
    }
    int64_t until_ms = wait_ms < 0 ? INT64_MAX : wait_ms;
    const struct heap_node *first = heap_first(&l->timers);
    if (first) {
        int64_t now_ms = clock_mono_ms();
        until_ms = num_min_i64(until_ms, first->key > now_ms ? first->key - now_ms : 0);
    }
    until_ms = clock_sleep_ms(until_ms);
    return until_ms == INT64_MAX ? -1 : (int)num_min_i64(until_ms, INT_MAX);
}

static void fire_timers(struct loop *l)
{
    for (uint32_t left = heap_count_until(&l->timers, l->now.mono_ms); left > 0; left--) {
        struct heap_node *first = heap_first(&l->timers);
        if (!first || first->key > l->now.mono_ms) {
            return;
        }
        heap_remove(&l->timers, first);
        struct timer *t = container_of(first, struct timer, node);
        t->fire(t, l->now);
    }
}

/* Until the turn is full. */
static void deliver_events(struct loop *l)
{
    for (bool first = true; has_undelivered(l) && (first || !loop_fills_turn(l, loop_turn_ns(l))); first = false) {
        const struct epoll_event *event = &l->batch[l->batch_at++];
        struct watch *w = event->data.ptr;
        if (!w) {
            continue;
        }
        unsigned seen = 0;
        seen |= event->events & EPOLLIN ? LOOP_READ : 0;
        seen |= event->events & EPOLLOUT ? LOOP_WRITE : 0;
        seen |= event->events & EPOLLRDHUP ? LOOP_PEER_END : 0;
        seen |= event->events & (EPOLLHUP | EPOLLERR) ? LOOP_HANGUP : 0;
        seen &= w->events | LOOP_HANGUP; /* the interest may have changed since */
        if (seen) {
            w->ready(w, seen);
        }
    }
}

static void run_deferred(struct loop *l)
{
    struct list *link;
    while ((link = list_pop_front(&l->deferred))) {
        struct deferred *d = container_of(link, struct deferred, link);
        d->run(d);
    }
}

/* None while some of the last batch are left: those who are always ready would else be served over and over before the others. */
static void take_events(struct loop *l, int wait_ms)
{
    if (has_undelivered(l)) {
        return;
    }
    int count = epoll_wait(l->epoll_fd, l->batch, BATCH_COUNT_MAX, wait_ms);
    bool waited = count >= 0 || errno == EINTR;
    assert(waited);
    l->batch_at = 0;
    l->batch_count = count < 0 ? 0 : count;
}

/* A turn, but for what the ring has still to send: that leaves with its next sleep. */
static void turn(struct loop *l, int wait_ms)
{
    assert(!l->turning);
    l->turning = true;
    if (l->ring) {
        ring_enter(l->ring, sleep_ms(l, wait_ms));
    } else {
        take_events(l, sleep_ms(l, wait_ms));
    }
    turn_begin(&l->clock);
    l->now = clock_now();
    l->sent_bytes = l->writer_count = 0;
    list_splice(&l->deferred, &l->deferred_to_next);
    fire_timers(l);
    if (l->ring && ring_deliver(l->ring, &l->clock, l->full_turn_ns)) {
        take_events(l, 0);
    }
    deliver_events(l);
    run_deferred(l);
    l->turning = false;
    __atomic_store_n(&l->turn_count, l->turn_count + 1, __ATOMIC_RELEASE);
    if (l->turn_hook) {
        l->turn_hook(l->turn_hook_argument, turn_end(&l->clock));
    }
}

static void send_rest(struct loop *l)
{
    if (l->ring) {
        ring_enter(l->ring, 0);
    }
}

void loop_turn(struct loop *l, int wait_ms)
{
    turn(l, wait_ms);
    send_rest(l);
}

void loop_run(struct loop *l)
{
    while (!l->stopping) {
        turn(l, -1);
    }
    send_rest(l);
    l->stopping = false;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

struct now loop_now(const struct loop *l)
{
    return l->now;
}

/* ---- sending ------------------------------------------------------------------------------------------------------- */

/* Most turns have nobody who asks. */
static size_t count_writers(struct loop *l)
{
    if (l->writer_count == 0) {
        size_t count = 0;
        for (int i = 0; i < l->batch_count; i++) {
            count += (l->batch[i].events & EPOLLOUT) != 0;
        }
        l->writer_count = num_max_u64(count, 1);
    }
    return l->writer_count;
}

size_t loop_send_share(struct loop *l)
{
    size_t left = SEND_BYTES - num_min_u64(l->sent_bytes, SEND_BYTES);
    size_t share = num_min_u64(num_min_u64(left, SEND_BYTES / count_writers(l)), LOOP_SHARE_BYTES_MAX);
    return num_max_u64(share, SHARE_BYTES_MIN);
}

void loop_note_sent(struct loop *l, size_t bytes)
{
    l->sent_bytes += bytes;
}

struct loop_arrivals *loop_arrivals(struct loop *l)
{
    return &l->arrivals;
}

uint64_t loop_turn_count(const struct loop *l)
{
    return __atomic_load_n(&l->turn_count, __ATOMIC_ACQUIRE);
}

void loop_set_full_turn(struct loop *l, int64_t full_ns)
{
    l->full_turn_ns = full_ns;
}

int64_t loop_turn_ns(const struct loop *l)
{
    return turn_ns(&l->clock);
}

bool loop_fills_turn(const struct loop *l, int64_t ns)
{
    return l->full_turn_ns > 0 && ns >= l->full_turn_ns;
}

bool loop_turn_is_long(const struct loop *l)
{
    return loop_fills_turn(l, loop_turn_ns(l) / 2);
}

void loop_on_turn(struct loop *l, void (*hook)(void *argument, int64_t turn_ns), void *argument)
{
    l->turn_hook = hook;
    l->turn_hook_argument = argument;
}

/* ---- watches ------------------------------------------------------------------------------------------------------- */

static int control(struct loop *l, int operation, struct watch *w)
{
    struct epoll_event event = {.data.ptr = w};
    event.events |= w->events & LOOP_READ ? EPOLLIN : 0;
    event.events |= w->events & LOOP_WRITE ? EPOLLOUT : 0;
    event.events |= w->events & LOOP_PEER_END ? EPOLLRDHUP : 0;
    return epoll_ctl(l->epoll_fd, operation, w->fd, &event);
}

err loop_watch(struct loop *l, struct watch *w, int fd, unsigned events, void (*ready)(struct watch *, unsigned))
{
    assert(ready != NULL);
    struct watch asked = {.fd = fd, .events = events, .ready = ready};
    *w = asked;
    if (control(l, EPOLL_CTL_ADD, w) != 0) {
        w->ready = NULL;
        return errno == ENOMEM ? ERR_NOMEM : ERR_SYSTEM;
    }
    l->watch_count++;
    return OK;
}

void loop_rewatch(struct loop *l, struct watch *w, unsigned events)
{
    assert(w->ready != NULL);
    if (w->events == events) {
        return;
    }
    w->events = events;
    int failure = control(l, EPOLL_CTL_MOD, w);
    assert(failure == 0);
}

void loop_unwatch(struct loop *l, struct watch *w)
{
    if (!w->ready) {
        return;
    }
    w->ready = NULL;
    l->watch_count--;
    int failure = control(l, EPOLL_CTL_DEL, w);
    assert(failure == 0); /* else the fd was closed first */
    for (int i = l->batch_at; i < l->batch_count; i++) {
        if (l->batch[i].data.ptr == w) {
            l->batch[i].data.ptr = NULL;
        }
    }
}

/* ---- timers and deferred work -------------------------------------------------------------------------------------- */

void timer_init(struct timer *t, void (*fire)(struct timer *, struct now))
{
    *t = (struct timer){.fire = fire};
}

err loop_timer_set(struct loop *l, struct timer *t, int64_t deadline_mono_ms)
{
    if (heap_holds(&t->node)) {
        heap_move(&l->timers, &t->node, deadline_mono_ms);
        return OK;
    }
    return heap_insert(&l->timers, &t->node, deadline_mono_ms);
}

void loop_timer_clear(struct loop *l, struct timer *t)
{
    heap_remove(&l->timers, &t->node);
}

void deferred_init(struct deferred *d, void (*run)(struct deferred *))
{
    list_init(&d->link);
    d->run = run;
}

void loop_defer(struct loop *l, struct deferred *d)
{
    if (!list_linked(&d->link)) {
        list_push_back(&l->deferred, &d->link);
    }
}

void loop_defer_to_next(struct loop *l, struct deferred *d)
{
    if (!list_linked(&d->link)) {
        list_push_back(&l->deferred_to_next, &d->link);
    }
}

void loop_undefer(struct loop *l, struct deferred *d)
{
    (void)l;
    list_remove(&d->link);
}
