/* Cells of numbers, and their sums. Why cells: a counter that all workers add to would bounce its cache line between cores on every
 * command; here each worker writes to lines of its own with plain stores, and whoever reads pays.
 *
 * I1: a cell of a worker is written by one thread only (metric_attach()); the shared cell by anybody, atomically.
 * I2: sums never go back except by metric_reset(), which only moves `zero`, written by the thread that resets.
 * Not here: what is per command (that is with the command table) and per rule (with the rule). */
#include "observe/metric.h"

#include <string.h>

#include "base/assert.h"
#include "os/worker.h"

__thread struct metric_cell *metric_own_cell;
struct metric_cell metric_shared_cell;

static struct metric_cell worker_cells[WORKER_COUNT_MAX];
static struct metric_cell zero; /* the sums when they were last set back */

static const struct metric_row rows[METRIC_COUNT] = {
#define METRIC(name, kind, unit, meaning) [METRIC_##name] = {#name, METRIC_KIND_##kind, unit, meaning},
#include "observe/metric.def"
#undef METRIC
};

void metric_attach(unsigned index)
{
    assert(index < WORKER_COUNT_MAX);
    assert(metric_own_cell == NULL);
    metric_own_cell = &worker_cells[index];
}

void metric_detach(void)
{
    metric_own_cell = NULL;
}

/* The sum of one number over all cells; `offset` is its place in a cell. */
static uint64_t sum_at(size_t offset)
{
    const char *shared = (const char *)&metric_shared_cell + offset;
    uint64_t sum = __atomic_load_n((const uint64_t *)(const void *)shared, __ATOMIC_RELAXED);
    for (size_t i = 0; i < WORKER_COUNT_MAX; i++) {
        const char *own = (const char *)&worker_cells[i] + offset;
        sum += __atomic_load_n((const uint64_t *)(const void *)own, __ATOMIC_RELAXED);
    }
    return sum;
}

static size_t offset_of_metric(enum metric m)
{
    assert(m < METRIC_COUNT);
    return offsetof(struct metric_cell, sums) + m * sizeof(uint64_t);
}

static size_t offset_of_error(err e)
{
    assert(e < ERR_COUNT);
    return offsetof(struct metric_cell, errors) + e * sizeof(uint64_t);
}

uint64_t metric_sum(enum metric m)
{
    return sum_at(offset_of_metric(m)) - __atomic_load_n(&zero.sums[m], __ATOMIC_RELAXED);
}

uint64_t metric_error_sum(err e)
{
    return sum_at(offset_of_error(e)) - __atomic_load_n(&zero.errors[e], __ATOMIC_RELAXED);
}

uint64_t metric_error_sum_of_prefix(const char *resp)
{
    uint64_t sum = 0;
    for (err e = OK + 1; e < ERR_COUNT; e++) {
        if (strcmp(err_row(e)->resp, resp) == 0) {
            sum += metric_error_sum(e);
        }
    }
    return sum;
}

/* Whether no error before `e` has its prefix. */
static bool is_first_of_prefix(err e)
{
    for (err before = OK + 1; before < e; before++) {
        if (strcmp(err_row(before)->resp, err_row(e)->resp) == 0) {
            return false;
        }
    }
    return true;
}

err metric_error_prefix_next(err e)
{
    do {
        e++;
    } while (e < ERR_COUNT && !is_first_of_prefix(e));
    return e;
}

void metric_reset(void)
{
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        if (rows[m].kind == METRIC_KIND_COUNTER) {
            __atomic_store_n(&zero.sums[m], sum_at(offset_of_metric(m)), __ATOMIC_RELAXED);
        }
    }
    for (err e = OK + 1; e < ERR_COUNT; e++) {
        __atomic_store_n(&zero.errors[e], sum_at(offset_of_error(e)), __ATOMIC_RELAXED);
    }
}

const struct metric_row *metric_row(enum metric m)
{
    assert(m < METRIC_COUNT);
    return &rows[m];
}

enum metric metric_find(slice name)
{
    enum metric m = 0;
    while (m < METRIC_COUNT && !slice_equal(slice_of(rows[m].name), name)) {
        m++;
    }
    return m;
}
