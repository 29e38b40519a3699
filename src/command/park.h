/* What others may do to calls that wait. ON the worker of the call. */
#ifndef COMMAND_PARK_H
#define COMMAND_PARK_H

#include "command/call.h"

/* Runs the calls of worker w that a pause holds; those that it still holds wait on. */
void park_wake_postponed(struct worker *w);

/* Ends the wait of a call for its keys: as if its time were over, or `with_error` with -UNBLOCKED. False when it does not wait for keys, or has just been woken. */
bool call_unblock(struct call *call, bool with_error) ON(worker);

#endif
