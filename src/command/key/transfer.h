/* An entry's value and times under another name or in another database: what RENAME, MOVE and COPY have in common. */
#ifndef COMMAND_KEY_TRANSFER_H
#define COMMAND_KEY_TRANSFER_H

#include "command/call.h"

/* Gives key `to` what key `from` (which is there) has; noted as `event` of `to`. ERR_NOMEM. */
MUST_USE err transfer_copy(struct call *call, unsigned from, unsigned to, enum event event);
/* The same, and removes `from`; noted as `from_event` of `from`, then `to_event` of `to`. ERR_NOMEM. */
MUST_USE err transfer_move(struct call *call, unsigned from, unsigned to, enum event from_event, enum event to_event);

/* A number of a database as an argument. ERR_NOT_INTEGER, ERR_OUT_OF_RANGE, ERR_DB_INDEX. */
MUST_USE err transfer_db(struct call *call, unsigned index, unsigned *ret_db);

#endif
