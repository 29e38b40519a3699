/* Slabs that no shard has; see slab_pool_priv.h.
 *
 * Invariants: (I1) a bit of `free` is set for each slab of a block that nobody has, but for those that slab_pool_settle() or add_block() is at, and
 * free_count is how many there are. (I2) A bit of `idle`
 * is set for each slab that somebody had and nobody has, whose memory the system has not got back: so a block that was readied is kept. (I3) The list has the blocks with a bit in `free`. */
#include "keyspace/slab_pool_priv.h"

#include "base/assert.h"
#include "base/num.h"
#include "os/lazy.h"
#include "os/range.h"

enum {
    BLOCK_SLABS = RANGE_HUGE_BYTES / SLAB_BYTES,
    BLOCK_WORDS = BLOCK_SLABS / 64,
    SMALL_PAGE_BLOCKS = 12, /* the first 24 MB: a huge page is at most 8 % of what there is */
    LEAST_BYTES = 64 << 20,
    FEW_COUNT = BLOCK_SLABS / 4, /* free slabs, for a block to be readied: half a megabyte; */
    FEW_PART = 4 * BLOCK_SLABS,  /* and of what there is, since more is taken at once: when indexes split, all do */
    KEEP_PART = 64,              /* of the slabs in use */
    KEEP_COUNT = (1 << 20) / SLAB_BYTES,
    PAGE_BYTES = 4096,
    NO_BLOCK = UINT32_MAX,
};

struct slab_block {
    uint64_t free[BLOCK_WORDS];
    uint64_t idle[BLOCK_WORDS];
    uint32_t next, previous;
} ALIGNED(CACHE_LINE_BYTES);

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
         *memory = p->base + (size_t)block * RANGE_HUGE_BYTES;
    if (block == p->block_limit || !range_commit(page, PAGE_BYTES) ||
        !range_commit(&p->slabs[(size_t)block * BLOCK_SLABS], BLOCK_SLABS * sizeof(struct slab)) ||
        !range_commit(memory, RANGE_HUGE_BYTES)) {
        return ERR_NOMEM;
    }
    p->block_count++;
    *b = (struct slab_block){.next = NO_BLOCK, .previous = NO_BLOCK};
    return OK;
}

