/* How a call runs: from arguments to reply. The one place that resolves, checks, locks, loads, runs, publishes and unlocks; transactions and scripts will
 * re-enter it.
 *
 *   dispatch_prepare()   which command, is it allowed to be asked (arity, AUTH), which keys. Touches no lock, so that a door can
 *                        prepare a batch of pipelined calls before it runs the first.
 *   dispatch_fetch()     brings from memory what their keys need.
 *   dispatch_run()       make room (DENYOOM rows) -> lock the shards -> drop expired entries met -> consult the loader for governed keys; park if it says so
 *                        -> verb -> publish the effect -> unlock -> count. On an error: cut the reply back and render the error.
 *
 * A call that parks owns its arguments from then on (copied to its arena). When every key it waits for is resolved, or its time is up, call->resumed() is
 * called on the session's worker; the door runs dispatch_run() again and sees RUN_DONE or RUN_PARKED as before. call_cancel() takes a parked call whose
 * connection is gone off all its lists; after it the call may be reset and reused. */
#ifndef COMMAND_DISPATCH_H
#define COMMAND_DISPATCH_H

#include "command/call.h"
#include "command/command.h"
#include "command/engine.h"

enum run { RUN_DONE, RUN_PARKED };

/* Once per call object; its arena is empty. `engine` and `random` outlive it. */
void call_init(struct call *call, struct engine *engine, struct random *random);
void call_fini(struct call *call);
/* Between two requests: forgets everything but the memory of the arena. */
void call_reset(struct call *call);

/* Calls run from here on run now: before the first of those that a door runs one after the other, and again after it did something else. */
void dispatch_begin(struct worker *w) ON(worker);
/* How long they have taken, but for the brief ones behind the last other. */
int64_t dispatch_lasted_ns(const struct worker *w) ON(worker);
/* After the last of them: all are counted now. */
void dispatch_end(struct worker *w) ON(worker);
/* session, reply, argc, argv, resumed and owner are set by the door before. */
void dispatch_prepare(struct call *call) ON(worker);
/* Brings from memory what the keys of prepared calls need, as many at a time as the processor can. They run before their worker's next tick. */
void dispatch_fetch(struct call *const *calls, unsigned count) ON(worker);
/* Brings what that has brought to the second level of the cache on to the first. For the call that will run after DISPATCH_APPROACH others. */
enum { DISPATCH_APPROACH = 3 };
void dispatch_approach(const struct call *call) ON(worker);
enum run dispatch_run(struct call *call) ON(worker);
/* Runs those of the calls of one session, from the first on, that are of one command and need no lock (GLIMPSE rows), for which it looks only once at what is the same
 * for all of them. Returns how many are over; the one behind them is for dispatch_run(). */
unsigned dispatch_run_glimpses(struct call *const *calls, unsigned count) ON(worker);

/* Keys that requests will need which have come, but are not prepared yet because those of other connections are before them. A guess: nothing depends on it. */
enum { FORECAST_KEYS_MAX = 16 };
struct forecast {
    struct key keys[FORECAST_KEYS_MAX]; /* without their bytes */
    unsigned count;
};
/* Adds a key, if there is room. */
void forecast_add(struct forecast *f, const struct session *session, struct engine *engine, slice key) ON(worker);
/* Brings from memory what they need, for all of them at a time, and forgets them. */
void forecast_fetch(struct forecast *f) ON(worker);
/* Of a parked call, on its worker; harmless when it is not parked. */
void call_cancel(struct call *call) ON(worker);

#endif
