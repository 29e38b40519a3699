/* The large arguments of a request that is being received: each in a block of its own, as it comes, so that whoever stores it need not copy it
 * (struct call_block). A connection has one from the first large argument of a request until the call is over. On the connection's worker. */
#ifndef DOOR_INTAKE_H
#define DOOR_INTAKE_H

#include "command/call.h"

struct intake;

/* Empty. NULL when the system refuses memory. */
struct intake *intake_new(void);
/* Also with a block that is not filled; those that an entry owns by now stay. NULL is fine. */
void intake_free(struct intake *i);

/* There follow the `bytes` of this argument, at least CALL_BLOCK_BYTES_MIN; those before it are here. ERR_NOMEM. */
MUST_USE err intake_begin(struct intake *i, unsigned argument, size_t bytes);
/* Takes what it misses from the front of *input. ERR_NOMEM: the request cannot be received. */
MUST_USE err intake_fill(struct intake *i, slice *input);

/* Where what the last argument misses may come, and how much of it, for who can receive to there instead of filling it in; 0: it is not worth it, or its sender
 * is not believed yet. The place stays until the next call. */
size_t intake_place(struct intake *i, char **ret_place);
/* So much has come there. */
void intake_placed(struct intake *i, size_t bytes);

/* What has come, and how much more room it has asked the system for that is not for an argument's very end. */
size_t intake_bytes(const struct intake *i);
size_t intake_spare_bytes(const struct intake *i);

/* The request is here: puts the arguments into the call, whose argv has room for them. */
void intake_lend(const struct intake *i, struct call *call);

#endif
