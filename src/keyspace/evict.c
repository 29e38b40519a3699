/* The policies' table, the change from one to another, and what is the same for all; see evict_priv.h. */
#include "keyspace/evict_priv.h"

#include "keyspace/shard_priv.h"
#include "os/mem.h"

enum { CHUNKS_PER_REAP = 128 }; /* of each queue: some 20 us */

/* How a policy uses the stamp of an entry; noeviction keeps time, for OBJECT IDLETIME and for what comes after it. */
enum stamp { STAMP_TIME, STAMP_FREQUENCY, STAMP_PLACE };

static const struct {
    const struct evict_policy *policy;
    enum stamp stamp;
} kinds[EVICTION_COUNT] = {
    [EVICTION_NONE] = {&evict_sampled, STAMP_TIME},
    [EVICTION_ADAPTIVE] = {&evict_adaptive, STAMP_PLACE},
    [EVICTION_ALLKEYS_LRU] = {&evict_sampled, STAMP_TIME},
    [EVICTION_ALLKEYS_LFU] = {&evict_sampled, STAMP_FREQUENCY},
    [EVICTION_ALLKEYS_RANDOM] = {&evict_sampled, STAMP_TIME},
    [EVICTION_VOLATILE_LRU] = {&evict_sampled, STAMP_TIME},
    [EVICTION_VOLATILE_LFU] = {&evict_sampled, STAMP_FREQUENCY},
    [EVICTION_VOLATILE_RANDOM] = {&evict_sampled, STAMP_TIME},
    [EVICTION_VOLATILE_TTL] = {&evict_sampled, STAMP_TIME},
};

/* ---- accounts ---------------------------------------------------------------------------------------------------- */

static void account(struct shard *s)
{
    const struct adaptive *a = &s->evict.adaptive;
    size_t bytes = a->small.bytes + a->main.bytes + a->ghosts.bytes + s->evict.rest_bytes;
    if (bytes != s->evict.bytes) {
        shard_account(s, (int64_t)bytes - (int64_t)s->evict.bytes);
        s->evict.bytes = bytes;
    }
}

static size_t rest_bytes(const struct evict_rest *r)
{
    return r->small.bytes + r->main.bytes + r->ghosts.bytes;
}

/* Queues have thousands of chunks: they are taken away whole, and freed later. Without memory for that, the policy frees them now. */
static void put_aside(struct evict *v)
{
    struct adaptive *a = &v->adaptive;
    struct evict_rest *r = a->small.bytes + a->main.bytes > 0 ? mem_alloc(sizeof *r) : NULL;
    if (r) {
        *r = (struct evict_rest){.next = v->rests, .small = a->small, .main = a->main, .ghosts = a->ghosts};
        a->small = a->main = (struct queue){0};
        a->ghosts = (struct ghosts){0};
        v->rest_bytes += rest_bytes(r);
        v->rests = r;
    }
}

static void forget(struct shard *s)
{
    if (s->evict.policy->forget) {
        put_aside(&s->evict);
        shard_note_rests(s);
        s->evict.policy->forget(s);
        account(s);
    }
}

