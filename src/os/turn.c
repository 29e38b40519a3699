/* I1: between turn_begin() and turn_end() cpu_ns is at most TURN_STRETCH_NS of turns old, so what has been added to the CPU clock since is this
 *     turn's time and little else. */
#include "os/turn.h"

#include "base/num.h"
#include "os/clock.h"
#include "os/thread.h"

static void read_cpu(struct turn_clock *t)
{
    t->cpu_ns = thread_cpu_ns();
    t->stretch_ns = 0;
}

void turn_begin(struct turn_clock *t)
{
    if (t->stretch_ns >= TURN_STRETCH_NS || t->cpu_ns == 0) {
        read_cpu(t);
    }
    t->began_ns = clock_lap_ns();
}

int64_t turn_ns(const struct turn_clock *t)
{
    return clock_lap_ns() - t->began_ns;
}

int64_t turn_end(struct turn_clock *t)
{
    int64_t ns = turn_ns(t);
    if (ns > TURN_STRETCH_NS) {
        int64_t before_ns = t->cpu_ns;
        read_cpu(t);
        ns = num_min_i64(ns, t->cpu_ns - before_ns);
    }
    t->stretch_ns += ns;
    return ns;
}
