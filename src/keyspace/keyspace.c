/* The whole of the keys: shards, locks over several of them, and what is done to all; see keyspace.h.
 *
 *      hash of a key   | directory 24 | tag 8 | place 16 | ... shard |     shard_of() is the only place that knows
 *
 * Locks over several shards are always taken in ascending order of their numbers, so that nobody waits in a circle; who
 * wants all of them owns the gate first, so that two of those do not crawl behind each other shard by shard. Nothing
 * here holds more than one shard unless it says so.
 *
 * Memory limit: `published` is the sum of what the shards have reported, at most 1/64 of the limit off (shard.c).
 * Victims come a few at a time from the shard that has the most entries of a few looked at: a shard is a random part
 * of the keys, so that shards with as many entries each keep the same keys as one cache of all would. Bytes would not
 * do: one huge value would cost all the other keys of its shard their place.
 *
 * Room is made for what a call brings before it locks anything. It evicts as many as that could need and some more, so
 * that a huge value is paid for by who stores it, in several runs; the rest, after a limit was lowered, goes in the
 * ticks' slices.
 *
 * Threads: any, but for set-up (new, add_tap, set_loader) and free. keyspace_tick(): each worker with its own index. */
#include "keyspace/keyspace.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"
#include "base/random.h"
#include "keyspace/shard_priv.h"
#include "os/mem.h"
#include "os/process.h"

enum {
    SHARDS_MIN = 64,
    SHARDS_SMALLEST = 4, /* with a small memory limit */
    SHARDS_PER_WORKER = 32,
    SHARD_BYTES_MIN = 1 << 20,
    SHARD_BITS = 11,
    EXPIRE_WORK_PER_LOCK = 256, /* a removal is 17 of it */
    EXPIRE_WORK_PER_TICK = 8192,
    DEAL_PER_LOCK = 128,
    EVICT_PER_LOCK = 4,   /* few, so that the shards are emptied evenly */
    EVICT_PER_CALL = 2,   /* besides what the call itself needs: when the limit was lowered, the ticks do most of it */
    EVICT_PER_RUN = 1024, /* at most, for a huge call: less than a millisecond's work */
    EVICT_BYTES_LEAST = 64, /* that an eviction frees */
    VICTIM_CHOICES = 3,
    ADOPT_BUCKETS_PER_LOCK = 16,
    TICK_MS = 25,
    TICK_US = 120,   /* of a tick, for all of the housekeeping: a step that it ends in may take some 50 us */
    LIMIT_PART = 64, /* of the limit that the published total may be off */
    STEP_MAX = 64 * 1024,
    COMPACT_US = 100, /* in each millisecond: slow enough to be hardly felt, fast enough for 200,000 entries a second */
    COMPACT_PER_LOCK = 16,
    ADDRESSES_PER_BYTE =
        4, /* of the machine's memory: what is reserved for slabs, so that sparse ones do not use it up */
};

static const uint64_t ADDRESSES_MIN = (uint64_t)16 << 30;

static_assert(1 << SHARD_BITS == SHARD_COUNT_MAX, "a scan's cursor holds the shard");
static_assert(SHARD_BITS + INDEX_CURSOR_BITS < 53, "a scan's cursor is exact as a double");

/* What a worker knows of its housekeeping from one tick to the next. */
struct housekeeper {
    unsigned first_chore;
    unsigned tick_count;
    unsigned index_shard;         /* of its shards, the one whose indexes are being compacted */
    struct histogram expiry_lags; /* read by any thread */
};

struct keyspace {
    struct shard *shards;
    unsigned shard_count; /* a power of two */
    unsigned db_count;
    unsigned worker_count;
    struct hash_key hash_key;
    struct loader *loader;
    struct list taps;
    struct housekeeper *housekeepers; /* one a worker */
    bool wants_records;
    int64_t epoch_ms;
    /* Read without a lock. */
    bool active_expiry;
    int64_t frozen_until_ms; /* monotonic */
    uint64_t limit_bytes;    /* 0: none */
    enum eviction eviction;
    int64_t publish_step;
    struct limbo limbo;
    struct slab_pool slab_pool;
    bool limit_changed; /* and the shards have not heard since: keyspace_settle() */
    struct lock gate;
    ALIGNED(CACHE_LINE_BYTES) uint64_t published_bytes;
    uint64_t peak_bytes;
    uint64_t victim_shard; /* where to look next: a sequence that is spread evenly */
};

