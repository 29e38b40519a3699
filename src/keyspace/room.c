/* The memory limit: what all shards have is summed up, and room is made by eviction.
 *
 * `published` is the sum of what the shards have reported, at most 1/64 of the limit off (account.c). Victims come a few
 * at a time from the shard that has the most entries of a few looked at: a shard is a random part of the keys, so that
 * shards with as many entries each keep the same keys as one cache of all would. Bytes would not do: one huge value
 * would cost all the other keys of its shard their place.
 *
 * Room is made for what a call brings before it locks anything. It evicts as many as that could need and some more, so
 * that a huge value is paid for by who stores it, in several runs; the rest, after a limit was lowered, goes in the
 * ticks' slices. While calls ask for room, the ticks also make a thousandth of the limit free ahead, so that where there is
 * time between the calls hardly one of them has to evict.
 *
 * Threads: any. */
#include "base/assert.h"
#include "base/num.h"
#include "keyspace/keyspace_priv.h"

enum {
    EVICT_PER_LOCK = 4,   /* few, so that the shards are emptied evenly */
    EVICT_PER_CALL = 1,   /* besides what the call itself needs: when the limit was lowered, the ticks do most of it */
    REAPS_PER_CALL = 1,   /* some 20 entries each; the ticks do the most of it */
    EVICT_PER_RUN = 1024, /* at most, for a huge call: less than a millisecond's work */
    EVICT_BYTES_LEAST = 64, /* that an eviction frees */
    VICTIM_CHOICES = 3,
    LIMIT_PART = 64,   /* of the limit that the published total may be off */
    AHEAD_PART = 1024, /* of the limit that the ticks make free before it is asked for */
    AHEAD_BYTES_MAX = 1 << 20,
    WANTED_MS = 1000, /* since an eviction made room for what was to come */
    STEP_MIN = 1024,
    STEP_MAX = 64 * 1024,
};

/* ---- the sum -------------------------------------------------------------------------------------------------------- */

void keyspace_publish_bytes(struct keyspace *ks, int64_t bytes)
{
    uint64_t sum = __atomic_add_fetch(&ks->published_bytes, (uint64_t)bytes, __ATOMIC_RELAXED);
    for (uint64_t peak = PEEK(ks->peak_bytes); sum > peak && (int64_t)sum > 0;) {
        if (__atomic_compare_exchange_n(&ks->peak_bytes, &peak, sum, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            break;
        }
    }
}

int64_t keyspace_publish_step(const struct keyspace *ks)
{
    return PEEK(ks->publish_step);
}

void keyspace_set_limit(struct keyspace *ks, uint64_t maxmemory_bytes, enum eviction eviction)
{
    assert(eviction < EVICTION_COUNT);
    uint64_t ahead = num_min_u64(maxmemory_bytes / AHEAD_PART, AHEAD_BYTES_MAX), step = STEP_MAX;
    if (maxmemory_bytes > 0) { /* all shards together keep less to themselves than is free ahead, where that is much */
        step =
            num_min_u64(maxmemory_bytes / LIMIT_PART, num_max_u64(ahead, STEP_MIN * ks->shard_count)) / ks->shard_count;
    }
    PUBLISH(ks->publish_step, (int64_t)step);
    PUBLISH(ks->limit_bytes, maxmemory_bytes);
    PUBLISH(ks->ahead_bytes, eviction == EVICTION_NONE ? 0 : ahead);
    PUBLISH(ks->eviction, eviction);
    __atomic_store_n(&ks->limit_changed, true, __ATOMIC_RELEASE);
}

uint64_t keyspace_limit_bytes(const struct keyspace *ks)
{
    return PEEK(ks->limit_bytes);
}

void keyspace_settle(struct keyspace *ks)
{
    if (!PEEK(ks->limit_changed) || !__atomic_exchange_n(&ks->limit_changed, false, __ATOMIC_ACQUIRE)) {
        return;
    }
    for (unsigned i = 0; i < ks->shard_count; i++) {
        struct shard *s = &ks->shards[i];
        shard_lock(s);
        shard_publish(s); /* what it had kept to itself under the former step */
        evict_set_policy(s, PEEK(ks->eviction));
        shard_unlock(s);
    }
}

uint64_t keyspace_used_bytes(const struct keyspace *ks)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < ks->shard_count; i++) {
        sum += PEEK(ks->shards[i].used_bytes);
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
    return num_max_u64(PEEK(ks->peak_bytes), keyspace_used_bytes(ks));
}

