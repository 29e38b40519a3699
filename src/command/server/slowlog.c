/* SLOWLOG: the calls that took longer than slowlog-log-slower-than, newest first, of all workers.
 *
 * An entry is one block of memory: the struct, its arguments, their bytes. Of a call with many arguments the first 31 are kept and a count of the rest, of a
 * long argument its beginning; passwords are not kept. One list under one lock: who is slow can wait for it, and everybody else only looks at a threshold. */
#include "command/server/slowlog.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "command/command.h"
#include "command/help.h"
#include "command/secret.h"
#include "command/verb.h"
#include "os/lock.h"

enum { ARGUMENTS_MAX = 32, ARGUMENT_BYTES_MAX = 128, NOTE_BYTES_MAX = 64, SHOWN_BY_DEFAULT = 10 };

struct slow {
    struct list link;
    uint64_t id;
    int64_t wall_s;
    uint64_t us;
    slice peer, name;
    unsigned argc;
    slice argv[ARGUMENTS_MAX];
    char bytes[];
};

static struct {
    struct lock lock;
    struct list newest_first;
    uint64_t count, next_id;
} slowlog;

__attribute__((constructor)) static void init_slowlog(void)
{
    lock_init(&slowlog.lock, LOCK_SLOWLOG, 0);
    list_init(&slowlog.newest_first);
}

/* ---- adding --------------------------------------------------------------------------------------------------------- */
static slice keep(char **at, slice bytes)
{
    slice kept = slice_make(*at, bytes.len);
    memcpy(*at, bytes.ptr ? bytes.ptr : "", bytes.len);
    *at += bytes.len;
    return kept;
}

/* The first bytes, and a note of how many are missing, in `room`. */
static slice shortened(slice argument, char room[static ARGUMENT_BYTES_MAX + NOTE_BYTES_MAX])
{
    if (argument.len <= ARGUMENT_BYTES_MAX) {
        return argument;
    }
    memcpy(room, argument.ptr, ARGUMENT_BYTES_MAX);
    int note =
        snprintf(room + ARGUMENT_BYTES_MAX, NOTE_BYTES_MAX, "... (%zu more bytes)", argument.len - ARGUMENT_BYTES_MAX);
    return slice_make(room, ARGUMENT_BYTES_MAX + (size_t)note);
}

static struct slow *slow_new(const struct call *call, uint64_t us)
{
    slice peer = slice_of(call->session->peer), name = call->session->texts[SESSION_NAME];
    size_t bytes = peer.len + name.len + NOTE_BYTES_MAX;
    for (unsigned i = 0; i < call->argc && i < ARGUMENTS_MAX; i++) {
        bytes += num_min_u64(secret_shown(call, i).len, ARGUMENT_BYTES_MAX + NOTE_BYTES_MAX);
    }
    struct slow *s = malloc(sizeof *s + bytes);
    if (!s) {
        return NULL;
    }
    char *at = s->bytes;
    *s = (struct slow){.wall_s = call->now.wall_ms / 1000, .us = us};
    s->peer = keep(&at, peer);
    s->name = keep(&at, name);
    bool too_many = call->argc > ARGUMENTS_MAX;
    unsigned whole = too_many ? ARGUMENTS_MAX - 1 : call->argc;
    char room[ARGUMENT_BYTES_MAX + NOTE_BYTES_MAX];
    for (unsigned i = 0; i < whole; i++) {
        s->argv[s->argc++] = keep(&at, shortened(secret_shown(call, i), room));
    }
    if (too_many) {
        int note = snprintf(room, sizeof room, "... (%u more arguments)", call->argc - whole);
        s->argv[s->argc++] = keep(&at, slice_make(room, (size_t)note));
    }
    return s;
}

static void forget_beyond(uint64_t count) HOLDS(slowlog.lock)
{
    while (slowlog.count > count) {
        struct list *oldest = slowlog.newest_first.prev;
        list_remove(oldest);
        free(container_of(oldest, struct slow, link));
        slowlog.count--;
    }
}

void slowlog_push(const struct call *call, uint64_t us)
{
    struct slow *s = slow_new(call, us);
    lock_acquire(&slowlog.lock);
    if (s) {
        s->id = slowlog.next_id++;
        list_push_front(&slowlog.newest_first, &s->link);
        slowlog.count++;
    }
    forget_beyond((uint64_t)config_now()->slowlog_max_len);
    lock_release(&slowlog.lock);
}

/* ---- SLOWLOG -------------------------------------------------------------------------------------------------------- */
static void reply_slow(struct reply *r, const struct slow *s)
{
    reply_array(r, 6);
    reply_integer(r, (int64_t)s->id);
    reply_integer(r, s->wall_s);
    reply_integer(r, (int64_t)s->us);
    reply_array(r, s->argc);
    for (unsigned i = 0; i < s->argc; i++) {
        reply_bytes(r, s->argv[i]);
    }
    reply_bytes(r, s->peer);
    reply_bytes(r, s->name);
}

err cmd_slowlog_get(struct call *call)
{
    int64_t count = SHOWN_BY_DEFAULT;
    if (call->argc > 3) {
        return call_fail(call, ERR_SYNTAX,
                         "unknown subcommand or wrong number of arguments for '%.*s'. Try SLOWLOG HELP.",
                         SLICE_ARG(call_arg(call, 1)));
    }
    if (call->argc == 3 && (call_arg_i64(call, 2, &count) != OK || count < -1)) {
        return call_fail(call, ERR_INVALID, "count should be greater than or equal to -1");
    }
    lock_acquire(&slowlog.lock);
    uint64_t left = count < 0 || (uint64_t)count > slowlog.count ? slowlog.count : (uint64_t)count;
    reply_array(call->reply, left);
    for (struct list *at = slowlog.newest_first.next; left > 0; left--, at = at->next) {
        reply_slow(call->reply, container_of(at, struct slow, link));
    }
    lock_release(&slowlog.lock);
    return OK;
}

err cmd_slowlog_len(struct call *call)
{
    lock_acquire(&slowlog.lock);
    reply_integer(call->reply, (int64_t)slowlog.count);
    lock_release(&slowlog.lock);
    return OK;
}

err cmd_slowlog_reset(struct call *call)
{
    lock_acquire(&slowlog.lock);
    forget_beyond(0);
    lock_release(&slowlog.lock);
    reply_ok(call->reply);
    return OK;
}

err cmd_slowlog_help(struct call *call)
{
    static const char *const lines[] = {
        "GET [count]",
        "    The newest slow calls, 10 unless said otherwise, all with -1. Each with its",
        "    number, time, microseconds, arguments, client address and client name.",
        "LEN",
        "    How many are kept.",
        "RESET",
        "    Forgets them.",
        NULL,
    };
    reply_help(call, lines);
    return OK;
}
