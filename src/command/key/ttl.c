/* How long a key has left: TTL, PTTL, EXPIRETIME, PEXPIRETIME. -2: no such key; -1: no end.
 *
 * The answer is the fresh time that is left. An entry that is served stale has none left: TTL 0. Seconds are rounded to the nearest, as Redis does. */
#include "command/verb.h"

static int64_t in_seconds(int64_t ms)
{
    return ms / 1000 + (ms % 1000 >= 500);
}

/* Milliseconds to answer, relative to `base_ms`. */
static int64_t time_left(struct call *call, int64_t base_ms)
{
    const struct entry *entry = call_entry(call, 0);
    if (!entry) {
        return -2;
    }
    int64_t fresh_until = entry_fresh_until(entry);
    if (fresh_until == NO_DEADLINE) {
        return -1;
    }
    return fresh_until > base_ms ? fresh_until - base_ms : 0;
}

static err answer(struct call *call, int64_t ms, bool seconds)
{
    reply_integer(call->reply, seconds && ms >= 0 ? in_seconds(ms) : ms);
    return OK;
}

err cmd_ttl(struct call *call)
{
    return answer(call, time_left(call, call->now.wall_ms), true);
}

err cmd_pttl(struct call *call)
{
    return answer(call, time_left(call, call->now.wall_ms), false);
}

err cmd_expiretime(struct call *call)
{
    return answer(call, time_left(call, 0), true);
}

err cmd_pexpiretime(struct call *call)
{
    return answer(call, time_left(call, 0), false);
}
