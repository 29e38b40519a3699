/* CACHE.REFRESH key [key ...]: has the keys loaded now, in the background; what is there stays readable until the load has ended. Answers how many keys a load
 * runs for; those that no rule loads are not counted. Fails when none could be started. */
#include "command/engine.h"
#include "command/verb.h"
#include "rule/load.h"

err cmd_cache_refresh(struct call *call)
{
    int64_t count = 0;
    err failure = OK;
    for (unsigned i = 0; i < call->key_count; i++) {
        const struct call_key *ck = &call->keys[i];
        if (load_governs(ck->rule)) {
            err e = load_refresh(call->engine->rules, ck->rule, &ck->key);
            count += e == OK;
            failure = e != OK ? e : failure;
        }
    }
    if (count == 0 && failure != OK) {
        return failure == ERR_SOURCE ? call_fail(call, failure, "the key has bytes that cannot be bound as text")
                                     : failure;
    }
    reply_integer(call->reply, count);
    return OK;
}
