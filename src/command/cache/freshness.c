/* See freshness.h. Worker's thread, shard locked. */
#include "command/cache/freshness.h"

#include "base/num.h"

static int64_t left_ms(int64_t until, int64_t now_wall_ms)
{
    return until == NO_DEADLINE ? -1 : num_max_i64(until - now_wall_ms, 0);
}

void freshness_reply_times(struct call *call, const struct entry *e)
{
    int64_t now = call->now.wall_ms;
    reply_bytes(call->reply, S("ttl"));
    reply_integer(call->reply, e ? left_ms(entry_fresh_until(e), now) : -2);
    reply_bytes(call->reply, S("stale-ttl"));
    reply_integer(call->reply, e ? left_ms(entry_deadline(e), now) : -2);
    reply_bytes(call->reply, S("age"));
    if (e && entry_loaded_at(e) != 0) {
        reply_integer(call->reply, num_max_i64(now - entry_loaded_at(e), 0));
    } else {
        reply_null(call->reply);
    }
}
