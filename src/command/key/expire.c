/* Giving a key an end, or taking it: EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT with NX XX GT LT, and PERSIST.
 *
 * An end that is over removes the key at once (event `del`, record DEL). Otherwise the record is a PEXPIREAT with the deadline as it came to be: a rule's
 * max-ttl may have shortened it. NX, XX, GT and LT compare with what TTL shows. */
#include "command/command.h"
#include "command/key/expiry.h"
#include "command/verb.h"

enum { WHEN_NONE = 1 << 0, WHEN_SOME = 1 << 1, WHEN_LATER = 1 << 2, WHEN_SOONER = 1 << 3 };

static const struct {
    slice text;
    unsigned when;
} words[] = {{S("NX"), WHEN_NONE}, {S("XX"), WHEN_SOME}, {S("GT"), WHEN_LATER}, {S("LT"), WHEN_SOONER}};

static err parse_words(struct call *call, unsigned *ret_when)
{
    unsigned when = 0;
    for (unsigned i = 3; i < call->argc; i++) {
        unsigned w = 0;
        while (w < countof(words) && !call_arg_is(call, i, words[w].text)) {
            w++;
        }
        if (w == countof(words)) {
            return call_fail(call, ERR_SYNTAX, "Unsupported option %.*s", SLICE_ARG(call_arg(call, i)));
        }
        when |= words[w].when;
    }
    if ((when & WHEN_NONE) && (when & ~(unsigned)WHEN_NONE)) {
        return call_fail(call, ERR_SYNTAX, "NX and XX, GT or LT options at the same time are not compatible");
    }
    if ((when & WHEN_LATER) && (when & WHEN_SOONER)) {
        return call_fail(call, ERR_SYNTAX, "GT and LT options at the same time are not compatible");
    }
    *ret_when = when;
    return OK;
}

/* Whether the new deadline may take the place of the old one; no deadline is later than any. */
static bool permits(unsigned when, int64_t old, int64_t deadline)
{
    if ((when & WHEN_NONE) && old != NO_DEADLINE) {
        return false;
    }
    if ((when & WHEN_SOME) && old == NO_DEADLINE) {
        return false;
    }
    if ((when & WHEN_LATER) && deadline <= old) {
        return false;
    }
    return !((when & WHEN_SOONER) && deadline >= old);
}

static void drop_expired(struct call *call)
{
    call->event = EVENT_del;
    call_drop(call, 0);
    call_record(call, 2, (slice[]){S("DEL"), call->keys[0].key.bytes});
}

static err expire(struct call *call, struct expiry_form form)
{
    unsigned when = 0;
    int64_t deadline;
    err e = parse_words(call, &when);
    if (e != OK || (e = expiry_deadline(call, 2, form, true, &deadline)) != OK) {
        return e;
    }
    const struct entry *entry = call_entry(call, 0);
    if (!entry || !permits(when, entry_fresh_until(entry), deadline)) {
        reply_integer(call->reply, 0);
        return OK;
    }
    if (deadline <= call->now.wall_ms) {
        drop_expired(call);
    } else {
        e = call_set_deadline(call, 0, deadline);
        if (e != OK) {
            return e;
        }
        if (effect_wants_records(&call->effect)) {
            slice at = call_text_i64(call, entry_fresh_until(call_entry(call, 0)));
            call_record(call, 3, (slice[]){S("PEXPIREAT"), call->keys[0].key.bytes, at});
        }
    }
    reply_integer(call->reply, 1);
    return OK;
}

err cmd_expire(struct call *call)
{
    return expire(call, (struct expiry_form){.in_seconds = true});
}

err cmd_pexpire(struct call *call)
{
    return expire(call, (struct expiry_form){.in_seconds = false});
}

err cmd_expireat(struct call *call)
{
    return expire(call, (struct expiry_form){.in_seconds = true, .absolute = true});
}

err cmd_pexpireat(struct call *call)
{
    return expire(call, (struct expiry_form){.in_seconds = false, .absolute = true});
}

err cmd_persist(struct call *call)
{
    const struct entry *entry = call_entry(call, 0);
    bool has_deadline = entry && entry_deadline(entry) != NO_DEADLINE;
    if (has_deadline) {
        err e = call_set_deadline(call, 0, NO_DEADLINE);
        if (e != OK) {
            return e;
        }
    }
    reply_integer(call->reply, has_deadline);
    return OK;
}
