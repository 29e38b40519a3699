/* What verbs do with their call: arguments, entries, the record. The rules are in call.h; dispatch has locked the shards of all keys.
 *
 * How an entry is found. A key's entry as dispatch found it stands in call->keys. One call may name a key twice (DEL a a, MSET a 1 a 2), and
 * a change may move or free the entry, so once a call of several keys has changed anything, what it needs is looked up again (current()).
 * A parked key comes back with an outcome: a value that a load brought, perhaps not stored. While the key is absent the verb sees that
 * value, until the call itself changes the key.
 *
 * Invariants: (I1) keys[k].entry is good whenever the call has not changed anything or has only this key; (I2) an outcome says what the
 * key is only while this call has not changed the key. Threads: the worker of the call. */
#include "command/call.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/num.h"
#include "command/call_priv.h"
#include "command/engine.h"
#include "command/park_priv.h"
#include "observe/metric.h"

/* ---- arguments ----------------------------------------------------------------------------------------------------- */
err call_arg_i64(struct call *call, unsigned index, int64_t *ret_value)
{
    return num_parse_i64(call->argv[index], ret_value);
}

struct blob *call_block(const struct call *call, unsigned index)
{
    unsigned from = 0, end = call->block_count;
    while (from < end) {
        unsigned middle = from + (end - from) / 2;
        if (call->blocks[middle].argument == index) {
            return call->blocks[middle].blob;
        }
        if (call->blocks[middle].argument < index) {
            from = middle + 1;
        } else {
            end = middle;
        }
    }
    return NULL;
}

void *call_alloc(struct call *call, size_t bytes)
{
    return arena_alloc(&call->arena, bytes);
}

err call_fail(struct call *call, err e, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(len >= 0);
    char *text = call_alloc(call, (size_t)len + 1);
    if (text) {
        vsnprintf(text, (size_t)len + 1, format, again);
        while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == '\n')) {
            len--; /* as Redis does */
        }
        for (int i = 0; i < len; i++) {
            if (text[i] == '\r' || text[i] == '\n') {
                text[i] = ' '; /* an error is one line in every protocol */
            }
        }
        call->error_text = slice_make(text, (size_t)len);
    }
    va_end(again);
    return e;
}

