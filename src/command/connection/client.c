/* CLIENT: what a connection says about itself, and how it wants to be treated. CLIENT INFO and LIST: client_list.c. */
#include "command/connection/name.h"
#include "command/help.h"
#include "command/verb.h"

err cmd_client_id(struct call *call)
{
    reply_integer(call->reply, (int64_t)call->session->id);
    return OK;
}

err cmd_client_getname(struct call *call)
{
    slice name = call->session->texts[SESSION_NAME];
    if (name.ptr) {
        reply_bytes(call->reply, name);
    } else {
        reply_null(call->reply);
    }
    return OK;
}

err cmd_client_setname(struct call *call)
{
    err e = check_client_name(call, call_arg(call, 2));
    if (e == OK) {
        e = session_set_text(call->session, SESSION_NAME, call_arg(call, 2));
    }
    if (e == OK) {
        reply_ok(call->reply);
    }
    return e;
}

err cmd_client_setinfo(struct call *call)
{
    enum session_text which;
    slice attribute = call_arg(call, 2);
    if (slice_equal_nocase(attribute, S("lib-name"))) {
        which = SESSION_LIB_NAME;
    } else if (slice_equal_nocase(attribute, S("lib-ver"))) {
        which = SESSION_LIB_VERSION;
    } else {
        return call_fail(call, ERR_SYNTAX, "Unrecognized option '%.*s'", SLICE_ARG(attribute));
    }
    if (!is_plain_text(call_arg(call, 3))) {
        return call_fail(call, ERR_INVALID, "%.*s cannot contain spaces, newlines or special characters.",
                         SLICE_ARG(attribute));
    }
    err e = session_set_text(call->session, which, call_arg(call, 3));
    if (e == OK) {
        reply_ok(call->reply);
    }
    return e;
}

/* ON or OFF as argument 2. */
static err set_switch(struct call *call, bool *value)
{
    bool on = call_arg_is(call, 2, S("ON"));
    if (!on && !call_arg_is(call, 2, S("OFF"))) {
        return ERR_SYNTAX;
    }
    __atomic_store_n(value, on, __ATOMIC_RELAXED);
    reply_ok(call->reply);
    return OK;
}

err cmd_client_no_evict(struct call *call)
{
    return set_switch(call, &call->session->no_evict);
}

err cmd_client_no_touch(struct call *call)
{
    return set_switch(call, &call->session->no_touch);
}

/* The door drops what is not wanted, also the reply to this one. */
err cmd_client_reply(struct call *call)
{
    struct session *s = call->session;
    if (call_arg_is(call, 2, S("ON"))) {
        s->reply_mode = SESSION_REPLY_ON;
        s->skip_next = false;
        reply_ok(call->reply);
    } else if (call_arg_is(call, 2, S("OFF"))) {
        s->reply_mode = SESSION_REPLY_OFF;
    } else if (call_arg_is(call, 2, S("SKIP"))) {
        s->skip_next = s->reply_mode != SESSION_REPLY_OFF;
    } else {
        return ERR_SYNTAX;
    }
    return OK;
}

err cmd_client_help(struct call *call)
{
    static const char *const lines[] = {
        "GETNAME",
        "    The name of this connection.",
        "ID",
        "    The number of this connection.",
        "INFO",
        "    What CLIENT LIST shows of this connection.",
        "KILL address",
        "KILL filter value [filter value ...]",
        "    Closes connections. Filters: ID, ADDR, LADDR, TYPE, USER, MAXAGE (seconds), SKIPME (yes|no).",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID id [id ...]]",
        "    The connections, one a line.",
        "NO-EVICT (ON|OFF)",
        "    Exempts this connection from being closed for want of memory.",
        "NO-TOUCH (ON|OFF)",
        "    Keeps what this connection reads from counting as used.",
        "PAUSE milliseconds [WRITE|ALL]",
        "    Holds commands back, those that write or all.",
        "REPLY (ON|OFF|SKIP)",
        "    Whether this connection wants replies.",
        "SETINFO (LIB-NAME|LIB-VER) value",
        "    Says which client library this is.",
        "SETNAME name",
        "    Names this connection.",
        "UNBLOCK id [TIMEOUT|ERROR]",
        "    Ends the wait of a connection's command.",
        "UNPAUSE",
        "    Ends a pause.",
        NULL,
    };
    reply_help(call, lines);
    return OK;
}
