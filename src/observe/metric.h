/* Counters and gauges, one row of metric.def each, and one counter per row of err.def.
 *
 * Each worker owns a cell of numbers on cache lines of its own and adds to it without a locked instruction; helpers and the main
 * thread share one more cell and add to it atomically. Reading sums all cells, so a sum may be a few events behind, never torn.
 *
 * Setting back does not write other threads' cells: it remembers the sums of that moment and reports the difference. */
#ifndef OBSERVE_METRIC_H
#define OBSERVE_METRIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

enum metric {
#define METRIC(name, kind, unit, meaning) METRIC_##name,
#include "observe/metric.def"
#undef METRIC
    METRIC_COUNT
};

enum metric_kind { METRIC_KIND_COUNTER, METRIC_KIND_GAUGE };

struct metric_row {
    const char *name;
    enum metric_kind kind;
    const char *unit;
    const char *meaning;
};

struct metric_cell {
    uint64_t sums[METRIC_COUNT]; /* atomic */
    uint64_t errors[ERR_COUNT];  /* atomic */
} ALIGNED(CACHE_LINE_BYTES);

/* The cell of the calling worker; NULL on every other thread. */
extern __thread struct metric_cell *metric_own_cell;
extern struct metric_cell metric_shared_cell;

/* Gives the calling thread the cell of worker `index` (below WORKER_COUNT_MAX). Two threads never have the same one at once. */
void metric_attach(unsigned index);
/* Returns the cell: the thread counts as a helper again. What it counted stays. */
void metric_detach(void);

static inline void metric_bump(uint64_t *own, uint64_t *shared, uint64_t amount)
{
    if (LIKELY(own != NULL)) {
        __atomic_store_n(own, __atomic_load_n(own, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
    } else {
        __atomic_fetch_add(shared, amount, __ATOMIC_RELAXED);
    }
}

/* Any thread. */
static inline void metric_add(enum metric m, uint64_t amount)
{
    struct metric_cell *own = metric_own_cell;
    metric_bump(own ? &own->sums[m] : NULL, &metric_shared_cell.sums[m], amount);
}

/* For gauges; what one thread added another may take. */
static inline void metric_subtract(enum metric m, uint64_t amount)
{
    metric_add(m, 0 - amount);
}

/* One more answer with this error. Any thread. */
static inline void metric_add_error(err e)
{
    struct metric_cell *own = metric_own_cell;
    metric_bump(own ? &own->errors[e] : NULL, &metric_shared_cell.errors[e], 1);
}

/* The sum over all threads since start or since the last metric_reset(). Any thread. A gauge is to be read as a signed number. */
uint64_t metric_sum(enum metric m);
/* How often this error was answered, since start or reset. */
uint64_t metric_error_sum(err e);
/* The same for all errors with the RESP prefix `resp` ("ERR"): INFO's errorstat_<prefix>. */
uint64_t metric_error_sum_of_prefix(const char *resp);
/* Each RESP prefix of err.def once, in the order of the table: the first error that has the prefix of the one after `e`; OK begins.
 * ERR_COUNT at the end. */
err metric_error_prefix_next(err e);

/* Sets all counters and errors back to 0 (CONFIG RESETSTAT); gauges stay. Any one thread at a time. */
void metric_reset(void);

/* The row of a metric; never NULL. */
const struct metric_row *metric_row(enum metric m);
/* By name; METRIC_COUNT when there is none. */
enum metric metric_find(slice name);

#endif