slice call_text_i64(struct call *call, int64_t value)
{
    char digits[NUM_I64_CHARS];
    return arena_copy(&call->arena, slice_make(digits, num_format_i64(value, digits)));
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */
void call_reply_large(struct call *call, const struct entry *e, slice part)
{
    struct blob *b = entry_blob(e);
    if (b && part.len > entry_string(e).len / 2) {
        reply_held(call->reply, b, part);
    } else {
        reply_bytes(call->reply, part);
    }
}

/* ---- entries ------------------------------------------------------------------------------------------------------- */
/* The record of a removal that no command asked for. */
static void record_removal(struct call *call, const struct key *key)
{
    slice *argv = effect_wants_records(&call->effect) ? call_alloc(call, 2 * sizeof *argv) : NULL;
    if (argv) {
        argv[0] = S("DEL");
        argv[1] = key->bytes;
        effect_record_before(&call->effect, key->db, 2, argv);
    }
}

/* Where it is not what was seen, or has expired. */
NOINLINE static void search(struct call *call, struct call_key *ck)
{
    ck->entry = shard_find(ck->key.shard, &ck->key);
    if (UNLIKELY(ck->entry && entry_expired(ck->entry, call->now.wall_ms))) {
        if (keyspace_is_frozen(call->engine->keyspace, call->now)) {
            ck->entry = NULL; /* to this call, which writes nothing */
            return;
        }
        enum event event = entry_negative(ck->entry) ? EVENT_NONE : EVENT_expired;
        shard_remove(ck->key.shard, &ck->key, ck->entry, &call->effect, CHANGE_EXPIRED, event);
        record_removal(call, &ck->key);
        ck->entry = NULL;
        call->expired_count++;
    }
}

void call_find(struct call *call, unsigned k)
{
    struct call_key *ck = &call->keys[k];
    /* a call that has removed something has changed the shard itself: what was seen may be that */
    bool may_ask = LIKELY(call->expired_count == 0);
    ck->entry = may_ask ? shard_find_seen(&ck->key, &ck->sight, call->now.wall_ms) : NULL;
    if (UNLIKELY(!ck->entry)) {
        search(call, ck);
    }
}

/* The entry in the shard, in whatever state; NULL when there is none. */
static struct entry *current(struct call *call, struct call_key *ck)
{
    if (call->changed && call->key_count > 1) {
        ck->entry = shard_find(ck->key.shard, &ck->key);
    }
    return ck->entry;
}

/* What a load brought for a key that is not stored (any more). */
static struct entry *brought(const struct call_key *ck)
{
    return ck->outcome && ck->outcome->kind == OUTCOME_VALUE ? ck->outcome->entry : NULL;
}

/* What was brought for this key says nothing any more, whichever argument named it. */
NOINLINE static void forget_outcomes(struct call *call, const struct call_key *ck)
{
    for (unsigned i = 0; i < call->key_count; i++) {
        struct call_key *other = &call->keys[i];
        if (other->key.db == ck->key.db && slice_equal(other->key.bytes, ck->key.bytes)) {
            other->outcome = NULL;
        }
    }
}

/* The call has changed this key: what it was before says nothing any more. */
static inline void note_change(struct call *call, struct call_key *ck, struct entry *e)
{
    ck->entry = e;
    call->changed = true;
    if (UNLIKELY(call->park != NULL)) {
        forget_outcomes(call, ck);
    }
}

/* When more than what dispatch has found may say what the key is. */
NOINLINE static struct entry *settle_entry(struct call *call, struct call_key *ck)
{
    struct entry *e = current(call, ck);
    if (!e || entry_negative(e)) {
        return brought(ck);
    }
    if (UNLIKELY(brought(ck) && entry_stale(e, call->now.wall_ms))) {
        return brought(ck); /* newer than what could not be replaced by it */
    }
    return e;
}

struct entry *call_entry(struct call *call, unsigned k)
{
    struct call_key *ck = &call->keys[k];
    if (UNLIKELY(call->changed || ck->outcome)) {
        return settle_entry(call, ck);
    }
    return ck->entry && !entry_negative(ck->entry) ? ck->entry : NULL;
}

err call_entry_of_kind(struct call *call, unsigned k, enum kind kind, struct entry **ret_entry)
{
    struct entry *e = call_entry(call, k);
    if (e && entry_kind(e) != kind) {
        return ERR_WRONGKIND;
    }
    *ret_entry = e;
    return OK;
}

/* Who had to wait for it has not found it. */
void call_count_look(const struct call *call, unsigned k)
{
    const struct call_key *ck = &call->keys[k];
    bool found = ck->entry && !entry_negative(ck->entry) && !ck->outcome;
    metric_add(found ? METRIC_keyspace_hits : METRIC_keyspace_misses, 1);
}

/* ---- all or none --------------------------------------------------------------------------------------------------- */
struct put {
    struct put *before;
    struct call_key *key;
    struct exchange exchange; /* nothing was there: only what it has made */
};

struct call_undo {
    struct put *last;
    struct effect_mark mark;
};

err call_begin_all(struct call *call)
{
    assert(!call->undo);
    struct call_undo *u = call_alloc(call, sizeof *u);
    if (!u) {
        return ERR_NOMEM;
    }
    *u = (struct call_undo){.mark = effect_mark(&call->effect)};
    call->undo = u;
    return OK;
}

/* The last one first: so each finds what it has made. */
static void take_back(struct call *call, const struct call_undo *u)
{
    for (const struct put *p = u->last; p; p = p->before) {
        const struct key *k = &p->key->key;
        if (p->exchange.was) {
            shard_exchange_back(k->shard, k, &p->exchange);
        } else {
            shard_remove(k->shard, k, p->exchange.made, &call->effect, CHANGE_DELETED, EVENT_NONE);
        }
    }
    effect_rewind(&call->effect, u->mark);
}

err call_end_all(struct call *call, err e)
{
    struct call_undo *u = call->undo;
    call->undo = NULL;
    if (e != OK) {
        take_back(call, u);
        return e;
    }
    for (const struct put *p = u->last; p; p = p->before) {
        if (p->exchange.was) {
            shard_exchange_end(p->key->key.shard, &p->exchange);
        }
    }
    return OK;
}

static err store_undoable(struct call *call, struct call_key *ck, const struct content *c, enum event event)
{
    struct put *put = call_alloc(call, sizeof *put);
    if (!put) {
        return ERR_NOMEM;
    }
    *put = (struct put){.before = call->undo->last, .key = ck};
    struct entry *old = current(call, ck);
    err e = old ? shard_exchange(ck->key.shard, &ck->key, old, c, &call->effect, event, &put->exchange)
                : shard_insert(ck->key.shard, &ck->key, c, &call->effect, event, &put->exchange.made);
    if (e == OK) {
        call->undo->last = put;
        note_change(call, ck, put->exchange.made);
    }
    return e;
}

/* ---- changing ------------------------------------------------------------------------------------------------------ */
/* Stores content under a key, whatever is there. */
static err store(struct call *call, struct call_key *ck, const struct content *c, enum event event)
{
    if (UNLIKELY(call->undo != NULL)) {
        return store_undoable(call, ck, c, event);
    }
    struct entry *e = current(call, ck), *stored;
    err failure = e ? shard_replace(ck->key.shard, &ck->key, e, c, &call->effect, event, &stored)
                    : shard_insert(ck->key.shard, &ck->key, c, &call->effect, event, &stored);
    if (failure == OK) {
        note_change(call, ck, stored);
    }
    return failure;
}

/* The times of a governed key that a client gives this deadline. */
static void govern_times(struct call *call, const struct call_key *ck, int64_t asked, int64_t *deadline,
                         int64_t *fresh_until)
{
    *deadline = *fresh_until = asked;
    if (ck->rule) {
        struct loader *loader = keyspace_loader(call->engine->keyspace);
        loader->times(loader, ck->rule, call->now, asked, deadline, fresh_until);
    }
}

NOINLINE static err put_governed(struct call *call, struct call_key *ck, const struct content *c)
{
    struct content timed = *c;
    govern_times(call, ck, c->fresh_until, &timed.deadline, &timed.fresh_until);
    ck->timed = true;
    return store(call, ck, &timed, call->event);
}

err call_put(struct call *call, unsigned k, const struct content *c)
{
    struct call_key *ck = &call->keys[k];
    return UNLIKELY(ck->rule != NULL) ? put_governed(call, ck, c) : store(call, ck, c, call->event);
}

err call_put_keep_times(struct call *call, unsigned k, const struct content *c)
{
    const struct entry *e = call_entry(call, k);
    if (!e) {
        return call_put(call, k, c);
    }
    struct content kept = *c;
    kept.deadline = entry_deadline(e);
    kept.fresh_until = entry_fresh_until(e);
    kept.load_ms = entry_load_ms(e);
    kept.loaded_at = entry_loaded_at(e);
    return store(call, &call->keys[k], &kept, call->event);
}

/* Sees to it that what call_entry() shows is in the shard: stores what a load brought and nobody kept. */
static err settle(struct call *call, struct call_key *ck, struct entry **ret_entry)
{
    struct entry *e = current(call, ck);
    if (!e || entry_negative(e)) {
        const struct entry *b = brought(ck);
        assert(b != NULL);
        struct content c = {.kind = entry_kind(b),
                            .encoding = entry_encoding(b),
                            .string = entry_string(b),
                            .blob = entry_blob(b),
                            .deadline = entry_deadline(b),
                            .fresh_until = entry_fresh_until(b),
                            .load_ms = entry_load_ms(b),
                            .loaded_at = entry_loaded_at(b)};
        err failure = store(call, ck, &c, EVENT_fill);
        if (failure != OK) {
            return failure;
        }
    }
    *ret_entry = ck->entry;
    return OK;
}

err call_edit_string(struct call *call, unsigned k, size_t bytes, char **ret_value)
{
    struct call_key *ck = &call->keys[k];
    struct entry *e;
    err failure = settle(call, ck, &e);
    if (failure == OK) {
        failure = shard_edit_string(ck->key.shard, &ck->key, e, bytes, &call->effect, call->event, &e, ret_value);
    }
    if (failure == OK) {
        note_change(call, ck, e);
    }
    return failure;
}

err call_set_deadline(struct call *call, unsigned k, int64_t deadline)
{
    struct call_key *ck = &call->keys[k];
    int64_t fresh_until;
    govern_times(call, ck, deadline, &deadline, &fresh_until);
    struct entry *e;
    err failure = settle(call, ck, &e);
    if (failure == OK) {
        failure = shard_set_times(ck->key.shard, &ck->key, e, deadline, fresh_until, &call->effect, call->event, &e);
    }
    if (failure == OK) {
        note_change(call, ck, e);
    }
    return failure;
}

void call_drop(struct call *call, unsigned k)
{
    struct call_key *ck = &call->keys[k];
    struct entry *e = current(call, ck);
    if (e) {
        enum event event = entry_negative(e) ? EVENT_NONE : call->event; /* to plain commands it was not there */
        shard_remove(ck->key.shard, &ck->key, e, &call->effect, CHANGE_DELETED, event);
    } else {
        /* Nothing to remove; but a load that began before must not bring the old row. */
        struct pending *p = pending_find(ck->key.shard, &ck->key);
        if (p) {
            pending_void(p);
        }
    }
    note_change(call, ck, NULL);
}

void call_event(struct call *call, unsigned k, enum event event)
{
    effect_event(&call->effect, call->keys[k].key.db, call->keys[k].key.bytes, event);
}

err call_key_in_db(struct call *call, unsigned k, unsigned db, enum key_use use, unsigned *ret_k)
{
    struct call_key *keys = call_alloc(call, (call->key_count + 1) * sizeof *keys);
    if (!keys) {
        return ERR_NOMEM;
    }
    memcpy(keys, call->keys, call->key_count * sizeof *keys);
    struct call_key *added = &keys[call->key_count];
    *added = (struct call_key){.key = keys[k].key, .argument = keys[k].argument, .use = use, .sight.blind = true};
    added->key.db = db;
    struct loader *loader = keyspace_loader(call->engine->keyspace);
    added->rule = loader ? loader->govern(loader, db, added->key.bytes) : NULL;
    call->keys = keys;
    *ret_k = call->key_count++;
    call_find(call, *ret_k);
    return OK;
}

/* ---- room ---------------------------------------------------------------------------------------------------------- */
/* Few bytes are within what eviction makes beyond what it is asked for. A call asks once: what others have taken since is not its affair. */
err call_need_room(struct call *call, uint64_t bytes)
{
    enum { FEW_BYTES = 16 * 1024 };
    if (bytes <= FEW_BYTES) {
        return OK;
    }
    err e = keyspace_has_room(call->engine->keyspace, call->now, bytes);
    return e != ERR_AGAIN ? e : park_room(call) >= bytes ? OK : park_for_room(call, bytes);
}

/* ---- the record ---------------------------------------------------------------------------------------------------- */
void call_record(struct call *call, unsigned argc, const slice *argv)
{
    if (!effect_wants_records(&call->effect)) {
        return;
    }
    slice *copy = call_alloc(call, argc * sizeof *copy);
    if (!copy) {
        call->effect.failed = true;
        return;
    }
    memcpy(copy, argv, argc * sizeof *copy);
    effect_record_instead(&call->effect, call->session->db, argc, copy);
}