#define PUT(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define GET(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

/* ---- set-up ------------------------------------------------------------------------------------------------------ */

static unsigned choose_shard_count(const struct keyspace_options *o)
{
    uint64_t count = num_ceil_pow2((uint64_t)SHARDS_PER_WORKER * o->worker_count);
    count = num_min_u64(num_max_u64(count, SHARDS_MIN), SHARD_COUNT_MAX);
    while (o->maxmemory_bytes > 0 && count > SHARDS_SMALLEST && o->maxmemory_bytes / count < SHARD_BYTES_MIN) {
        count /= 2;
    }
    return (unsigned)count;
}

err keyspace_new(const struct keyspace_options *o, struct keyspace **ret_keyspace)
{
    assert(o->worker_count > 0);
    assert(o->db_count > 0);
    assert(o->db_count <= KEYSPACE_DB_COUNT_MAX);
    struct keyspace *ks = aligned_alloc(CACHE_LINE_BYTES, sizeof *ks);
    if (!ks) {
        return ERR_NOMEM;
    }
    *ks = (struct keyspace){
        .shard_count = choose_shard_count(o),
        .db_count = o->db_count,
        .worker_count = o->worker_count,
        .epoch_ms = clock_wall_ms(),
        .active_expiry = true,
    };
    hash_key_init(&ks->hash_key, o->seed);
    list_init(&ks->taps);
    lock_init(&ks->gate, LOCK_GATE, 0);
    err e = slab_pool_init(&ks->slab_pool, num_max_u64(process_machine_bytes() * ADDRESSES_PER_BYTE, ADDRESSES_MIN));
    if (e) {
        goto out;
    }
    e = limbo_init(&ks->limbo, o->worker_count, &ks->slab_pool);
    if (e) {
        goto out;
    }
    e = ERR_NOMEM;
    ks->housekeepers = calloc(o->worker_count, sizeof *ks->housekeepers);
    if (!ks->housekeepers) {
        goto out;
    }
    ks->shards = aligned_alloc(CACHE_LINE_BYTES, ks->shard_count * sizeof *ks->shards);
    if (!ks->shards) {
        goto out;
    }
    memset(ks->shards, 0, ks->shard_count * sizeof *ks->shards);
    for (unsigned i = 0; i < ks->shard_count; i++) {
        e = shard_init(&ks->shards[i], ks, i, o->db_count, &ks->hash_key, o->eviction);
        if (e) {
            goto out;
        }
    }
    keyspace_set_limit(ks, o->maxmemory_bytes, o->eviction);
    *ret_keyspace = ks;
    return OK;
out:
    keyspace_free(ks);
    return e;
}

void keyspace_free(struct keyspace *ks)
{
    if (!ks) {
        return;
    }
    for (unsigned i = 0; ks->shards && i < ks->shard_count; i++) {
        shard_fini(&ks->shards[i]);
    }
    free(ks->shards);
    limbo_fini(&ks->limbo);
    slab_pool_fini(&ks->slab_pool);
    free(ks->housekeepers);
    free(ks);
}

void keyspace_set_loader(struct keyspace *ks, struct loader *l)
{
    ks->loader = l;
}

struct loader *keyspace_loader(const struct keyspace *ks)
{
    return ks->loader;
}

void keyspace_add_tap(struct keyspace *ks, struct tap *t)
{
    list_push_back(&ks->taps, &t->link);
    ks->wants_records |= t->wants_records;
}

bool keyspace_wants_records(const struct keyspace *ks)
{
    return ks->wants_records;
}

void keyspace_publish(struct keyspace *ks, const struct effect *fx)
{
    LIST_EACH (node, &ks->taps) {
        struct tap *t = container_of(node, struct tap, link);
        t->effect(t, fx);
    }
}

unsigned keyspace_shard_count(const struct keyspace *ks)
{
    return ks->shard_count;
}

struct shard *keyspace_shard(struct keyspace *ks, unsigned number)
{
    assert(number < ks->shard_count);
    return &ks->shards[number];
}

unsigned keyspace_db_count(const struct keyspace *ks)
{
    return ks->db_count;
}

