/* How a command uses its keys when that depends on its other arguments: SET k v never loads k, SET k v NX does. A row of use.def and a function beside
 * the verb; it runs before any lock is taken, sees the arguments alone, and answers KEY_PEEKS for arguments that the verb will refuse. */
#ifndef COMMAND_USE_H
#define COMMAND_USE_H

#include "command/command.h"

/* `spec`: which of the row's key specs is asked about. */
typedef enum key_use command_use(unsigned spec, unsigned argc, const slice *argv);

#define USE(name) command_use use_##name;
#include "command/use.def"
#undef USE

#endif
