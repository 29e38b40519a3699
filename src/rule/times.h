/* The arithmetic of a rule's times and refreshes. Pure: time and chance are passed. Wall ms; NO_DEADLINE where there is no end. */
#ifndef RULE_TIMES_H
#define RULE_TIMES_H

#include "config/block.h"
#include "keyspace/entry.h"

struct times {
    int64_t deadline;
    int64_t fresh_until;
};

/* Of a value that a load brought. `chance` is uniform in [0, 1). */
struct times times_of_load(const struct config_rule *r, int64_t now_wall_ms, double chance);
/* Of a value that a client wrote: `asked` is the deadline that it gave, NO_DEADLINE for none. */
struct times times_of_write(const struct config_rule *r, int64_t now_wall_ms, int64_t asked, double chance);
/* Of a remembered absence; false when the rule does not remember any. */
bool times_of_negative(const struct config_rule *r, int64_t now_wall_ms, struct times *ret_times);

/* XFetch (Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015): whether this read of a fresh value refreshes it
 * now: now - load_ms * beta * ln(chance) >= fresh_until. The longer a load takes, the earlier; 0 ms: never. `chance` is uniform in [0, 1). */
bool refresh_is_early(int64_t now_wall_ms, int64_t fresh_until, uint32_t load_ms, double beta, double chance);
/* Whether more than `percent` of the time between load and fresh_until is over. */
bool refresh_is_ahead(int64_t now_wall_ms, int64_t loaded_at, int64_t fresh_until, unsigned percent);

#endif
