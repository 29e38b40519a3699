/* What each command costs. A worker has a row of cells, one a command, 4 KB each: memory that the kernel hands out when a command is first used.
 *
 * Where a time lies: below 16 ns each value has a bucket; above, each doubling is cut into 16 buckets of equal width.
 *
 * I1: a cell is written by its worker only. Setting back is done by each worker for itself (CONFIG RESETSTAT visits them all), so that no count is lost
 * between a load and a store. Any thread reads. */
#include "command/figures.h"

#include <stdlib.h>

#include "base/assert.h"
#include "command/command.h"
#include "os/worker.h"

struct cell {
    uint64_t calls, ns, rejected, failed; /* atomic */
    uint64_t buckets[FIGURES_BUCKET_COUNT];
};

static struct cell *cells[WORKER_COUNT_MAX];

static uint64_t load(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static void store(uint64_t *number, uint64_t value)
{
    __atomic_store_n(number, value, __ATOMIC_RELAXED);
}

static void bump(uint64_t *number, uint64_t amount)
{
    store(number, load(number) + amount);
}

err figures_open(unsigned worker_count)
{
    assert(worker_count <= WORKER_COUNT_MAX);
    for (unsigned i = 0; i < worker_count; i++) {
        if (!cells[i]) {
            cells[i] = calloc(command_count(), sizeof *cells[i]);
        }
        if (!cells[i]) {
            return ERR_NOMEM;
        }
    }
    return OK;
}

/* ---- counting ------------------------------------------------------------------------------------------------------- */
enum { STEP_COUNT = 1 << FIGURES_STEP_BITS };

static size_t bucket_of(uint64_t ns)
{
    if (ns < STEP_COUNT) {
        return ns;
    }
    if (ns >> FIGURES_VALUE_BITS) {
        return FIGURES_BUCKET_COUNT - 1;
    }
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - FIGURES_STEP_BITS;
    return ((size_t)shift + 1) * STEP_COUNT + ((ns >> shift) & (STEP_COUNT - 1));
}

/* The largest value of a bucket. */
static uint64_t bucket_max_ns(size_t index)
{
    if (index < STEP_COUNT) {
        return index;
    }
    size_t shift = index / STEP_COUNT - 1;
    return ((uint64_t)(STEP_COUNT + index % STEP_COUNT + 1) << shift) - 1;
}

void figures_add(unsigned worker, unsigned command, unsigned count, uint64_t ns, bool failed, bool timed)
{
    struct cell *c = &cells[worker][command];
    bump(&c->calls, count);
    bump(&c->ns, ns);
    if (UNLIKELY(failed)) {
        bump(&c->failed, count);
    }
    if (LIKELY(timed)) {
        bump(&c->buckets[bucket_of(ns / count)], count);
    }
}

void figures_add_rejected(unsigned worker, unsigned command)
{
    bump(&cells[worker][command].rejected, 1);
}

void figures_reset(unsigned worker)
{
    for (unsigned i = 0; i < command_count(); i++) {
        struct cell *c = &cells[worker][i];
        if (load(&c->calls) == 0 && load(&c->rejected) == 0) {
            continue; /* its memory is not touched */
        }
        store(&c->calls, 0);
        store(&c->ns, 0);
        store(&c->rejected, 0);
        store(&c->failed, 0);
        for (size_t b = 0; b < FIGURES_BUCKET_COUNT; b++) {
            store(&c->buckets[b], 0);
        }
    }
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */
/* Whether worker i is meant and has cells. */
static bool is_meant(int worker, int i)
{
    return cells[i] && (worker == FIGURES_ALL_WORKERS || worker == i);
}

struct command_figures command_figures_of(int worker, unsigned command)
{
    struct command_figures f = {0};
    uint64_t ns = 0;
    for (int i = 0; i < WORKER_COUNT_MAX; i++) {
        if (is_meant(worker, i)) {
            const struct cell *c = &cells[i][command];
            f.calls += load(&c->calls);
            f.rejected += load(&c->rejected);
            f.failed += load(&c->failed);
            ns += load(&c->ns);
        }
    }
    f.usec = ns / 1000;
    return f;
}

void command_times(int worker, unsigned command, struct command_times *ret_times)
{
    *ret_times = (struct command_times){0};
    for (int i = 0; i < WORKER_COUNT_MAX; i++) {
        for (size_t b = 0; is_meant(worker, i) && b < FIGURES_BUCKET_COUNT; b++) {
            uint64_t count = load(&cells[i][command].buckets[b]);
            ret_times->buckets[b] += count;
            ret_times->count += count;
        }
    }
}

double command_percentile_us(const struct command_times *t, double percent)
{
    double wanted = (double)t->count * percent / 100;
    uint64_t seen = 0;
    for (size_t b = 0; b < FIGURES_BUCKET_COUNT; b++) {
        seen += t->buckets[b];
        if (seen > 0 && (double)seen >= wanted) {
            return (double)bucket_max_ns(b) / 1000;
        }
    }
    return 0;
}

uint64_t command_times_within(const struct command_times *t, uint64_t us)
{
    uint64_t seen = 0;
    for (size_t b = 0; b < FIGURES_BUCKET_COUNT && bucket_max_ns(b) / 1000 <= us; b++) {
        seen += t->buckets[b];
    }
    return seen;
}
