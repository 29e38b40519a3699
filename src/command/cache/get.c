/* CACHE.GET key: reads as GET does, loading what a rule says, and tells besides the value what it is: fresh, stale, negative (the source has no such row)
 * or miss (there is nothing, and nothing to load it from). */
#include "command/cache/freshness.h"
#include "command/verb.h"

static slice state_of(const struct call_key *ck, const struct entry *shown, int64_t now_wall_ms)
{
    if (shown) {
        return entry_stale(shown, now_wall_ms) ? S("stale") : S("fresh");
    }
    bool is_negative = ck->entry || (ck->outcome && ck->outcome->kind == OUTCOME_NEGATIVE);
    return is_negative ? S("negative") : S("miss");
}

err cmd_cache_get(struct call *call)
{
    if (call->argc != 2) {
        return ERR_SYNTAX;
    }
    const struct call_key *ck = &call->keys[0];
    struct entry *shown;
    err e = call_entry_of_kind(call, 0, KIND_STRING, &shown);
    if (e != OK) {
        return e;
    }
    reply_map(call->reply, 2 + FRESHNESS_PAIRS);
    reply_bytes(call->reply, S("value"));
    if (shown) {
        call_reply_string(call, shown, entry_string(shown));
    } else {
        reply_null(call->reply);
    }
    reply_bytes(call->reply, S("state"));
    reply_bytes(call->reply, state_of(ck, shown, call->now.wall_ms));
    freshness_reply_times(call, shown ? shown : ck->entry);
    return OK;
}