struct limbo *keyspace_limbo(struct keyspace *ks)
{
    return &ks->limbo;
}

struct slab_pool *keyspace_slab_pool(struct keyspace *ks)
{
    return &ks->slab_pool;
}

int64_t keyspace_epoch_ms(const struct keyspace *ks)
{
    return ks->epoch_ms;
}

/* Bits that the index does not use. */
static struct shard *shard_of(struct keyspace *ks, uint64_t hash)
{
    return &ks->shards[hash & (ks->shard_count - 1)];
}

struct key keyspace_key(struct keyspace *ks, unsigned db, slice bytes)
{
    uint64_t hash = hash_keyed(&ks->hash_key, bytes);
    return (struct key){.bytes = bytes, .hash = hash, .shard = shard_of(ks, hash), .db = db};
}

/* ---- locks over several shards ----------------------------------------------------------------------------------- */

enum { SET_WORDS = SHARD_COUNT_MAX / 64 };

/* A bit for each shard that has one of the keys. */
static unsigned shard_set(const struct keyspace *ks, const struct key *keys, size_t count,
                          uint64_t set[static SET_WORDS])
{
    unsigned words = (ks->shard_count + 63) / 64;
    memset(set, 0, words * sizeof *set);
    for (size_t i = 0; i < count; i++) {
        set[keys[i].shard->number / 64] |= (uint64_t)1 << keys[i].shard->number % 64;
    }
    return words;
}

void keyspace_lock_keys(struct keyspace *ks, const struct key *keys, size_t count)
{
    if (LIKELY(count == 1)) {
        shard_lock(keys[0].shard);
        return;
    }
    uint64_t set[SET_WORDS];
    unsigned words = shard_set(ks, keys, count, set);
    for (unsigned word = 0; word < words; word++) {
        for (; set[word]; set[word] &= set[word] - 1) {
            shard_lock(&ks->shards[word * 64 + (unsigned)__builtin_ctzll(set[word])]);
        }
    }
}

void keyspace_unlock_keys(struct keyspace *ks, const struct key *keys, size_t count)
{
    if (LIKELY(count == 1)) {
        shard_unlock(keys[0].shard);
        return;
    }
    uint64_t set[SET_WORDS];
    unsigned words = shard_set(ks, keys, count, set);
    for (unsigned word = 0; word < words; word++) {
        for (; set[word]; set[word] &= set[word] - 1) {
            shard_unlock(&ks->shards[word * 64 + (unsigned)__builtin_ctzll(set[word])]);
        }
    }
}

void keyspace_lock_all(struct keyspace *ks)
{
    lock_acquire(&ks->gate);
    for (unsigned i = 0; i < ks->shard_count; i++) {
        shard_lock(&ks->shards[i]);
    }
}