bool evict_reap(struct shard *s)
{
    struct evict_rest *r = s->evict.rests;
    if (!r) {
        return false;
    }
    size_t before = rest_bytes(r);
    bool more = queue_drain(&r->small, CHUNKS_PER_REAP);
    more = queue_drain(&r->main, CHUNKS_PER_REAP) || more;
    if (!more) {
        ghosts_resize(&r->ghosts, 0);
    }
    s->evict.rest_bytes -= before - rest_bytes(r);
    if (!more) {
        s->evict.rests = r->next;
        mem_free(r);
    }
    account(s);
    return true;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void evict_init(struct shard *s, enum eviction kind, uint64_t seed)
{
    s->evict = (struct evict){.kind = kind, .policy = kinds[kind].policy};
    random_init(&s->evict.random, seed, 0x6576696374);
    forget(s);
}

void evict_fini(struct shard *s)
{
    forget(s);
    while (evict_reap(s)) {}
}

void evict_set_policy(struct shard *s, enum eviction kind)
{
    bool same_stamps = kinds[kind].stamp == kinds[s->evict.kind].stamp;
    if (!same_stamps) {
        forget(s);
    }
    PUBLISH(s->evict.kind, kind);
    PUBLISH(s->evict.policy, kinds[kind].policy);
    if (!same_stamps) {
        forget(s);
        evict_begin_adopting(s);
    }
}

/* ---- entries come and go ----------------------------------------------------------------------------------------- */

void evict_inserted(struct shard *s, struct entry *e, uint64_t hash, int64_t now_wall_ms)
{
    PUBLISH(s->evict.entry_count, s->evict.entry_count + 1);
    s->evict.policy->inserted(s, e, hash, now_wall_ms);
    account(s);
}

void evict_moved(struct shard *s, struct entry *from, struct entry *to)
{
    if (s->evict.policy->moved) {
        s->evict.policy->moved(s, from, to);
    }
}

void evict_removed(struct shard *s, struct entry *e, uint64_t hash, bool evicted)
{
    assert(s->evict.entry_count > 0);
    PUBLISH(s->evict.entry_count, s->evict.entry_count - 1);
    if (s->evict.policy->removed) {
        s->evict.policy->removed(s, e, hash, evicted);
        account(s);
    }
}

/* Which of a policy's records are of the database that goes is not known; so it begins anew with what stays. */
void evict_flushed(struct shard *s, uint64_t count)
{
    assert(s->evict.entry_count >= count);
    PUBLISH(s->evict.entry_count, s->evict.entry_count - count);
    if (s->evict.policy->forget) {
        forget(s);
        evict_begin_adopting(s);
    }
}

READS_UNLOCKED const void *evict_place_unlocked(const struct shard *s, uint64_t hash)
{
    struct ghosts now = {.places = *(uint16_t *volatile const *)&s->evict.adaptive.ghosts.places,
                         .bucket_count = *(volatile const uint32_t *)&s->evict.adaptive.ghosts.bucket_count};
    return ghosts_place(&now, hash);
}

bool evict_would_note(const struct shard *s, const struct entry *e, int64_t now_wall_ms)
{
    return PEEK(s->evict.policy) == &evict_sampled ? evict_sampled_would_note(s, e, now_wall_ms)
                                                   : evict_adaptive_would_note(e);
}

struct entry *evict_victim(struct shard *s, int64_t now_wall_ms, struct space **ret_space)
{
    struct entry *e = s->evict.policy->victim(s, now_wall_ms, ret_space);
    account(s);
    return e;
}

uint64_t evict_entry_count_unlocked(const struct shard *s)
{
    return PEEK(s->evict.entry_count);
}

/* ---- adopting ---------------------------------------------------------------------------------------------------- */

void evict_begin_adopting(struct shard *s)
{
    struct evict *v = &s->evict;
    v->walk_space = s->all_spaces;
    v->walk_cursor = 0;
    PUBLISH(v->adopting, v->entry_count > 0);
}

void evict_adopt(struct shard *s, unsigned bucket_count, int64_t now_wall_ms)
{
    struct evict *v = &s->evict;
    for (; bucket_count > 0 && v->adopting; bucket_count--) {
        struct entry *entries[INDEX_STEP_MAX];
        size_t count = index_step(&v->walk_space->index, &v->walk_cursor, entries);
        for (size_t i = 0; i < count; i++) {
            __builtin_prefetch(entries[i], 1);
        }
        for (size_t i = 0; i < count; i++) {
            v->policy->adopted(s, entries[i], now_wall_ms);
        }
        if (v->walk_cursor == 0) {
            v->walk_space = v->walk_space->next;
            PUBLISH(v->adopting, v->walk_space != NULL);
        }
    }
    account(s);
}

bool evict_is_adopting(const struct shard *s)
{
    return PEEK(s->evict.adopting);
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

void evict_check(const struct shard *s)
{
    const struct adaptive *a = &s->evict.adaptive;
    size_t rests = 0;
    for (const struct evict_rest *r = s->evict.rests; r; r = r->next) {
        rests += rest_bytes(r);
    }
    assert(s->evict.rest_bytes == rests);
    assert(s->evict.bytes == a->small.bytes + a->main.bytes + a->ghosts.bytes + rests);
    if (s->evict.policy->check) {
        s->evict.policy->check(s);
    }
}
