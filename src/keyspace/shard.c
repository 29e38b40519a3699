/* One shard: ties entries, index, calendar, eviction, pending keys and accounts together; the rules are in shard.h, the
 * structure in shard_priv.h.
 *
 * Every change has the same form, so that none can forget an account: make what may fail; leave() takes the entry out
 * of counts, calendar and bytes; change it; enter() puts it, or what has taken its place, back in; note() tells the
 * effect and voids a pending load.
 *
 * Bytes are counted exactly per shard (used_bytes, by whoever has the lock) and added to the keyspace's total whenever
 * the difference passes a step, so that a write seldom touches a line that other cores write, and a memory limit reads
 * one number. The step is a 1/64 of the limit divided by the number of shards: the total is at most 1/64 of the limit
 * off.
 *
 * Invariants (shard_check): (I1) each space's counts are those of its entries. (I2) An entry with a deadline is
 * scheduled in the calendar, no other is. (I3) used_bytes = entries + indexes + calendar + what eviction keeps, retired
 * ones and dead values included. (I4) evict.entry_count is the sum of the entries; nothing but entries is in `slabs`.
 * (I5) No entry is due before next_due_ms. */
#include "keyspace/shard.h"

#include "base/assert.h"
#include "base/num.h"
#include "keyspace/shard_priv.h"
#include "observe/metric.h"
#include "os/mem.h"

