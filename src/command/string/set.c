/* Setting one string: SET with all its words, SETNX, SETEX, PSETEX, GETSET.
 *
 * Whether the old value matters depends on SET's words, and with it whether a missing key is loaded first: use_set() answers that from the arguments
 * alone. A plain SET never waits for a source. */
#include "command/string/condition.h"
#include "command/string/store.h"
#include "command/use.h"
#include "command/verb.h"

enum key_use use_set(unsigned spec, unsigned argc, const slice *argv)
{
    (void)spec;
    if (argc == 3) {
        return KEY_REPLACES;
    }
    struct modifiers m;
    if (modifiers_parse(argc, argv, 3, MODIFIERS_OF_SET, &m) != OK) {
        return KEY_PEEKS;
    }
    return m.seen & ~(unsigned)MODIFIERS_TIME ? KEY_NEEDS : KEY_REPLACES;
}

/* Whether SET may go on, given what is there. */
static err is_permitted(struct call *call, const struct modifiers *m, const struct entry *old, bool *ret_permitted)
{
    if ((m->seen & MODIFIERS_COMPARE) && old) {
        return condition_holds(call, m->seen & MODIFIERS_COMPARE, call_arg(call, m->compare), entry_string(old),
                               ret_permitted);
    }
    if (old) {
        *ret_permitted = !(m->seen & MODIFIER_NX);
    } else {
        *ret_permitted = !(m->seen & (MODIFIER_XX | MODIFIER_IFEQ | MODIFIER_IFDEQ));
    }
    return OK;
}

static err set_plainly(struct call *call)
{
    err e = store_only_string(call, 2, NO_DEADLINE, false);
    if (e == OK) {
        reply_ok(call->reply);
    }
    return e;
}

NOINLINE static err set_as_told(struct call *call)
{
    struct modifiers m;
    err e = modifiers_parse(call->argc, call->argv, 3, MODIFIERS_OF_SET, &m);
    if (e != OK) {
        return e;
    }
    int64_t deadline;
    e = modifiers_deadline(call, &m, &deadline);
    if (e != OK) {
        return e;
    }
    struct entry *old = call_entry(call, 0);
    if (old && entry_kind(old) != KIND_STRING && (m.seen & (MODIFIER_GET | MODIFIERS_COMPARE))) {
        return ERR_WRONGKIND;
    }
    bool permitted;
    e = is_permitted(call, &m, old, &permitted);
    if (e != OK) {
        return e;
    }
    bool answers_old = m.seen & MODIFIER_GET;
    if (answers_old) {
        call_count_look(call, 0);
    }
    if (answers_old && old) {
        call_reply_string(call, old, entry_string(old));
    } else if (answers_old || !permitted) {
        reply_null(call->reply);
    } else {
        reply_ok(call->reply);
    }
    if (!permitted) {
        return OK;
    }
    return store_only_string(call, 2, deadline, m.seen & MODIFIER_KEEPTTL);
}

err cmd_set(struct call *call)
{
    return LIKELY(call->argc == 3) ? set_plainly(call) : set_as_told(call);
}

err cmd_setnx(struct call *call)
{
    if (call_entry(call, 0)) {
        reply_integer(call->reply, 0);
        return OK;
    }
    err e = store_only_string(call, 2, NO_DEADLINE, false);
    if (e == OK) {
        reply_integer(call->reply, 1);
    }
    return e;
}

static err set_for_a_time(struct call *call, bool in_seconds)
{
    int64_t deadline;
    err e = expiry_deadline(call, 2, (struct expiry_form){.in_seconds = in_seconds}, false, &deadline);
    if (e != OK) {
        return e;
    }
    e = store_only_string(call, 3, deadline, false);
    if (e == OK) {
        reply_ok(call->reply);
    }
    return e;
}

err cmd_setex(struct call *call)
{
    return set_for_a_time(call, true);
}

err cmd_psetex(struct call *call)
{
    return set_for_a_time(call, false);
}

/* The old value is answered before the new one takes its place. */
err cmd_getset(struct call *call)
{
    call_count_look(call, 0);
    err e = cmd_get(call);
    if (e != OK) {
        return e;
    }
    return store_only_string(call, 2, NO_DEADLINE, false);
}
