/* What happens to a shard without being asked: keys expire and are evicted, what was left behind is freed, and what is left moves together so that
 * memory can be given back. tick.c says when. */
#include "base/num.h"
#include "keyspace/shard_priv.h"
#include "os/mem.h"

enum {
    COMPACT_SEGMENTS = 4,
    REMOVAL_WORK = 16, /* what it costs to remove an entry, in records of the calendar that are looked at */
};

/* ---- expiry and eviction ----------------------------------------------------------------------------------------- */

/* The space whose index has an entry; NULL when a flush has left it behind. */
static struct space *space_having(struct shard *s, const struct entry *e, uint64_t hash)
{
    struct space *sp = s->all_spaces;
    if (!sp->next && !s->retired) {
        return sp;
    }
    while (sp && index_find(&sp->index, hash, entry_key(e)) != e) {
        sp = sp->next;
    }
    return sp;
}

/* Removes an entry that no command asked for: its key is copied to the arena, the record is a DEL. A negative entry
 * goes without an event, since it does not exist for those who listen. `sp` is NULL when whoever named the entry does
 * not know its space; when a flush has left it behind, it is only forgotten. False when there is no memory for that. */
static bool remove_unasked(struct shard *s, struct space *sp, struct entry *e, struct effect *fx, enum change change,
                           enum event event)
{
    struct key k = {.bytes = arena_copy(fx->arena, entry_key(e)), .shard = s};
    slice *argv = arena_alloc(fx->arena, 2 * sizeof *argv);
    if (!k.bytes.ptr || !argv) {
        return false;
    }
    k.hash = hash_keyed(s->hash_key, k.bytes);
    sp = sp ? sp : space_having(s, e, k.hash);
    if (!sp) {
        calendar_forget(e);
        return true;
    }
    k.db = sp->db;
    argv[0] = S("DEL");
    argv[1] = k.bytes;
    effect_record_instead(fx, sp->db, 2, argv);
    shard_remove(s, &k, e, fx, change, entry_negative(e) ? EVENT_NONE : event);
    return true;
}

/* What the ticks ask for without the lock. */
static void publish_calendar(struct shard *s)
{
    PUBLISH(s->next_due_ms, calendar_next_ms(&s->calendar));
    PUBLISH(s->has_ahead, calendar_has_ahead(&s->calendar));
}

/* Has the bucket of one that will be removed soon brought to the cache meanwhile. */
static void look_ahead(const struct shard *s)
{
    const struct entry *soon = calendar_soon(&s->calendar);
    if (soon) {
        shard_fetch_bucket(s, hash_keyed(s->hash_key, entry_key(soon)));
    }
}

void shard_expire(struct shard *s, struct effect *fx, unsigned *work, struct histogram *lags)
{
    shard_assert_locked(s);
    for (struct entry *e; *work > 0 && (e = calendar_due(&s->calendar, fx->now.wall_ms, work));) {
        int64_t lag_ms = fx->now.wall_ms - entry_deadline(e);
        look_ahead(s);
        if (!remove_unasked(s, NULL, e, fx, CHANGE_EXPIRED, EVENT_expired)) {
            break;
        }
        histogram_add(lags, (uint64_t)lag_ms * 1000);
        *work -= (unsigned)num_min_u64(*work, REMOVAL_WORK);
    }
    shard_account_calendar(s);
    publish_calendar(s);
}

void shard_deal_ahead(struct shard *s, unsigned work)
{
    shard_assert_locked(s);
    calendar_deal_ahead(&s->calendar, work);
    shard_account_calendar(s);
    publish_calendar(s);
}

bool shard_has_ahead(const struct shard *s)
{
    return PEEK(s->has_ahead);
}

bool shard_evict(struct shard *s, struct effect *fx)
{
    shard_assert_locked(s);
    struct space *sp;
    struct entry *e = evict_victim(s, fx->now.wall_ms, &sp);
    shard_account_calendar(s); /* the search may have tidied it */
    if (!e) {
        return false;
    }
    return entry_expired(e, fx->now.wall_ms) ? remove_unasked(s, sp, e, fx, CHANGE_EXPIRED, EVENT_expired)
                                             : remove_unasked(s, sp, e, fx, CHANGE_EVICTED, EVENT_evicted);
}

/* ---- reaping ----------------------------------------------------------------------------------------------------- */

size_t shard_drain(struct shard *s, struct index *ix)
{
    struct entry *entries[INDEX_DRAIN_MAX];
    size_t before = ix->bytes, freed = 0, count = index_drain(ix, entries);
    for (size_t i = 0; i < count; i++) { /* all of them are fetched from memory at a time */
        freed += entry_bytes(entries[i]);
    }
    for (size_t i = 0; i < count; i++) {
        entry_free(&s->slabs, entries[i]);
    }
    return freed + before - ix->bytes;
}

/* Frees a part of the first that is retired. */
static void reap_retired(struct shard *s)
{
    struct retired *r = s->retired;
    shard_account(s, -(int64_t)shard_drain(s, &r->index));
    if (!r->index.directory) {
        s->retired = r->next;
        mem_free(r);
    }
}

bool shard_reap(struct shard *s)
{
    if (!shard_has_rests(s)) {
        return false;
    }
    shard_lock(s);
    if (!evict_reap(s) && s->retired) {
        reap_retired(s);
    }
    shard_note_rests(s);
    shard_unlock(s);
    return true;
}

/* ---- moving ------------------------------------------------------------------------------------------------------ */

/* False when there is no memory for it, or when a flush has left it behind and it will go soon. */
static bool move_entry(struct shard *s, struct entry *e, int64_t now_wall_ms)
{
    uint64_t hash = hash_keyed(s->hash_key, entry_key(e));
    struct space *sp = space_having(s, e, hash);
    struct entry *to = sp && shard_reserve_record(s, entry_deadline(e), now_wall_ms) ? entry_moved(&s->slabs, e) : NULL;
    if (!to) {
        return false;
    }
    if (to->flags & ENTRY_TIMED) {
        calendar_moved(&s->calendar, to);
        shard_account_calendar(s);
    }
    evict_moved(s, e, to);
    index_replace(&sp->index, hash, e, to);
    entry_free_block(&s->slabs, e);
    return true;
}

unsigned shard_compact(struct shard *s, unsigned most, bool thorough, int64_t now_wall_ms)
{
    shard_assert_locked(s);
    unsigned count = 0;
    for (struct entry *e; count < most && (e = slab_sparse_block(&s->slabs, thorough)); count++) {
        if (!move_entry(s, e, now_wall_ms)) {
            slab_stop_draining(&s->slabs);
            break;
        }
    }
    return count;
}

bool shard_compact_index(struct shard *s)
{
    shard_assert_locked(s);
    struct space *sp = s->compacted_space ? s->compacted_space : s->all_spaces;
    if (!sp) {
        return false;
    }
    index_compact(&sp->index, &s->compacted_place, COMPACT_SEGMENTS);
    s->compacted_space = s->compacted_place == 0 ? sp->next : sp;
    return s->compacted_space;
}
