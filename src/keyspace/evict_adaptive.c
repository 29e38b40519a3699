/* maxmemory-policy adaptive: an entry is first given a short time to prove itself, and how short adapts.
 *
 *                       used again                      used since it came by
 *                    .----------------.                    .--------.
 *      new ──► small ┴──► goes        └──► main (a clock) ─┴──► goes│
 *                           │                ▲    ▲          │      │
 *                           ▼                │    '----------│------'
 *                        ghosts (hashes of what went lately) ◄
 *                           '--- comes back -'
 *
 * This is S3-FIFO (Yang and others, "FIFO queues are all you need for cache eviction", 2023) with four changes, each
 * chosen by measurement (docs/performance.md):
 *
 * 1. The small queue's share moves, as in ARC (Megiddo and Modha, 2003): what comes back after it went from the small
 *    queue says that the queue is too short, what comes back after it went from the main queue says the contrary.
 * 2. Ghosts are of both queues; those of the small one reach back as far as the whole cache does, so that a set of keys
 *    that would fit is found however it is used.
 * 3. What comes back goes to the main queue only as fast as a quarter of the uses and arrivals: else a loop over a
 *    little more keys than fit would renew the main queue before anything in it is used again.
 * 4. An entry of more than LARGE_FACTOR times the mean size must have been used once more than others to stay.
 *
 * Until something has been evicted, what comes when the small queue has its share goes to the main queue at once: so
 * there is always a main queue, and a loop over more keys than fit keeps a part of them.
 *
 * Uses are counted up to 3 in the stamp, and only a count that changes is written: reads of hot keys write nothing.
 *
 *      stamp   23 .. 22 | 21      | 20 .. 0
 *              uses     | in main | position in the queue
 *
 * Invariants (check): (I1) what stands in a queue at a position is an entry whose stamp names that queue and position.
 * (I2) When nothing is being adopted, every entry is in a queue, but for those that a queue had no memory for. Each
 * step is O(1); a victim takes at most VISITS_MAX looks. Under the shard's lock. */
#include "keyspace/evict_priv.h"

#include "base/num.h"
#include "keyspace/shard_priv.h"

enum {
    VISITS_MAX = 64,
    USES_MAX = 3,
    LARGE_FACTOR = 4,
    COMPACT_PER_PUSH = 4,
    CREDIT_PART = 64, /* of the entries: how many promotions may be saved up */
    POSITION_MASK = QUEUE_SPAN_MAX - 1,
};

static const double SHARE_FIRST = 0.1, SHARE_MIN = 0.01, SHARE_MAX = 0.9;
static const double CREDIT_PER_USE = 0.25;
/* How many ghosts for each entry, and at least how many of them of the main queue. */
static const double GHOSTS = 1.125, GHOSTS_OF_MAIN_MIN = 0.125;

/* ---- stamps ------------------------------------------------------------------------------------------------------ */

static unsigned uses_of(const struct entry *e)
{
    return e->stamp >> (QUEUE_POSITION_BITS + 1);
}

static bool is_in_main(const struct entry *e)
{
    return e->stamp >> QUEUE_POSITION_BITS & 1;
}

static uint32_t position_of(const struct entry *e)
{
    return e->stamp & POSITION_MASK;
}

static void set_stamp(struct entry *e, unsigned uses, bool in_main, uint32_t position)
{
    e->stamp =
        (uses << (QUEUE_POSITION_BITS + 1) | (uint32_t)in_main << QUEUE_POSITION_BITS | position) & ENTRY_STAMP_MASK;
}

static_assert(QUEUE_POSITION_BITS + 3 == ENTRY_STAMP_BITS, "a stamp holds position, queue and uses");

/* ---- queues ------------------------------------------------------------------------------------------------------ */

static struct queue *queue_of(struct adaptive *a, const struct entry *e)
{
    return is_in_main(e) ? &a->main : &a->small;
}

/* A stamp of another policy, or one whose record is gone, names a place where something else stands. */
static bool is_queued(struct shard *s, const struct entry *e)
{
    return queue_at(queue_of(&s->evict.adaptive, e), position_of(e)) == slab_handle(&s->slabs, e);
}

