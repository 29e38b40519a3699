/* How a call runs: from arguments to reply. The one place that checks, locks, loads, runs, publishes and unlocks; transactions and scripts will
 * re-enter it.
 *
 *   dispatch_run()         make room (DENYOOM rows) -> lock the shards -> drop expired entries met -> consult the loader for governed keys; park if it says so
 *                          -> verb -> publish the effect -> unlock -> count. On an error: cut the reply back and render the error.
 *   dispatch_run_alike()   the same for those of a batch that are alike, with less to do for each
 *
 * Calls are prepared before (prepare.h), a batch of pipelined ones before the first of them runs.
 *
 * A call that parks owns its arguments from then on (copied to its arena). When every key it waits for is resolved, or its time is up, call->resumed() is
 * called on the session's worker; the door runs dispatch_run() again and sees RUN_DONE or RUN_PARKED as before. call_cancel() takes a parked call whose
 * connection is gone off all its lists; after it the call may be reset and reused. */
#ifndef COMMAND_DISPATCH_H
#define COMMAND_DISPATCH_H

#include "command/call.h"
#include "command/command.h"
#include "command/engine.h"
#include "command/prepare.h"

enum run { RUN_DONE, RUN_PARKED };

/* Calls run from here on run now: before the first of those that a door runs one after the other, and again after it did something else. */
void dispatch_begin(struct worker *w) ON(worker);
/* How long they have taken, but for the brief ones behind the last other. */
int64_t dispatch_lasted_ns(const struct worker *w) ON(worker);
/* After the last of them: all are counted now. */
void dispatch_end(struct worker *w) ON(worker);
enum run dispatch_run(struct call *call) ON(worker);
/* Runs those of the calls of one session, from the first on, that are brief (BRIEF rows, small arguments) and of one command, for which it looks only once at what is
 * the same for all of them. Returns how many are over: of those all but the last are brief. The one behind them is for dispatch_run(). */
unsigned dispatch_run_alike(struct call *const *calls, unsigned count) ON(worker);

/* Of a parked call, on its worker; harmless when it is not parked. */
void call_cancel(struct call *call) ON(worker);

#endif
