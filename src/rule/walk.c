/* A walk visits shard by shard. The first slice of a shard voids the loads in flight there, so a fill that began before either is not stored or is in the
 * index before the shard's entries are visited. Loads that begin behind it read the source after the invalidation and may stay.
 *
 * A visit may remove the entry it is given but not move one, as marking it stale does; so a slice first collects keys, then treats them, under one lock.
 * I1: cursor is 0 exactly when the shard has not been begun. */
#include "rule/walk.h"

#include <stdlib.h>

#include "observe/metric.h"
#include "rule/load.h"
#include "rule/rules_priv.h"

enum { ENTRIES_PER_SLICE = 256 };

struct found {
    struct found *next;
    slice key;
};

struct walk {
    struct rules *rules;
    struct walk_order order;
    unsigned shard_number;
    uint64_t cursor;
    uint64_t touched;
    struct arena arena; /* of a slice: keys, the effect */
    struct found *found;
    bool failed; /* memory was refused in this slice: it is done again */
    char text[]; /* what the order's slices point to */
};

/* ---- one key ----------------------------------------------------------------------------------------------------------------------------- */
/* With the shard locked. True when an entry was touched. */
static bool invalidate(struct rules *rs, const struct key *k, bool soft, struct effect *fx)
{
    struct entry *e = shard_find(k->shard, k);
    if (!e) {
        struct pending *p = pending_find(k->shard, k);
        if (p) {
            pending_void(p);
        }
        return false;
    }
    if (entry_expired(e, fx->now.wall_ms)) {
        shard_remove(k->shard, k, e, fx, CHANGE_EXPIRED, entry_negative(e) ? EVENT_NONE : EVENT_expired);
        return false;
    }
    bool can_refresh = !entry_negative(e) && load_governs(rule_set_find(rules_published(rs), k->db, k->bytes));
    if (!soft || !can_refresh || shard_soften(k->shard, k, e, fx, &e) != OK) {
        shard_remove(k->shard, k, e, fx, CHANGE_DELETED, entry_negative(e) ? EVENT_NONE : EVENT_del);
    }
    return true;
}

uint64_t walk_keys(struct rules *rs, unsigned db, size_t count, const slice *keys, bool soft, struct now now)
{
    uint64_t touched = 0;
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < count; i++) {
        struct key k = keyspace_key(rs->keyspace, db, keys[i]);
        struct effect fx;
        effect_init(&fx, &arena, now, keyspace_wants_records(rs->keyspace));
        shard_lock(k.shard);
        touched += invalidate(rs, &k, soft, &fx);
        keyspace_publish(rs->keyspace, &fx);
        shard_unlock(k.shard);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    metric_add(METRIC_invalidations, touched);
    return touched;
}

/* ---- walks ------------------------------------------------------------------------------------------------------------------------------- */
struct walk *walk_new(struct rules *rs, const struct walk_order *order)
{
    struct walk *w = calloc(1, sizeof *w + order->prefix.len + order->rule.len);
    if (!w) {
        return NULL;
    }
    w->rules = rs;
    w->order = *order;
    w->order.prefix.ptr = w->text;
    w->order.rule.ptr = w->text + order->prefix.len;
    if (order->prefix.len > 0) {
        memcpy(w->text, order->prefix.ptr, order->prefix.len);
    }
    if (order->rule.len > 0) {
        memcpy(w->text + order->prefix.len, order->rule.ptr, order->rule.len);
    }
    arena_init(&w->arena);
    return w;
}

static bool is_meant(void *argument, slice key)
{
    const struct walk *w = argument;
    if (w->order.rule.len == 0) {
        return slice_starts(key, w->order.prefix);
    }
    const struct rule *r = rule_set_find(rules_published(w->rules), w->order.db, key);
    return r && slice_equal(r->config->pattern.text, w->order.rule);
}

static void collect(void *argument, struct entry *e)
{
    struct walk *w = argument;
    if (!is_meant(w, entry_key(e))) {
        return;
    }
    struct found *f = arena_alloc(&w->arena, sizeof *f);
    slice key = f ? arena_copy(&w->arena, entry_key(e)) : slice_make(NULL, 0);
    if (!key.ptr) {
        w->failed = true;
        return;
    }
    *f = (struct found){w->found, key};
    w->found = f;
}

bool walk_step(struct walk *w, struct now now)
{
    struct keyspace *ks = w->rules->keyspace;
    if (__atomic_load_n(&w->rules->stopping, __ATOMIC_RELAXED)) {
        return true;
    }
    struct shard *s = keyspace_shard(ks, w->shard_number);
    struct effect fx;
    uint64_t touched = 0;
    w->found = NULL;
    w->failed = false;
    effect_init(&fx, &w->arena, now, keyspace_wants_records(ks));
    shard_lock(s);
    if (w->cursor == 0) {
        pending_void_all(s, w->order.db, is_meant, w);
    }
    uint64_t cursor = shard_walk(s, w->order.db, w->cursor, ENTRIES_PER_SLICE, collect, w);
    for (struct found *f = w->found; f; f = f->next) {
        struct key k = keyspace_key(ks, w->order.db, f->key);
        touched += invalidate(w->rules, &k, w->order.soft, &fx);
    }
    keyspace_publish(ks, &fx);
    shard_unlock(s);
    arena_reset(&w->arena);
    metric_add(METRIC_invalidations, touched);
    w->touched += touched;
    if (!w->failed) {
        w->cursor = cursor;
        w->shard_number += cursor == 0;
    }
    return w->shard_number == keyspace_shard_count(ks);
}

uint64_t walk_touched(const struct walk *w)
{
    return w->touched;
}

void walk_free(struct walk *w)
{
    if (w) {
        arena_fini(&w->arena);
        free(w);
    }
}
