/* A driver for unit tests: a source whose every query does what the test says. Queries block at a gate until the test opens it, so that a test
 * decides how many are in flight and in which order things happen; nothing sleeps. */
#ifndef SOURCE_FAKE_DRIVER_H
#define SOURCE_FAKE_DRIVER_H

#include "os/lock.h"
#include "source/source.h"

extern const struct driver driver_fake;

struct fake_source {
    struct lock lock;
    struct condition changed;
    bool closed;          /* queries wait at the gate */
    unsigned waiting;     /* at the gate now */
    unsigned queries;     /* that began, ever */
    unsigned running_max; /* most that ran at once */
    unsigned running;
    unsigned opened;   /* connections opened, ever */
    unsigned failures; /* the next so many queries fail */
    err failure;
    bool failure_transient;
    const char *row; /* the one column of the one row that each query returns; NULL: no row */
};
extern struct fake_source fake_source;

/* Everything as at the start: the gate open, queries answer `row`. */
void fake_source_reset(const char *row);
void fake_source_close_gate(void);
void fake_source_open_gate(void);
/* Waits until so many queries stand at the gate. */
void fake_source_await(unsigned waiting);
void fake_source_fail(unsigned count, err failure, bool transient);
void fake_source_set_row(const char *row);
unsigned fake_source_queries(void);

#endif