err slab_pool_init(struct slab_pool *p, uint64_t bytes)
{
    *p = (struct slab_pool){.first_block = NO_BLOCK, .last_block = NO_BLOCK};
    lock_init(&p->lock, LOCK_SLABS, 0);
    size_t records = 0, blocks = 0;
    for (bytes = num_ceil_pow2(bytes); !p->range; bytes /= 2) {
        if (bytes < LEAST_BYTES) {
            return ERR_NOMEM;
        }
        p->block_limit = (uint32_t)num_min_u64(bytes / RANGE_HUGE_BYTES, UINT32_MAX / BLOCK_SLABS);
        records = round_up((size_t)p->block_limit * BLOCK_SLABS * sizeof(struct slab), RANGE_HUGE_BYTES);
        blocks = round_up(p->block_limit * sizeof(struct slab_block), RANGE_HUGE_BYTES);
        p->range_bytes = records + blocks + (size_t)p->block_limit * RANGE_HUGE_BYTES;
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

static bool has_free(const struct slab_block *b)
{
    return b->free[0] | b->free[1];
}

static bool is_free(const struct slab_block *b)
{
    return !~(b->free[0] & b->free[1]);
}

static void unlink_block(struct slab_pool *p, struct slab_block *b)
{
    *(b->previous == NO_BLOCK ? &p->first_block : &p->blocks[b->previous].next) = b->next;
    *(b->next == NO_BLOCK ? &p->last_block : &p->blocks[b->next].previous) = b->previous;
}

static void link_block(struct slab_pool *p, struct slab_block *b)
{
    uint32_t block = (uint32_t)(b - p->blocks);
    bool last = is_free(b);
    b->previous = last ? p->last_block : NO_BLOCK;
    b->next = last ? NO_BLOCK : p->first_block;
    *(b->previous == NO_BLOCK ? &p->first_block : &p->blocks[b->previous].next) = block;
    *(b->next == NO_BLOCK ? &p->last_block : &p->blocks[b->next].previous) = block;
}

/* A change of what is free in a block, and its place in the list. */
static void change_free(struct slab_pool *p, struct slab_block *b, unsigned word, uint64_t set, uint64_t clear)
{
    bool was_in = has_free(b), was_last = is_free(b);
    p->free_count -= (uint32_t)__builtin_popcountll(b->free[word]);
    b->free[word] = (b->free[word] | set) & ~clear;
    p->free_count += (uint32_t)__builtin_popcountll(b->free[word]);
    if (was_in == has_free(b) && was_last == is_free(b)) {
        return;
    }
    if (was_in) {
        unlink_block(p, b);
    }
    if (has_free(b)) {
        link_block(p, b);
    }
}

/* A huge page for a block, and its records, so that who takes its slabs meets no page fault. */
static void make_memory(struct slab_pool *p, uint32_t block)
{
    range_make_huge(p->base + (size_t)block * RANGE_HUGE_BYTES);
    char *records = (char *)&p->slabs[(size_t)block * BLOCK_SLABS];
    for (size_t at = 0; at < BLOCK_SLABS * sizeof(struct slab); at += PAGE_BYTES) {
        *(volatile char *)(records + at) = 0;
    }
}

/* One more block of huge or small pages, whose slabs are free, but for slab 0. The lock is let go of while a huge page is made, before anybody can take of it. */
static err add_block(struct slab_pool *p, bool huge) HOLDS(p->lock)
{
    err e = commit_block(p);
    if (e) {
        return e;
    }
    uint32_t block = p->block_count - 1;
    if (huge) {
        lock_release(&p->lock);
        make_memory(p, block);
        lock_acquire(&p->lock);
        p->huge_count++;
    }
    change_free(p, &p->blocks[block], 0, block == 0 ? ~(uint64_t)1 : ~(uint64_t)0, 0);
    change_free(p, &p->blocks[block], 1, ~(uint64_t)0, 0);
    return OK;
}

/* ---- the other thread -------------------------------------------------------------------------------------------- */

/* Whether a huge page should be readied: small ones are quickly there when they are needed. */
static bool wants_block(const struct slab_pool *p)
{
    return p->block_count >= SMALL_PAGE_BLOCKS && p->free_count < FEW_COUNT + p->block_count * BLOCK_SLABS / FEW_PART;
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
    return add_block(p, p->block_count >= SMALL_PAGE_BLOCKS && !lazy_runs());
}

/* ---- the interface ----------------------------------------------------------------------------------------------- */

uint32_t slab_pool_take(struct slab_pool *p)
{
    uint32_t number = 0;
    lock_acquire(&p->lock);
    while (p->first_block == NO_BLOCK && add_block_at_once(p) == OK) {}
    if (p->first_block != NO_BLOCK) {
        uint32_t block = p->first_block;
        struct slab_block *b = &p->blocks[block];
        unsigned word = b->free[0] ? 0 : 1, bit = (unsigned)__builtin_ctzll(b->free[word]);
        uint64_t mask = (uint64_t)1 << bit;
        change_free(p, b, word, 0, mask);
        p->idle_count -= b->idle[word] & mask ? 1 : 0;
        b->idle[word] &= ~mask;
        p->taken_count++;
        number = block * BLOCK_SLABS + word * 64 + bit;
    }
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
    assert(!(b->free[word] & mask));
    b->idle[word] |= mask;
    p->idle_count++;
    p->taken_count--;
    change_free(p, b, word, mask, 0);
    lock_release(&p->lock);
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

static bool keeps_too_much(const struct slab_pool *p, bool all)
{
    return p->idle_count > (all ? 0 : KEEP_COUNT + p->taken_count / KEEP_PART);
}

bool slab_pool_tend(struct slab_pool *p)
{
    lock_acquire(&p->lock);
    bool wanted = keeps_too_much(p, false);
    lock_release(&p->lock);
    return wanted && (ask_to_tend(p) || slab_pool_settle(p, false));
}

/* While the system takes the memory nobody can take these slabs, and the lock is free. */
bool slab_pool_settle(struct slab_pool *p, bool all)
{
    lock_acquire(&p->lock);
    if (!keeps_too_much(p, all)) {
        lock_release(&p->lock);
        return false;
    }
    struct slab_block *b;
    do {
        p->settled_block = p->settled_block + 1 < p->block_count ? p->settled_block + 1 : 0;
        b = &p->blocks[p->settled_block];
    } while (!(b->idle[0] | b->idle[1]));
    uint64_t set[BLOCK_WORDS] = {b->idle[0], b->idle[1]};
    char *memory = p->base + (size_t)p->settled_block * RANGE_HUGE_BYTES;
    for (unsigned word = 0; word < BLOCK_WORDS; word++) {
        change_free(p, b, word, 0, set[word]);
        b->idle[word] = 0;
        p->idle_count -= (uint32_t)__builtin_popcountll(set[word]);
    }
    lock_release(&p->lock);

    discard(memory, set);

    lock_acquire(&p->lock);
    for (unsigned word = 0; word < BLOCK_WORDS; word++) {
        change_free(p, b, word, set[word], 0);
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
