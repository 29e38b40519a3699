/* What each command costs: calls, time, refusals, failures, and how long its calls took, of each worker and in sum.
 *
 * A worker counts in cells of its own with plain stores; whoever reads sums over the workers and may be a few calls behind. */
#ifndef COMMAND_FIGURES_H
#define COMMAND_FIGURES_H

#include "base/attr.h"
#include "base/err.h"

enum {
    FIGURES_STEP_BITS = 4,   /* 16 buckets for each doubling: a value is known to 6% */
    FIGURES_VALUE_BITS = 36, /* in ns; what takes longer than 68 s counts as that */
    FIGURES_BUCKET_COUNT = (FIGURES_VALUE_BITS - FIGURES_STEP_BITS + 1) << FIGURES_STEP_BITS,
    FIGURES_ALL_WORKERS = -1,
};

struct command_figures {
    uint64_t calls, usec, rejected, failed;
};

/* The times of a command's calls. */
struct command_times {
    uint64_t count;
    uint64_t buckets[FIGURES_BUCKET_COUNT];
};

/* Makes the cells of workers 0 to worker_count - 1 that have none yet. Before the workers run. ERR_NOMEM. */
MUST_USE err figures_open(unsigned worker_count);

/* Of the worker itself: `count` calls (at least one) that ran `ns` together, each with the mean among command_times() if
 * `timed`, each a failure if `failed`; a call that was refused. */
void figures_add(unsigned worker, unsigned command, unsigned count, uint64_t ns, bool failed, bool timed) ON(worker);
void figures_add_rejected(unsigned worker, unsigned command) ON(worker);
/* Sets the worker's cells back to zero. */
void figures_reset(unsigned worker) ON(worker);

/* Of one worker, or of FIGURES_ALL_WORKERS. Any thread. */
struct command_figures command_figures_of(int worker, unsigned command);
void command_times(int worker, unsigned command, struct command_times *ret_times);
static inline struct command_figures command_figures(unsigned command)
{
    return command_figures_of(FIGURES_ALL_WORKERS, command);
}

/* The time in us that `percent` of the calls did not exceed; 0 without calls. */
double command_percentile_us(const struct command_times *t, double percent);
/* How many took at most `us`. */
uint64_t command_times_within(const struct command_times *t, uint64_t us);

#endif
