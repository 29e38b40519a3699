/* The command table: one row a command, composed from the families' .def files in table.c and nowhere else. From a row come arity check, keys, locks,
 * effect, COMMAND's answers, counters and the reference page. A row declares its handler, so a row without one does not link.
 *
 *   CMD(name, "text", arity, keys, effect, event, traits, since, acl)
 *   CONTAINER(name, "text", arity, traits, since, acl)             a command that only has subcommands
 *   SUB(container, name, "text", arity, keys, effect, event, traits, since, acl)      handler cmd_<container>_<name>
 *
 * arity as Redis counts it: with the command's name; negative: at least. For a SUB it counts container and subcommand.
 * keys: NO_KEYS, KEYS(use, "flags", first, last, step), KEYS_TWO(use, "flags", index, use, "flags", index), KEYS_COUNTED(use, "flags", count_index, step).
 *   `use` is how reading through treats them (keyspace/loader.h), "flags" are Redis's key-spec flags ("RW access update"); last may be negative as in Redis.
 * effect: READ (keys are only looked at), WRITE (may alter), NONE (no keys or no keyspace).
 * event: what a change is called unless the verb says otherwise (keyspace/event.def), or NONE.
 * traits, joined by | (0: none): FAST, DENYOOM, ADMIN, NOAUTH (allowed before AUTH), LOADING, STALE, NOSCRIPT, NO_MULTI, SKIP_MONITOR, ALLOW_BUSY, PUBSUB as Redis's flags;
 *   ALL_SHARDS (runs with the gate and every shard locked), QUIET (its look at a key is no use of it: OBJECT IDLETIME goes on, as for TTL, EXISTS, TYPE),
 *   TOUCHES (is a use also when the client said NO-TOUCH), GLIMPSE (its one key's entry may be a copy that was taken without the lock),
 *   BRIEF (as long as its arguments are small its work is: some microseconds, whatever the key has, and its verb never waits; it runs and is timed together with its like). Flags write, readonly and movablekeys follow from effect and keys.
 * acl: Redis's categories, "@write @string @slow". */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include "command/call.h"

typedef err command_handler(struct call *call);
/* How the keys of spec number `spec` are used, when that depends on the other arguments: SET k v never loads k, SET k v NX does. Runs before any lock
 * is taken and sees the arguments alone; KEY_PEEKS for arguments that the verb will refuse. Commands with one stand in use.def. */
typedef enum key_use command_use(unsigned spec, unsigned argc, const slice *argv);

enum command_effect { EFFECT_NONE, EFFECT_READ, EFFECT_WRITE };

enum command_trait {
    TRAIT_FAST = 1 << 0,
    TRAIT_DENYOOM = 1 << 1,
    TRAIT_ADMIN = 1 << 2,
    TRAIT_NOAUTH = 1 << 3,
    TRAIT_LOADING = 1 << 4,
    TRAIT_STALE = 1 << 5,
    TRAIT_NOSCRIPT = 1 << 6,
    TRAIT_ALL_SHARDS = 1 << 7,
    TRAIT_NO_MULTI = 1 << 8,
    TRAIT_SKIP_MONITOR = 1 << 9,
    TRAIT_ALLOW_BUSY = 1 << 10,
    TRAIT_PUBSUB = 1 << 11,
    TRAIT_QUIET = 1 << 12,
    TRAIT_TOUCHES = 1 << 13,
    TRAIT_GLIMPSE = 1 << 14,
    TRAIT_BRIEF = 1 << 15,
};

enum key_range { RANGE_NONE, RANGE_FIXED, RANGE_COUNTED };

struct key_spec {
    enum key_range range;
    enum key_use use;
    const char *flags;
    int first; /* RANGE_FIXED: index of the first key; RANGE_COUNTED: index of the argument that holds the count */
    int last;  /* RANGE_FIXED: index of the last key, negative from the end (-1: the last argument) */
    int step;
};

enum {
    COMMAND_KEY_SPECS_MAX = 2,
    COMMAND_COUNT_MAX = 512, /* rows, subcommands included */
    COMMAND_FLAGS_MAX = 14,
};

struct command {
    const char *name; /* lower case; a subcommand: "client|id" */
    int arity;
    struct key_spec specs[COMMAND_KEY_SPECS_MAX];
    enum command_effect effect;
    enum event event;
    unsigned traits;
    const char *since;
    const char *acl;
    const char *group;               /* "string", "generic" ... the family */
    command_handler *handler;        /* NULL for a container */
    const struct command *container; /* of a subcommand; else NULL */
    unsigned number;                 /* place in the table: index of its counters */
    /* Made of the rest: */
    unsigned only_key; /* the argument that is its one key, always the same: most commands; else 0 */
    command_use *use;  /* that of use.def; NULL: the specs say how keys are used */
};

static inline bool command_writes(const struct command *c)
{
    return c->effect == EFFECT_WRITE;
}

/* All rows in table order, subcommands included. */
unsigned command_count(void);
const struct command *command_at(unsigned number);
/* By name, any case; subcommands by "container|sub" . NULL when unknown. */
const struct command *command_find(slice name);
/* The command that these arguments mean, subcommand resolved. On failure *ret_command is the container or NULL: ERR_UNKNOWN_COMMAND, ERR_UNKNOWN_SUBCOMMAND, ERR_ARITY. */
MUST_USE err command_resolve(unsigned argc, const slice *argv, const struct command **ret_command);
/* One key among the arguments. */
struct key_place {
    unsigned argument;
    enum key_use use; /* the spec's, unless the other arguments decide (use.h) */
    const struct key_spec *spec;
};
/* Where the keys are among the arguments: writes at most `max` places, returns how many there are (may exceed max), or -1 when the arguments make no
 * sense (a count that is no number, not positive or too large): dispatch then runs the verb without keys, and the verb's own check words the error. */
int command_keys(const struct command *c, unsigned argc, const slice *argv, unsigned max, struct key_place *ret_places);
/* How the keys of spec number `spec` are used by a call with these arguments. */
enum key_use command_key_use(const struct command *c, unsigned spec, unsigned argc, const slice *argv);

/* ---- as COMMAND shows a row ----------------------------------------------------------------------------------------------------------- */
/* How many subcommands it has; they follow it in the table, not necessarily at once. */
unsigned command_subcommand_count(const struct command *c);
/* Redis's names of its flags; returns how many. */
unsigned command_flags(const struct command *c, const char *ret_flags[static COMMAND_FLAGS_MAX]);
/* First key, last key, step, as Redis summed up keys before there were key specs; zeros when they cannot say it. */
void command_legacy_range(const struct command *c, int *ret_first, int *ret_last, int *ret_step);
/* Hints from tip.def, parted by ';'; "" when there are none. */
const char *command_tips(const struct command *c);
/* Takes the next of the words that `*text` holds between spaces (acl, flags); empty at the end. */
slice command_next_word(const char **text);

#endif
