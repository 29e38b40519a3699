/* Storing a whole string under a key of a call: what SET, its relatives and MSET's have in common. */
#ifndef COMMAND_STRING_STORE_H
#define COMMAND_STRING_STORE_H

#include "command/call.h"

/* Gives key k an argument as its value and the deadline (NO_DEADLINE: none, or what a rule gives), or, with `keep_times`, the times that it has. Events: that of
 * the call, then `expire` when a deadline was asked for. ERR_NOMEM. */
MUST_USE err store_string(struct call *call, unsigned k, unsigned argument, int64_t deadline, bool keep_times);

/* Makes "SET key value", with the time as it came to be, the record of a call whose one key was stored just now. */
void store_record(struct call *call, slice value, bool keep_times);

#endif
