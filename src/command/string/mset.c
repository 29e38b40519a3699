/* Setting several strings at once: MSET, MSETNX, MSETEX. All shards are locked for the whole call, so nobody sees a part of it.
 *
 * A key that stands twice is set twice, as in Redis; the last value stays. */
#include "command/string/store.h"

#include "base/num.h"
#include "command/command.h"
#include "command/string/modifier.h"
#include "command/use.h"
#include "command/verb.h"

static bool any_exists(struct call *call)
{
    for (unsigned k = 0; k < call->key_count; k++) {
        if (call_entry(call, k)) {
            return true;
        }
    }
    return false;
}

static bool all_exist(struct call *call)
{
    for (unsigned k = 0; k < call->key_count; k++) {
        if (!call_entry(call, k)) {
            return false;
        }
    }
    return true;
}

/* Each value stands right behind its key. All are stored, or none. */
static err store_all(struct call *call, int64_t deadline, bool keep_times)
{
    err e = call_begin_all(call);
    if (e != OK) {
        return e;
    }
    for (unsigned k = 0; k < call->key_count && e == OK; k++) {
        e = store_string(call, k, call->keys[k].argument + 1, deadline, keep_times);
    }
    return call_end_all(call, e);
}

/* Keys and values come in pairs; a value too few is an error of arity. */
static err check_pairs(struct call *call)
{
    if (call->argc % 2 == 0) {
        return call_fail(call, ERR_ARITY, "wrong number of arguments for '%s' command", call->command->name);
    }
    return OK;
}

err cmd_mset(struct call *call)
{
    err e = check_pairs(call);
    if (e != OK) {
        return e;
    }
    e = store_all(call, NO_DEADLINE, false);
    if (e == OK) {
        reply_ok(call->reply);
    }
    return e;
}

err cmd_msetnx(struct call *call)
{
    err e = check_pairs(call);
    if (e != OK) {
        return e;
    }
    if (any_exists(call)) {
        reply_integer(call->reply, 0);
        return OK;
    }
    e = store_all(call, NO_DEADLINE, false);
    if (e == OK) {
        reply_integer(call->reply, 1);
    }
    return e;
}

/* ---- MSETEX numkeys key value [key value ...] [words] ---------------------------------------------------------------------------------- */

/* The words of MSETEX, behind the pairs. ret_reason: NULL for a syntax error. */
static err parse_msetex(unsigned argc, const slice *argv, const char **ret_reason, struct modifiers *ret_modifiers)
{
    int64_t pair_count;
    if (num_parse_i64(argv[1], &pair_count) != OK || pair_count < 1 || pair_count > INT32_MAX) {
        *ret_reason = "invalid numkeys value";
        return ERR_INVALID;
    }
    if (pair_count > (argc - 2) / 2) {
        *ret_reason = "wrong number of key-value pairs";
        return ERR_INVALID;
    }
    *ret_reason = NULL;
    return modifiers_parse(argc, argv, 2 + 2 * (unsigned)pair_count, MODIFIERS_OF_MSETEX, ret_modifiers);
}

enum key_use use_msetex(unsigned spec, unsigned argc, const slice *argv)
{
    (void)spec;
    const char *reason;
    struct modifiers m;
    if (parse_msetex(argc, argv, &reason, &m) != OK) {
        return KEY_PEEKS;
    }
    return m.seen & ~(unsigned)MODIFIERS_TIME ? KEY_NEEDS : KEY_REPLACES;
}

/* The call again, without condition and with an absolute time. */
static void record_msetex(struct call *call, const struct modifiers *m, int64_t deadline)
{
    if (!effect_wants_records(&call->effect)) {
        return;
    }
    unsigned argc = 2 + 2 * call->key_count;
    slice *argv = call_alloc(call, (argc + 2) * sizeof *argv);
    if (!argv) {
        call->effect.failed = true;
        return;
    }
    memcpy(argv, call->argv, argc * sizeof *argv);
    if (m->seen & MODIFIER_KEEPTTL) {
        argv[argc++] = S("KEEPTTL");
    } else if (m->time) {
        argv[argc++] = S("PXAT");
        argv[argc++] = call_text_i64(call, deadline);
    }
    call_record(call, argc, argv);
}

err cmd_msetex(struct call *call)
{
    const char *reason;
    struct modifiers m;
    err e = parse_msetex(call->argc, call->argv, &reason, &m);
    if (e != OK) {
        return reason ? call_fail(call, e, "%s", reason) : e;
    }
    int64_t deadline;
    e = modifiers_deadline(call, &m, &deadline);
    if (e != OK) {
        return e;
    }
    if (((m.seen & MODIFIER_NX) && any_exists(call)) || ((m.seen & MODIFIER_XX) && !all_exist(call))) {
        reply_integer(call->reply, 0);
        return OK;
    }
    e = store_all(call, deadline, m.seen & MODIFIER_KEEPTTL);
    if (e != OK) {
        return e;
    }
    record_msetex(call, &m, deadline);
    reply_integer(call->reply, 1);
    return OK;
}
