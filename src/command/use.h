/* The declarations of the functions that say how a command uses its keys (command.h, command_use), from the rows of use.def. Each stands beside its
 * verb. */
#ifndef COMMAND_USE_H
#define COMMAND_USE_H

#include "command/command.h"

#define USE(name) command_use use_##name;
#include "command/use.def"
#undef USE

#endif
