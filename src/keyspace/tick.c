/* What happens without being asked: keys expire, what is left behind is freed, sparse memory moves together.
 *
 * Each worker does this for the shards that are its own, in ticks. A tick has a list of chores and one budget of time
 * for all of them. Each works in small steps and asks after each whether its time is up; those that had none come
 * first in the next tick. No shard stays locked from one step to the next.
 *
 * Threads: workers, each with its own index; keyspace_purge() and keyspace_give_back() any. */
#include "base/assert.h"
#include "base/num.h"
#include "keyspace/keyspace_priv.h"

enum {
    EXPIRE_WORK_PER_LOCK = 128, /* a removal is 17 of it */
    EXPIRE_WORK_PER_TICK = 8192,
    DEAL_PER_LOCK = 128,
    ADOPT_BUCKETS_PER_LOCK = 1,
    TICK_MS = 25,
    COMPACT_PER_LOCK = 4,
};

/* ---- what nobody asked for ------------------------------------------------------------------------------------------ */

void unasked_begin(struct unasked *u, struct keyspace *ks, struct now now)
{
    arena_reset(&u->arena);
    effect_init(&u->fx, &u->arena, now, ks->wants_records);
}

void unasked_end(struct unasked *u, struct keyspace *ks)
{
    if (u->fx.touch_count > 0) {
        keyspace_publish(ks, &u->fx);
    }
}

/* ---- moving together ------------------------------------------------------------------------------------------------ */

/* Moves entries together in one shard until the time is up; false when there is nothing (more) to do. */
static bool compact_shard(struct shard *s, bool thorough, int64_t end_ns, int64_t now_wall_ms)
{
    unsigned moved;
    do {
        shard_lock(s);
        moved = shard_compact(s, COMPACT_PER_LOCK, thorough, now_wall_ms);
        shard_unlock(s);
    } while (moved > 0 && !keyspace_budget_is_over(end_ns));
    return moved > 0;
}

bool keyspace_purge(struct keyspace *ks, int64_t budget_us)
{
    int64_t end_ns = keyspace_budget_end_ns(budget_us);
    bool more = !keyspace_reap(ks, budget_us);
    for (unsigned i = 0; i < ks->shard_count && !more; i++) {
        more = compact_shard(&ks->shards[i], true, end_ns, clock_wall_ms());
    }
    while (!more && slab_pool_settle(&ks->slab_pool, true)) {
        more = keyspace_budget_is_over(end_ns);
    }
    return !more;
}

void keyspace_give_back(struct keyspace *ks)
{
    uint64_t blocks_most = slab_pool_stats(&ks->slab_pool).idle_bytes / SLAB_BYTES; /* others may free more meanwhile */
    while (blocks_most > 0 && slab_pool_settle(&ks->slab_pool, true)) {
        blocks_most--;
    }
}

/* ---- chores --------------------------------------------------------------------------------------------------------- */

/* One tick of one worker. */
struct round {
    struct keyspace *ks;
    struct housekeeper *keeper;
    unsigned worker_index;
    unsigned shard_count; /* of the shards that are this worker's */
    struct now now;
    int64_t end_ns;
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
    return keyspace_budget_is_over(r->end_ns);
}

static bool may_expire(const struct round *r)
{
    return PEEK(r->ks->active_expiry) && !r->frozen;
}

/* Expires what is due. */
static bool expire(struct round *r)
{
    unsigned work = EXPIRE_WORK_PER_TICK;
    bool over = false;
    int64_t next_due_ms = r->now.wall_ms + TICK_MS;
    for (unsigned i = 0; i < r->shard_count && may_expire(r); i++) {
        struct shard *s = shard_in_turn(r, i);
        while (work > 0 && !over && may_expire(r) && PEEK(s->next_due_ms) <= r->now.wall_ms) {
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
        next_due_ms = may_expire(r) ? num_min_i64(next_due_ms, PEEK(s->next_due_ms)) : next_due_ms;
    }
    r->keeper->next_due_ms = next_due_ms;
    return over && next_due_ms <= r->now.wall_ms;
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
    uint64_t ahead = room_ahead_bytes(r->ks, r->now);
    bool evicted = !r->frozen;
    while (evicted && room_is_short(r->ks, ahead) && !is_over(r)) {
        evicted = room_evict(r->ks, &r->unasked, r->now, ahead, UINT64_MAX) > 0;
    }
    return evicted && room_is_short(r->ks, ahead);
}

static bool compact(struct round *r)
{
    bool more = false;
    for (unsigned i = 0; i < r->shard_count && !more; i++) {
        struct shard *s = shard_in_turn(r, i);
        bool going = shard_has_rests(s); /* what is about to be freed is not moved first */
        more = !going && slab_may_be_sparse(&s->slabs) &&
               (compact_shard(s, false, r->end_ns, r->now.wall_ms) || is_over(r)); /* to find nothing takes time, too */
    }
    return more;
}

/* Moves segments of one shard's indexes until the time is up or it has come through them; false when it has. */
static bool compact_indexes(struct shard *s, int64_t end_ns)
{
    bool more;
    do {
        shard_lock(s);
        more = shard_compact_index(s);
        shard_unlock(s);
    } while (more && !keyspace_budget_is_over(end_ns));
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
        more = compact_indexes(&ks->shards[r->worker_index + r->keeper->index_shard * ks->worker_count], r->end_ns);
        r->keeper->index_shard = (r->keeper->index_shard + !more) % r->shard_count;
        more = more || is_over(r);
    }
    return more;
}

static bool give_back(struct round *r)
{
    return slab_pool_tend(&r->ks->slab_pool, r->now.mono_ms);
}

/* Each works until it has nothing to do or its time is up, and says whether it wants to go on soon. */
static bool (*const chores[])(struct round *r) = {
    expire, deal_ahead, reap,          evict, /* nothing that lives for what is dead */
    adopt,  compact,    compact_index, give_back,
};

/* Does one after the other until the time of the tick is up: then those that had none come first in the next one. True
 * when some have more to do. Those that had nothing are asked again when all are done or in another millisecond, so that a
 * tick of a few microseconds is not used up by asking. */
static bool do_chores(struct round *r)
{
    struct housekeeper *k = r->keeper;
    unsigned first = k->first_chore;
    if (k->busy_chores == 0 || k->asked_ms != r->now.mono_ms) {
        k->busy_chores = (1u << countof(chores)) - 1;
        k->asked_ms = r->now.mono_ms;
    }
    for (unsigned i = 0; i < countof(chores); i++) {
        unsigned chore = (first + i) % countof(chores);
        if (!(k->busy_chores >> chore & 1)) {
            continue;
        }
        if (!chores[chore](r)) {
            k->busy_chores &= ~(1u << chore);
        } else if (is_over(r)) {
            k->first_chore = (chore + 1) % countof(chores);
            break;
        }
    }
    return k->busy_chores != 0;
}

int64_t keyspace_tick(struct keyspace *ks, unsigned worker_index, struct now now, int64_t budget_us)
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
        .end_ns = keyspace_budget_end_ns(budget_us),
        .frozen = keyspace_is_frozen(ks, now),
    };
    r.keeper->tick_count++;
    arena_init(&r.unasked.arena);
    more = do_chores(&r) || more;
    arena_fini(&r.unasked.arena);
    /* As expire() has found, now or in a tick of the same millisecond. */
    int64_t wait_ms = num_min_i64(r.keeper->next_due_ms - now.wall_ms, TICK_MS);
    return more ? now.mono_ms : now.mono_ms + num_max_i64(0, wait_ms);
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
