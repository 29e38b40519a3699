/* A rule as CACHE.RULES and CACHE.EXPLAIN show it. */
#ifndef COMMAND_CACHE_DESCRIBE_H
#define COMMAND_CACHE_DESCRIBE_H

#include "command/reply.h"
#include "rule/rule.h"

/* One map: the rule's words as the configuration has them, and what was counted for it. */
void describe_rule(struct reply *reply, const struct rule *r);

#endif
