/* HELLO and AUTH: who somebody is, and which protocol is spoken.
 *
 * There is one user, "default", whose password is `requirepass`; without a password it may be named with any. HELLO does all or nothing:
 * every option is checked before the first takes effect, except that a right AUTH holds even if HELLO then fails for want of it. */
#include "command/connection/name.h"
#include "command/engine.h"
#include "command/verb.h"
#include "config/config.h"

/* Takes as long for a password that is nearly right as for one that is not. */
static bool equal_secret(slice given, slice secret)
{
    unsigned differs = given.len != secret.len;
    for (size_t i = 0; i < given.len; i++) {
        differs |= (unsigned char)given.ptr[i] ^ (unsigned char)(secret.len > 0 ? secret.ptr[i % secret.len] : 0);
    }
    return differs == 0;
}

static err authenticate(struct call *call, slice user, slice password)
{
    slice secret = config_now()->requirepass;
    if (!slice_equal(user, S("default")) || (secret.len > 0 && !equal_secret(password, secret))) {
        return ERR_WRONGPASS;
    }
    call->session->authenticated = true;
    return OK;
}

err cmd_auth(struct call *call)
{
    if (call->argc > 3) {
        return ERR_SYNTAX;
    }
    bool named = call->argc == 3;
    if (!named && config_now()->requirepass.len == 0) {
        return call_fail(call, ERR_INVALID,
                         "AUTH <password> called without any password configured for the default user. "
                         "Are you sure your configuration is correct?");
    }
    err e = authenticate(call, named ? call_arg(call, 1) : S("default"), call_arg(call, named ? 2 : 1));
    if (e == OK) {
        reply_ok(call->reply);
    }
    return e;
}

struct hello {
    int64_t protocol; /* 0: as it is */
    unsigned auth;    /* index of the user's name; 0: not given */
    unsigned name;    /* index of the connection's name; 0: not given */
};

static err parse_hello(struct call *call, struct hello *ret_hello)
{
    struct hello h = {0};
    if (call->argc > 1) {
        if (call_arg_i64(call, 1, &h.protocol) != OK) {
            return call_fail(call, ERR_NOT_INTEGER, "Protocol version is not an integer or out of range");
        }
        if (h.protocol < 2 || h.protocol > 3) {
            return ERR_NOPROTO;
        }
    }
    for (unsigned i = 2; i < call->argc; i++) {
        if (call_arg_is(call, i, S("AUTH")) && i + 2 < call->argc) {
            h.auth = i + 1;
            i += 2;
        } else if (call_arg_is(call, i, S("SETNAME")) && i + 1 < call->argc) {
            h.name = ++i;
            err e = check_client_name(call, call_arg(call, i));
            if (e != OK) {
                return e;
            }
        } else {
            return call_fail(call, ERR_SYNTAX, "Syntax error in HELLO option '%.*s'", SLICE_ARG(call_arg(call, i)));
        }
    }
    *ret_hello = h;
    return OK;
}

static void reply_pair(struct reply *r, slice name, slice value)
{
    reply_bytes(r, name);
    reply_bytes(r, value);
}

err cmd_hello(struct call *call)
{
    struct session *s = call->session;
    struct hello h = {0};
    err e = parse_hello(call, &h);
    if (e == OK && h.auth > 0) {
        e = authenticate(call, call_arg(call, h.auth), call_arg(call, h.auth + 1));
    }
    if (e != OK) {
        return e;
    }
    if (session_needs_auth(s)) {
        return call_fail(
            call, ERR_NOAUTH,
            "HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
            "option can be used to authenticate the client and select the RESP protocol version at the same time");
    }
    if (h.name > 0) {
        e = session_set_text(s, SESSION_NAME, call_arg(call, h.name));
        if (e != OK) {
            return e;
        }
    }
    if (h.protocol > 0) {
        __atomic_store_n(&s->protocol, (int)h.protocol, __ATOMIC_RELAXED);
        s->ops->set_protocol(s, s->protocol);
    }
    struct reply *r = call->reply;
    reply_map(r, 7);
    reply_pair(r, S("server"), S("redis"));
    reply_pair(r, S("version"), config_now()->compat_version);
    reply_bytes(r, S("proto"));
    reply_integer(r, s->protocol);
    reply_bytes(r, S("id"));
    reply_integer(r, (int64_t)s->id);
    reply_pair(r, S("mode"), S("standalone"));
    reply_pair(r, S("role"), S("master"));
    reply_bytes(r, S("modules"));
    reply_array(r, 0);
    return OK;
}
