/* One histogram a worker, which its thread alone adds to. Those of workers that do not exist are never touched and take no memory. */
#include "observe/turns.h"

#include "base/assert.h"
#include "observe/metric.h"

static struct histogram turns[WORKER_COUNT_MAX];

static void note(void *argument, int64_t turn_ns)
{
    struct histogram *h = argument;
    uint64_t us = (uint64_t)turn_ns / 1000;
    histogram_add(h, us);
    if (UNLIKELY(us >= TURN_LONG_US)) {
        metric_add(METRIC_turns_long, 1);
    }
}

void turns_watch(struct worker *w)
{
    assert(w->index < WORKER_COUNT_MAX);
    loop_on_turn(w->loop, note, &turns[w->index]);
}

void turns_reset(unsigned worker)
{
    histogram_reset(&turns[worker]);
}

const struct histogram *turns_of(unsigned worker)
{
    assert(worker < WORKER_COUNT_MAX);
    return &turns[worker];
}
