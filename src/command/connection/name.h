/* What a client may call itself. */
#ifndef COMMAND_CONNECTION_NAME_H
#define COMMAND_CONNECTION_NAME_H

#include "command/call.h"

/* Whether the text has printable ASCII without spaces only, so that CLIENT LIST stays one line of words. */
static inline bool is_plain_text(slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '!' || text.ptr[i] > '~') {
            return false;
        }
    }
    return true;
}

MUST_USE static inline err check_client_name(struct call *call, slice name)
{
    return is_plain_text(name)
               ? OK
               : call_fail(call, ERR_INVALID, "Client names cannot contain spaces, newlines or special characters.");
}

#endif
