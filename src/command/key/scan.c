/* Finding keys without knowing them: SCAN, KEYS, RANDOMKEY. None of them sees expired or negative entries, and none loads anything.
 *
 * SCAN locks a shard at a time, so what it found is copied before the lock goes. KEYS runs with all shards locked and lends the keys to its reply. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "command/engine.h"
#include "command/verb.h"

enum { SCAN_COUNT = 10, CURSOR_CHARS = 24, LIST_KEYS = 64 };

/* ---- keys found ------------------------------------------------------------------------------------------------------------------------ */
struct list_block {
    struct list_block *next;
    unsigned count;
    slice keys[LIST_KEYS];
};

/* What is looked for, and what was found. */
struct search {
    struct call *call;
    slice pattern;
    bool any_name;
    slice kind;
    bool any_kind;
    bool copies;
    bool failed; /* no memory */
    size_t count;
    struct list_block *first, *last;
};

static void search_init(struct search *s, struct call *call)
{
    *s = (struct search){.call = call, .any_name = true, .any_kind = true};
}

static void search_pattern(struct search *s, slice pattern)
{
    s->pattern = pattern;
    s->any_name = slice_equal(pattern, S("*"));
}

static bool is_wanted(const struct search *s, const struct entry *entry)
{
    if (entry_negative(entry) || entry_expired(entry, s->call->now.wall_ms)) {
        return false;
    }
    if (!s->any_kind && !slice_equal_nocase(s->kind, kind_name(entry_kind(entry)))) {
        return false;
    }
    slice key = entry_key(entry);
    if (s->any_name || key.len == 0) {
        return s->any_name || s->pattern.len == 0; /* Redis's globs do not match an empty text, "**" included */
    }
    return slice_glob(s->pattern, key, false);
}

static void add(struct search *s, slice key)
{
    if (!s->last || s->last->count == LIST_KEYS) {
        struct list_block *block = call_alloc(s->call, sizeof *block);
        if (!block) {
            s->failed = true;
            return;
        }
        block->next = NULL;
        block->count = 0;
        if (s->last) {
            s->last->next = block;
        } else {
            s->first = block;
        }
        s->last = block;
    }
    s->last->keys[s->last->count++] = key;
    s->count++;
}

static void visit(void *argument, struct entry *entry)
{
    struct search *s = argument;
    if (s->failed || !is_wanted(s, entry)) {
        return;
    }
    slice key = entry_key(entry);
    if (s->copies) {
        key = arena_copy(&s->call->arena, key);
        s->failed = key.ptr == NULL;
    }
    if (!s->failed) {
        add(s, key);
    }
}

static void reply_found(const struct search *s)
{
    reply_array(s->call->reply, s->count);
    for (const struct list_block *block = s->first; block; block = block->next) {
        for (unsigned i = 0; i < block->count; i++) {
            reply_bytes(s->call->reply, block->keys[i]);
        }
    }
}

/* ---- verbs ----------------------------------------------------------------------------------------------------------------------------- */
/* Whatever strtoull() takes up to a NUL, as Redis does; clients send back what they were given. */
static err parse_cursor(slice text, uint64_t *ret_cursor)
{
    char copy[CURSOR_CHARS];
    if (text.len >= sizeof copy || (text.len > 0 && isspace((unsigned char)text.ptr[0]))) {
        return ERR_CURSOR;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *end;
    errno = 0;
    *ret_cursor = strtoull(copy, &end, 10);
    return *end == '\0' && errno != ERANGE ? OK : ERR_CURSOR;
}

static err parse_scan(struct call *call, struct search *search, int64_t *ret_count)
{
    *ret_count = SCAN_COUNT;
    for (unsigned i = 2; i < call->argc; i += 2) {
        if (i + 1 == call->argc) {
            return ERR_SYNTAX;
        }
        if (call_arg_is(call, i, S("COUNT"))) {
            err e = call_arg_i64(call, i + 1, ret_count);
            if (e != OK) {
                return e;
            }
            if (*ret_count < 1) {
                return ERR_SYNTAX;
            }
        } else if (call_arg_is(call, i, S("MATCH"))) {
            search_pattern(search, call_arg(call, i + 1));
        } else if (call_arg_is(call, i, S("TYPE"))) {
            search->kind = call_arg(call, i + 1);
            search->any_kind = false;
        } else {
            return ERR_SYNTAX;
        }
    }
    return OK;
}

err cmd_scan(struct call *call)
{
    struct search search;
    search_init(&search, call);
    search.copies = true;
    uint64_t cursor;
    int64_t count;
    err e = parse_cursor(call_arg(call, 1), &cursor);
    if (e != OK || (e = parse_scan(call, &search, &count)) != OK) {
        return e;
    }
    cursor = keyspace_scan(call->engine->keyspace, call->session->db, cursor, (size_t)count, visit, &search);
    if (search.failed) {
        return ERR_NOMEM;
    }
    reply_array(call->reply, 2);
    reply_bytes(call->reply, call_text_i64(call, (int64_t)cursor));
    reply_found(&search);
    return OK;
}

err cmd_keys(struct call *call)
{
    struct search search;
    search_init(&search, call);
    search_pattern(&search, call_arg(call, 1));
    keyspace_each(call->engine->keyspace, call->session->db, visit, &search);
    if (search.failed) {
        return ERR_NOMEM;
    }
    reply_found(&search);
    return OK;
}

err cmd_randomkey(struct call *call)
{
    slice key = keyspace_random_key(call->engine->keyspace, call->session->db, &call->arena, random_u64(call->random),
                                    call->now.wall_ms);
    if (key.ptr) {
        reply_bytes(call->reply, key);
    } else {
        reply_null(call->reply);
    }
    return OK;
}
