/* Removing a key if its value is (not) this: DELEX with a condition by bytes or digest, DELIFEQ. DELEX without one removes a key of any kind.
 *
 * What is wrong with the words is said whether or not the key exists. The record is a DEL. */
#include "command/command.h"
#include "command/string/condition.h"
#include "command/use.h"
#include "command/verb.h"

/* Also what plain commands do not see goes; the answer is whether they saw it. */
static err drop(struct call *call)
{
    bool exists = call_entry(call, 0) != NULL;
    call_drop(call, 0);
    if (exists) {
        call_record(call, 2, (slice[]){S("DEL"), call->keys[0].key.bytes});
    }
    reply_integer(call->reply, exists);
    return OK;
}

static err drop_if(struct call *call, unsigned compare, slice operand)
{
    struct entry *entry;
    err e = call_entry_of_kind(call, 0, KIND_STRING, &entry);
    if (e != OK) {
        return e;
    }
    bool holds = false;
    if (entry && (e = condition_holds(call, compare, operand, entry_string(entry), &holds)) != OK) {
        return e;
    }
    if (holds) {
        return drop(call);
    }
    reply_integer(call->reply, 0);
    return OK;
}

enum key_use use_delex(unsigned spec, unsigned argc, const slice *argv)
{
    (void)spec;
    (void)argv;
    return argc == 2 ? KEY_DROPS : KEY_NEEDS;
}

err cmd_delex(struct call *call)
{
    if (call->argc == 2) {
        return drop(call);
    }
    if (call->argc != 4) {
        return call_fail(call, ERR_ARITY, "wrong number of arguments for '%s' command", call->command->name);
    }
    struct modifiers m;
    if (modifiers_parse(call->argc, call->argv, 2, MODIFIERS_COMPARE, &m) != OK) {
        return call_fail(call, ERR_SYNTAX, "Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE");
    }
    return drop_if(call, m.seen, call_arg(call, m.compare));
}

err cmd_delifeq(struct call *call)
{
    return drop_if(call, MODIFIER_IFEQ, call_arg(call, 2));
}
