/* What Larder's own commands tell of an entry: its state and its times. */
#ifndef COMMAND_CACHE_FRESHNESS_H
#define COMMAND_CACHE_FRESHNESS_H

#include "command/call.h"
#include "rule/load.h"

/* Three pairs of a map:
 *   ttl        ms until the value is stale: 0 when it is, -1 without end, -2 when there is nothing
 *   stale-ttl  ms until it is gone, the stale window included; -1, -2 likewise
 *   age        ms since a source gave it; null when none did */
enum { FRESHNESS_PAIRS = 3 };
void freshness_reply_times(struct call *call, const struct entry *e);

#endif
