/* What `larder check FILE` does once the configuration has been read: tries its sources. */
#ifndef RULE_CHECK_H
#define RULE_CHECK_H

#include "config/block.h"

/* Opens each source and has it check the statement of each of its rules, without running any; appends a line for each source and rule, and what is wrong.
 * True when all is well. May block for the sources' connect-timeouts. */
bool check_blocks(const struct config_blocks *blocks, struct buf *report);

#endif
