/* The whole of the keys: shards, locks over several of them, and what is done to all; see keyspace.h.
 *
 *      hash of a key   | directory 24 | tag 8 | place 16 | ... shard |     shard_of() is the only place that knows
 *
 * Locks over several shards are always taken in ascending order of their numbers, so that nobody waits in a circle; who
 * wants all of them owns the gate first, so that two of those do not crawl behind each other shard by shard. Nothing
 * here holds more than one shard unless it says so.
 *
 * Threads: any, but for set-up (new, add_tap, set_loader) and free. Not here: the memory limit (room.c), what happens
 * without being asked (tick.c). */
#include "keyspace/keyspace.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"
#include "base/random.h"
#include "keyspace/keyspace_priv.h"
#include "os/mem.h"
#include "os/process.h"

enum {
    SHARDS_MIN = 64,
    SHARDS_SMALLEST = 4, /* with a small memory limit */
    SHARDS_PER_WORKER = 32,
    SHARD_BYTES_MIN = 1 << 20,
    SHARD_BITS = 11,
    ADDRESSES_PER_BYTE =
        4, /* of the machine's memory: what is reserved for slabs, so that sparse ones do not use it up */
};

static const uint64_t ADDRESSES_MIN = (uint64_t)16 << 30;

static_assert(1 << SHARD_BITS == SHARD_COUNT_MAX, "a scan's cursor holds the shard");
static_assert(SHARD_BITS + INDEX_CURSOR_BITS < 53, "a scan's cursor is exact as a double");

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

void keyspace_note_rests(struct keyspace *ks, int change)
{
    __atomic_fetch_add(&ks->rests_count, (uint32_t)change, __ATOMIC_RELAXED);
}

int64_t keyspace_budget_end_ns(int64_t budget_us)
{
    return budget_us > 0 ? clock_lap_ns() + budget_us * 1000 : INT64_MAX;
}

bool keyspace_budget_is_over(int64_t end_ns)
{
    return end_ns != INT64_MAX && clock_lap_ns() >= end_ns;
}

bool keyspace_reap(struct keyspace *ks, int64_t budget_us)
{
    int64_t end_ns = keyspace_budget_end_ns(budget_us);
    for (unsigned i = 0; i < ks->shard_count && PEEK(ks->rests_count) > 0; i++) {
        while (shard_reap(&ks->shards[i])) {
            if (keyspace_budget_is_over(end_ns)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- pauses ------------------------------------------------------------------------------------------------------- */

void keyspace_set_active_expiry(struct keyspace *ks, bool on)
{
    PUBLISH(ks->active_expiry, on);
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

void keyspace_check(struct keyspace *ks)
{
    for (unsigned i = 0; i < ks->shard_count; i++) {
        shard_lock(&ks->shards[i]);
        shard_check(&ks->shards[i]);
        shard_unlock(&ks->shards[i]);
    }
}