void keyspace_unlock_all(struct keyspace *ks)
{
    for (unsigned i = 0; i < ks->shard_count; i++) {
        shard_unlock(&ks->shards[i]);
    }
    lock_release(&ks->gate);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

struct counted_visit {
    void (*visit)(void *argument, struct entry *e);
    void *argument;
    size_t count;
};

static void count_and_visit(void *argument, struct entry *e)
{
    struct counted_visit *v = argument;
    v->count++;
    v->visit(v->argument, e);
}

uint64_t keyspace_scan(struct keyspace *ks, unsigned db, uint64_t cursor, size_t count,
                       void (*visit)(void *argument, struct entry *e), void *argument)
{
    struct counted_visit v = {.visit = visit, .argument = argument};
    uint64_t within = cursor >> SHARD_BITS;
    for (uint64_t number = cursor & (SHARD_COUNT_MAX - 1); number < ks->shard_count; number++) {
        struct shard *s = &ks->shards[number];
        shard_lock(s);
        within = shard_walk(s, db, within, count - v.count, count_and_visit, &v);
        shard_unlock(s);
        if (within != 0) {
            return within << SHARD_BITS | number;
        }
        if (v.count >= count && number + 1 < ks->shard_count) {
            return number + 1;
        }
    }
    return 0;
}

void keyspace_each(struct keyspace *ks, unsigned db, void (*visit)(void *argument, struct entry *e), void *argument)
{
    for (unsigned i = 0; i < ks->shard_count; i++) {
        shard_walk(&ks->shards[i], db, 0, SIZE_MAX, visit, argument);
    }
}

struct first_visible {
    struct entry *found;
    int64_t now_wall_ms;
};

static void find_visible(void *argument, struct entry *e)
{
    struct first_visible *f = argument;
    if (!f->found && !entry_negative(e) && !entry_expired(e, f->now_wall_ms)) {
        f->found = e;
    }
}

/* A key of one shard by chance; failing that (nearly all are expired or negative) the first that a walk meets. */
static struct entry *random_entry(struct shard *s, unsigned db, uint64_t random, int64_t now_wall_ms)
{
    struct first_visible f = {.found = shard_random(s, db, random, now_wall_ms), .now_wall_ms = now_wall_ms};
    uint64_t cursor = 0;
    while (!f.found && (cursor = shard_walk(s, db, cursor, 1, find_visible, &f)) != 0) {}
    return f.found;
}

slice keyspace_random_key(struct keyspace *ks, unsigned db, struct arena *arena, uint64_t random, int64_t now_wall_ms)
{
    struct random source;
    random_init(&source, random, db);
    uint64_t all = keyspace_key_count(ks, db);
    uint64_t place = all > 0 ? random_below(&source, all) : 0;
    unsigned number = 0;
    for (uint64_t here; number + 1 < ks->shard_count && (here = shard_key_count(&ks->shards[number], db)) <= place;
         number++) {
        place -= here;
    }
    for (unsigned i = 0; all > 0 && i < ks->shard_count; i++) {
        struct shard *s = &ks->shards[(number + i) & (ks->shard_count - 1)];
        shard_lock(s);
        struct entry *e = random_entry(s, db, random_u64(&source), now_wall_ms);
        slice key = e ? arena_copy(arena, entry_key(e)) : (slice){0};
        shard_unlock(s);
        if (key.ptr) {
            return key;
        }
    }
    return (slice){0};
}

uint64_t keyspace_key_count(const struct keyspace *ks, unsigned db)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < ks->shard_count; i++) {
        count += shard_key_count(&ks->shards[i], db);
    }
    return count;
}

uint64_t keyspace_expiring_count(const struct keyspace *ks, unsigned db)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < ks->shard_count; i++) {
        count += shard_expiring_count(&ks->shards[i], db);
    }
    return count;
}

int64_t keyspace_mean_ttl_ms(const struct keyspace *ks, unsigned db, int64_t now_wall_ms)
{
    double offsets = 0;
    uint64_t count = keyspace_expiring_count(ks, db);
    for (unsigned i = 0; i < ks->shard_count; i++) {
        offsets += (double)shard_deadline_offset_ms(&ks->shards[i], db);
    }
    if (count == 0) {
        return 0;
    }
    return num_max_i64(0, (int64_t)(offsets / (double)count) + ks->epoch_ms - now_wall_ms);
}

uint64_t keyspace_flush_db(struct keyspace *ks, unsigned db)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < ks->shard_count; i++) {
        count += shard_flush(&ks->shards[i], db);
    }
    return count;
}

void keyspace_swap_dbs(struct keyspace *ks, unsigned a, unsigned b)
{
    for (unsigned i = 0; i < ks->shard_count; i++) {
        shard_swap(&ks->shards[i], a, b);
    }
}

bool keyspace_reap(struct keyspace *ks, int64_t budget_us)
{
    int64_t end_us = budget_us > 0 ? clock_mono_us() + budget_us : INT64_MAX;
    for (unsigned i = 0; i < ks->shard_count; i++) {
        while (shard_reap(&ks->shards[i])) {
            if (end_us != INT64_MAX && clock_mono_us() >= end_us) {
                return false;
            }
        }
    }
    return true;
}

/* ---- housekeeping ------------------------------------------------------------------------------------------------ */

/* Something done to a shard that is noted in an effect of its own and told to the taps before the unlock. */
struct unasked {
    struct arena arena;
    struct effect fx;
};

static void unasked_begin(struct unasked *u, struct keyspace *ks, struct now now)
{
    arena_reset(&u->arena);
    effect_init(&u->fx, &u->arena, now, ks->wants_records);
}

static void unasked_end(struct unasked *u, struct keyspace *ks)
{
    if (u->fx.touch_count > 0) {
        keyspace_publish(ks, &u->fx);
    }
}

