/* The declaration of every verb, from the rows of the command table: a verb's file includes this one and defines `err cmd_<name>(struct call *)`.
 * What a verb may do is written in call.h. */
#ifndef COMMAND_VERB_H
#define COMMAND_VERB_H

#include "command/call.h"

#define CMD(name, ...) err cmd_##name(struct call *call);
#define CONTAINER(name, ...)
#define SUB(container, name, ...) err cmd_##container##_##name(struct call *call);
#include "command/family.def"
#undef CMD
#undef CONTAINER
#undef SUB

#endif
