/* A parked call: what it waits for and how it wakes. For dispatch alone; see park.c. */
#ifndef COMMAND_PARK_PRIV_H
#define COMMAND_PARK_PRIV_H

#include "command/call.h"

/* What the last park of key i ended with; NULL when it did not park or nothing came yet. */
struct outcome *park_outcome(const struct call *call, unsigned i);

/* With the shard of key i locked: joins the pending until wait_until, or until the time that the first park of this key was given. ERR_AGAIN when it
 * has joined, ERR_SOURCE_TIMEOUT when that time is over, ERR_NOMEM. */
COLD MUST_USE err park_join(struct call *call, unsigned i, struct pending *p, int64_t wait_until_mono_ms);
/* Has the call wait until a pause is over. ERR_AGAIN, or ERR_NOMEM. */
COLD MUST_USE err park_postpone(struct call *call, int64_t until_mono_ms);

/* Has the call run again, when room for so many bytes has been made. ERR_AGAIN, or ERR_NOMEM. */
COLD MUST_USE err park_for_room(struct call *call, uint64_t bytes);
/* What was asked for; 0 when nothing was. */
uint64_t park_room(const struct call *call);

/* With all shards of the call locked: takes back what has joined in this run. */
COLD void park_leave_locked(struct call *call);

/* After the unlock: makes the arguments the call's own and arms its timer. From OK on the call may be resumed by the next turn of the loop.
 * ERR_NOMEM: it is taken off all lists, and over. */
COLD MUST_USE err park_sleep(struct call *call) ON(worker);

/* The call, which has parked, is over: gives the outcomes back. */
COLD void park_end(struct call *call);

#endif