/* With as many bytes more. */
static bool over_limit(const struct keyspace *ks, uint64_t bytes)
{
    uint64_t limit = GET(ks->limit_bytes);
    return limit > 0 && GET(ks->published_bytes) + bytes > limit;
}

/* Evicts up to `count` entries of a shard while there is no room for `bytes`; returns how many, 0 when there was none that
 * the policy allows. */
static unsigned evict_shard(struct keyspace *ks, struct shard *s, struct unasked *u, struct now now, uint64_t bytes,
                            unsigned count)
{
    unsigned evicted = 0;
    unasked_begin(u, ks, now);
    shard_lock(s);
    while (evicted < count && over_limit(ks, bytes) && !keyspace_is_frozen(ks, now) && shard_evict(s, &u->fx)) {
        shard_publish(s);
        evicted++;
    }
    unasked_end(u, ks);
    shard_unlock(s);
    return evicted;
}

/* Where the next victim is: of a few shards, among them one of a sequence that comes to all, the one with the most
 * entries. */
static unsigned choose_victim_shard(struct keyspace *ks)
{
    uint64_t next = __atomic_add_fetch(&ks->victim_shard, 0x9e3779b97f4a7c15, __ATOMIC_RELAXED);
    unsigned best = 0;
    uint64_t most = 0;
    for (unsigned i = 0; i < VICTIM_CHOICES; i++) {
        unsigned number = (unsigned)(next >> (16 * (VICTIM_CHOICES - i))) & (ks->shard_count - 1);
        uint64_t count = evict_entry_count_unlocked(&ks->shards[number]);
        if (i == 0 || count > most) {
            best = number;
            most = count;
        }
    }
    return best;
}

/* Evicts a few entries, `count_max` at most, from some shard that has any; returns how many, 0 when there is room for
 * `bytes` or the policy finds none in all of them. */
static unsigned evict_some(struct keyspace *ks, struct unasked *u, struct now now, uint64_t bytes, uint64_t count_max)
{
    unsigned first = choose_victim_shard(ks), evicted = 0, count = (unsigned)num_min_u64(count_max, EVICT_PER_LOCK);
    for (unsigned i = 0; i < ks->shard_count && evicted == 0 && over_limit(ks, bytes); i++) {
        evicted = evict_shard(ks, &ks->shards[(first + i) & (ks->shard_count - 1)], u, now, bytes, count);
    }
    return evicted;
}

/* Moves entries together in one shard until the time is up; false when there is nothing (more) to do. */
static bool compact_shard(struct shard *s, bool thorough, int64_t end_us, int64_t now_wall_ms)
{
    unsigned moved;
    do {
        shard_lock(s);
        moved = shard_compact(s, COMPACT_PER_LOCK, thorough, now_wall_ms);
        shard_unlock(s);
    } while (moved > 0 && clock_mono_us() < end_us);
    return moved > 0;
}

bool keyspace_purge(struct keyspace *ks, int64_t budget_us)
{
    int64_t end_us = clock_mono_us() + budget_us;
    bool more = !keyspace_reap(ks, budget_us);
    for (unsigned i = 0; i < ks->shard_count && !more; i++) {
        more = compact_shard(&ks->shards[i], true, end_us, clock_wall_ms());
    }
    while (!more && slab_pool_settle(&ks->slab_pool, true)) {
        more = clock_mono_us() >= end_us;
    }
    return !more;
}

/* ---- ticks ------------------------------------------------------------------------------------------------------- */

/* One tick of one worker. */
struct round {
    struct keyspace *ks;
    struct housekeeper *keeper;
    unsigned worker_index;
    unsigned shard_count; /* of the shards that are this worker's */
    struct now now;
    int64_t end_us;      /* of the chore */
    int64_t next_due_ms; /* wall */
    bool frozen;
    struct unasked unasked;
};

/* Another one first each time, so that one with much to do does not keep the same ones waiting. */
static struct shard *shard_in_turn(const struct round *r, unsigned i)
{
    return &r->ks->shards[r->worker_index + (r->keeper->tick_count + i) % r->shard_count * r->ks->worker_count];
}

static bool is_over(const struct round *r)
{
    return clock_mono_us() >= r->end_us;
}

