/* CLIENT PAUSE: for a time no command runs, or none that writes. Dispatch asks before each call; a call that is held waits, parked, and runs when the pause is over. */
#ifndef COMMAND_PAUSE_H
#define COMMAND_PAUSE_H

#include "command/call.h"

enum pause_mode { PAUSE_WRITES = 1, PAUSE_ALL = 2 };

extern uint64_t pause_word; /* atomic; 0: no pause was set, or it was ended */

/* Whether it is worth asking pause_until(). Any thread. */
static inline bool pause_is_set(void)
{
    return __atomic_load_n(&pause_word, __ATOMIC_ACQUIRE) != 0;
}

/* The monotonic time until which this call is held; 0 when it may run. */
int64_t pause_until(const struct call *call);

/* The rest with all shards locked, so that what is set, ended and frozen is one order. */

/* Sets a pause; one that is in force stays as long and as strict as it is. Calls that are running run on: it holds everywhere once each worker has ended what it was doing,
 * and then keyspace_freeze() may follow if pause_lasts() says so. Returns the number of this change. */
uint64_t pause_set(enum pause_mode mode, int64_t until_mono_ms, struct now now);
/* Until when the pause lasts all in all; false when it was set or ended again since the change of that number: then whoever did that sees to the rest. */
bool pause_lasts(uint64_t number, int64_t *ret_until_mono_ms);
/* Ends it. The calls that it holds are woken by park_wake_postponed() on each worker. */
void pause_end(void);

#endif
