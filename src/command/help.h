/* The answer of every HELP subcommand. */
#ifndef COMMAND_HELP_H
#define COMMAND_HELP_H

#include "command/call.h"

/* "NAME <subcommand> ...", then `lines` (subcommands flush left, what they do indented), up to a NULL. */
void reply_help(struct call *call, const char *const *lines);

#endif