static bool may_expire(const struct round *r)
{
    return GET(r->ks->active_expiry) && !r->frozen;
}

/* Expires what is due. */
static bool expire(struct round *r)
{
    unsigned work = EXPIRE_WORK_PER_TICK;
    bool over = false;
    for (unsigned i = 0; i < r->shard_count && may_expire(r); i++) {
        struct shard *s = shard_in_turn(r, i);
        while (work > 0 && !over && may_expire(r) && GET(s->next_due_ms) <= r->now.wall_ms) {
            unsigned slice_work = (unsigned)num_min_u64(work, EXPIRE_WORK_PER_LOCK), left = slice_work;
            unasked_begin(&r->unasked, r->ks, r->now);
            shard_lock(s);
            r->frozen = keyspace_is_frozen(r->ks, r->now); /* perhaps since the tick began */
            if (LIKELY(!r->frozen)) {
                shard_expire(s, &r->unasked.fx, &left, &r->keeper->expiry_lags);
                unasked_end(&r->unasked, r->ks);
            }
            shard_unlock(s);
            work -= (unsigned)num_min_u64(work, num_max_u64(slice_work - left, 1));
            over = is_over(r);
        }
        r->next_due_ms = may_expire(r) ? num_min_i64(r->next_due_ms, GET(s->next_due_ms)) : r->next_due_ms;
    }
    return over && r->next_due_ms <= r->now.wall_ms;
}

/* Deals out what comes up later, so that what is due then is not late. */
static bool deal_ahead(struct round *r)
{
    bool over = false;
    for (unsigned i = 0; i < r->shard_count && !over; i++) {
        struct shard *s = shard_in_turn(r, i);
        while (!over && shard_has_ahead(s)) {
            shard_lock(s);
            shard_deal_ahead(s, DEAL_PER_LOCK);
            shard_unlock(s);
            over = is_over(r);
        }
    }
    return over;
}

/* Frees what flushes and large values have left behind. */
static bool reap(struct round *r)
{
    bool over = false;
    for (unsigned i = 0; i < r->shard_count && !over; i++) {
        while (!over && shard_reap(shard_in_turn(r, i))) {
            over = is_over(r);
        }
    }
    return over;
}

/* Tells a new policy about the entries that it has found. */
static bool adopt(struct round *r)
{
    bool over = false;
    for (unsigned i = 0; i < r->shard_count && !over; i++) {
        struct shard *s = shard_in_turn(r, i);
        while (!over && evict_is_adopting(s)) {
            shard_lock(s);
            evict_adopt(s, ADOPT_BUCKETS_PER_LOCK, r->now.wall_ms);
            shard_unlock(s);
            over = is_over(r);
        }
    }
    return over;
}

static bool evict(struct round *r)
{
    bool evicted = !r->frozen;
    while (evicted && over_limit(r->ks, 0) && !is_over(r)) {
        evicted = evict_some(r->ks, &r->unasked, r->now, 0, EVICT_PER_LOCK) > 0;
    }
    return evicted && over_limit(r->ks, 0);
}

static bool compact(struct round *r)
{
    bool more = false;
    for (unsigned i = 0; i < r->shard_count && !more; i++) {
        struct shard *s = shard_in_turn(r, i);
        more = slab_may_be_sparse(&s->slabs) && compact_shard(s, false, r->end_us, r->now.wall_ms);
    }
    return more;
}

/* Moves segments of one shard's indexes until the time is up or it has come through them; false when it has. */
static bool compact_indexes(struct shard *s, int64_t end_us)
{
    bool more;
    do {
        shard_lock(s);
        more = shard_compact_index(s);
        shard_unlock(s);
    } while (more && clock_mono_us() < end_us);
    return more;
}

/* Goes on with the shard at which it was. */
static bool compact_index(struct round *r)
{
    struct keyspace *ks = r->ks;
    if (!slab_may_be_sparse(&ks->limbo.slabs) || !limbo_is_sparse(&ks->limbo)) {
        return false;
    }
    bool more = false;
    for (unsigned i = 0; i < r->shard_count && !more; i++) {
        more = compact_indexes(&ks->shards[r->worker_index + r->keeper->index_shard * ks->worker_count], r->end_us);
        r->keeper->index_shard = (r->keeper->index_shard + !more) % r->shard_count;
        more = more || is_over(r);
    }
    return more;
}

