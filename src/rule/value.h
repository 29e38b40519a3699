/* What the rows of a load become. Filled row by row on a source's helper; owned by one thread at a time.
 *
 * string      the first column of the first row, its bytes as they are; no row, or NULL there: nothing found
 * json        the first row as an object, columns in their order; no row: nothing found
 * json-array  all rows as an array of objects; no row: []
 *
 * In JSON a number stands as the source prints it (what is no JSON number, as infinity, becomes null), text is a string, bytes are base64,
 * JSON of the source stands as it is. */
#ifndef RULE_VALUE_H
#define RULE_VALUE_H

#include "config/block.h"
#include "source/driver.h"

struct row_value {
    enum config_value kind;
    struct buf out;
    uint64_t row_count;
    bool found;
};

void row_value_init(struct row_value *v, enum config_value kind, size_t bytes_max);
void row_value_fini(struct row_value *v);
/* Forgets the rows so far. */
void row_value_restart(struct row_value *v);
/* Takes a row; false when no more are wanted (also after a failure). */
bool row_value_add(struct row_value *v, const struct source_row *row);
/* After the last row; then out holds the value if found. ERR_LIMIT when it is larger than bytes_max, ERR_NOMEM. */
MUST_USE err row_value_finish(struct row_value *v);

#endif
