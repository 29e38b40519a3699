/* keyspace_tick() whenever it wants to be called, for SLICE_US at a time. What is not done then goes on in the next turn,
 * after those who have come meanwhile were served, until WORK_US_PER_MS are used up: half of the time of a worker that has nothing else to
 * do. Then a millisecond later.
 *
 * A slice is worked at the end of a turn in which next to nothing happened, so that no turn has both a slice and much
 * else in it. A worker that has no such turn gives a BUSY_PART of its time all the same: the longer its turns are, the longer are its slices. */
#include "main/housekeeping.h"

#include "base/assert.h"
#include "base/num.h"
#include "command/server/latency.h"
#include "config/config.h"

enum { SLICE_US = 3, SLICE_US_MAX = 20, WORK_US_PER_MS = 500, QUIET_NS = 2000, BUSY_PART = 10 };

static int64_t tick(struct housekeeping *h, struct now now, int64_t budget_us)
{
    const struct config *config = config_now();
    bool is_watched = config->latency_monitor_threshold > 0;
    int64_t began_ns = is_watched ? clock_mono_ns() : 0;
    int64_t next_ms = keyspace_tick(h->keyspace, h->worker->index, now, budget_us);
    uint64_t ns = is_watched ? (uint64_t)(clock_mono_ns() - began_ns) : 0;
    if (latency_wants(config, ns)) {
        latency_note(LATENCY_expire_cycle, ns, now);
    }
    return next_ms;
}

/* Returns when the next slice is wanted; in the past: in the next turn. */
static int64_t work(struct housekeeping *h, struct now now, int64_t budget_us)
{
    h->due_ns = 0;
    h->worked_us = (h->in_ms == now.mono_ms ? h->worked_us : 0) + budget_us;
    h->in_ms = now.mono_ms;
    return num_max_i64(tick(h, now, budget_us), now.mono_ms + (h->worked_us < WORK_US_PER_MS ? 0 : 1));
}

static void run_slice(struct deferred *d)
{
    struct housekeeping *h = container_of(d, struct housekeeping, slice);
    struct loop *loop = h->worker->loop;
    struct now now = loop_now(loop);
    int64_t waited_us = (clock_lap_ns() - h->due_ns) / 1000;
    int64_t budget_us = loop_turn_ns(loop) < QUIET_NS ? SLICE_US : num_min_i64(waited_us / BUSY_PART, SLICE_US_MAX);
    err e = loop_timer_set(loop, &h->timer, budget_us >= SLICE_US ? work(h, now, budget_us) : now.mono_ms);
    assert(e == OK); /* it is armed */
}

static void fire(struct timer *t, struct now now)
{
    struct housekeeping *h = container_of(t, struct housekeeping, timer);
    h->due_ns = h->due_ns ? h->due_ns : clock_lap_ns();
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
