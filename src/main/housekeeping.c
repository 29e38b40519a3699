/* keyspace_tick() whenever it wants to be called, for SLICE_US at a time. What is not done then goes on in the next turn,
 * after those who have come meanwhile were served: SLICES_PER_MS times, half of the time of a worker that has nothing else to do, then a
 * millisecond later.
 *
 * A slice is worked at the end of a turn in which next to nothing happened, so that no turn has both a slice and much
 * else in it. A worker that has no such turn works one every WAIT_US_MAX all the same: a tenth of its time. */
#include "main/housekeeping.h"

#include "base/assert.h"
#include "base/num.h"
#include "command/server/latency.h"
#include "config/config.h"

enum { SLICE_US = 20, SLICES_PER_MS = 25, QUIET_NS = 2000, WAIT_US_MAX = 200 };

static int64_t tick(struct housekeeping *h, struct now now)
{
    const struct config *config = config_now();
    bool is_watched = config->latency_monitor_threshold > 0;
    int64_t began_ns = is_watched ? clock_mono_ns() : 0;
    int64_t next_ms = keyspace_tick(h->keyspace, h->worker->index, now, SLICE_US);
    uint64_t ns = is_watched ? (uint64_t)(clock_mono_ns() - began_ns) : 0;
    if (latency_wants(config, ns)) {
        latency_note(LATENCY_expire_cycle, ns, now);
    }
    return next_ms;
}

/* Returns when the next slice is wanted; in the past: in the next turn. */
static int64_t work(struct housekeeping *h, struct now now)
{
    h->due_us = 0;
    h->slices = h->in_ms == now.mono_ms ? h->slices + 1 : 1;
    h->in_ms = now.mono_ms;
    return num_max_i64(tick(h, now), now.mono_ms + (h->slices < SLICES_PER_MS ? 0 : 1));
}

static void run_slice(struct deferred *d)
{
    struct housekeeping *h = container_of(d, struct housekeeping, slice);
    struct loop *loop = h->worker->loop;
    struct now now = loop_now(loop);
    bool is_quiet = loop_turn_ns(loop) < QUIET_NS;
    bool is_late = !is_quiet && clock_mono_us() - h->due_us >= WAIT_US_MAX;
    err e = loop_timer_set(loop, &h->timer, is_quiet || is_late ? work(h, now) : now.mono_ms);
    assert(e == OK); /* it is armed */
}

static void fire(struct timer *t, struct now now)
{
    struct housekeeping *h = container_of(t, struct housekeeping, timer);
    h->due_us = h->due_us ? h->due_us : clock_mono_us();
    err e = loop_timer_set(h->worker->loop, t, now.mono_ms + 1);
    assert(e == OK); /* its place in the heap has just become free; run_slice() moves it */
    loop_defer(h->worker->loop, &h->slice);
}

err housekeeping_begin(struct housekeeping *h, struct worker *w, struct keyspace *ks)
{
    *h = (struct housekeeping){.worker = w, .keyspace = ks};
    timer_init(&h->timer, fire);
    deferred_init(&h->slice, run_slice);
    return loop_timer_set(w->loop, &h->timer, loop_now(w->loop).mono_ms);
}

void housekeeping_end(struct housekeeping *h)
{
    if (h->worker) {
        loop_timer_clear(h->worker->loop, &h->timer);
        loop_undefer(h->worker->loop, &h->slice);
    }
}
