/* Storing a whole string under a key of a call: what SET, its relatives and MSET's have in common. */
#ifndef COMMAND_STRING_STORE_H
#define COMMAND_STRING_STORE_H

#include "command/call.h"

/* Gives key k an argument as its value and the deadline (NO_DEADLINE: none, or what a rule gives), or, with `keep_times`, the times that it has. Events: that of
 * the call, then `expire` when a deadline was asked for. ERR_NOMEM. */
MUST_USE err store_string(struct call *call, unsigned k, unsigned argument, int64_t deadline, bool keep_times);

/* The same for the one key of a call, with "SET key value" and the time as it came to be as its record. */
MUST_USE err store_only_string(struct call *call, unsigned argument, int64_t deadline, bool keep_times);

#endif
