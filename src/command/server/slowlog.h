/* The log of slow calls: dispatch adds, SLOWLOG shows. */
#ifndef COMMAND_SERVER_SLOWLOG_H
#define COMMAND_SERVER_SLOWLOG_H

#include "command/call.h"
#include "config/config.h"

/* Whether a call that ran `ns` belongs into it. */
static inline bool slowlog_wants(const struct config *config, uint64_t ns)
{
    int64_t us = config->slowlog_log_slower_than;
    return us >= 0 && UNLIKELY(ns >= (uint64_t)us) && ns / 1000 >= (uint64_t)us;
}

/* Adds a call that is over; its arguments are still there. Forgets the oldest ones beyond slowlog-max-len. Any worker. */
COLD void slowlog_push(const struct call *call, uint64_t us);

#endif
