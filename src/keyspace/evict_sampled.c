/* Redis's eviction policies by sampling: lru, lfu, random over all keys or those with a deadline, volatile-ttl, and
 * noeviction, which has no victims. Nothing is queued: a 24-bit stamp in the entry says when (LRU) or how often (LFU)
 * it was used.
 *
 * A sample is SAMPLE_COUNT entries out of random buckets of a space chosen in proportion to its entries: within a
 * bucket all are taken, and since keys fall into buckets by their hash that is as good as choosing each alone, for a
 * fraction of the cache misses. When a volatile policy meets nothing with a deadline in SAMPLE_BUCKETS buckets, it
 * takes one whose deadline is near, from the calendar.
 *
 * LFU is Redis's: 16 bits of minutes since the counter last decayed, 8 bits of a logarithmic counter that starts at 5,
 * grows with probability 1 / ((counter - 5) * 10 + 1) and loses one a minute. */
#include "keyspace/evict_priv.h"

#include "keyspace/shard_priv.h"

enum { SAMPLE_COUNT = 16, SAMPLE_BUCKETS = 64, LFU_START = 5, LFU_FACTOR = 10 };

static bool counts_uses(enum eviction policy)
{
    return policy == EVICTION_ALLKEYS_LFU || policy == EVICTION_VOLATILE_LFU;
}

static bool is_volatile(enum eviction policy)
{
    return policy >= EVICTION_VOLATILE_LRU;
}

/* ---- stamps ------------------------------------------------------------------------------------------------------ */

static void set_stamp(struct entry *e, uint32_t stamp)
{
    if (e->stamp != stamp) {
        e->stamp = stamp & ENTRY_STAMP_MASK;
    }
}

static void count_use(struct shard *s, struct entry *e, int64_t now_wall_ms)
{
    uint32_t counter = entry_frequency(e, now_wall_ms);
    uint32_t above = counter > LFU_START ? counter - LFU_START : 0;
    if (counter < 255 && random_below(&s->evict.random, above * LFU_FACTOR + 1) == 0) {
        counter++;
    }
    set_stamp(e, entry_lfu_minute(now_wall_ms) << 8 | counter);
}

static void start_stamp(struct shard *s, struct entry *e, int64_t now_wall_ms)
{
    set_stamp(e, counts_uses(s->evict.kind) ? entry_lfu_minute(now_wall_ms) << 8 | LFU_START
                                            : entry_lru_stamp(now_wall_ms));
}

/* ---- hooks ------------------------------------------------------------------------------------------------------- */

static void inserted(struct shard *s, struct entry *e, uint64_t hash, int64_t now_wall_ms)
{
    (void)hash;
    start_stamp(s, e, now_wall_ms);
}

static void used(struct shard *s, struct entry *e, int64_t now_wall_ms)
{
    if (counts_uses(s->evict.kind)) {
        count_use(s, e, now_wall_ms);
    } else {
        set_stamp(e, entry_lru_stamp(now_wall_ms));
    }
}

bool evict_sampled_would_note(const struct shard *s, const struct entry *e, int64_t now_wall_ms)
{
    return counts_uses(__atomic_load_n(&s->evict.kind, __ATOMIC_RELAXED)) || e->stamp != entry_lru_stamp(now_wall_ms);
}

/* ---- victims ----------------------------------------------------------------------------------------------------- */

/* How much better it would be to lose this one; the largest goes. */
static int64_t badness(struct shard *s, const struct entry *e, int64_t now_wall_ms)
{
    switch (s->evict.kind) {
    case EVICTION_ALLKEYS_LRU:
    case EVICTION_VOLATILE_LRU: return entry_idle_seconds(e, now_wall_ms);
    case EVICTION_ALLKEYS_LFU:
    case EVICTION_VOLATILE_LFU: return 255 - (int64_t)entry_frequency(e, now_wall_ms);
    case EVICTION_VOLATILE_TTL: return INT64_MAX - entry_deadline(e);
    case EVICTION_ALLKEYS_RANDOM:
    case EVICTION_VOLATILE_RANDOM: return (int64_t)(random_u64(&s->evict.random) >> 1);
    case EVICTION_NONE:
    case EVICTION_ADAPTIVE:
    case EVICTION_COUNT: break;
    }
    unreachable();
}

static size_t candidate_count(const struct shard *s, const struct space *sp)
{
    return !is_volatile(s->evict.kind) ? sp->index.count : sp->timed_count;
}

/* A space with the probability of its share of the candidates; NULL when there are none. */
static struct space *choose_space(struct shard *s)
{
    uint64_t all = 0;
    for (struct space *sp = s->all_spaces; sp; sp = sp->next) {
        all += candidate_count(s, sp);
    }
    if (all == 0) {
        return NULL;
    }
    uint64_t place = random_below(&s->evict.random, all);
    struct space *sp = s->all_spaces;
    for (; place >= candidate_count(s, sp); sp = sp->next) {
        place -= candidate_count(s, sp);
    }
    return sp;
}

static struct entry *victim(struct shard *s, int64_t now_wall_ms, struct space **ret_space)
{
    if (s->evict.kind == EVICTION_NONE) {
        return NULL;
    }
    struct space *sp = choose_space(s);
    if (!sp) {
        return NULL;
    }
    *ret_space = sp;
    struct entry *met[INDEX_STEP_MAX], *worst = NULL;
    int64_t worst_badness = 0;
    for (unsigned bucket = 0, sampled = 0; bucket < SAMPLE_BUCKETS && sampled < SAMPLE_COUNT; bucket++) {
        size_t count = index_sample(&sp->index, random_u64(&s->evict.random), met);
        for (size_t i = 0; i < count; i++) {
            if (is_volatile(s->evict.kind) && !(met[i]->flags & ENTRY_TIMED)) {
                continue;
            }
            if (entry_expired(met[i], now_wall_ms)) {
                return met[i];
            }
            int64_t bad = badness(s, met[i], now_wall_ms);
            if (!worst || bad > worst_badness) {
                worst = met[i];
                worst_badness = bad;
            }
            sampled++;
        }
    }
    if (!worst && is_volatile(s->evict.kind)) {
        *ret_space = NULL;
        return calendar_nearest(&s->calendar);
    }
    /* All sampled buckets were empty: whatever comes first will do. */
    for (uint64_t cursor = 0; !worst;) {
        worst = index_step(&sp->index, &cursor, met) > 0 ? met[0] : NULL;
    }
    return worst;
}

const struct evict_policy evict_sampled = {
    .inserted = inserted,
    .used = used,
    .adopted = start_stamp,
    .victim = victim,
};
