/* One shard: ties entries, index, calendar, eviction, pending keys and accounts together; the rules are in shard.h, the
 * structure in shard_priv.h.
 *
 * Every change has the same form, so that none can forget an account: make what may fail; shard_leave() takes the entry out
 * of counts, calendar and bytes; change it; shard_enter() puts it, or what has taken its place, back in; note() tells the
 * effect and voids a pending load. */
#include "keyspace/shard.h"

#include "base/assert.h"
#include "base/num.h"
#include "keyspace/shard_priv.h"
#include "observe/metric.h"
#include "os/mem.h"

enum {
    TO_SECOND_LEVEL = 2, /* a degree of locality, for prefetches */
    RANDOM_TRIES = 256,
    RANDOM_BUCKET_ENTRIES = 24, /* fuller buckets are so rare that what they have beyond may be passed over */
};

/* ---- locks ------------------------------------------------------------------------------------------------------- */

void shard_lock(struct shard *s)
{
    lock_acquire(&s->lock);
}

bool shard_trylock(struct shard *s)
{
    return lock_try(&s->lock);
}

void shard_unlock(struct shard *s)
{
    lock_release(&s->lock);
}

void shard_assert_locked(const struct shard *s)
{
    lock_assert_held(&s->lock);
}

unsigned shard_number(const struct shard *s)
{
    return s->number;
}

/* ---- spaces ------------------------------------------------------------------------------------------------------ */

/* The space of a database, made at first use. */
static struct space *space_make(struct shard *s, unsigned db)
{
    struct space *sp = space_of(s, db);
    if (sp) {
        return sp;
    }
    sp = mem_alloc(sizeof *sp);
    if (sp) {
        *sp = (struct space){.db = db, .next = s->all_spaces};
        index_init(&sp->index, s->hash_key, &s->slabs, keyspace_limbo(s->keyspace));
        s->all_spaces = sp;
        __atomic_store_n(&s->spaces[db], sp, __ATOMIC_RELEASE);
    }
    return sp;
}

err shard_init(struct shard *s, struct keyspace *ks, unsigned number, unsigned db_count,
               const struct hash_key *hash_key, enum eviction eviction)
{
    *s = (struct shard){.number = (uint16_t)number,
                        .keyspace = ks,
                        .db_count = db_count,
                        .hash_key = hash_key,
                        .next_due_ms = INT64_MAX};
    lock_init(&s->lock, LOCK_SHARD, number);
    pending_table_init(s);
    uint64_t seed;
    memcpy(&seed, hash_key->secret, sizeof seed);
    evict_init(s, eviction, seed + number);
    slabs_init(&s->slabs, keyspace_slab_pool(ks), SLAB_POOL_ENTRIES, keyspace_limbo(ks));
    calendar_init(&s->calendar, &s->slabs);
    s->spaces = mem_alloc(db_count * sizeof *s->spaces);
    if (!s->spaces) {
        return ERR_NOMEM;
    }
    memset(s->spaces, 0, db_count * sizeof *s->spaces);
    return OK;
}

