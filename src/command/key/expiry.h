/* Times of expiry as clients write them: seconds or milliseconds, from now or since 1970. One reading of them for SET, SETEX, GETEX, MSETEX and
 * the EXPIRE family, with Redis's limits and words. */
#ifndef COMMAND_KEY_EXPIRY_H
#define COMMAND_KEY_EXPIRY_H

#include "command/call.h"

/* What the number means. */
struct expiry_form {
    bool in_seconds; /* else milliseconds */
    bool absolute;   /* since 1970, else from now */
};

/* The deadline (wall ms, never NO_DEADLINE) that argument `index` names. `past_allowed`: it may be zero, negative, over (EXPIRE); otherwise the
 * number must be positive (SET, GETEX). ERR_NOT_INTEGER; ERR_EXPIRE_TIME with the command's name when it is out of bounds. */
MUST_USE err expiry_deadline(struct call *call, unsigned index, struct expiry_form form, bool past_allowed,
                             int64_t *ret_deadline);

#endif