enum {
    LAZY_VALUE_BYTES = 64 * 1024, /* from here on freeing is worth putting off */
    DEAD_VALUES_MOST = 64,        /* that are freed in one go */
    COMPACT_SEGMENTS = 16,
    REMOVAL_WORK = 16, /* what it costs to remove an entry, in records of the calendar that are looked at */
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

/* ---- accounts ---------------------------------------------------------------------------------------------------- */

/* Values that are written under the lock and read without it. */
#define PUBLISH(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define PEEK(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

void shard_account(struct shard *s, int64_t bytes)
{
    PUBLISH(s->used_bytes, s->used_bytes + (uint64_t)bytes);
    s->unpublished_bytes += bytes;
    int64_t step = keyspace_publish_step(s->keyspace);
    if (s->unpublished_bytes > step || s->unpublished_bytes < -step) {
        shard_publish(s);
    }
}

void shard_publish(struct shard *s)
{
    keyspace_publish_bytes(s->keyspace, s->unpublished_bytes);
    s->unpublished_bytes = 0;
}

/* Brings the account of the calendar up to date, which also changes when nothing is scheduled or cancelled. */
static void account_calendar(struct shard *s)
{
    size_t bytes = calendar_bytes(&s->calendar);
    if (bytes != s->calendar_bytes) {
        shard_account(s, (int64_t)bytes - (int64_t)s->calendar_bytes);
        s->calendar_bytes = bytes;
    }
}

static int64_t deadline_offset(const struct shard *s, const struct entry *e)
{
    const int64_t most = (int64_t)1 << 40;
    int64_t deadline = num_max_i64(0, num_min_i64(entry_deadline(e), INT64_MAX / 2));
    return num_max_i64(-most, num_min_i64(most, deadline - keyspace_epoch_ms(s->keyspace)));
}

static void count_entry(struct shard *s, struct space *sp, const struct entry *e, int sign)
{
    sp->timed_count += (uint64_t)(int64_t)(e->flags & ENTRY_TIMED ? sign : 0);
    if (entry_negative(e)) {
        sp->negative_count += (uint64_t)(int64_t)sign;
        return;
    }
    PUBLISH(sp->visible_count, sp->visible_count + (uint64_t)(int64_t)sign);
    if (e->flags & ENTRY_TIMED) {
        PUBLISH(sp->expiring_count, sp->expiring_count + (uint64_t)(int64_t)sign);
        PUBLISH(sp->deadline_offset_ms, sp->deadline_offset_ms + sign * deadline_offset(s, e));
    }
}

/* The next tick is not to pass the shard by at that time (wall ms). */
static void wake_at(struct shard *s, int64_t due_ms)
{
    if (due_ms < s->next_due_ms) {
        PUBLISH(s->next_due_ms, due_ms);
    }
}

/* So many entries are in the calendar no more. */
static void unschedule(struct shard *s, size_t count)
{
    calendar_cancel(&s->calendar, count);
    if (calendar_is_untidy(&s->calendar)) {
        wake_at(s, 0);
    }
}

/* Takes an entry out of counts, calendar and account, before it is changed or freed. */
static void leave(struct shard *s, struct space *sp, struct entry *e)
{
    count_entry(s, sp, e, -1);
    if (e->flags & ENTRY_TIMED) {
        unschedule(s, 1);
    }
    shard_account(s, -(int64_t)entry_bytes(e));
}

/* Puts it in. There is room for its record if it has a deadline. */
static void enter(struct shard *s, struct space *sp, struct entry *e)
{
    count_entry(s, sp, e, +1);
    if (e->flags & ENTRY_TIMED) {
        int64_t due_ms = calendar_schedule(&s->calendar, e);
        wake_at(s, calendar_is_untidy(&s->calendar) ? 0 : due_ms);
    }
    shard_account(s, (int64_t)entry_bytes(e));
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

/* Sees to it that enter() finds room for the record of an entry with this deadline. */
static bool reserve_record(struct shard *s, int64_t deadline, int64_t now_wall_ms)
{
    if (LIKELY(deadline == NO_DEADLINE)) {
        return true;
    }
    bool done = calendar_reserve(&s->calendar, deadline, now_wall_ms);
    account_calendar(s);
    return done;
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
    slabs_init(&s->slabs, keyspace_slab_pool(ks), keyspace_limbo(ks));
    calendar_init(&s->calendar, &s->slabs);
    s->spaces = mem_alloc(db_count * sizeof *s->spaces);
    if (!s->spaces) {
        return ERR_NOMEM;
    }
    memset(s->spaces, 0, db_count * sizeof *s->spaces);
    return OK;
}

/* Frees a segment's worth of entries; returns what that gave back, 0 when the index is empty. */
static size_t drain(struct shard *s, struct index *ix)
{
    struct entry *entries[INDEX_STEP_MAX];
    size_t before = ix->bytes, freed = 0, count = index_drain(ix, entries);
    for (size_t i = 0; i < count; i++) {
        __builtin_prefetch(entries[i]);
    }
    for (size_t i = 0; i < count; i++) {
        freed += entry_bytes(entries[i]);
        entry_free(&s->slabs, entries[i]);
    }
    return freed + before - ix->bytes;
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
        while (drain(s, &sp->index) > 0) {}
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
struct sight shard_look(const struct key *k, bool to_write)
{
    const struct shard *s = k->shard;
    struct sight sight = {0};
    if (to_write) {
        __builtin_prefetch(&s->lock, 1);
    }
    sight.blind = !lock_look(&s->lock, &sight.version);
    const struct space *sp = space_of(s, k->db);
    sight.bucket = sp ? index_bucket_unlocked(&sp->index, k->hash) : NULL;
    return sight;
}

void shard_look_closer(struct sight *sight, const struct key *k)
{
    sight->entry = sight->bucket ? index_entry_unlocked(&k->shard->slabs, sight->bucket, k->hash) : NULL;
}

struct entry *shard_find(struct shard *s, const struct key *k)
{
    shard_assert_locked(s);
    assert(k->shard == s);
    const struct space *sp = space_of(s, k->db);
    return sp ? index_find(&sp->index, k->hash, k->bytes) : NULL;
}

struct entry *shard_find_seen(struct shard *s, const struct key *k, const struct sight *sight)
{
    shard_assert_locked(s);
    struct entry *e = (struct entry *)sight->entry;
    bool is_same = e && !sight->blind && lock_was_untouched(&s->lock, sight->version);
    return LIKELY(is_same && entry_has_key(e, k->bytes)) ? e : shard_find(s, k);
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

uint64_t shard_key_count(const struct shard *s, unsigned db)
{
    const struct space *sp = space_of(s, db);
    return sp ? PEEK(sp->visible_count) : 0;
}

uint64_t shard_expiring_count(const struct shard *s, unsigned db)
{
    const struct space *sp = space_of(s, db);
    return sp ? PEEK(sp->expiring_count) : 0;
}

int64_t shard_deadline_offset_ms(const struct shard *s, unsigned db)
{
    const struct space *sp = space_of(s, db);
    return sp ? PEEK(sp->deadline_offset_ms) : 0;
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
    if (!sp || !reserve_record(s, c->deadline, fx->now.wall_ms)) {
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
    enter(s, sp, e);
    evict_inserted(s, e, k->hash, fx->now.wall_ms);
    note(s, k, fx, event == EVENT_fill ? CHANGE_FILLED : CHANGE_CREATED, event);
    *ret_entry = e;
    return OK;
}

/* Whether its value is worth to be put aside. One that is held is not freed now anyway. */
static bool is_worth_burying(const struct entry *e)
{
    return entry_external_bytes(e) >= LAZY_VALUE_BYTES && !blob_is_held(entry_blob(e));
}

/* What stands in a large value that is put aside; nobody reads that any more. */
struct dead_value {
    struct blob *next;
    size_t bytes;
};

static struct dead_value *dead_value(const struct blob *b)
{
    return (struct dead_value *)(void *)b->bytes;
}

/* Puts a large value aside; what it costs stays in the account until it is freed. */
static void bury_value(struct shard *s, struct entry *e)
{
    size_t bytes = entry_external_bytes(e);
    struct blob *b = entry_take_external(e);
    *dead_value(b) = (struct dead_value){.next = s->dead_values, .bytes = bytes};
    PUBLISH(s->dead_values, b);
    shard_account(s, (int64_t)bytes);
    entry_free(&s->slabs, e);
}

/* Frees one that is out of everything; a large value later, if `lazy`. */
static void free_entry(struct shard *s, struct entry *e, bool lazy)
{
    if (lazy && is_worth_burying(e)) {
        bury_value(s, e);
    } else {
        entry_free(&s->slabs, e);
    }
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
    if (!reserve_record(s, c->deadline, fx->now.wall_ms)) {
        return ERR_NOMEM;
    }
    bool plain = is_plain(e);
    if (!plain || !entry_assign(e, c)) {
        leave(s, sp, e);
        if (plain || !entry_assign(e, c)) {
            struct entry *to = entry_new(&s->slabs, k->bytes, c);
            if (!to) {
                enter(s, sp, e);
                return ERR_NOMEM;
            }
            to->stamp = e->stamp;
            evict_moved(s, e, to);
            index_replace(&sp->index, k->hash, e, to);
            free_entry(s, e, true);
            e = to;
        }
        enter(s, sp, e);
    }
    s->evict.policy->used(s, e, fx->now.wall_ms);
    note(s, k, fx, event == EVENT_fill ? CHANGE_FILLED : CHANGE_CHANGED, event);
    *ret_entry = e;
    return OK;
}

/* `to`, which is new, in the place of `from`, which is in no index then. */
static void change_places(struct shard *s, struct space *sp, const struct key *k, struct entry *from, struct entry *to)
{
    leave(s, sp, from);
    to->stamp = from->stamp;
    evict_moved(s, from, to);
    index_replace(&sp->index, k->hash, from, to);
    enter(s, sp, to);
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
        x.made = reserve_record(s, c->deadline, fx->now.wall_ms) ? entry_new(&s->slabs, k->bytes, c) : NULL;
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
    if (!reserve_record(s, deadline, now_wall_ms)) {
        return NULL;
    }
    leave(s, sp, e);
    struct entry *to = entry_retimed(&s->slabs, e, deadline, fresh_until);
    enter(s, sp, to ? to : e);
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
    if (!reserve_record(s, entry_deadline(e), fx->now.wall_ms)) {
        return ERR_NOMEM;
    }
    leave(s, sp, e);
    struct entry *to = entry_resized(&s->slabs, e, bytes);
    enter(s, sp, to ? to : e);
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
                  enum event event, bool lazy)
{
    struct space *sp = space_with(s, k, e);
    count_removal(e, change);
    leave(s, sp, e);
    size_t before = sp->index.bytes;
    index_remove(&sp->index, k->hash, e);
    shard_account(s, (int64_t)sp->index.bytes - (int64_t)before);
    evict_removed(s, e, k->hash, change == CHANGE_EVICTED);
    note(s, k, fx, change, event);
    free_entry(s, e, lazy);
}

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
    shard_remove(s, &k, e, fx, change, entry_negative(e) ? EVENT_NONE : event, false);
    return true;
}

/* What the ticks ask for without the lock. */
static void publish_calendar(struct shard *s)
{
    PUBLISH(s->next_due_ms, calendar_next_ms(&s->calendar));
    PUBLISH(s->has_ahead, calendar_has_ahead(&s->calendar));
}

void shard_expire(struct shard *s, struct effect *fx, unsigned *work, struct histogram *lags)
{
    shard_assert_locked(s);
    for (struct entry *e; *work > 0 && (e = calendar_due(&s->calendar, fx->now.wall_ms, work));) {
        int64_t lag_ms = fx->now.wall_ms - entry_deadline(e);
        if (!remove_unasked(s, NULL, e, fx, CHANGE_EXPIRED, EVENT_expired)) {
            break;
        }
        histogram_add(lags, (uint64_t)lag_ms * 1000);
        *work -= (unsigned)num_min_u64(*work, REMOVAL_WORK);
    }
    account_calendar(s);
    publish_calendar(s);
}

void shard_deal_ahead(struct shard *s, unsigned work)
{
    shard_assert_locked(s);
    calendar_deal_ahead(&s->calendar, work);
    account_calendar(s);
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
    account_calendar(s); /* the search may have tidied it */
    if (!e) {
        return false;
    }
    return entry_expired(e, fx->now.wall_ms) ? remove_unasked(s, sp, e, fx, CHANGE_EXPIRED, EVENT_expired)
                                             : remove_unasked(s, sp, e, fx, CHANGE_EVICTED, EVENT_evicted);
}

/* ---- flush, swap, reap ------------------------------------------------------------------------------------------- */

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
        PUBLISH(s->retired, r);
    } else { /* no memory to put it off */
        struct index going;
        index_move(&going, &sp->index);
        for (size_t freed; (freed = drain(s, &going)) > 0;) {
            shard_account(s, -(int64_t)freed);
        }
    }
    unschedule(s, sp->timed_count);
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

bool shard_has_retired(const struct shard *s)
{
    return PEEK(s->retired) || PEEK(s->dead_values) || evict_has_rests(s);
}

static size_t free_values(struct blob *value)
{
    size_t freed = 0;
    for (struct blob *next; value; value = next) {
        next = dead_value(value)->next;
        freed += dead_value(value)->bytes;
        blob_disown(value);
    }
    return freed;
}

/* Takes the first few dead values off the list. */
static struct blob *take_values(struct shard *s)
{
    struct blob *first = s->dead_values, *last = first;
    for (unsigned i = 1; last && dead_value(last)->next && i < DEAD_VALUES_MOST; i++) {
        last = dead_value(last)->next;
    }
    if (last) {
        PUBLISH(s->dead_values, dead_value(last)->next);
        dead_value(last)->next = NULL;
    }
    return first;
}

/* Frees a part of the first that is retired. */
static void reap_retired(struct shard *s)
{
    struct retired *r = s->retired;
    shard_account(s, -(int64_t)drain(s, &r->index));
    if (!r->index.directory) {
        PUBLISH(s->retired, r->next);
        mem_free(r);
    }
}

/* Large values are freed without the lock: they belong to whoever has taken them off the list. */
bool shard_reap(struct shard *s)
{
    if (!shard_has_retired(s)) {
        return false;
    }
    shard_lock(s);
    struct blob *values = take_values(s);
    if (!evict_reap(s) && s->retired) {
        reap_retired(s);
    }
    s->reaper_count += values ? 1 : 0;
    shard_unlock(s);
    if (values) {
        size_t freed = free_values(values);
        shard_lock(s);
        s->reaper_count--;
        shard_account(s, -(int64_t)freed);
        shard_unlock(s);
    }
    return true;
}

/* ---- moving ------------------------------------------------------------------------------------------------------ */

/* False when there is no memory for it, or when a flush has left it behind and it will go soon. */
static bool move_entry(struct shard *s, struct entry *e, int64_t now_wall_ms)
{
    uint64_t hash = hash_keyed(s->hash_key, entry_key(e));
    struct space *sp = space_having(s, e, hash);
    struct entry *to = sp && reserve_record(s, entry_deadline(e), now_wall_ms) ? entry_moved(&s->slabs, e) : NULL;
    if (!to) {
        return false;
    }
    if (to->flags & ENTRY_TIMED) {
        calendar_moved(&s->calendar, to);
        account_calendar(s);
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

/* ---- check ------------------------------------------------------------------------------------------------------- */

static size_t check_space(struct shard *s, const struct space *sp, size_t *block_bytes)
{
    struct space found = {0};
    size_t bytes = sp->index.bytes;
    index_check(&sp->index);
    struct entry *entries[INDEX_STEP_MAX];
    uint64_t cursor = 0;
    do {
        size_t met = index_step(&sp->index, &cursor, entries);
        for (size_t i = 0; i < met; i++) {
            const struct entry *e = entries[i];
            assert(keyspace_key(s->keyspace, sp->db, entry_key(e)).shard == s);
            assert(!(e->flags & ENTRY_TIMED) || entry_timed(e)->mark != ENTRY_UNMARKED);
            assert(s->next_due_ms <= num_max_i64(entry_deadline(e), calendar_next_ms(&s->calendar)));
            assert(!entry_negative(e) || entry_string(e).len == 0);
            assert(slab_is_live(&s->slabs, slab_handle(&s->slabs, e)));
            *block_bytes += entry_block_bytes(e);
            bytes += entry_bytes(e);
            count_entry(s, &found, e, +1);
        }
    } while (cursor != 0);
    assert(found.visible_count == sp->visible_count);
    assert(found.negative_count == sp->negative_count);
    assert(found.expiring_count == sp->expiring_count);
    assert(found.deadline_offset_ms == sp->deadline_offset_ms);
    assert(found.visible_count + found.negative_count == sp->index.count);
    assert(found.timed_count == sp->timed_count);
    return bytes;
}

static size_t retired_bytes(const struct retired *r)
{
    size_t bytes = r->index.bytes;
    if (r->index.drained > 0) {
        return SIZE_MAX; /* half freed: not to be walked */
    }
    struct entry *entries[INDEX_STEP_MAX];
    uint64_t cursor = 0;
    do {
        size_t met = index_step(&r->index, &cursor, entries);
        for (size_t i = 0; i < met; i++) {
            bytes += entry_bytes(entries[i]);
        }
    } while (cursor != 0);
    return bytes;
}

void shard_check(struct shard *s)
{
    shard_assert_locked(s);
    size_t bytes = s->evict.bytes + s->calendar_bytes, block_bytes = 0, entries = 0, timed = 0;
    size_t recorded = calendar_check(&s->calendar);
    bool exact = s->reaper_count == 0;
    for (const struct space *sp = s->all_spaces; sp; sp = sp->next) {
        assert(s->spaces[sp->db] == sp);
        bytes += check_space(s, sp, &block_bytes);
        entries += sp->index.count;
        timed += sp->timed_count;
    }
    assert(timed == s->calendar.entry_count);
    assert(timed == recorded || s->retired);
    assert(s->calendar_bytes == calendar_bytes(&s->calendar));
    for (const struct retired *r = s->retired; r; r = r->next) {
        size_t more = retired_bytes(r);
        exact = exact && more != SIZE_MAX;
        bytes += more;
    }
    for (const struct blob *value = s->dead_values; value; value = dead_value(value)->next) {
        bytes += dead_value(value)->bytes;
    }
    assert(!exact || bytes == s->used_bytes);
    assert(s->retired || block_bytes == slab_used_bytes(&s->slabs));
    slab_check(&s->slabs);
    assert(entries == s->evict.entry_count);
    evict_check(s);
    pending_table_check(s);
}
