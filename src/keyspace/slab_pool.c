/* Slabs that no shard has; see slab_pool_priv.h.
 *
 * A block has two sets of slabs: those that are free, and of them those that are idle. By the size of each set it is in a list, of blocks with 1 to 8,
 * 9 to 16 ... slabs in it: so who takes finds a block with few free ones, and who gives back one with many idle ones.
 *
 * Invariants: (I1) A slab of a block that is not bare is free when nobody has it, but for those that slab_pool_settle() or add_block() is at. (I2) An idle one is free,
 * somebody had it, and the system has not got its memory back: so a block that was readied is kept. (I3) A block is in the list of its rank() in each set; a bare
 * one in that of the bare ones alone. */
#include "keyspace/slab_pool_priv.h"

#include "base/assert.h"
#include "base/num.h"
#include "os/lazy.h"
#include "os/range.h"

enum {
    BLOCK_SLABS = SLAB_POOL_BLOCK_SLABS,
    BLOCK_WORDS = BLOCK_SLABS / 64,
    SMALL_PAGE_BLOCKS = 12, /* the first 24 MB: a huge page is at most 8 % of what there is */
    LEAST_BYTES = 64 << 20,
    FEW_COUNT = BLOCK_SLABS / 4, /* free slabs, for a block to be readied: half a megabyte; */
    FEW_PART = 4 * BLOCK_SLABS,  /* and of what there is, since more is taken at once: when indexes split, all do */
    KEEP_PART = 64,              /* of the slabs in use, that may be idle; */
    KEEP_COUNT = (1 << 20) / SLAB_BYTES,
    BUSY_KEEP_PART = 8, /* the same where a huge page would be split, as long as many come back */
    BUSY_PART = 256,    /* of the slabs in use that come back in a second: that is many */
    SECOND_MS = 1000,
    PATIENCE_S = 10, /* so long nothing is split if many come back: their blocks may yet become free as a whole */
    PAGE_BYTES = 4096,
    NO_BLOCK = UINT32_MAX,
    NOWHERE = UINT32_MAX, /* in no list */
    RANK_SLABS = BLOCK_SLABS / SLAB_POOL_RANKS,
    BEST = SLAB_POOL_LISTS - 1, /* the list of the wholly free ones; of those whose idle slabs are cheap to give back */
};

static_assert(BLOCK_SLABS * SLAB_BYTES == MEM_HUGE_BYTES, "a block may be a huge page");

struct slab_block {
    uint64_t sets[SLAB_POOL_SETS][BLOCK_WORDS];
    struct {
        uint32_t next, previous;
    } links[SLAB_POOL_SETS];
    uint8_t use; /* of enum slab_pool_use; means nothing when all of it is free */
    bool huge;   /* it has a huge page, which is whole */
} ALIGNED(CACHE_LINE_BYTES);

static_assert(sizeof(struct slab_block) == CACHE_LINE_BYTES, "a block costs a line");

/* ---- set-up ------------------------------------------------------------------------------------------------------ */

static size_t round_up(size_t bytes, size_t step)
{
    return (bytes + step - 1) / step * step;
}

/* Makes one more block readable and writable. */
static err commit_block(struct slab_pool *p)
{
    uint32_t block = p->block_count;
    struct slab_block *b = &p->blocks[block];
    char *page = (char *)((uintptr_t)b & ~(uintptr_t)(PAGE_BYTES - 1)),
         *memory = p->base + (size_t)block * MEM_HUGE_BYTES;
    if (block == p->block_limit || !range_commit(page, PAGE_BYTES) ||
        !range_commit(&p->slabs[(size_t)block * BLOCK_SLABS], BLOCK_SLABS * sizeof(struct slab)) ||
        !range_commit(memory, MEM_HUGE_BYTES)) {
        return ERR_NOMEM;
    }
    p->block_count++;
    *b = (struct slab_block){0};
    return OK;
}