static void note_position(void *owner, uint32_t record, uint32_t position)
{
    struct shard *s = owner;
    struct entry *e = slab_at(&s->slabs, record);
    set_stamp(e, uses_of(e), is_in_main(e), position);
}

/* At the head. Without memory for that it is in no queue, to be adopted later. */
static void enqueue(struct shard *s, struct entry *e, bool to_main, unsigned uses)
{
    struct queue *q = to_main ? &s->evict.adaptive.main : &s->evict.adaptive.small;
    uint32_t position = 0;
    if (queue_push(q, slab_handle(&s->slabs, e), &position)) {
        set_stamp(e, uses, to_main, position);
        queue_compact(q, COMPACT_PER_PUSH, note_position, s);
    }
}

static uint32_t queued_count(const struct adaptive *a)
{
    return a->small.live + a->main.live;
}

static bool small_is_full(const struct adaptive *a)
{
    return a->small.live > a->small_share * queued_count(a);
}

/* ---- ghosts ------------------------------------------------------------------------------------------------------ */

static void earn_credit(struct adaptive *a)
{
    double most = 1 + (double)queued_count(a) / CREDIT_PART;
    a->credit = a->credit + CREDIT_PER_USE < most ? a->credit + CREDIT_PER_USE : most;
}

static bool spend_credit(struct adaptive *a)
{
    bool enough = a->credit >= 1;
    a->credit -= enough ? 1 : 0;
    return enough;
}

/* What came back tells which queue is too short; the rarer its kind among the ghosts, the more it tells. */
static void adapt(struct adaptive *a, enum ghost kind)
{
    uint32_t same = a->ghosts.counts[kind], other = a->ghosts.counts[!kind];
    double step = (other > same ? (double)other / (same + 1) : 1) / (queued_count(a) + 1);
    double share = a->small_share + (kind == GHOST_OF_SMALL ? step : -step);
    a->small_share = share < SHARE_MIN ? SHARE_MIN : share > SHARE_MAX ? SHARE_MAX : share;
}

/* As many as there are entries, and not so often anew. */
static void fit_ghosts(struct shard *s)
{
    struct ghosts *g = &s->evict.adaptive.ghosts;
    size_t wanted = (size_t)((double)(s->evict.entry_count + 1) * GHOSTS), capacity = ghosts_capacity(g);
    if (wanted > capacity + capacity / 2 || capacity > 2 * wanted + 64) {
        ghosts_resize(g, wanted);
    }
}

static void remember(struct shard *s, const struct entry *e, uint64_t hash)
{
    const struct adaptive *a = &s->evict.adaptive;
    double main_share = a->small_share > GHOSTS_OF_MAIN_MIN ? a->small_share : GHOSTS_OF_MAIN_MIN;
    fit_ghosts(s);
    ghosts_add(&s->evict.adaptive.ghosts, hash, is_in_main(e) ? GHOST_OF_MAIN : GHOST_OF_SMALL,
               (size_t)(main_share * (double)s->evict.entry_count));
}

/* ---- hooks ------------------------------------------------------------------------------------------------------- */

static void inserted(struct shard *s, struct entry *e, uint64_t hash, int64_t now_wall_ms)
{
    (void)now_wall_ms;
    struct adaptive *a = &s->evict.adaptive;
    bool to_main = a->ghosts.bucket_count == 0 && small_is_full(a);
    enum ghost kind = ghosts_take(&a->ghosts, hash);
    earn_credit(a);
    if (kind != GHOST_NONE) {
        adapt(a, kind);
        to_main = spend_credit(a);
    }
    enqueue(s, e, to_main, 0);
}

static void used(struct shard *s, struct entry *e, int64_t now_wall_ms)
{
    (void)now_wall_ms;
    unsigned uses = uses_of(e);
    if (uses < USES_MAX) {
        set_stamp(e, uses + 1, is_in_main(e), position_of(e));
        earn_credit(&s->evict.adaptive);
    }
}

bool evict_adaptive_would_note(const struct entry *e)
{
    return uses_of(e) < USES_MAX;
}

static void moved(struct shard *s, struct entry *from, struct entry *to)
{
    struct adaptive *a = &s->evict.adaptive;
    if (is_queued(s, from)) {
        queue_replace(queue_of(a, from), position_of(from), slab_handle(&s->slabs, to));
    }
}

