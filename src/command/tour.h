/* A visit to all workers, one after the other: for verbs that have to do something on each worker's own thread, or to wait until each has ended what it was doing. */
#ifndef COMMAND_TOUR_H
#define COMMAND_TOUR_H

#include <stdlib.h>

#include "command/call.h"

/* The head of a block of malloc() that holds all that the visits need. Nothing in it may point into the call, whose connection may go meanwhile. */
struct tour {
    void (*visit)(struct tour *t, struct worker *w); /* on the thread of each worker, between two calls, own included */
    struct engine *engine;                           /* set by call_travel() */
    struct errand errand;
    struct message message;
    struct worker *home;
};

/* Sends the tour off and takes it over; the verb returns what this returns. When all workers have been visited the verb runs again, and call_tour() is the tour; it is
 * freed when the call is over. ERR_NOMEM: it is freed at once. */
MUST_USE err call_travel(struct call *call, struct tour *t);
/* The tour that came back; NULL on the first run. */
struct tour *call_tour(const struct call *call);

#endif