void shard_fini(struct shard *s)
{
    assert(s->pending_count == 0);
    if (!s->spaces) {
        return;
    }
    while (shard_reap(s)) {}
    evict_fini(s);
    for (struct space *sp = s->all_spaces, *next; sp; sp = next) {
        next = sp->next;
        while (shard_drain(s, &sp->index) > 0) {}
        mem_free(sp);
    }
    calendar_clear(&s->calendar);
    slabs_fini(&s->slabs);
    mem_free(s->spaces);
    s->spaces = NULL;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Spaces stay as long as their shard, directories and segments long enough (limbo_priv.h): so this needs no lock. Taking
 * it would make each look-up wait for the one before, which is what looking ahead is to avoid. */
static void find_bucket(const struct look *l)
{
    const struct key *k = l->key;
    const struct shard *s = k->shard;
    if (l->to_write) {
        __builtin_prefetch(&s->lock, 1);
    }
    struct sight sight = {0};
    sight.blind = !lock_look(&s->lock, &sight.version);
    const struct space *sp = space_of(s, k->db);
    if (sp) {
        sight.bucket = index_bucket_unlocked(&sp->index, k->hash);
    }
    *l->sight = sight;
}

static void fetch_entry(const char *e)
{
    __builtin_prefetch(e, 0, TO_SECOND_LEVEL);
    __builtin_prefetch(e + CACHE_LINE_BYTES, 0, TO_SECOND_LEVEL); /* most stand in two lines */
}

/* The first of what stands in the bucket's slots that may have the key, mostly the only one; asks for the others. */
static const void *candidate(const struct shard *s, const void *bucket, uint64_t hash, const void **ret_next)
{
    const char *first = NULL;
    for (unsigned slots = index_slots_unlocked(bucket, hash, ret_next); slots; slots &= slots - 1) {
        handle h = index_handle_unlocked(bucket, (unsigned)__builtin_ctz(slots));
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the table that is read now has the handle's place */
        const char *e = slab_at(&s->slabs, h);
        if (first) {
            fetch_entry(e);
        } else {
            first = e;
        }
    }
    return first;
}

static inline void find_candidate(const struct look *l)
{
    const struct shard *s = l->key->shard;
    struct sight *sight = l->sight;
    const void *next = NULL;
    if (sight->bucket) {
        sight->entry = candidate(s, sight->bucket, l->key->hash, &next);
    }
    while (next && !sight->entry && !sight->blind && lock_is_untouched(&s->lock, sight->version)) {
        sight->entry = candidate(s, next, l->key->hash, &next);
    }
}

/* What a new key will need. */
static void fetch_place(const struct look *l)
{
    const struct space *sp = space_of(l->key->shard, l->key->db);
    const void *header = sp ? index_header_unlocked(&sp->index, l->key->hash) : NULL;
    const void *place = evict_place_unlocked(l->key->shard, l->key->hash);
    if (header) {
        __builtin_prefetch(header, 1);
    }
    if (place) {
        __builtin_prefetch(place, 1);
    }
}

void shard_look(const struct look *looks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        find_bucket(&looks[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (looks[i].sight->bucket) {
            __builtin_prefetch(looks[i].sight->bucket, 0, TO_SECOND_LEVEL);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        find_candidate(&looks[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (looks[i].sight->entry) {
            fetch_entry(looks[i].sight->entry);
        } else if (looks[i].to_write) {
            fetch_place(&looks[i]);
        }
    }
}

void shard_approach(const struct sight *sight)
{
    const char *e = sight->entry;
    if (e) {
        __builtin_prefetch(e);
        __builtin_prefetch(e + CACHE_LINE_BYTES);
    }
}

struct entry *shard_find(struct shard *s, const struct key *k)
{
    shard_assert_locked(s);
    assert(k->shard == s);
    const struct space *sp = space_of(s, k->db);
    return sp ? index_find(&sp->index, k->hash, k->bytes) : NULL;
}

struct entry *shard_find_seen(const struct key *k, const struct sight *sight, int64_t now_wall_ms)
{
    shard_assert_locked(k->shard);
    struct entry *e = (struct entry *)sight->entry;
    bool is_same = e && !sight->blind && lock_was_untouched(&k->shard->lock, sight->version);
    if (UNLIKELY(!is_same || !entry_has_key(e, k->bytes))) {
        return NULL;
    }
    return e->flags & ENTRY_TIMED && entry_expired(e, now_wall_ms) ? NULL : e;
}

void shard_note_read(struct shard *s, struct entry *e, int64_t now_wall_ms)
{
    shard_assert_locked(s);
    s->evict.policy->used(s, e, now_wall_ms);
}

uint64_t shard_walk(struct shard *s, unsigned db, uint64_t cursor, size_t count,
                    void (*visit)(void *argument, struct entry *e), void *argument)
{
    shard_assert_locked(s);
    const struct space *sp = space_of(s, db);
    if (!sp) {
        return 0;
    }
    size_t visited = 0;
    do {
        struct entry *entries[INDEX_STEP_MAX];
        size_t met = index_step(&sp->index, &cursor, entries);
        for (size_t i = 0; i < met; i++) {
            visit(argument, entries[i]);
        }
        visited += met;
    } while (cursor != 0 && visited < count);
    return cursor;
}

/* A bucket by chance, then a place in it by chance that may be vacant: so that an entry in a full bucket is as likely
 * as one in a sparse one. */
struct entry *shard_random(struct shard *s, unsigned db, uint64_t random, int64_t now_wall_ms)
{
    shard_assert_locked(s);
    const struct space *sp = space_of(s, db);
    struct random source;
    random_init(&source, random, db);
    for (unsigned i = 0; sp && i < RANDOM_TRIES; i++) {
        struct entry *entries[INDEX_STEP_MAX];
        size_t met = index_sample(&sp->index, random_u64(&source), entries);
        size_t place = random_below(&source, RANDOM_BUCKET_ENTRIES);
        if (place < met && !entry_negative(entries[place]) && !entry_expired(entries[place], now_wall_ms)) {
            return entries[place];
        }
    }
    return NULL;
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

static void note(struct shard *s, const struct key *k, struct effect *fx, enum change change, enum event event)
{
    effect_touch(fx, k->db, k->bytes, change, event);
    bool voids = change == CHANGE_CREATED || change == CHANGE_CHANGED || change == CHANGE_DELETED;
    struct pending *p = voids && UNLIKELY(s->pending_count > 0) ? pending_find(s, k) : NULL;
    if (p) {
        pending_void(p);
    }
}

/* What every function that alters an entry starts with: it is the key's, in this shard. Returns its space. */
static struct space *space_with(struct shard *s, const struct key *k, const struct entry *e)
{
    shard_assert_locked(s);
    assert(k->shard == s);
    assert(e->flags & ENTRY_LONG_KEY || e->key_bytes == k->bytes.len);
#ifdef LARDER_CHECKS
    assert(entry_has_key(e, k->bytes));
#endif
    struct space *sp = space_of(s, k->db);
    assert(sp != NULL);
    return sp;
}

static void check_content(const struct content *c)
{
    assert(c->kind < KIND_COUNT);
    assert(c->fresh_until <= c->deadline);
}

err shard_insert(struct shard *s, const struct key *k, const struct content *c, struct effect *fx, enum event event,
                 struct entry **ret_entry)
{
    shard_assert_locked(s);
    assert(k->shard == s);
    check_content(c);
    assert(!shard_find(s, k));
    struct space *sp = space_make(s, k->db);
    if (!sp || !shard_reserve_record(s, c->deadline, fx->now.wall_ms)) {
        return ERR_NOMEM;
    }
    struct entry *e = entry_new(&s->slabs, k->bytes, c);
    if (!e) {
        return ERR_NOMEM;
    }
    size_t before = sp->index.bytes;
    err failure = index_insert(&sp->index, k->hash, e);
    shard_account(s, (int64_t)sp->index.bytes - (int64_t)before);
    if (failure) {
        entry_free(&s->slabs, e);
        return failure;
    }
    shard_enter(s, sp, e);
    evict_inserted(s, e, k->hash, fx->now.wall_ms);
    note(s, k, fx, event == EVENT_fill ? CHANGE_FILLED : CHANGE_CREATED, event);
    *ret_entry = e;
    return OK;
}

/* Without a deadline and with the value inline: what is assigned in place changes no account. */
static bool is_plain(const struct entry *e)
{
    return !(e->flags & (ENTRY_TIMED | ENTRY_EXTERNAL));
}

err shard_replace(struct shard *s, const struct key *k, struct entry *e, const struct content *c, struct effect *fx,
                  enum event event, struct entry **ret_entry)
{
    struct space *sp = space_with(s, k, e);
    check_content(c);
    if (!shard_reserve_record(s, c->deadline, fx->now.wall_ms)) {
        return ERR_NOMEM;
    }
    bool plain = is_plain(e);
    if (!plain || !entry_assign(e, c)) {
        shard_leave(s, sp, e);
        if (plain || !entry_assign(e, c)) {
            struct entry *to = entry_new(&s->slabs, k->bytes, c);
            if (!to) {
                shard_enter(s, sp, e);
                return ERR_NOMEM;
            }
            to->stamp = e->stamp;
            evict_moved(s, e, to);
            index_replace(&sp->index, k->hash, e, to);
            entry_free(&s->slabs, e);
            e = to;
        }
        shard_enter(s, sp, e);
    }
    s->evict.policy->used(s, e, fx->now.wall_ms);
    note(s, k, fx, event == EVENT_fill ? CHANGE_FILLED : CHANGE_CHANGED, event);
    *ret_entry = e;
    return OK;
}

/* `to`, which is new, in the place of `from`, which is in no index then. */
static void change_places(struct shard *s, struct space *sp, const struct key *k, struct entry *from, struct entry *to)
{
    shard_leave(s, sp, from);
    to->stamp = from->stamp;
    evict_moved(s, from, to);
    index_replace(&sp->index, k->hash, from, to);
    shard_enter(s, sp, to);
}

err shard_exchange(struct shard *s, const struct key *k, struct entry *e, const struct content *c, struct effect *fx,
                   enum event event, struct exchange *ret_exchange)
{
    struct space *sp = space_with(s, k, e);
    check_content(c);
    struct exchange x = {.made = e};
    if (is_plain(e) && !(e->flags & ENTRY_LONG_KEY)) { /* all of it is in its block */
        size_t bytes = entry_bytes(e);
        x.was = arena_alloc(fx->arena, bytes);
        if (!x.was) {
            return ERR_NOMEM;
        }
        memcpy(x.was, e, bytes);
        x.in_place = entry_assign(e, c);
    }
    if (!x.in_place) {
        x.was = e;
        x.made = shard_reserve_record(s, c->deadline, fx->now.wall_ms) ? entry_new(&s->slabs, k->bytes, c) : NULL;
        if (!x.made) {
            return ERR_NOMEM;
        }
        change_places(s, sp, k, e, x.made);
    }
    s->evict.policy->used(s, x.made, fx->now.wall_ms);
    note(s, k, fx, CHANGE_CHANGED, event);
    *ret_exchange = x;
    return OK;
}

void shard_exchange_back(struct shard *s, const struct key *k, const struct exchange *x)
{
    struct space *sp = space_with(s, k, x->made);
    if (x->in_place) {
        x->was->stamp = x->made->stamp; /* the eviction policy's, which has not gone back */
        memcpy(x->made, x->was, entry_bytes(x->was));
    } else {
        change_places(s, sp, k, x->made, x->was);
        entry_free(&s->slabs, x->made);
    }
}

void shard_exchange_end(struct shard *s, const struct exchange *x)
{
    shard_assert_locked(s);
    if (!x->in_place) {
        entry_free(&s->slabs, x->was);
    }
}

/* Gives it other times; NULL when the system refuses memory. */
static struct entry *retime(struct shard *s, struct space *sp, const struct key *k, struct entry *e, int64_t deadline,
                            int64_t fresh_until, int64_t now_wall_ms)
{
    if (!shard_reserve_record(s, deadline, now_wall_ms)) {
        return NULL;
    }
    shard_leave(s, sp, e);
    struct entry *to = entry_retimed(&s->slabs, e, deadline, fresh_until);
    shard_enter(s, sp, to ? to : e);
    if (to && to != e) {
        evict_moved(s, e, to);
        index_replace(&sp->index, k->hash, e, to);
        entry_free_block(&s->slabs, e);
    }
    return to;
}

err shard_set_times(struct shard *s, const struct key *k, struct entry *e, int64_t deadline, int64_t fresh_until,
                    struct effect *fx, enum event event, struct entry **ret_entry)
{
    e = retime(s, space_with(s, k, e), k, e, deadline, fresh_until, fx->now.wall_ms);
    if (!e) {
        return ERR_NOMEM;
    }
    note(s, k, fx, CHANGE_CHANGED, event);
    *ret_entry = e;
    return OK;
}

err shard_soften(struct shard *s, const struct key *k, struct entry *e, struct effect *fx, struct entry **ret_entry)
{
    struct space *sp = space_with(s, k, e);
    int64_t fresh_until = num_min_i64(entry_fresh_until(e), fx->now.wall_ms);
    e = retime(s, sp, k, e, entry_deadline(e), fresh_until, fx->now.wall_ms);
    if (!e) {
        return ERR_NOMEM;
    }
    note(s, k, fx, CHANGE_CHANGED, EVENT_NONE);
    *ret_entry = e;
    return OK;
}

err shard_edit_string(struct shard *s, const struct key *k, struct entry *e, size_t bytes, struct effect *fx,
                      enum event event, struct entry **ret_entry, char **ret_value)
{
    struct space *sp = space_with(s, k, e);
    assert(entry_kind(e) == KIND_STRING);
    if (!shard_reserve_record(s, entry_deadline(e), fx->now.wall_ms)) {
        return ERR_NOMEM;
    }
    shard_leave(s, sp, e);
    struct entry *to = entry_resized(&s->slabs, e, bytes);
    shard_enter(s, sp, to ? to : e);
    if (!to) {
        return ERR_NOMEM;
    }
    if (to != e) {
        evict_moved(s, e, to);
        index_replace(&sp->index, k->hash, e, to);
        entry_free_block(&s->slabs, e);
    }
    s->evict.policy->used(s, to, fx->now.wall_ms);
    note(s, k, fx, CHANGE_CHANGED, event);
    *ret_entry = to;
    *ret_value = entry_value(to);
    return OK;
}

/* Expired and evicted keys are counted here, whoever met them; negative entries are no keys. */
static void count_removal(const struct entry *e, enum change change)
{
    if (change == CHANGE_EXPIRED && !entry_negative(e)) {
        metric_add(METRIC_keys_expired, 1);
    } else if (change == CHANGE_EVICTED && !entry_negative(e)) {
        metric_add(METRIC_keys_evicted, 1);
    }
}

void shard_remove(struct shard *s, const struct key *k, struct entry *e, struct effect *fx, enum change change,
                  enum event event)
{
    struct space *sp = space_with(s, k, e);
    count_removal(e, change);
    shard_leave(s, sp, e);
    size_t before = sp->index.bytes;
    index_remove(&sp->index, k->hash, e);
    shard_account(s, (int64_t)sp->index.bytes - (int64_t)before);
    evict_removed(s, e, k->hash, change == CHANGE_EVICTED);
    note(s, k, fx, change, event);
    entry_free(&s->slabs, e);
}

/* ---- whole databases --------------------------------------------------------------------------------------------- */

uint64_t shard_flush(struct shard *s, unsigned db)
{
    shard_assert_locked(s);
    pending_void_all(s, db, NULL, NULL);
    struct space *sp = space_of(s, db);
    if (!sp || sp->index.count == 0) {
        return 0;
    }
    uint64_t keys = sp->visible_count;
    evict_flushed(s, sp->index.count);
    struct retired *r = mem_alloc(sizeof *r);
    if (r) {
        *r = (struct retired){.next = s->retired};
        index_move(&r->index, &sp->index);
        s->retired = r;
        shard_note_rests(s);
    } else { /* no memory to put it off */
        struct index going;
        index_move(&going, &sp->index);
        for (size_t freed; (freed = shard_drain(s, &going)) > 0;) {
            shard_account(s, -(int64_t)freed);
        }
    }
    shard_unschedule(s, sp->timed_count);
    sp->timed_count = 0;
    sp->negative_count = 0;
    PUBLISH(sp->visible_count, 0);
    PUBLISH(sp->expiring_count, 0);
    PUBLISH(sp->deadline_offset_ms, 0);
    return keys;
}

void shard_swap(struct shard *s, unsigned a, unsigned b)
{
    shard_assert_locked(s);
    pending_void_all(s, a, NULL, NULL);
    pending_void_all(s, b, NULL, NULL);
    struct space *of_a = space_of(s, a), *of_b = space_of(s, b);
    __atomic_store_n(&s->spaces[a], of_b, __ATOMIC_RELEASE);
    __atomic_store_n(&s->spaces[b], of_a, __ATOMIC_RELEASE);
    if (of_a) {
        of_a->db = b;
    }
    if (of_b) {
        of_b->db = a;
    }
}
