/* MONITOR: sessions that are shown every command that runs, on whatever worker. Without any, a call pays one look at a counter. */
#ifndef COMMAND_MONITOR_H
#define COMMAND_MONITOR_H

#include "command/call.h"

extern unsigned monitor_count; /* atomic */

static inline bool monitor_is_on(void)
{
    return __atomic_load_n(&monitor_count, __ATOMIC_RELAXED) > 0;
}

/* Shows the call to all monitors; called when its verb has run, while its shards are still locked: so each key's commands arrive in their order, and those of each connection,
 * too. */
COLD void monitor_feed(const struct call *call);

/* The session begins and ends to be a monitor. Harmless when it is one, or is none. ON(worker) of the session. */
void monitor_enter(struct session *s);
void monitor_leave(struct session *s);

#endif
