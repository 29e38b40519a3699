/* What dispatch and the functions of a call share. */
#ifndef COMMAND_CALL_PRIV_H
#define COMMAND_CALL_PRIV_H

#include "command/call.h"

/* Finds the entry of key k, with its shard locked; one that has expired is removed first, as an effect of this call. */
void call_find(struct call *call, unsigned k);

#endif