err slab_pool_init(struct slab_pool *p, uint64_t bytes)
{
    *p = (struct slab_pool){.first_bare = NO_BLOCK};
    memset(p->lists, 0xff, sizeof p->lists);
    lock_init(&p->lock, LOCK_SLABS, 0);
    size_t records = 0, blocks = 0;
    for (bytes = num_ceil_pow2(bytes); !p->range; bytes /= 2) {
        if (bytes < LEAST_BYTES) {
            return ERR_NOMEM;
        }
        p->block_limit = (uint32_t)num_min_u64(bytes / MEM_HUGE_BYTES, UINT32_MAX / BLOCK_SLABS);
        records = round_up((size_t)p->block_limit * BLOCK_SLABS * sizeof(struct slab), MEM_HUGE_BYTES);
        blocks = round_up(p->block_limit * sizeof(struct slab_block), MEM_HUGE_BYTES);
        p->range_bytes = records + blocks + (size_t)p->block_limit * MEM_HUGE_BYTES;
        p->range = range_reserve(p->range_bytes);
    }
    p->slabs = (struct slab *)p->range;
    p->blocks = (struct slab_block *)(p->range + records);
    p->base = p->range + records + blocks;
    return OK;
}

void slab_pool_fini(struct slab_pool *p)
{
    assert(p->taken_count == 0);
    range_release(p->range, p->range_bytes);
    *p = (struct slab_pool){0};
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static unsigned count_of(const struct slab_block *b, enum slab_pool_set of)
{
    return (unsigned)(__builtin_popcountll(b->sets[of][0]) + __builtin_popcountll(b->sets[of][1]));
}

static bool is_free(const struct slab_block *b)
{
    return count_of(b, SLAB_POOL_FREE) == BLOCK_SLABS;
}

/* In which list of a set it belongs. Idle slabs are cheap to give back when no huge page is split for it. */
static unsigned rank(const struct slab_block *b, enum slab_pool_set of)
{
    unsigned count = count_of(b, of);
    if (count == 0) {
        return NOWHERE;
    }
    if (is_free(b) || (of == SLAB_POOL_IDLE && !b->huge)) {
        return BEST;
    }
    return (of == SLAB_POOL_FREE ? b->use * SLAB_POOL_RANKS : 0) + (count - 1) / RANK_SLABS;
}

static void unlink_block(struct slab_pool *p, struct slab_block *b, enum slab_pool_set of, unsigned list)
{
    uint32_t next = b->links[of].next, previous = b->links[of].previous;
    *(previous == NO_BLOCK ? &p->lists[of][list] : &p->blocks[previous].links[of].next) = next;
    if (next != NO_BLOCK) {
        p->blocks[next].links[of].previous = previous;
    }
}

static void link_block(struct slab_pool *p, struct slab_block *b, enum slab_pool_set of, unsigned list)
{
    uint32_t block = (uint32_t)(b - p->blocks), first = p->lists[of][list];
    b->links[of].next = first;
    b->links[of].previous = NO_BLOCK;
    if (first != NO_BLOCK) {
        p->blocks[first].links[of].previous = block;
    }
    p->lists[of][list] = block;
}

static void relink(struct slab_pool *p, struct slab_block *b, enum slab_pool_set of, unsigned before)
{
    unsigned now = rank(b, of);
    if (now != before && before != NOWHERE) {
        unlink_block(p, b, of, before);
    }
    if (now != before && now != NOWHERE) {
        link_block(p, b, of, now);
    }
}

/* Adds to the counts what a block has in them, `sign` times. */
static void count_block(struct slab_pool *p, const struct slab_block *b, int sign)
{
    int free_count = (int)count_of(b, SLAB_POOL_FREE), idle_count = (int)count_of(b, SLAB_POOL_IDLE);
    p->free_count += (uint32_t)(sign * free_count);
    p->idle_count += (uint32_t)(sign * idle_count);
    p->cheap_count += (uint32_t)(rank(b, SLAB_POOL_IDLE) == BEST ? sign * idle_count : 0);
    p->rest_counts[b->use] += (uint32_t)(is_free(b) ? 0 : sign * free_count);
}

struct ranks {
    unsigned of[SLAB_POOL_SETS];
};

/* Before a block changes, and after it. */
static struct ranks begin_change(struct slab_pool *p, const struct slab_block *b)
{
    count_block(p, b, -1);
    return (struct ranks){{rank(b, SLAB_POOL_FREE), rank(b, SLAB_POOL_IDLE)}};
}

static void end_change(struct slab_pool *p, struct slab_block *b, struct ranks before)
{
    count_block(p, b, 1);
    relink(p, b, SLAB_POOL_FREE, before.of[SLAB_POOL_FREE]);
    relink(p, b, SLAB_POOL_IDLE, before.of[SLAB_POOL_IDLE]);
}

/* Puts slabs into a set of their block, or takes them out. */
static void put_slabs(struct slab_block *b, enum slab_pool_set of, unsigned word, uint64_t slabs, bool in)
{
    b->sets[of][word] = in ? b->sets[of][word] | slabs : b->sets[of][word] & ~slabs;
}

/* ---- blocks come ------------------------------------------------------------------------------------------------- */

/* A huge page for a block, and its records, so that who takes its slabs meets no page fault. */
static void make_memory(struct slab_pool *p, uint32_t block)
{
    range_make_huge(p->base + (size_t)block * MEM_HUGE_BYTES);
    char *records = (char *)&p->slabs[(size_t)block * BLOCK_SLABS];
    for (size_t at = 0; at < BLOCK_SLABS * sizeof(struct slab); at += PAGE_BYTES) {
        *(volatile char *)(records + at) = 0;
    }
}

/* All of it is free and has no memory: it comes again when there is no other, and may get a huge page then. */
static void put_bare(struct slab_pool *p, uint32_t block)
{
    p->blocks[block].links[SLAB_POOL_FREE].next = p->first_bare;
    p->first_bare = block;
    p->bare_count++;
}

/* A bare block, or one more. */
static err get_bare(struct slab_pool *p, uint32_t *ret_block)
{
    if (p->first_bare == NO_BLOCK) {
        err e = commit_block(p);
        *ret_block = p->block_count - 1;
        return e;
    }
    *ret_block = p->first_bare;
    p->first_bare = p->blocks[p->first_bare].links[SLAB_POOL_FREE].next;
    p->bare_count--;
    return OK;
}

/* Frees the slabs of a block that was bare, but for slab 0, with a huge page if one is wanted. The lock is let go of while that is made, before anybody can take of
 * it. */
static err add_block(struct slab_pool *p, bool huge) HOLDS(p->lock)
{
    uint32_t block;
    err e = get_bare(p, &block);
    if (e) {
        return e;
    }
    huge = huge && block >= SMALL_PAGE_BLOCKS;
    if (huge) {
        lock_release(&p->lock);
        make_memory(p, block);
        lock_acquire(&p->lock);
        p->huge_count++;
    }
    struct slab_block *b = &p->blocks[block];
    struct ranks before = begin_change(p, b);
    b->huge = huge;
    put_slabs(b, SLAB_POOL_FREE, 0, block == 0 ? ~(uint64_t)1 : ~(uint64_t)0, true);
    put_slabs(b, SLAB_POOL_FREE, 1, ~(uint64_t)0, true);
    end_change(p, b, before);
    return OK;
}

/* ---- the other thread -------------------------------------------------------------------------------------------- */

/* Whether each use has blocks of its own: not before there is a huge page that could be split. */
static bool keeps_apart(const struct slab_pool *p)
{
    return p->block_count > SMALL_PAGE_BLOCKS;
}

/* Whether a huge page should be readied, since few slabs are free for entries, or very few for indexes: small ones are quickly there when they are needed. */
static bool wants_block(const struct slab_pool *p)
{
    uint32_t few = FEW_COUNT + (p->block_count - p->bare_count) * BLOCK_SLABS / FEW_PART;
    uint32_t for_indexes = p->free_count - (keeps_apart(p) ? p->rest_counts[SLAB_POOL_ENTRIES] : 0);
    return p->block_count >= SMALL_PAGE_BLOCKS && (p->free_count < few || for_indexes < few / 4);
}

/* Adds a block if one is wanted. False when none is, or memory is refused. */
static bool ready_block(struct slab_pool *p)
{
    lock_acquire(&p->lock);
    bool added = wants_block(p) && add_block(p, true) == OK;
    lock_release(&p->lock);
    return added;
}

static void deliver_tend(struct message *m, struct worker *w)
{
    (void)w;
    struct slab_pool *p = container_of(m, struct slab_pool, tending);
    __atomic_store_n(&p->is_tended, false, __ATOMIC_SEQ_CST); /* who finds more to do from now on says so again */
    while (ready_block(p)) {}
    slab_pool_settle(p, false);
}

/* False when there is no other thread. */
static bool ask_to_tend(struct slab_pool *p)
{
    if (__atomic_exchange_n(&p->is_tended, true, __ATOMIC_SEQ_CST)) {
        return true;
    }
    p->tending.deliver = deliver_tend;
    if (lazy_post(&p->tending)) {
        return true;
    }
    __atomic_store_n(&p->is_tended, false, __ATOMIC_SEQ_CST);
    return false;
}

/* A block for who cannot wait until one is readied. A huge page takes up to some ms: where another thread brings one soon, the next slabs have small pages,
 * which come one by one. */
static err add_block_at_once(struct slab_pool *p) HOLDS(p->lock)
{
    return add_block(p, !lazy_runs());
}

/* ---- the interface ----------------------------------------------------------------------------------------------- */

/* Of the blocks of a use the one with the fewest free slabs, so that those with many become free as a whole; NO_BLOCK: there is none. */
static uint32_t fullest(const struct slab_pool *p, enum slab_pool_use use)
{
    const uint32_t *list = &p->lists[SLAB_POOL_FREE][use * SLAB_POOL_RANKS], *end = list + SLAB_POOL_RANKS;
    while (list < end && *list == NO_BLOCK) {
        list++;
    }
    return list < end ? *list : NO_BLOCK;
}

/* Where to take a slab: of a block of that use, of one that is wholly free, or, before there is one more, for entries of one of indexes, for that cannot be emptied
 * anyway. NULL: there is none. */
static struct slab_block *best_for(const struct slab_pool *p, enum slab_pool_use use)
{
    uint32_t block = fullest(p, use);
    block = block != NO_BLOCK ? block : p->lists[SLAB_POOL_FREE][BEST];
    block = block != NO_BLOCK || use != SLAB_POOL_ENTRIES ? block : fullest(p, SLAB_POOL_INDEXES);
    return block != NO_BLOCK ? &p->blocks[block] : NULL;
}

/* A slab that is free, better one with memory. */
static uint32_t take_of(struct slab_pool *p, struct slab_block *b, enum slab_pool_use use)
{
    const uint64_t *free = b->sets[SLAB_POOL_FREE], *idle = b->sets[SLAB_POOL_IDLE];
    const uint64_t *of = idle[0] | idle[1] ? idle : free;
    unsigned word = of[0] ? 0 : 1, bit = (unsigned)__builtin_ctzll(of[word]);
    struct ranks before = begin_change(p, b);
    b->use = is_free(b) ? use : b->use;
    put_slabs(b, SLAB_POOL_FREE, word, (uint64_t)1 << bit, false);
    put_slabs(b, SLAB_POOL_IDLE, word, (uint64_t)1 << bit, false);
    end_change(p, b, before);
    p->taken_count++;
    return (uint32_t)(b - p->blocks) * BLOCK_SLABS + word * 64 + bit;
}

uint32_t slab_pool_take(struct slab_pool *p, enum slab_pool_use use)
{
    lock_acquire(&p->lock);
    struct slab_block *b;
    enum slab_pool_use apart;
    do {
        apart = keeps_apart(p) ? use : SLAB_POOL_ENTRIES;
        b = best_for(p, apart);
    } while (!b && add_block_at_once(p) == OK);
    b = b ? b : best_for(p, SLAB_POOL_ENTRIES); /* there is no more memory */
    uint32_t number = b ? take_of(p, b, apart) : 0;
    bool wants = wants_block(p);
    lock_release(&p->lock);
    if (UNLIKELY(wants)) {
        (void)ask_to_tend(p);
    }
    return number;
}

void slab_pool_give(struct slab_pool *p, uint32_t number)
{
    unsigned word = number / 64 % BLOCK_WORDS;
    uint64_t mask = (uint64_t)1 << number % 64;
    lock_acquire(&p->lock);
    assert(number / BLOCK_SLABS < p->block_count);
    struct slab_block *b = &p->blocks[number / BLOCK_SLABS];
    assert(number > 0);
    assert(!(b->sets[SLAB_POOL_FREE][word] & mask));
    p->taken_count--;
    p->given_count++;
    struct ranks before = begin_change(p, b);
    put_slabs(b, SLAB_POOL_FREE, word, mask, true);
    put_slabs(b, SLAB_POOL_IDLE, word, mask, true);
    end_change(p, b, before);
    lock_release(&p->lock);
}

/* Of the blocks of a use those that are begun, are in lists from `list_least` on, and are not the next to be taken of, the emptiest first; but the first blocks,
 * which never have huge pages, need not be emptied. */
static unsigned emptiest(const struct slab_pool *p, enum slab_pool_use use, unsigned list_least, uint32_t *ret_firsts)
{
    const uint32_t *lists = &p->lists[SLAB_POOL_FREE][use * SLAB_POOL_RANKS];
    uint32_t next = fullest(p, use);
    unsigned count = 0;
    for (unsigned list = SLAB_POOL_RANKS; list-- > list_least;) {
        uint32_t block = lists[list];
        while (block != NO_BLOCK && (block < SMALL_PAGE_BLOCKS || block == next)) {
            block = p->blocks[block].links[SLAB_POOL_FREE].next;
        }
        if (block != NO_BLOCK) {
            ret_firsts[count++] = block * BLOCK_SLABS;
        }
    }
    return count;
}

/* Those that can be vacated: the others of their use have room for what is in one. */
static unsigned half_free(const struct slab_pool *p, uint32_t *ret_firsts)
{
    unsigned count = 0;
    for (enum slab_pool_use use = 0; use < SLAB_POOL_USES; use++) {
        count += p->rest_counts[use] >= BLOCK_SLABS ? emptiest(p, use, SLAB_POOL_RANKS / 2, ret_firsts + count) : 0;
    }
    return count;
}

unsigned slab_pool_emptiest(struct slab_pool *p, bool vacating, uint32_t ret_firsts[SLAB_POOL_FIRSTS])
{
    lock_acquire(&p->lock);
    unsigned count = vacating ? half_free(p, ret_firsts) : emptiest(p, SLAB_POOL_ENTRIES, 0, ret_firsts);
    lock_release(&p->lock);
    return count;
}

/* ---- giving back ------------------------------------------------------------------------------------------------- */

/* The block with the most idle slabs for which a huge page would be split; there is one. */
static struct slab_block *idlest(const struct slab_pool *p)
{
    unsigned list = SLAB_POOL_RANKS - 1;
    while (p->lists[SLAB_POOL_IDLE][list] == NO_BLOCK) {
        list--;
    }
    return &p->blocks[p->lists[SLAB_POOL_IDLE][list]];
}

static uint32_t kept(const struct slab_pool *p)
{
    return KEEP_COUNT + p->taken_count / KEEP_PART;
}

/* Whether many slabs come back: in this second, so far. */
static bool is_busy(const struct slab_pool *p)
{
    return p->given_count > p->taken_count / BUSY_PART;
}

/* How many slabs may be idle before huge pages are split for them. */
static uint32_t kept_whole(const struct slab_pool *p)
{
    if (p->vacating || (p->busy_seconds < PATIENCE_S && (p->busy_seconds > 0 || is_busy(p)))) {
        return UINT32_MAX;
    }
    return p->busy_seconds > 0 ? KEEP_COUNT + p->taken_count / BUSY_KEEP_PART : kept(p);
}

/* The block whose idle slabs should go back; NULL: none, so much may be kept. */
static struct slab_block *to_settle(const struct slab_pool *p, bool all)
{
    bool splits = p->idle_count > (all ? 0 : kept_whole(p));
    if (p->cheap_count > (all ? 0 : kept(p)) || (splits && p->cheap_count > 0)) {
        return &p->blocks[p->lists[SLAB_POOL_IDLE][BEST]];
    }
    return splits ? idlest(p) : NULL;
}

/* Discards the slabs of a set, neighbours together. */
static void discard(char *memory, const uint64_t set[static BLOCK_WORDS])
{
    for (unsigned i = 0, end; i < BLOCK_SLABS; i = end + 1) {
        for (end = i; end < BLOCK_SLABS && set[end / 64] >> end % 64 & 1; end++) {}
        if (end > i) {
            range_discard(memory + (size_t)i * SLAB_BYTES, (size_t)(end - i) * SLAB_BYTES);
        }
    }
}

/* Whether blocks that are mostly free should be emptied, which would else be split: there is room in the others, and it gets on. */
static bool should_vacate(const struct slab_pool *p)
{
    uint32_t firsts[SLAB_POOL_FIRSTS];
    bool is_time = p->busy_seconds == 0 || p->busy_seconds >= PATIENCE_S;
    return (p->vacating ? p->given_count > 0 : is_time) && p->idle_count - p->cheap_count > kept(p) &&
           half_free(p, firsts) > 0;
}

/* Looks once a second whether many slabs have come back, and what that means. */
static void note_second(struct slab_pool *p, int64_t now_ms)
{
    if (now_ms - p->second_ms >= SECOND_MS) {
        p->busy_seconds = is_busy(p) ? p->busy_seconds + 1 : 0;
        PUBLISH(p->vacating, should_vacate(p));
        p->given_count = 0;
        p->second_ms = now_ms;
    }
}

bool slab_pool_tend(struct slab_pool *p, int64_t now_ms)
{
    lock_acquire(&p->lock);
    note_second(p, now_ms);
    bool wanted = to_settle(p, false);
    lock_release(&p->lock);
    return wanted && (ask_to_tend(p) || slab_pool_settle(p, false));
}

/* While the system takes the memory nobody can take these slabs, and the lock is free. */
bool slab_pool_settle(struct slab_pool *p, bool all)
{
    lock_acquire(&p->lock);
    struct slab_block *b = to_settle(p, all);
    if (!b) {
        lock_release(&p->lock);
        return false;
    }
    uint32_t block = (uint32_t)(b - p->blocks);
    bool whole = is_free(b);
    uint64_t set[BLOCK_WORDS];
    memcpy(set, b->sets[whole ? SLAB_POOL_FREE : SLAB_POOL_IDLE], sizeof set);
    struct ranks before = begin_change(p, b);
    for (unsigned word = 0; word < BLOCK_WORDS; word++) {
        put_slabs(b, SLAB_POOL_FREE, word, set[word], false);
        put_slabs(b, SLAB_POOL_IDLE, word, set[word], false);
    }
    b->huge = false;
    end_change(p, b, before);
    lock_release(&p->lock);

    discard(p->base + (size_t)block * MEM_HUGE_BYTES, set);

    lock_acquire(&p->lock);
    if (whole) {
        put_bare(p, block);
    } else {
        before = begin_change(p, b);
        put_slabs(b, SLAB_POOL_FREE, 0, set[0], true);
        put_slabs(b, SLAB_POOL_FREE, 1, set[1], true);
        end_change(p, b, before);
    }
    lock_release(&p->lock);
    return true;
}

struct slab_pool_stats slab_pool_stats(struct slab_pool *p)
{
    lock_acquire(&p->lock);
    struct slab_pool_stats stats = {
        .reserved_bytes = p->range_bytes,
        .taken_bytes = (uint64_t)p->taken_count * SLAB_BYTES,
        .idle_bytes = (uint64_t)p->idle_count * SLAB_BYTES,
    };
    lock_release(&p->lock);
    return stats;
}
