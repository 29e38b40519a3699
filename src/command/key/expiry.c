/* Reading a time of expiry. All arithmetic is checked before it is done: a number that cannot be a deadline in milliseconds is refused, never
 * wrapped. The last millisecond that int64 can name stands for "no deadline" inside, so a deadline there becomes the one before.
 *
 * Not here: which options may stand together (string/modifier.c, expire.c), what a deadline that is over does (the verbs). */
#include "command/key/expiry.h"

#include "command/command.h"

static err refuse(struct call *call)
{
    return call_fail(call, ERR_EXPIRE_TIME, "invalid expire time in '%s' command", call->command->name);
}

err expiry_deadline(struct call *call, unsigned index, struct expiry_form form, bool past_allowed,
                    int64_t *ret_deadline)
{
    int64_t deadline;
    err e = call_arg_i64(call, index, &deadline);
    if (e != OK) {
        return e;
    }
    if (deadline <= 0 && !past_allowed) {
        return refuse(call);
    }
    if (form.in_seconds && __builtin_mul_overflow(deadline, INT64_C(1000), &deadline)) {
        return refuse(call);
    }
    if (!form.absolute && __builtin_add_overflow(deadline, call->now.wall_ms, &deadline)) {
        return refuse(call);
    }
    *ret_deadline = deadline == NO_DEADLINE ? NO_DEADLINE - 1 : deadline;
    return OK;
}
