/* OBJECT: how a value is stored and when it was used. Looks without being a use, never loads.
 *
 * A value has one reference. Redis shares the integers below 10000 and answers 2147483647 for them; so do we, since programs have learned to expect it. */
#include "base/num.h"
#include "command/help.h"
#include "command/verb.h"
#include "config/config.h"

enum { SHARED_INTEGERS = 10000 };

static bool counts_frequency(void)
{
    int policy = config_now()->maxmemory_policy;
    return policy == POLICY_ALLKEYS_LFU || policy == POLICY_VOLATILE_LFU;
}

/* Redis counts it as a hit or a miss, though it is no use of the key. */
static const struct entry *look(struct call *call)
{
    call_count_look(call, 0);
    return call_entry(call, 0);
}

err cmd_object_encoding(struct call *call)
{
    const struct entry *entry = look(call);
    if (entry) {
        reply_bytes(call->reply, encoding_name(entry_encoding(entry)));
    } else {
        reply_null(call->reply);
    }
    return OK;
}

err cmd_object_freq(struct call *call)
{
    const struct entry *entry = look(call);
    if (!entry) {
        reply_null(call->reply);
        return OK;
    }
    if (!counts_frequency()) {
        return call_fail(
            call, ERR_INVALID,
            "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between "
            "policies at runtime LRU and LFU data will take some time to adjust.");
    }
    reply_integer(call->reply, entry_frequency(entry, call->now.wall_ms));
    return OK;
}

err cmd_object_idletime(struct call *call)
{
    const struct entry *entry = look(call);
    if (!entry) {
        reply_null(call->reply);
        return OK;
    }
    if (counts_frequency()) {
        return call_fail(
            call, ERR_INVALID,
            "An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at "
            "runtime LRU and LFU data will take some time to adjust.");
    }
    if (config_now()->maxmemory_policy == POLICY_ADAPTIVE) {
        return call_fail(call, ERR_INVALID, "The adaptive maxmemory policy is selected, idle time not tracked.");
    }
    int64_t idle_ms = call->now.wall_ms - entry_accessed_at(entry, call->now.wall_ms);
    reply_integer(call->reply, num_max_i64(idle_ms, 0) / 1000);
    return OK;
}

err cmd_object_refcount(struct call *call)
{
    const struct entry *entry = look(call);
    int64_t value;
    if (!entry) {
        reply_null(call->reply);
    } else if (entry_encoding(entry) == ENCODING_INT && num_parse_i64(entry_string(entry), &value) == OK &&
               value >= 0 && value < SHARED_INTEGERS) {
        reply_integer(call->reply, INT32_MAX);
    } else {
        reply_integer(call->reply, 1);
    }
    return OK;
}

err cmd_object_help(struct call *call)
{
    static const char *const lines[] = {
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
        NULL,
    };
    reply_help(call, lines);
    return OK;
}
