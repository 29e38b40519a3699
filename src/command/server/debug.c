/* DEBUG: for tests and for people who look for faults. Refused unless enable-debug-command allows it.
 *
 * The subcommands are a table here and not rows of the command table, because in Redis they are arguments of one command. Two of them work on keys
 * without having named them to dispatch: they lock a shard at a time themselves. */
#include <math.h>
#include <stdlib.h>

#include "base/num.h"
#include "command/command.h"
#include "command/engine.h"
#include "command/verb.h"
#include "config/config.h"
#include "observe/log.h"
#include "os/clock.h"

/* ---- time ----------------------------------------------------------------------------------------------------------- */
/* Blocks the worker, and so all of its connections: that is what it is for. What is no number is 0. */
static err debug_sleep(struct call *call)
{
    char text[64];
    slice seconds = slice_sub(call_arg(call, 2), 0, sizeof text - 1);
    memcpy(text, seconds.ptr, seconds.len);
    text[seconds.len] = '\0';
    double us = strtod(text, NULL) * 1e6;
    if (us > 0 && isfinite(us)) {
        clock_block_us((int64_t)fmin(us, 1e15));
    }
    reply_ok(call->reply);
    return OK;
}

static err debug_set_active_expire(struct call *call)
{
    int64_t on;
    keyspace_set_active_expiry(call->engine->keyspace, call_arg_i64(call, 2, &on) == OK && on != 0);
    reply_ok(call->reply);
    return OK;
}

/* ---- keys ----------------------------------------------------------------------------------------------------------- */
enum { LRU_CLOCK_MASK = (1 << 24) - 1 };

static err debug_object(struct call *call)
{
    struct key k = keyspace_key(call->engine->keyspace, call->session->db, call_arg(call, 2));
    struct buf out;
    buf_init(&out, 1024);
    shard_lock(k.shard);
    const struct entry *e = shard_find(k.shard, &k);
    if (e && !entry_negative(e) && !entry_expired(e, call->now.wall_ms)) {
        bool keeps_time = config_now()->maxmemory_policy != POLICY_ADAPTIVE;
        int64_t accessed_s = (keeps_time ? entry_accessed_at(e, call->now.wall_ms) : call->now.wall_ms) / 1000;
        buf_printf(&out, "Value at:%p refcount:1 encoding:%.*s serializedlength:%zu lru:%lld lru_seconds_idle:%lld",
                   (const void *)e, SLICE_ARG(encoding_name(entry_encoding(e))), entry_string(e).len,
                   (long long)(accessed_s & LRU_CLOCK_MASK), (long long)(call->now.wall_ms / 1000 - accessed_s));
    }
    shard_unlock(k.shard);
    bool found = out.len > 0;
    if (found) {
        reply_status(call->reply, buf_slice(&out));
    }
    buf_fini(&out);
    return found ? OK : ERR_NO_KEY;
}

/* One key of POPULATE, unless it is there; told to whoever follows changes, as a SET. */
static err populate_one(struct call *call, slice name, slice value)
{
    struct keyspace *ks = call->engine->keyspace;
    struct key k = keyspace_key(ks, call->session->db, name);
    struct content c = content_string(value);
    struct arena arena;
    struct effect fx;
    struct entry *e;
    arena_init(&arena);
    effect_init(&fx, &arena, call->now, keyspace_wants_records(ks));
    slice record[] = {S("SET"), name, value};
    err failure = OK;
    shard_lock(k.shard);
    if (!shard_find(k.shard, &k)) {
        failure = shard_insert(k.shard, &k, &c, &fx, EVENT_set, &e);
        if (failure == OK && effect_wants_records(&fx)) {
            effect_record_before(&fx, k.db, countof(record), record);
        }
        keyspace_publish(ks, &fx);
    }
    shard_unlock(k.shard);
    arena_fini(&arena);
    return failure;
}

