/* Blocks of one shard; see slab_priv.h.
 *
 * A class is a size of blocks. Its slabs with room form a list; the first is filled until it is full and leaves the list, one that gets room again
 * goes to the end. A slab without blocks goes back to the pool at once.
 *
 * A bit for each block says whether it is allocated. The record has the bits of up to 320 blocks, which are of 56 bytes or more; where blocks are smaller
 * the bits are the last 128 bytes of the slab.
 *
 * Invariants: (I1) a slab is in its class's list exactly when one of its blocks is free and it is not drained. (I2) live_count is the count of its bits
 * that stand for blocks. (I3) No slab is without blocks. (I4) slab_in(place) is the slab whose record has that place, 0 where there is none. (I5) drained.left is
 * the count of slabs that are drained, and drained.count is 0 exactly when that is. */
#include "keyspace/slab_priv.h"

#include "base/assert.h"
#include "base/num.h"
#include "keyspace/limbo_priv.h"
#include "os/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONS 1
#endif
#endif
#ifdef POISONS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#endif

enum {
    STEPS = 8, /* sizes in a doubling */
    EVEN_MAX = 64,
    EVEN_CLASSES = EVEN_MAX / SLAB_GRANULE - 1, /* 16, 24, ... 64 */
    SPARSE_PART = 24,                           /* of a class's memory */
    LOOK_AT_MAX = 32,                           /* slabs, for one to drain */
    PLACES_MIN = 16,
    PLACES_MAX = (1 << (HANDLE_BITS - SLAB_OFFSET_BITS)) - SLAB_DIRECT_COUNT, /* in the table */
    TAIL_WORDS = 16,
    TAIL_BYTES = TAIL_WORDS * sizeof(uint64_t),
};

static_assert(SLAB_BYTES / SLAB_GRANULE == 1 << SLAB_OFFSET_BITS, "a handle reaches every granule of a slab");

struct table {
    struct limbo_block limbo;
    uint32_t slabs[];
};

/* ---- classes ----------------------------------------------------------------------------------------------------- */

static unsigned class_of(size_t bytes)
{
    assert(bytes <= SLAB_BLOCK_MAX);
    if (bytes <= EVEN_MAX) {
        return bytes <= 16 ? 0 : (unsigned)(bytes + 7) / 8 - 2;
    }
    unsigned doubling = 63 - (unsigned)__builtin_clzll(bytes - 1); /* 6 for 65 to 128 */
    return EVEN_CLASSES + (doubling - 6) * STEPS + (unsigned)((bytes - 1) >> (doubling - 3)) - STEPS;
}

static unsigned class_bytes(unsigned size_class)
{
    if (size_class < EVEN_CLASSES) {
        return (size_class + 2) * SLAB_GRANULE;
    }
    unsigned above = size_class - EVEN_CLASSES;
    return (above % STEPS + STEPS + 1) << (above / STEPS + 3);
}

/* Blocks in a slab. */
static unsigned capacity_of(unsigned size_class)
{
    unsigned capacity = SLAB_BYTES / class_bytes(size_class);
    return capacity <= SLAB_WORDS * 64 ? capacity : (SLAB_BYTES - TAIL_BYTES) / class_bytes(size_class);
}

/* ---- slabs ------------------------------------------------------------------------------------------------------- */

static struct slab *record_of(const struct slabs *s, uint32_t number)
{
    return &s->records[number];
}

static char *memory_of(const struct slabs *s, uint32_t number)
{
    return (char *)s->base + (size_t)number * SLAB_BYTES;
}

/* Whether the bits of its blocks are too many for its record: they are the last bytes of the slab then. */
static bool has_tail(const struct slab *slab)
{
    return slab->capacity > SLAB_WORDS * 64;
}

static unsigned words_of(const struct slab *slab)
{
    return has_tail(slab) ? TAIL_WORDS : SLAB_WORDS;
}

