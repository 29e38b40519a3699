/* Which arguments of a call nobody may see: passwords, in whatever command they come. For everything that shows commands to others (SLOWLOG, MONITOR). */
#ifndef COMMAND_SECRET_H
#define COMMAND_SECRET_H

#include "command/call.h"

/* What is shown of argument `index`: the argument, or "(redacted)". */
slice secret_shown(const struct call *call, unsigned index);

#endif