/* POPULATE count [prefix [bytes]]: prefix:0 is value:0 and so on, filled up with zero bytes or cut to the size. */
static err debug_populate(struct call *call)
{
    int64_t count, bytes = 0;
    if (call_arg_i64(call, 2, &count) != OK || count < 0 ||
        (call->argc > 4 && (call_arg_i64(call, 4, &bytes) != OK || bytes < 0))) {
        return ERR_NOT_POSITIVE;
    }
    slice prefix = call->argc > 3 ? call_arg(call, 3) : S("key");
    if ((uint64_t)bytes > config_now()->proto_max_bulk_len) {
        return ERR_TOO_LARGE;
    }
    struct buf name, value;
    buf_init(&name, prefix.len + 64);
    buf_init(&value, (size_t)bytes + 64);
    err e = OK;
    for (int64_t i = 0; i < count && e == OK; i++) {
        buf_truncate(&name, 0);
        buf_append(&name, prefix);
        buf_printf(&name, ":%lld", (long long)i);
        buf_truncate(&value, 0);
        buf_printf(&value, "value:%lld", (long long)i);
        if (bytes > 0 && value.len < (size_t)bytes) {
            size_t more = (size_t)bytes - value.len;
            char *rest = buf_extend(&value, more);
            if (rest) {
                memset(rest, 0, more);
            }
        }
        slice text = buf_slice(&value);
        e = buf_failed(&name) || buf_failed(&value)
                ? ERR_NOMEM
                : populate_one(call, buf_slice(&name), bytes > 0 ? slice_sub(text, 0, (size_t)bytes) : text);
    }
    buf_fini(&name);
    buf_fini(&value);
    if (e == OK) {
        reply_ok(call->reply);
    }
    return e;
}

/* STRINGMATCH-LEN pattern text: whether the glob matches; for patterns that are meant to take long. */
static err debug_stringmatch_len(struct call *call)
{
    reply_integer(call->reply, slice_glob(call_arg(call, 2), call_arg(call, 3), false));
    return OK;
}

/* ---- replies -------------------------------------------------------------------------------------------------------- */
static void reply_numbers(struct call *call, void (*head)(struct reply *, size_t))
{
    head(call->reply, 3);
    for (int64_t i = 0; i < 3; i++) {
        reply_integer(call->reply, i);
    }
}

static void protocol_map(struct reply *r)
{
    reply_map(r, 3);
    for (int64_t i = 0; i < 3; i++) {
        reply_integer(r, i);
        reply_boolean(r, i == 1);
    }
}

static void protocol_attribute(struct call *call)
{
    if (call->session->protocol >= 3) {
        reply_attribute(call->reply, 1);
        reply_bytes(call->reply, S("key-popularity"));
        reply_array(call->reply, 2);
        reply_bytes(call->reply, S("key:123"));
        reply_integer(call->reply, 90);
    }
    reply_bytes(call->reply, S("Some real reply following the attribute"));
}

static err protocol_push(struct call *call)
{
    if (call->session->protocol < 3) {
        return call_fail(call, ERR_INVALID, "RESP2 is not supported by this command");
    }
    reply_push(call->reply, 2);
    reply_bytes(call->reply, S("server-cpu-usage"));
    reply_integer(call->reply, 42);
    reply_bytes(call->reply, S("Some real reply following the push reply"));
    return OK;
}

