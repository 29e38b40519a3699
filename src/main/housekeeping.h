/* The keyspace's housekeeping in each worker's loop: slices of work between turns, so that clients hardly feel it. */
#ifndef MAIN_HOUSEKEEPING_H
#define MAIN_HOUSEKEEPING_H

#include "keyspace/keyspace.h"
#include "os/loop.h"
#include "os/worker.h"

/* One worker's; zeroed before its first use. */
struct housekeeping {
    struct timer timer;
    struct deferred slice;
    struct worker *worker; /* NULL: never begun */
    struct keyspace *keyspace;
    int64_t due_ns;    /* by the lap clock, since when a slice is wanted; 0: none is */
    int64_t in_ms;     /* monotonic, the millisecond in which */
    int64_t worked_us; /* slices had so much time */
};

/* Before the worker's thread is started; both stay until housekeeping_end(). ERR_NOMEM. */
MUST_USE err housekeeping_begin(struct housekeeping *h, struct worker *w, struct keyspace *ks);
/* After the worker's thread has ended. Harmless when it has not begun. */
void housekeeping_end(struct housekeeping *h);

#endif