/* A bit for each block that is allocated; those behind the last block are set. */
static uint64_t *live_of(const struct slabs *s, uint32_t number)
{
    struct slab *slab = record_of(s, number);
    return has_tail(slab) ? (uint64_t *)(memory_of(s, number) + SLAB_BYTES - TAIL_BYTES) : slab->live;
}

static void link_slab(struct slabs *s, uint32_t number)
{
    struct slab *slab = record_of(s, number);
    struct slab_class *c = &s->classes[slab->size_class];
    slab->previous = c->last;
    slab->next = 0;
    *(c->last ? &record_of(s, c->last)->next : &c->first) = number;
    c->last = number;
}

static void unlink_slab(struct slabs *s, uint32_t number)
{
    struct slab *slab = record_of(s, number);
    struct slab_class *c = &s->classes[slab->size_class];
    *(slab->previous ? &record_of(s, slab->previous)->next : &c->first) = slab->next;
    *(slab->next ? &record_of(s, slab->next)->previous : &c->last) = slab->previous;
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static size_t table_bytes(uint32_t capacity)
{
    return sizeof(struct table) + capacity * sizeof(uint32_t);
}

static struct table *table_of(const struct slabs *s)
{
    return s->table ? container_of(s->table, struct table, slabs) : NULL;
}

static bool widen_table(struct slabs *s)
{
    uint32_t capacity = s->table_capacity ? s->table_capacity * 2 : PLACES_MIN;
    struct table *wider = capacity <= PLACES_MAX ? mem_alloc(table_bytes(capacity)) : NULL, *before = table_of(s);
    if (!wider) {
        return false;
    }
    wider->limbo = (struct limbo_block){0};
    memset(wider->slabs, 0, capacity * sizeof *wider->slabs);
    if (before) {
        memcpy(wider->slabs, before->slabs, s->table_end * sizeof *wider->slabs);
    }
    s->table_capacity = capacity;
    __atomic_store_n(&s->table, wider->slabs, __ATOMIC_RELEASE);
    limbo_put(s->limbo, before ? &before->limbo : NULL);
    return true;
}

/* Gives a slab a place in the table; false when there is no memory for a wider one. */
static bool enter_table(struct slabs *s, uint32_t number, uint32_t *ret_place)
{
    uint32_t at = s->table_end;
    if (s->hole_count > 0) {
        while (s->table[s->hole_hint]) {
            s->hole_hint++;
        }
        at = s->hole_hint++;
        s->hole_count--;
    } else if (at < s->table_capacity || widen_table(s)) {
        s->table_end++;
    } else {
        return false;
    }
    __atomic_store_n(&s->table[at], number, __ATOMIC_RELEASE);
    *ret_place = SLAB_DIRECT_COUNT + at;
    return true;
}

static void leave_table(struct slabs *s, uint32_t at)
{
    PUBLISH(s->table[at], 0);
    s->hole_hint = s->hole_count++ == 0 || at < s->hole_hint ? at : s->hole_hint;
}

static bool is_owned(const struct slabs *s, uint32_t number)
{
    return number / 64 < s->owned_words && s->owned[number / 64] >> number % 64 & 1;
}

/* False when there is no memory for so many bits. */
static bool widen_owned(struct slabs *s, uint32_t number)
{
    uint32_t words = (uint32_t)num_ceil_pow2(number / 64 + 1);
    uint64_t *wider = mem_realloc(s->owned, words * sizeof *wider);
    if (!wider) {
        return false;
    }
    memset(wider + s->owned_words, 0, (words - s->owned_words) * sizeof *wider);
    s->owned = wider;
    s->owned_words = words;
    return true;
}

/* False when the system refuses memory. */
static bool take_place(struct slabs *s, uint32_t number, uint32_t *ret_place)
{
    *ret_place = number;
    if ((number / 64 >= s->owned_words && !widen_owned(s, number)) ||
        (number >= SLAB_DIRECT_COUNT && !enter_table(s, number, ret_place))) {
        return false;
    }
    s->owned[number / 64] |= (uint64_t)1 << number % 64;
    return true;
}

static void give_place(struct slabs *s, uint32_t number, uint32_t place)
{
    s->owned[number / 64] &= ~((uint64_t)1 << number % 64);
    if (place >= SLAB_DIRECT_COUNT) {
        leave_table(s, place - SLAB_DIRECT_COUNT);
    }
}

/* The slab in a place; 0: none. Every place may be asked about. */
static uint32_t slab_in(const struct slabs *s, uint32_t place)
{
    if (place < SLAB_DIRECT_COUNT) {
        return is_owned(s, place) ? place : 0;
    }
    return place - SLAB_DIRECT_COUNT < s->table_end ? s->table[place - SLAB_DIRECT_COUNT] : 0;
}

/* ---- draining ---------------------------------------------------------------------------------------------------- */

static bool is_full(const struct slabs *s, uint32_t number)
{
    return record_of(s, number)->live_count == record_of(s, number)->capacity;
}

/* Whether it is to be emptied and gets nothing new. */
static bool is_drained(const struct slabs *s, uint32_t number)
{
    return number - s->drained.first < s->drained.count;
}

static void start_draining(struct slabs *s, uint32_t first, uint32_t count)
{
    s->drained.first = first;
    s->drained.count = count;
    s->drained.left = 0;
    for (uint32_t number = first; number < first + count; number++) {
        bool owned = is_owned(s, number);
        s->drained.left += owned;
        if (owned && !is_full(s, number)) {
            unlink_slab(s, number);
        }
    }
}

void slab_stop_draining(struct slabs *s)
{
    for (uint32_t number = s->drained.first; is_drained(s, number); number++) {
        if (is_owned(s, number) && !is_full(s, number)) {
            link_slab(s, number);
        }
    }
    s->drained.count = s->drained.left = 0;
}

/* ---- coming and going -------------------------------------------------------------------------------------------- */

/* A new slab of a class, at the front of its list; 0 when the system refuses memory. Its first block is not at its start but somewhere, so that the
 * first blocks of many shards do not all fall into the same few sets of the cache. */
static uint32_t add_slab(struct slabs *s, unsigned size_class)
{
    uint32_t number = slab_pool_take(s->pool, s->use), place;
    if (!number) {
        return 0;
    }
    if (is_drained(s, number)) { /* the pool has no better place any more */
        slab_stop_draining(s);
    }
    if (!take_place(s, number, &place)) {
        slab_pool_give(s->pool, number);
        return 0;
    }
    unsigned capacity = capacity_of(size_class);
    PUBLISH(s->slab_count, s->slab_count + 1);
    s->classes[size_class].slab_count++;
    s->classes[size_class].free_count += capacity;
    struct slab *slab = record_of(s, number);
    *slab = (struct slab){.place = place,
                          .size_class = (uint8_t)size_class,
                          .capacity = (uint16_t)capacity,
                          .hint = (uint16_t)(number * 7 % capacity)};
    uint64_t *live = live_of(s, number);
    for (unsigned word = 0; word < words_of(slab); word++) {
        unsigned blocks = (unsigned)num_min_u64(64, capacity > word * 64 ? capacity - word * 64 : 0);
        live[word] = blocks == 64 ? 0 : ~(uint64_t)0 << blocks;
    }
    ASAN_POISON_MEMORY_REGION(memory_of(s, number), SLAB_BYTES - (has_tail(slab) ? TAIL_BYTES : 0));
    link_slab(s, number);
    return number;
}

static void drop_slab(struct slabs *s, uint32_t number)
{
    const struct slab *slab = record_of(s, number);
    uint32_t place = slab->place;
    if (!is_drained(s, number)) {
        unlink_slab(s, number);
    } else if (--s->drained.left == 0) {
        s->drained.count = 0;
    }
    PUBLISH(s->slab_count, s->slab_count - 1);
    s->classes[slab->size_class].slab_count--;
    s->classes[slab->size_class].free_count -= slab->capacity;
    ASAN_UNPOISON_MEMORY_REGION(memory_of(s, number), SLAB_BYTES);
    give_place(s, number, place);
    slab_pool_give(s->pool, number);
}

/* A free block of a slab that has one: the first at or after the hint, else the first from its start. */
static unsigned free_block(const struct slab *slab, const uint64_t *live)
{
    unsigned word = slab->hint / 64;
    uint64_t vacant = ~live[word] & ~(uint64_t)0 << slab->hint % 64;
    while (!vacant) {
        word = word + 1 < words_of(slab) ? word + 1 : 0;
        vacant = ~live[word];
    }
    return word * 64 + (unsigned)__builtin_ctzll(vacant);
}

/* Has the block that is allocated next brought to the cache meanwhile. */
static void fetch_next(const struct slabs *s, uint32_t number, unsigned block_bytes)
{
    struct slab *slab = record_of(s, number);
    slab->hint = (uint16_t)free_block(slab, live_of(s, number));
    const char *next = memory_of(s, number) + (size_t)slab->hint * block_bytes;
    __builtin_prefetch(next, 1);
    __builtin_prefetch(next + block_bytes - 1, 1);
}

/* ---- the interface ----------------------------------------------------------------------------------------------- */

void slabs_init(struct slabs *s, struct slab_pool *pool, enum slab_pool_use use, struct limbo *limbo)
{
    *s = (struct slabs){.base = pool->base, .records = pool->slabs, .pool = pool, .use = use, .limbo = limbo};
}

void slabs_fini(struct slabs *s)
{
    assert(s->used_bytes == 0);
    mem_free(table_of(s));
    mem_free(s->owned);
    *s = (struct slabs){0};
}

void *slab_alloc(struct slabs *s, size_t bytes)
{
    unsigned size_class = class_of(bytes);
    uint32_t number = s->classes[size_class].first;
    if (mem_is_refused() || (!number && !(number = add_slab(s, size_class)))) {
        return NULL;
    }
    struct slab *slab = record_of(s, number);
    uint64_t *live = live_of(s, number);
    unsigned block = free_block(slab, live), block_bytes = class_bytes(size_class);
    live[block / 64] |= (uint64_t)1 << block % 64;
    slab->hint = (uint16_t)block;
    if (++slab->live_count == slab->capacity) {
        unlink_slab(s, number);
    } else {
        fetch_next(s, number, block_bytes);
    }
    s->classes[size_class].free_count--;
    PUBLISH(s->used_bytes, s->used_bytes + block_bytes);
    void *memory = memory_of(s, number) + (size_t)block * block_bytes;
    ASAN_UNPOISON_MEMORY_REGION(memory, block_bytes);
    return memory;
}

void slab_free(struct slabs *s, void *memory, size_t bytes)
{
    if (!memory) {
        return;
    }
    size_t offset = (size_t)((const char *)memory - s->base);
    uint32_t number = (uint32_t)(offset / SLAB_BYTES);
    struct slab *slab = record_of(s, number);
    unsigned block_bytes = class_bytes(slab->size_class), block = (unsigned)(offset % SLAB_BYTES) / block_bytes;
    assert(slab->size_class == class_of(bytes));
    assert(slab_in(s, slab->place) == number);
    uint64_t *live = live_of(s, number);
    assert(live[block / 64] >> block % 64 & 1);
    ASAN_POISON_MEMORY_REGION(memory, block_bytes);
    live[block / 64] &= ~((uint64_t)1 << block % 64);
    s->classes[slab->size_class].free_count++;
    PUBLISH(s->used_bytes, s->used_bytes - block_bytes);
    if (slab->live_count-- == slab->capacity && !is_drained(s, number)) {
        link_slab(s, number);
    }
    if (slab->live_count == 0) {
        drop_slab(s, number);
    }
}

bool slab_is_live(const struct slabs *s, handle h)
{
    uint32_t number = slab_in(s, h >> SLAB_OFFSET_BITS);
    if (!number) {
        return false;
    }
    const struct slab *slab = record_of(s, number);
    unsigned offset = h % (1u << SLAB_OFFSET_BITS) * SLAB_GRANULE, bytes = class_bytes(slab->size_class);
    unsigned block = offset / bytes;
    return block * bytes == offset && block < slab->capacity && live_of(s, number)[block / 64] >> block % 64 & 1;
}

uint64_t slab_taken_bytes(const struct slabs *s)
{
    return (uint64_t)PEEK(s->slab_count) * SLAB_BYTES;
}

uint64_t slab_used_bytes(const struct slabs *s)
{
    return PEEK(s->used_bytes);
}

/* ---- giving back ------------------------------------------------------------------------------------------------- */

bool slab_may_be_sparse(const struct slabs *s)
{
    if (slab_pool_is_vacating(s->pool)) {
        return true;
    }
    uint64_t taken = slab_taken_bytes(s), used = slab_used_bytes(s);
    return taken > used + taken / SPARSE_PART && taken > used + 2 * SLAB_BYTES;
}

static bool is_sparse(const struct slabs *s, unsigned size_class, bool thorough)
{
    const struct slab_class *c = &s->classes[size_class];
    if (c->free_count == 0) {
        return false;
    }
    unsigned capacity = capacity_of(size_class);
    return thorough ? c->free_count >= capacity
                    : c->free_count >= 2 * capacity &&
                          (uint64_t)c->free_count * SPARSE_PART > (uint64_t)c->slab_count * capacity;
}

/* The first class that is; SLAB_CLASS_COUNT: none. */
static unsigned sparse_class(const struct slabs *s, bool thorough)
{
    unsigned size_class = 0;
    while (size_class < SLAB_CLASS_COUNT && !is_sparse(s, size_class, thorough)) {
        size_class++;
    }
    return size_class;
}

/* Into the first slab with room, until that is full, then the next: no slab that is full loses a block, so it ends. */
bool slab_should_move(const struct slabs *s, const void *block)
{
    uint32_t number = (uint32_t)((size_t)((const char *)block - s->base) / SLAB_BYTES);
    const struct slab *slab = record_of(s, number);
    return is_drained(s, number) ||
           (slab->live_count < slab->capacity && number != s->classes[slab->size_class].first &&
            is_sparse(s, slab->size_class, false));
}

/* The emptiest of the slabs with room that come first. */
static uint32_t emptiest(const struct slabs *s, unsigned size_class)
{
    uint32_t best = s->classes[size_class].first, number = best;
    for (unsigned i = 0; i < LOOK_AT_MAX && number; i++) {
        const struct slab *slab = record_of(s, number);
        best = slab->live_count < record_of(s, best)->live_count ? number : best;
        number = slab->next;
    }
    return best;
}

/* Of a block of the pool a slab that should be emptied if that one should; 0: none. */
static uint32_t drainable_in(const struct slabs *s, uint32_t first, bool vacating)
{
    for (uint32_t word = first / 64; word < (first + SLAB_POOL_BLOCK_SLABS) / 64 && word < s->owned_words; word++) {
        for (uint64_t owned = s->owned[word]; owned; owned &= owned - 1) {
            uint32_t number = word * 64 + (uint32_t)__builtin_ctzll(owned);
            if (vacating || is_sparse(s, record_of(s, number)->size_class, true)) {
                return number;
            }
        }
    }
    return 0;
}

/* The same in one of the emptiest blocks, so that those become free as a whole. Without `vacating` only what the others of its class have room for. */
static uint32_t drainable_in_emptiest(const struct slabs *s, bool vacating)
{
    uint32_t firsts[SLAB_POOL_FIRSTS], number = 0;
    unsigned count = slab_pool_emptiest(s->pool, vacating, firsts);
    for (unsigned i = 0; i < count && !number; i++) {
        number = drainable_in(s, firsts[i], vacating);
    }
    return number;
}

static uint32_t choose_to_drain(const struct slabs *s, bool thorough)
{
    unsigned size_class = sparse_class(s, thorough);
    if (size_class == SLAB_CLASS_COUNT) {
        return slab_pool_is_vacating(s->pool) ? drainable_in_emptiest(s, true) : 0;
    }
    uint32_t number = drainable_in_emptiest(s, false);
    return number ? number : emptiest(s, size_class);
}

bool slab_is_sparse(struct slabs *s)
{
    bool vacating = slab_pool_is_vacating(s->pool);
    uint32_t number = vacating && !s->drained.count ? drainable_in_emptiest(s, true) : 0;
    if (number) {
        start_draining(s, number / SLAB_POOL_BLOCK_SLABS * SLAB_POOL_BLOCK_SLABS, SLAB_POOL_BLOCK_SLABS);
    } else if (!vacating) {
        slab_stop_draining(s);
    }
    return s->drained.count > 0 || sparse_class(s, false) < SLAB_CLASS_COUNT;
}

void *slab_sparse_block(struct slabs *s, bool thorough)
{
    uint32_t number = s->drained.count ? s->drained.first : choose_to_drain(s, thorough);
    if (!number) {
        return NULL;
    }
    if (!s->drained.count) {
        start_draining(s, number, 1);
    }
    const struct slab *slab = record_of(s, number);
    const uint64_t *live = live_of(s, number);
    unsigned word = 0;
    while (!live[word]) {
        word++;
    }
    unsigned block = word * 64 + (unsigned)__builtin_ctzll(live[word]);
    assert(block < slab->capacity);
    return memory_of(s, number) + (size_t)block * class_bytes(slab->size_class);
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

static size_t check_slab(const struct slabs *s, uint32_t place)
{
    const struct slab *slab = record_of(s, slab_in(s, place));
    unsigned capacity = slab->capacity, live_count = 0;
    assert(slab->place == place);
    assert(capacity == capacity_of(slab->size_class));
    const uint64_t *live = live_of(s, slab_in(s, place));
    for (unsigned block = 0; block < words_of(slab) * 64; block++) {
        bool set = live[block / 64] >> block % 64 & 1;
        assert(set || block < capacity);
        live_count += set && block < capacity;
    }
    assert(live_count == slab->live_count);
    assert(live_count > 0);
    return (size_t)live_count * class_bytes(slab->size_class);
}

void slab_check(const struct slabs *s)
{
    uint32_t hole_count = 0, with_room = 0, slab_count = 0, free_count = 0, drained = 0;
    uint64_t used_bytes = 0;
    for (uint32_t place = 1; place < SLAB_DIRECT_COUNT + s->table_end; place++) {
        if (!slab_in(s, place)) {
            hole_count += place >= SLAB_DIRECT_COUNT;
            assert(place < SLAB_DIRECT_COUNT || place - SLAB_DIRECT_COUNT >= s->hole_hint);
            continue;
        }
        const struct slab *slab = record_of(s, slab_in(s, place));
        used_bytes += check_slab(s, place);
        with_room += slab->live_count < slab->capacity && !is_drained(s, slab_in(s, place));
        drained += is_drained(s, slab_in(s, place));
        free_count += slab->capacity - slab->live_count;
        slab_count++;
    }
    assert(slab_count == s->slab_count);
    assert(drained == s->drained.left);
    assert((drained == 0) == (s->drained.count == 0));
    for (unsigned size_class = 0; size_class < SLAB_CLASS_COUNT; size_class++) {
        slab_count -= s->classes[size_class].slab_count;
        free_count -= s->classes[size_class].free_count;
        for (uint32_t number = s->classes[size_class].first; number; number = record_of(s, number)->next) {
            const struct slab *slab = record_of(s, number);
            assert(slab->size_class == size_class);
            assert(slab_in(s, slab->place) == number);
            assert(slab->live_count < slab->capacity);
            assert(slab->next != 0 || s->classes[size_class].last == number);
            with_room--;
        }
    }
    assert(with_room == 0);
    assert(slab_count == 0);
    assert(free_count == 0);
    assert(hole_count == s->hole_count);
    assert(used_bytes == s->used_bytes);
}