/* A reply of each type that there is. */
static err debug_protocol(struct call *call)
{
    struct reply *r = call->reply;
    if (call_arg_is(call, 2, S("string"))) {
        reply_bytes(r, S("Hello World"));
    } else if (call_arg_is(call, 2, S("integer"))) {
        reply_integer(r, 12345);
    } else if (call_arg_is(call, 2, S("double"))) {
        reply_real(r, 3.141);
    } else if (call_arg_is(call, 2, S("null"))) {
        reply_null(r);
    } else if (call_arg_is(call, 2, S("array"))) {
        reply_numbers(call, reply_array);
    } else if (call_arg_is(call, 2, S("set"))) {
        reply_numbers(call, reply_set);
    } else if (call_arg_is(call, 2, S("map"))) {
        protocol_map(r);
    } else if (call_arg_is(call, 2, S("attrib"))) {
        protocol_attribute(call);
    } else if (call_arg_is(call, 2, S("push"))) {
        return protocol_push(call);
    } else if (call_arg_is(call, 2, S("verbatim"))) {
        reply_verbatim(r, S("This is a verbatim\nstring"));
    } else if (call_arg_is(call, 2, S("true")) || call_arg_is(call, 2, S("false"))) {
        reply_boolean(r, call_arg_is(call, 2, S("true")));
    } else if (call_arg_is(call, 2, S("bignum"))) {
        reply_big_number(r, S("1234567999999999999999999999999999999"));
    } else {
        return call_fail(call, ERR_INVALID,
                         "Wrong protocol type name. Please use one of the following: "
                         "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
    }
    return OK;
}

/* An error in the caller's own words, prefix and all; nothing has failed. */
static err debug_error(struct call *call)
{
    reply_error(call->reply, ERR_SPELLED, call_arg(call, 2));
    return OK;
}

static err debug_log(struct call *call)
{
    log_write(LOG_WARNING, "debug", "DEBUG LOG: %.*s", SLICE_ARG(call_arg(call, 2)));
    reply_ok(call->reply);
    return OK;
}

/* ---- the buffers of connections ------------------------------------------------------------------------------------- */
/* RESIZING 0|1, PEAK-RESET-TIME ms|NEVER|RESET: whether and when a connection that asks nothing gives its buffers back. */
static err debug_replybuffer(struct call *call)
{
    int64_t value;
    bool is_time = call_arg_is(call, 2, S("PEAK-RESET-TIME"));
    if (is_time && call_arg_is(call, 3, S("NEVER"))) {
        value = INT64_MAX;
    } else if (is_time && call_arg_is(call, 3, S("RESET"))) {
        value = SESSION_REST_AFTER_MS;
    } else if (is_time) {
        err e = call_arg_i64(call, 3, &value);
        if (e != OK) {
            return e;
        }
        value = num_max_i64(value, 0);
    } else if (call_arg_is(call, 2, S("RESIZING"))) {
        bool on = call_arg_i64(call, 3, &value) == OK && value != 0;
        value = on ? SESSION_REST_AFTER_MS : INT64_MAX;
    } else {
        return ERR_UNKNOWN_SUBCOMMAND;
    }
    session_set_rest_after(value);
    reply_ok(call->reply);
    return OK;
}

/* ---- the command ---------------------------------------------------------------------------------------------------- */
static err debug_help(struct call *call)
{
    static const char *const lines[] = {
        "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ERROR text",
        "    Answers with an error of these words.",
        "LOG text",
        "    Writes a line into the log.",
        "OBJECT key",
        "    How the value of a key is kept.",
        "POPULATE count [prefix [bytes]]",
        "    Makes keys prefix:0, prefix:1 ... that are not there.",
        "PROTOCOL type",
        "    Answers with a reply of this type.",
        "REPLYBUFFER (PEAK-RESET-TIME (milliseconds|NEVER|RESET)|RESIZING (0|1))",
        "    When idle connections give back their buffers.",
        "SET-ACTIVE-EXPIRE (0|1)",
        "    Whether keys expire without being asked for.",
        "SLEEP seconds",
        "    Blocks the thread of this connection.",
        "STRINGMATCH-LEN pattern text",
        "    Whether a glob matches a text.",
        "HELP",
        "    Prints this help.",
    };
    reply_array(call->reply, countof(lines));
    for (size_t i = 0; i < countof(lines); i++) {
        reply_status(call->reply, slice_of(lines[i]));
    }
    return OK;
}

static const struct {
    slice name;
    unsigned argc_min, argc_max;
    err (*run)(struct call *call);
} subcommands[] = {
    {{"error", 5}, 3, 3, debug_error},
    {{"help", 4}, 2, 2, debug_help},
    {{"log", 3}, 3, 3, debug_log},
    {{"object", 6}, 3, 3, debug_object},
    {{"populate", 8}, 3, 5, debug_populate},
    {{"protocol", 8}, 3, 3, debug_protocol},
    {{"replybuffer", 11}, 4, 4, debug_replybuffer},
    {{"set-active-expire", 17}, 3, 3, debug_set_active_expire},
    {{"sleep", 5}, 3, 3, debug_sleep},
    {{"stringmatch-len", 15}, 4, 4, debug_stringmatch_len},
};

static bool is_allowed(const struct session *s)
{
    switch ((enum config_enable)config_now()->enable_debug_command) {
    case ENABLE_YES: return true;
    case ENABLE_LOCAL:
        return s->unix_socket || slice_starts(slice_of(s->peer), S("127.")) ||
               slice_starts(slice_of(s->peer), S("[::1]"));
    case ENABLE_NO: break;
    }
    return false;
}

err cmd_debug(struct call *call)
{
    if (!is_allowed(call->session)) {
        return call_fail(
            call, ERR_INVALID,
            "DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a "
            "local connection, otherwise you need to set this option in the configuration file, and then restart the "
            "server.");
    }
    err e = ERR_UNKNOWN_SUBCOMMAND;
    for (size_t i = 0; i < countof(subcommands); i++) {
        if (call_arg_is(call, 1, subcommands[i].name) && call->argc >= subcommands[i].argc_min &&
            call->argc <= subcommands[i].argc_max) {
            e = subcommands[i].run(call);
        }
    }
    return e != ERR_UNKNOWN_SUBCOMMAND
               ? e
               : call_fail(call, e, "unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
                           SLICE_ARG(call_arg(call, 1)));
}