static void removed(struct shard *s, struct entry *e, uint64_t hash, bool evicted)
{
    struct adaptive *a = &s->evict.adaptive;
    if (is_queued(s, e)) {
        queue_replace(queue_of(a, e), position_of(e), 0);
    }
    if (evicted) {
        remember(s, e, hash);
    }
}

static void adopted(struct shard *s, struct entry *e, int64_t now_wall_ms)
{
    (void)now_wall_ms;
    if (!is_queued(s, e)) {
        enqueue(s, e, true, 0);
    }
}

static void forget(struct shard *s)
{
    struct adaptive *a = &s->evict.adaptive;
    queue_fini(&a->small);
    queue_fini(&a->main);
    ghosts_resize(&a->ghosts, 0);
    a->small_share = SHARE_FIRST;
    a->credit = 1;
}

/* ---- victims ----------------------------------------------------------------------------------------------------- */

static bool is_large(const struct shard *s, const struct entry *e)
{
    return entry_bytes(e) / LARGE_FACTOR > s->used_bytes / s->evict.entry_count;
}

/* The next in turn, taken out of its queue. NULL when there is none. */
static struct queue *queue_in_turn(struct adaptive *a)
{
    return small_is_full(a) || a->main.live == 0 ? &a->small : &a->main;
}

static struct entry *take_next(struct shard *s)
{
    uint32_t record = queue_pop(queue_in_turn(&s->evict.adaptive));
    return record ? slab_at(&s->slabs, record) : NULL;
}

/* Has what the next evictions will read fetched from memory meanwhile: the second entry in turn, and of the first, which was the second before, the bucket and
 * the ghosts. */
static void look_ahead(struct shard *s)
{
    uint32_t next[2];
    unsigned count = queue_peek(queue_in_turn(&s->evict.adaptive), countof(next), next);
    if (count > 1) {
        slab_fetch(&s->slabs, next[1]);
    }
    if (count > 0) {
        uint64_t hash = hash_keyed(s->hash_key, entry_key(slab_at(&s->slabs, next[0])));
        __builtin_prefetch(ghosts_place(&s->evict.adaptive.ghosts, hash), 1);
        shard_fetch_bucket(s, hash);
    }
}

static struct entry *victim(struct shard *s, int64_t now_wall_ms, struct space **ret_space)
{
    struct adaptive *a = &s->evict.adaptive;
    if (!s->evict.adopting && queued_count(a) < s->evict.entry_count) {
        evict_begin_adopting(s);
    }
    while (queued_count(a) == 0 && s->evict.adopting) {
        evict_adopt(s, 1, now_wall_ms);
    }
    struct entry *e = take_next(s);
    for (unsigned visits = 1; e && visits < VISITS_MAX && !entry_expired(e, now_wall_ms); visits++) {
        unsigned uses = uses_of(e);
        if (uses <= (is_large(s, e) ? 1 : 0)) {
            break;
        }
        enqueue(s, e, true, is_in_main(e) ? uses - 1 : 0);
        e = take_next(s);
    }
    look_ahead(s);
    *ret_space = NULL;
    return e;
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

static void check_queue(const struct shard *s, const struct queue *q, bool is_main)
{
    queue_check(q);
    for (uint32_t at = q->tail; at != q->head; at++) {
        uint32_t record = queue_at(q, at);
        const struct entry *e = record ? slab_at(&s->slabs, record) : NULL;
        assert(!e || slab_is_live(&s->slabs, record));
        assert(!e || is_in_main(e) == is_main);
        assert(!e || position_of(e) == (at & POSITION_MASK));
    }
}

static void check(const struct shard *s)
{
    const struct adaptive *a = &s->evict.adaptive;
    check_queue(s, &a->small, false);
    check_queue(s, &a->main, true);
    ghosts_check(&a->ghosts);
    assert(queued_count(a) <= s->evict.entry_count);
    assert(a->small_share >= SHARE_MIN && a->small_share <= SHARE_MAX);
}

const struct evict_policy evict_adaptive = {
    .inserted = inserted,
    .used = used,
    .moved = moved,
    .removed = removed,
    .adopted = adopted,
    .victim = victim,
    .forget = forget,
    .check = check,
};