static bool give_back(struct round *r)
{
    return slab_pool_tend(&r->ks->slab_pool);
}

/* Each works until it has nothing to do or its time is up, and says whether it wants to go on soon. */
static const struct {
    bool (*work)(struct round *r);
    unsigned us_max;
} chores[] = {
    {expire, TICK_US},     {deal_ahead, TICK_US},       {evict, TICK_US},     {reap, TICK_US}, {adopt, TICK_US},
    {compact, COMPACT_US}, {compact_index, COMPACT_US}, {give_back, TICK_US},
};

/* Does one after the other until the time of the tick is up: then those that had none come first in the next one. True when some have more to do. */
static bool do_chores(struct round *r)
{
    int64_t now_us = clock_mono_us(), end_us = now_us + TICK_US;
    unsigned first = r->keeper->first_chore;
    bool more = false;
    for (unsigned i = 0; i < countof(chores); i++) {
        unsigned chore = (first + i) % countof(chores);
        r->end_us = num_min_i64(end_us, now_us + chores[chore].us_max);
        bool busy = chores[chore].work(r);
        more = more || busy;
        if (busy && (now_us = clock_mono_us()) >= end_us) {
            r->keeper->first_chore = (chore + 1) % countof(chores);
            break;
        }
    }
    return more;
}

int64_t keyspace_tick(struct keyspace *ks, unsigned worker_index, struct now now)
{
    assert(worker_index < ks->worker_count);
    bool more = limbo_tick(&ks->limbo, worker_index);
    keyspace_settle(ks);
    struct round r = {
        .ks = ks,
        .keeper = &ks->housekeepers[worker_index],
        .worker_index = worker_index,
        .shard_count =
            (ks->shard_count - num_min_u64(worker_index, ks->shard_count) + ks->worker_count - 1) / ks->worker_count,
        .now = now,
        .next_due_ms = now.wall_ms + TICK_MS,
        .frozen = keyspace_is_frozen(ks, now),
    };
    r.keeper->tick_count++;
    arena_init(&r.unasked.arena);
    more = do_chores(&r) || more;
    arena_fini(&r.unasked.arena);
    return more ? now.mono_ms : now.mono_ms + num_max_i64(0, r.next_due_ms - now.wall_ms);
}

const struct histogram *keyspace_expiry_lags(const struct keyspace *ks, unsigned worker_index)
{
    assert(worker_index < ks->worker_count);
    return &ks->housekeepers[worker_index].expiry_lags;
}

void keyspace_reset_expiry_lags(struct keyspace *ks, unsigned worker_index)
{
    assert(worker_index < ks->worker_count);
    histogram_reset(&ks->housekeepers[worker_index].expiry_lags);
}

void keyspace_set_active_expiry(struct keyspace *ks, bool on)
{
    PUT(ks->active_expiry, on);
}

void keyspace_freeze(struct keyspace *ks, int64_t until_mono_ms)
{
    shard_assert_locked(&ks->shards[ks->shard_count - 1]); /* whoever looked before and stored is done */
    __atomic_store_n(&ks->frozen_until_ms, until_mono_ms, __ATOMIC_RELEASE);
}

