/* What took long lately: LATENCY. Whoever does something that can be slow says how long it took, if it was longer than latency-monitor-threshold. */
#ifndef COMMAND_SERVER_LATENCY_H
#define COMMAND_SERVER_LATENCY_H

#include "base/attr.h"
#include "base/err.h"
#include "config/config.h"
#include "os/clock.h"

enum latency_event {
#define LATENCY(name, text, meaning) LATENCY_##name,
#include "command/server/latency.def"
#undef LATENCY
    LATENCY_EVENT_COUNT
};

/* Whether something that took `ns` is to be noted. */
static inline bool latency_wants(const struct config *config, uint64_t ns)
{
    int64_t ms = config->latency_monitor_threshold;
    return ms > 0 && ns / 1000000 >= (uint64_t)ms;
}

/* Notes it. Any thread. */
COLD void latency_note(enum latency_event event, uint64_t ns, struct now now);

#endif
