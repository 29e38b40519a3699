/* CACHE.EXPLAIN key: which rule governs the key, the parts that its pattern finds in it, the rule's knobs, and what is there now; loads nothing. */
#include "command/cache/describe.h"
#include "command/cache/freshness.h"
#include "command/verb.h"

static slice freshness_name(enum freshness f)
{
    switch (f) {
    case FRESHNESS_ABSENT: return S("miss");
    case FRESHNESS_NEGATIVE: return S("negative");
    case FRESHNESS_FRESH: return S("fresh");
    case FRESHNESS_STALE:
    case FRESHNESS_FALLBACK: return S("stale");
    }
    return S("");
}

static void reply_parts(struct reply *reply, const struct rule *r, slice key)
{
    slice parts[PATTERN_PART_COUNT_MAX];
    const struct pattern *p = r ? &r->config->pattern : NULL;
    unsigned count = p && pattern_match(p, key, parts) ? p->part_count : 0;
    unsigned part = 0;
    reply_map(reply, count);
    for (unsigned i = 0; count > 0 && i < p->piece_count; i++) {
        if (p->pieces[i].kind == PATTERN_PART) {
            reply_bytes(reply, p->pieces[i].text);
            reply_bytes(reply, parts[part++]);
        }
    }
}

err cmd_cache_explain(struct call *call)
{
    const struct call_key *ck = &call->keys[0];
    reply_map(call->reply, 4 + FRESHNESS_PAIRS);
    reply_bytes(call->reply, S("key"));
    reply_bytes(call->reply, ck->key.bytes);
    reply_bytes(call->reply, S("parts"));
    reply_parts(call->reply, ck->rule, ck->key.bytes);
    reply_bytes(call->reply, S("rule"));
    if (ck->rule) {
        describe_rule(call->reply, ck->rule);
    } else {
        reply_null(call->reply);
    }
    reply_bytes(call->reply, S("state"));
    reply_bytes(call->reply, freshness_name(load_freshness(ck->rule, ck->entry, call->now.wall_ms)));
    freshness_reply_times(call, ck->entry);
    return OK;
}