bool keyspace_is_frozen(const struct keyspace *ks, struct now now)
{
    return now.mono_ms < __atomic_load_n(&ks->frozen_until_ms, __ATOMIC_ACQUIRE);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

void keyspace_publish_bytes(struct keyspace *ks, int64_t bytes)
{
    uint64_t sum = __atomic_add_fetch(&ks->published_bytes, (uint64_t)bytes, __ATOMIC_RELAXED);
    for (uint64_t peak = GET(ks->peak_bytes); sum > peak && (int64_t)sum > 0;) {
        if (__atomic_compare_exchange_n(&ks->peak_bytes, &peak, sum, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            break;
        }
    }
}

int64_t keyspace_publish_step(const struct keyspace *ks)
{
    return GET(ks->publish_step);
}

void keyspace_set_limit(struct keyspace *ks, uint64_t maxmemory_bytes, enum eviction eviction)
{
    assert(eviction < EVICTION_COUNT);
    uint64_t step = maxmemory_bytes > 0 ? maxmemory_bytes / LIMIT_PART / ks->shard_count : STEP_MAX;
    PUT(ks->publish_step, (int64_t)num_min_u64(step, STEP_MAX));
    PUT(ks->limit_bytes, maxmemory_bytes);
    PUT(ks->eviction, eviction);
    __atomic_store_n(&ks->limit_changed, true, __ATOMIC_RELEASE);
}

void keyspace_settle(struct keyspace *ks)
{
    if (!GET(ks->limit_changed) || !__atomic_exchange_n(&ks->limit_changed, false, __ATOMIC_ACQUIRE)) {
        return;
    }
    for (unsigned i = 0; i < ks->shard_count; i++) {
        struct shard *s = &ks->shards[i];
        shard_lock(s);
        shard_publish(s); /* what it had kept to itself under the former step */
        evict_set_policy(s, GET(ks->eviction));
        shard_unlock(s);
    }
}

/* Gives back what is not alive any more, then evicts up to `most` entries while there is no room for `bytes`. False when
 * there was nothing to give back and nothing that may be evicted. */
COLD static bool reclaim(struct keyspace *ks, struct now now, uint64_t bytes, uint64_t most)
{
    struct unasked u;
    arena_init(&u.arena);
    bool found = false;
    while (over_limit(ks, bytes) && !keyspace_reap(ks, 1)) {
        found = true;
    }
    for (unsigned evicted = 1; most > 0 && evicted > 0; most -= num_min_u64(most, evicted)) {
        evicted = evict_some(ks, &u, now, bytes, most);
        found = found || evicted > 0;
    }
    arena_fini(&u.arena);
    return found;
}

/* Of so many bytes, how many have to be free before: without eviction none, but memory may not be over the limit. */
static uint64_t bytes_needed(const struct keyspace *ks, uint64_t bytes)
{
    return GET(ks->eviction) == EVICTION_NONE ? 0 : bytes;
}

err keyspace_has_room(const struct keyspace *ks, struct now now, uint64_t bytes)
{
    if (GET(ks->limit_bytes) > 0 && bytes > GET(ks->limit_bytes)) {
        return ERR_OOM;
    }
    return LIKELY(!over_limit(ks, bytes_needed(ks, bytes))) || keyspace_is_frozen(ks, now) ? OK : ERR_AGAIN;
}

err keyspace_make_room(struct keyspace *ks, struct now now, uint64_t bytes)
{
    if (UNLIKELY(GET(ks->limit_changed))) {
        keyspace_settle(ks);
    }
    err e = keyspace_has_room(ks, now, bytes);
    if (LIKELY(e != ERR_AGAIN)) {
        return e;
    }
    uint64_t needed = bytes_needed(ks, bytes);
    uint64_t wanted = EVICT_PER_CALL + needed / EVICT_BYTES_LEAST;
    bool found = reclaim(ks, now, needed, num_min_u64(wanted, EVICT_PER_RUN));
    if (found && wanted > EVICT_PER_RUN && over_limit(ks, needed)) {
        return ERR_AGAIN;
    }
    return found || !over_limit(ks, 0) ? OK : ERR_OOM;
}

uint64_t keyspace_used_bytes(const struct keyspace *ks)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < ks->shard_count; i++) {
        sum += GET(ks->shards[i].used_bytes);
    }
    return sum;
}

struct keyspace_slabs keyspace_slabs(struct keyspace *ks)
{
    struct slab_pool_stats pool = slab_pool_stats(&ks->slab_pool);
    struct keyspace_slabs sum = {.reserved_bytes = pool.reserved_bytes,
                                 .held_bytes = pool.taken_bytes + pool.idle_bytes,
                                 .used_bytes = slab_used_bytes(&ks->limbo.slabs)};
    for (unsigned i = 0; i < ks->shard_count; i++) {
        sum.used_bytes += slab_used_bytes(&ks->shards[i].slabs);
    }
    return sum;
}

uint64_t keyspace_peak_bytes(const struct keyspace *ks)
{
    return num_max_u64(GET(ks->peak_bytes), keyspace_used_bytes(ks));
}

void keyspace_check(struct keyspace *ks)
{
    for (unsigned i = 0; i < ks->shard_count; i++) {
        shard_lock(&ks->shards[i]);
        shard_check(&ks->shards[i]);
        shard_unlock(&ks->shards[i]);
    }
}
