/* CLIENT INFO and CLIENT LIST: a line of words for each connection, as Redis 7.2 prints it. What a session has no number for cannot happen to it
 * yet (subscriptions, MULTI); clients expect the words all the same.
 *
 * LIST looks at the sessions of every worker under their locks; numbers of others may be a moment old. */
#include <inttypes.h>

#include "command/command.h"
#include "command/verb.h"

enum { LIST_BYTES_MAX = 1 << 30 };

static bool is_set(const bool *mark)
{
    return __atomic_load_n(mark, __ATOMIC_RELAXED);
}

static void append_flags(struct buf *out, const struct session *s)
{
    size_t before = out->len;
    if (is_set(&s->monitors)) {
        buf_append_byte(out, 'O');
    }
    if (is_set(&s->blocked)) {
        buf_append_byte(out, 'b');
    }
    if (is_set(&s->close_after_reply)) {
        buf_append_byte(out, 'c');
    }
    if (is_set(&s->unix_socket)) {
        buf_append_byte(out, 'U');
    }
    if (is_set(&s->no_evict)) {
        buf_append_byte(out, 'e');
    }
    if (is_set(&s->no_touch)) {
        buf_append_byte(out, 'T');
    }
    if (out->len == before) {
        buf_append_byte(out, 'N');
    }
}

static int64_t seconds_since(const int64_t *since_ms, struct now now)
{
    int64_t ms = now.mono_ms - __atomic_load_n(since_ms, __ATOMIC_RELAXED);
    return ms > 0 ? ms / 1000 : 0;
}

static void append_line(struct buf *out, const struct session *s, struct now now)
{
    struct session_figures f;
    s->ops->figures(s, &f);
    const struct command *last = __atomic_load_n(&s->last_command, __ATOMIC_RELAXED);
    slice name = s->texts[SESSION_NAME], lib = s->texts[SESSION_LIB_NAME], version = s->texts[SESSION_LIB_VERSION];
    buf_printf(out, "id=%" PRIu64 " addr=%s laddr=%s fd=%d name=", s->id, s->peer, s->local, f.fd);
    buf_append(out, name);
    buf_printf(out, " age=%" PRId64 " idle=%" PRId64 " flags=", seconds_since(&s->created_mono_ms, now),
               seconds_since(&s->last_mono_ms, now));
    append_flags(out, s);
    buf_printf(out,
               " db=%u sub=0 psub=0 ssub=0 multi=-1 qbuf=%" PRIu64 " qbuf-free=%" PRIu64 " argv-mem=%" PRIu64
               " multi-mem=0 rbs=%" PRIu64 " rbp=%" PRIu64,
               __atomic_load_n(&s->db, __ATOMIC_RELAXED), f.query_bytes, f.query_free_bytes, f.argv_bytes,
               f.out_fixed_bytes, f.out_fixed_peak_bytes);
    buf_printf(out,
               " obl=0 oll=%" PRIu64 " omem=%" PRIu64 " tot-mem=%" PRIu64
               " events=r cmd=%s user=default redir=-1 resp=%d lib-name=",
               f.out_list_count, f.out_list_bytes, f.total_bytes, last ? last->name : "NULL",
               __atomic_load_n(&s->protocol, __ATOMIC_RELAXED));
    buf_append(out, lib);
    buf_append(out, S(" lib-ver="));
    buf_append(out, version);
    buf_append_byte(out, '\n');
}

err cmd_client_info(struct call *call)
{
    struct buf text;
    buf_init(&text, LIST_BYTES_MAX);
    append_line(&text, call->session, call->now);
    err e = buf_failed(&text) ? ERR_NOMEM : OK;
    if (e == OK) {
        reply_verbatim(call->reply, buf_slice(&text));
    }
    buf_fini(&text);
    return e;
}

/* ---- LIST ----------------------------------------------------------------------------------------------------------- */
struct list_filter {
    struct buf text;
    struct now now;
    bool none;           /* a type of connection that nobody is */
    const uint64_t *ids; /* with id_count > 0: only these */
    unsigned id_count;
};

static void visit(void *argument, const struct session *s)
{
    struct list_filter *f = argument;
    bool wanted = f->id_count == 0;
    for (unsigned i = 0; i < f->id_count && !wanted; i++) {
        wanted = f->ids[i] == s->id;
    }
    if (wanted) {
        append_line(&f->text, s, f->now);
    }
}

static err parse_type(struct call *call, struct list_filter *f)
{
    if (call_arg_is(call, 3, S("normal"))) {
        return OK;
    }
    f->none = true;
    static const char *const others[] = {"master", "slave", "replica", "pubsub"};
    for (size_t i = 0; i < countof(others); i++) {
        if (call_arg_is(call, 3, slice_of(others[i]))) {
            return OK;
        }
    }
    return call_fail(call, ERR_INVALID, "Unknown client type '%.*s'", SLICE_ARG(call_arg(call, 3)));
}

static err parse_ids(struct call *call, struct list_filter *f)
{
    f->id_count = call->argc - 3;
    uint64_t *ids = call_alloc(call, f->id_count * sizeof *ids);
    if (!ids) {
        return ERR_NOMEM;
    }
    f->ids = ids;
    for (unsigned i = 0; i < f->id_count; i++) {
        int64_t id;
        if (call_arg_i64(call, 3 + i, &id) != OK) {
            return call_fail(call, ERR_INVALID, "Invalid client ID");
        }
        ids[i] = id > 0 ? (uint64_t)id : 0;
    }
    return OK;
}

err cmd_client_list(struct call *call)
{
    struct list_filter f = {.now = call->now};
    err e = OK;
    if (call->argc == 4 && call_arg_is(call, 2, S("TYPE"))) {
        e = parse_type(call, &f);
    } else if (call->argc > 3 && call_arg_is(call, 2, S("ID"))) {
        e = parse_ids(call, &f);
    } else if (call->argc != 2) {
        e = ERR_SYNTAX;
    }
    if (e != OK) {
        return e;
    }
    buf_init(&f.text, LIST_BYTES_MAX);
    if (!f.none) {
        sessions_each(visit, &f);
    }
    e = buf_failed(&f.text) ? ERR_NOMEM : OK;
    if (e == OK) {
        reply_verbatim(call->reply, buf_slice(&f.text));
    }
    buf_fini(&f.text);
    return e;
}
