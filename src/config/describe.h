/* Prints the tables: `larder --describe options|metrics|errors|knobs`. */
#ifndef CONFIG_DESCRIBE_H
#define CONFIG_DESCRIBE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the table as lines of tab-separated columns, the first of them their names. ERR_NOT_FOUND for another word. */
MUST_USE err describe_table(slice kind, struct buf *ret_text);

#endif
