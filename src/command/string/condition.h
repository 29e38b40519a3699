/* Conditions on a string's value: equal or not, by its bytes or by its digest (SET IF*, DELEX, DELIFEQ), and the digest itself. */
#ifndef COMMAND_STRING_CONDITION_H
#define COMMAND_STRING_CONDITION_H

#include "command/string/modifier.h"

enum { DIGEST_CHARS = 16 };

/* XXH3-64 of the bytes in lower-case hexadecimal digits. */
void condition_digest(slice value, char text[static DIGEST_CHARS]);

/* Whether `value` meets the condition `compare` (one of MODIFIERS_COMPARE) with `operand`. ERR_INVALID when the operand should be a digest and has
 * not the form of one. */
MUST_USE err condition_holds(struct call *call, unsigned compare, slice operand, slice value, bool *ret_holds);

#endif
