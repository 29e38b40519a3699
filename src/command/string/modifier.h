/* The words behind SET's value, GETEX's key and MSETEX's pairs: conditions, times, GET. One table of them and one reading, for the verbs and for
 * the use that they make of their keys (which is decided before the verb runs). Pure. */
#ifndef COMMAND_STRING_MODIFIER_H
#define COMMAND_STRING_MODIFIER_H

#include "command/key/expiry.h"

enum modifier {
    MODIFIER_NX = 1 << 0,
    MODIFIER_XX = 1 << 1,
    MODIFIER_IFEQ = 1 << 2,
    MODIFIER_IFNE = 1 << 3,
    MODIFIER_IFDEQ = 1 << 4,
    MODIFIER_IFDNE = 1 << 5,
    MODIFIER_GET = 1 << 6,
    MODIFIER_KEEPTTL = 1 << 7,
    MODIFIER_PERSIST = 1 << 8,
    MODIFIER_EX = 1 << 9,
    MODIFIER_PX = 1 << 10,
    MODIFIER_EXAT = 1 << 11,
    MODIFIER_PXAT = 1 << 12,
};

enum {
    MODIFIERS_COMPARE = MODIFIER_IFEQ | MODIFIER_IFNE | MODIFIER_IFDEQ | MODIFIER_IFDNE,
    MODIFIERS_CONDITION = MODIFIER_NX | MODIFIER_XX | MODIFIERS_COMPARE,
    MODIFIERS_TIME = MODIFIER_EX | MODIFIER_PX | MODIFIER_EXAT | MODIFIER_PXAT,
    MODIFIERS_LIFE = MODIFIERS_TIME | MODIFIER_KEEPTTL | MODIFIER_PERSIST,

    MODIFIERS_OF_SET = MODIFIERS_CONDITION | MODIFIER_GET | MODIFIERS_TIME | MODIFIER_KEEPTTL,
    MODIFIERS_OF_GETEX = MODIFIERS_TIME | MODIFIER_PERSIST,
    MODIFIERS_OF_MSETEX = MODIFIER_NX | MODIFIER_XX | MODIFIERS_TIME | MODIFIER_KEEPTTL,
};

struct modifiers {
    unsigned seen;           /* those that were there, joined */
    unsigned compare;        /* index of the argument behind IF*; 0: none */
    unsigned time;           /* index of the argument behind EX, PX, EXAT, PXAT; 0: none */
    struct expiry_form form; /* of that argument */
};

/* Reads the arguments from `first` to the end; only those in `allowed` are known. Of the conditions, and of what sets the life, one kind at most; a
 * time said twice: the last counts. ERR_SYNTAX. */
MUST_USE err modifiers_parse(unsigned argc, const slice *argv, unsigned first, unsigned allowed,
                             struct modifiers *ret_modifiers);

/* The deadline that the words ask for, NO_DEADLINE when they do not. Errors as expiry_deadline(). */
MUST_USE err modifiers_deadline(struct call *call, const struct modifiers *m, int64_t *ret_deadline);

#endif
