/* Redis's eviction policies by sampling: lru, lfu, random over all keys or those with a deadline, and volatile-ttl.
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

static enum eviction policy_of(const struct shard *s)
{
    return (enum eviction)__atomic_load_n(&s->policy, __ATOMIC_RELAXED);
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

/* ---- hooks ------------------------------------------------------------------------------------------------------- */

void evict_init(struct evict *v, uint64_t seed)
{
    *v = (struct evict){0};
    random_init(&v->random, seed, 0x6576696374);
}

void evict_inserted(struct shard *s, struct entry *e, int64_t now_wall_ms)
{
    s->evict.entry_count++;
    set_stamp(e, counts_uses(policy_of(s)) ? entry_lfu_minute(now_wall_ms) << 8 | LFU_START
                                           : entry_lru_stamp(now_wall_ms));
}

void evict_read(struct shard *s, struct entry *e, int64_t now_wall_ms)
{
    if (counts_uses(policy_of(s))) {
        count_use(s, e, now_wall_ms);
    } else {
        set_stamp(e, entry_lru_stamp(now_wall_ms));
    }
}

void evict_overwritten(struct shard *s, struct entry *e, int64_t now_wall_ms)
{
    evict_read(s, e, now_wall_ms);
}

void evict_removed(struct shard *s, uint64_t count)
{
    assert(s->evict.entry_count >= count);
    s->evict.entry_count -= count;
}

/* How much better it would be to lose this one; the largest goes. */
static int64_t badness(struct shard *s, const struct entry *e, int64_t now_wall_ms)
{
    switch (policy_of(s)) {
    case EVICTION_ALLKEYS_LRU:
    case EVICTION_VOLATILE_LRU: return entry_idle_seconds(e, now_wall_ms);
    case EVICTION_ALLKEYS_LFU:
    case EVICTION_VOLATILE_LFU: return 255 - (int64_t)entry_frequency(e, now_wall_ms);
    case EVICTION_VOLATILE_TTL: return INT64_MAX - entry_deadline(e);
    case EVICTION_ALLKEYS_RANDOM:
    case EVICTION_VOLATILE_RANDOM: return (int64_t)(random_u64(&s->evict.random) >> 1);
    case EVICTION_NONE:
    case EVICTION_COUNT: break;
    }
    unreachable();
}

static size_t candidate_count(const struct shard *s, const struct space *sp)
{
    return !is_volatile(policy_of(s)) ? sp->index.count : sp->timed_count;
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

struct entry *evict_victim(struct shard *s, int64_t now_wall_ms, struct space **ret_space)
{
    if (policy_of(s) == EVICTION_NONE) {
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
            if (is_volatile(policy_of(s)) && !(met[i]->flags & ENTRY_TIMED)) {
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
    if (!worst && is_volatile(policy_of(s))) {
        *ret_space = NULL;
        return calendar_nearest(&s->calendar);
    }
    /* All sampled buckets were empty: whatever comes first will do. */
    for (uint64_t cursor = 0; !worst;) {
        worst = index_step(&sp->index, &cursor, met) > 0 ? met[0] : NULL;
    }
    return worst;
}