uint64_t room_ahead_bytes(const struct keyspace *ks, struct now now)
{
    return now.mono_ms < PEEK(ks->room_wanted_until_ms) ? PEEK(ks->ahead_bytes) : 0;
}

/* ---- victims -------------------------------------------------------------------------------------------------------- */

bool room_is_short(const struct keyspace *ks, uint64_t bytes)
{
    uint64_t limit = PEEK(ks->limit_bytes);
    return limit > 0 && PEEK(ks->published_bytes) + bytes > limit;
}

/* Evicts up to `count` entries of a shard while there is no room for `bytes`; returns how many, 0 when there was none that
 * the policy allows. */
static unsigned evict_shard(struct keyspace *ks, struct shard *s, struct unasked *u, struct now now, uint64_t bytes,
                            unsigned count)
{
    unsigned evicted = 0;
    unasked_begin(u, ks, now);
    shard_lock(s);
    while (evicted < count && room_is_short(ks, bytes) && !keyspace_is_frozen(ks, now) && shard_evict(s, &u->fx)) {
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

static void note_wanted(struct keyspace *ks, struct now now)
{
    int64_t until_ms = now.mono_ms + WANTED_MS;
    if (PEEK(ks->room_wanted_until_ms) != until_ms) {
        PUBLISH(ks->room_wanted_until_ms, until_ms);
    }
}

unsigned room_evict(struct keyspace *ks, struct unasked *u, struct now now, uint64_t bytes, uint64_t count_max)
{
    unsigned first = choose_victim_shard(ks), evicted = 0, count = (unsigned)num_min_u64(count_max, EVICT_PER_LOCK);
    for (unsigned i = 0; i < ks->shard_count && evicted == 0 && room_is_short(ks, bytes); i++) {
        evicted = evict_shard(ks, &ks->shards[(first + i) & (ks->shard_count - 1)], u, now, bytes, count);
    }
    if (evicted > 0 && bytes > 0) {
        note_wanted(ks, now);
    }
    return evicted;
}

/* ---- making room ---------------------------------------------------------------------------------------------------- */

/* Gives back some of what is not alive any more, or, when there is nothing, evicts up to `most` entries while there is no room for `bytes`. False when
 * there was nothing to give back and nothing that may be evicted. */
COLD static bool reclaim(struct keyspace *ks, struct now now, uint64_t bytes, uint64_t most)
{
    struct unasked u;
    arena_init(&u.arena);
    bool found = false;
    for (unsigned i = 0; i < REAPS_PER_CALL && room_is_short(ks, bytes) && !keyspace_reap(ks, 1); i++) {
        found = true;
    }
    for (unsigned evicted = !found; most > 0 && evicted > 0; most -= num_min_u64(most, evicted)) {
        evicted = room_evict(ks, &u, now, bytes, most);
        found = found || evicted > 0;
    }
    arena_fini(&u.arena);
    return found;
}

/* Of so many bytes, how many have to be free before: without eviction none, but memory may not be over the limit. */
static uint64_t bytes_needed(const struct keyspace *ks, uint64_t bytes)
{
    return PEEK(ks->eviction) == EVICTION_NONE ? 0 : bytes;
}

err keyspace_has_room(const struct keyspace *ks, struct now now, uint64_t bytes)
{
    if (PEEK(ks->limit_bytes) > 0 && bytes > PEEK(ks->limit_bytes)) {
        return ERR_OOM;
    }
    return LIKELY(!room_is_short(ks, bytes_needed(ks, bytes))) || keyspace_is_frozen(ks, now) ? OK : ERR_AGAIN;
}

err keyspace_make_room(struct keyspace *ks, struct now now, uint64_t bytes)
{
    if (UNLIKELY(PEEK(ks->limit_changed))) {
        keyspace_settle(ks);
    }
    err e = keyspace_has_room(ks, now, bytes);
    if (LIKELY(e != ERR_AGAIN)) {
        return e;
    }
    uint64_t needed = bytes_needed(ks, bytes);
    uint64_t wanted = EVICT_PER_CALL + needed / EVICT_BYTES_LEAST;
    bool found = reclaim(ks, now, needed, num_min_u64(wanted, EVICT_PER_RUN));
    if (found && wanted > EVICT_PER_RUN && room_is_short(ks, needed)) {
        return ERR_AGAIN;
    }
    return found || !room_is_short(ks, 0) ? OK : ERR_OOM;
}
