/* How long the turns of the workers' loops take: while a worker is in a turn, none of its other connections is served. A histogram a worker, in us; what
 * a turn's time is: os/turn.h. */
#ifndef OBSERVE_TURNS_H
#define OBSERVE_TURNS_H

#include "observe/histogram.h"
#include "os/worker.h"

enum {
    TURN_FULL_US = 200,  /* then who has not been served waits for the next one */
    TURN_LONG_US = 2000, /* what turns_long counts */
};

/* Counts the turns of a worker's loop from now on. Before the worker runs. */
void turns_watch(struct worker *w);
/* Forgets the worker's turns. On its own thread. */
void turns_reset(unsigned worker) ON(worker);
/* Of one worker; any thread. It may be added to meanwhile. */
const struct histogram *turns_of(unsigned worker);

#endif
