/* See fake_driver.h. The gate also opens when the run's time is over or its source stops, as every driver must look at its limits; it looks each
 * time something changes and every millisecond. */
#include "source/fake_driver.h"

#include <stdlib.h>

#include "os/clock.h"

struct driver_connection {
    char unused;
};

struct fake_source fake_source;

void fake_source_reset(const char *row)
{
    fake_source = (struct fake_source){.row = row};
    lock_init(&fake_source.lock, LOCK_LOG, 0);
    condition_init(&fake_source.changed);
}

static void set_gate(bool closed)
{
    lock_acquire(&fake_source.lock);
    fake_source.closed = closed;
    lock_release(&fake_source.lock);
    condition_wake_all(&fake_source.changed);
}

void fake_source_close_gate(void)
{
    set_gate(true);
}

void fake_source_open_gate(void)
{
    set_gate(false);
}

void fake_source_await(unsigned waiting)
{
    lock_acquire(&fake_source.lock);
    while (fake_source.waiting < waiting) {
        condition_wait(&fake_source.changed, &fake_source.lock, INT64_MAX);
    }
    lock_release(&fake_source.lock);
}

void fake_source_fail(unsigned count, err failure, bool transient)
{
    lock_acquire(&fake_source.lock);
    fake_source.failures = count;
    fake_source.failure = failure;
    fake_source.failure_transient = transient;
    lock_release(&fake_source.lock);
}

void fake_source_set_row(const char *row)
{
    lock_acquire(&fake_source.lock);
    fake_source.row = row;
    lock_release(&fake_source.lock);
}

unsigned fake_source_queries(void)
{
    lock_acquire(&fake_source.lock);
    unsigned queries = fake_source.queries;
    lock_release(&fake_source.lock);
    return queries;
}

static void fake_append_parameter(struct buf *sql, unsigned number)
{
    buf_printf(sql, "$%u", number + 1);
}

static err fake_open(const struct config_source *config, const struct source_limits *limits,
                     struct driver_connection **ret_connection, struct source_failure *f)
{
    (void)config, (void)limits, (void)f;
    lock_acquire(&fake_source.lock);
    fake_source.opened++;
    lock_release(&fake_source.lock);
    *ret_connection = calloc(1, sizeof **ret_connection);
    return OK;
}

static bool fake_usable(struct driver_connection *c)
{
    (void)c;
    return true;
}

static err fake_check(struct driver_connection *c, const struct source_statement *s, const struct source_limits *limits,
                      unsigned *ret_column_count, struct source_failure *f)
{
    (void)c, (void)s, (void)limits, (void)f;
    *ret_column_count = 1;
    return OK;
}

/* OK when the gate was opened. */
static err pass_gate(const struct source_limits *limits) HOLDS(fake_source.lock)
{
    err e = OK;
    fake_source.waiting++;
    condition_wake_all(&fake_source.changed);
    while (fake_source.closed && e == OK) {
        if (__atomic_load_n(limits->stopping, __ATOMIC_ACQUIRE)) {
            e = ERR_SOURCE_DOWN;
        } else if (clock_mono_ms() >= limits->deadline_mono_ms) {
            e = ERR_SOURCE_TIMEOUT;
        } else {
            condition_wait(&fake_source.changed, &fake_source.lock, clock_mono_ms() + 1);
        }
    }
    fake_source.waiting--;
    return e;
}

static err fake_run(struct driver_connection *c, const struct source_statement *s, const slice *parameters,
                    const struct source_limits *limits, source_receive *receive, void *argument,
                    struct source_failure *f)
{
    (void)c, (void)s, (void)parameters;
    lock_acquire(&fake_source.lock);
    fake_source.queries++;
    fake_source.running++;
    fake_source.running_max =
        fake_source.running > fake_source.running_max ? fake_source.running : fake_source.running_max;
    const char *row = fake_source.row; /* as it is when the query begins */
    err e = pass_gate(limits);
    bool transient = true;
    if (e == OK && fake_source.failures > 0) {
        fake_source.failures--;
        e = fake_source.failure;
        transient = fake_source.failure_transient;
    }
    fake_source.running--;
    lock_release(&fake_source.lock);
    if (e != OK) {
        source_failure_set(f, e, transient, "the fake fails");
    } else if (row) {
        struct source_column column = {S("value"), SOURCE_TEXT, slice_of(row)};
        receive(argument, &(struct source_row){&column, 1});
    }
    return e;
}

static void fake_close(struct driver_connection *c)
{
    free(c);
}

const struct driver driver_fake = {
    .name = "fake",
    .append_parameter = fake_append_parameter,
    .open = fake_open,
    .usable = fake_usable,
    .check = fake_check,
    .run = fake_run,
    .close = fake_close,
};
