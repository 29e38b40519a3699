/* The timing wheel; see calendar_priv.h. The time that a wheel has come to (`at`) moves only in calendar_due(), and
 * never past a slot that holds something: that keeps every record at its level without touching it.
 *
 * The old wheel, while there is one, is emptied from its earliest slot on and past `now` before the other is looked at:
 * so what is due is always found in order. */
#include "keyspace/calendar_priv.h"

#include <stdlib.h>

#include "base/num.h"
#include "os/mem.h"

enum {
    LEVELS = 11,
    SLOT_BITS = 5,
    SLOTS = 1 << SLOT_BITS, /* that one of the level above is dealt out to */
    TWICE_LEVELS = 5,       /* the lowest ones: they have as many again, for the next one of the level above */
    SLOT_COUNT = (LEVELS + TWICE_LEVELS) * SLOTS - SLOTS / 2, /* the top level needs only half */
    STALE_SPARE = 1024,                                       /* so many may be stale, however few count */
    PREFETCH_AHEAD = 4,                                       /* records */
    SOON = 2,                                                 /* records behind the one that is due */
    NEAREST_COUNT = 16,                                       /* of how many the nearest is chosen */
    REWIND_MS = 1000,
};

static_assert(LEVELS * SLOT_BITS - 1 == ENTRY_DEADLINE_BITS, "every deadline has its slot");
static_assert(2 * SLOT_COUNT <= ENTRY_UNMARKED, "a mark names the wheel and the slot");

struct wheel {
    int64_t at; /* wall ms */
    unsigned first_mark;
    uint64_t filled[LEVELS];
    struct records slots[SLOT_COUNT];
};

static int64_t clamp_time(int64_t ms)
{
    return num_max_i64(0, num_min_i64(ms, ENTRY_DEADLINE_MAX));
}

/* Slots of a level are counted through from 1970 on; the number says which of its places is whose. */
static int64_t number_at(int64_t ms, unsigned level)
{
    return ms >> (level * SLOT_BITS);
}

static unsigned places_of(unsigned level)
{
    return level < TWICE_LEVELS ? 2 * SLOTS : SLOTS;
}

static unsigned slot_with(unsigned level, int64_t number)
{
    unsigned first = (level + (unsigned)num_min_u64(level, TWICE_LEVELS)) * SLOTS;
    return first + (unsigned)(number & (places_of(level) - 1));
}

static unsigned level_of(unsigned slot)
{
    return slot < 2 * TWICE_LEVELS * SLOTS ? slot / (2 * SLOTS) : slot / SLOTS - TWICE_LEVELS;
}

/* ---- wheels ------------------------------------------------------------------------------------------------------ */

static struct wheel *wheel_new(unsigned first_mark, int64_t at)
{
    struct wheel *w = mem_alloc(sizeof *w);
    if (w) {
        *w = (struct wheel){.at = clamp_time(at), .first_mark = first_mark};
    }
    return w;
}

static void wheel_free(struct calendar *c, struct wheel *w)
{
    if (w) {
        for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
            records_clear(&w->slots[slot], &c->sum);
        }
        mem_free(w);
    }
}

/* Where a record with this deadline stands now: as low as one slot at each level above, or two, reach. */
static unsigned slot_of(const struct wheel *w, int64_t deadline)
{
    int64_t due = num_max_i64(deadline, w->at);
    uint64_t differs = (uint64_t)(due ^ w->at);
    unsigned level = differs ? (63 - (unsigned)__builtin_clzll(differs)) / SLOT_BITS : 0;
    while (level > 0 && level <= TWICE_LEVELS && number_at(due, level) == number_at(w->at, level) + 1) {
        level--;
    }
    return slot_with(level, number_at(due, level));
}

/* Which number a place of a level stands for: the first from that of `at` on. */
static int64_t slot_number(const struct wheel *w, unsigned slot)
{
    unsigned level = level_of(slot);
    int64_t now = number_at(w->at, level);
    return now + (int64_t)((slot - slot_with(level, now)) & (places_of(level) - 1));
}

/* When the time of a slot begins. */
static int64_t slot_start(const struct wheel *w, unsigned slot)
{
    return slot_number(w, slot) << (level_of(slot) * SLOT_BITS);
}

static uint64_t bit_of(unsigned slot)
{
    return (uint64_t)1 << (slot - slot_with(level_of(slot), 0));
}

static bool is_filled(const struct wheel *w, unsigned slot)
{
    return w->filled[level_of(slot)] & bit_of(slot);
}

/* The first filled slot of a level that has one. */
static unsigned first_filled(const struct wheel *w, unsigned level)
{
    unsigned here = (unsigned)(number_at(w->at, level) & (places_of(level) - 1));
    uint64_t from_here = w->filled[level] >> here << here;
    return slot_with(level, __builtin_ctzll(from_here ? from_here : w->filled[level]));
}

/* The filled slot that begins first, and of several the one of the highest level, whose records may belong to the others; SLOT_COUNT when all are empty.
 */
static unsigned earliest_slot(const struct wheel *w, int64_t *ret_start)
{
    unsigned earliest = SLOT_COUNT;
    *ret_start = INT64_MAX;
    for (unsigned level = 0; level < LEVELS; level++) {
        unsigned slot = w->filled[level] ? first_filled(w, level) : SLOT_COUNT;
        int64_t start = slot == SLOT_COUNT ? INT64_MAX : slot_start(w, slot);
        if (slot != SLOT_COUNT && start <= *ret_start) {
            earliest = slot;
            *ret_start = start;
        }
    }
    return earliest;
}

/* From when on a slot of the levels that have a next one can be dealt out. */
static int64_t ahead_ms(const struct wheel *w, unsigned slot)
{
    return (slot_number(w, slot) - 1) << (level_of(slot) * SLOT_BITS);
}

/* INT64_MAX when nothing is filled. */
static int64_t earliest_start(const struct wheel *w)
{
    int64_t start = INT64_MAX;
    if (w) {
        earliest_slot(w, &start);
    }
    return start;
}

/* The slots of a level that are dealt out at the latest now, and that can be dealt out as of now. */
static unsigned present_slot(const struct wheel *w, unsigned level)
{
    return slot_with(level, number_at(w->at, level));
}

static unsigned next_slot(const struct wheel *w, unsigned level)
{
    return slot_with(level, number_at(w->at, level) + 1);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static struct entry *entry_of(const struct calendar *c, uint32_t record)
{
    return slab_at(c->slabs, record);
}

/* The oldest record of a filled slot. */
static uint32_t first_record(const struct calendar *c, const struct wheel *w, unsigned slot)
{
    size_t count;
    const uint32_t *front = records_front(&w->slots[slot], &count);
    if (count > PREFETCH_AHEAD) {
        __builtin_prefetch(entry_of(c, front[PREFETCH_AHEAD]));
    }
    return front[0];
}

/* The entry of a record, if it counts. */
static struct entry *counted(const struct calendar *c, const struct wheel *w, unsigned slot, uint32_t record)
{
    if (!slab_is_live(c->slabs, record)) {
        return NULL;
    }
    struct entry *e = entry_of(c, record);
    return e->flags & ENTRY_TIMED && entry_timed(e)->mark == w->first_mark + slot ? e : NULL;
}

static void drop_first(struct calendar *c, struct wheel *w, unsigned slot)
{
    records_drop(&w->slots[slot], &c->sum, 1);
    if (records_empty(&w->slots[slot])) {
        w->filled[level_of(slot)] &= ~bit_of(slot);
    }
}

/* Returns the slot. */
static unsigned place(struct calendar *c, struct entry *e)
{
    struct wheel *w = c->wheel;
    unsigned slot = slot_of(w, entry_timed(e)->deadline);
    records_push(&w->slots[slot], &c->sum, slab_handle(c->slabs, e));
    w->filled[level_of(slot)] |= bit_of(slot);
    entry_timed(e)->mark = (w->first_mark + slot) & ENTRY_UNMARKED;
    return slot;
}

/* Puts an entry whose record comes first where it belongs now, another slot; false when memory is refused: nothing
 * has changed. */
static bool replace_first(struct calendar *c, struct wheel *w, unsigned slot, struct entry *e)
{
    if (!records_reserve(&c->wheel->slots[slot_of(c->wheel, entry_timed(e)->deadline)], &c->sum)) {
        return false;
    }
    place(c, e);
    drop_first(c, w, slot);
    return true;
}

/* Takes the first record out of a slot, to where its entry belongs now if it has one. */
static bool deal_first(struct calendar *c, struct wheel *w, unsigned slot)
{
    struct entry *e = counted(c, w, slot, first_record(c, w, slot));
    if (e) {
        return replace_first(c, w, slot, e);
    }
    drop_first(c, w, slot);
    return true;
}

/* ---- scheduling -------------------------------------------------------------------------------------------------- */

void calendar_init(struct calendar *c, const struct slabs *slabs)
{
    *c = (struct calendar){.slabs = slabs};
}

void calendar_clear(struct calendar *c)
{
    wheel_free(c, c->wheel);
    wheel_free(c, c->old);
    assert(c->sum.count == 0);
    assert(c->sum.bytes == 0);
    c->wheel = c->old = NULL;
}

size_t calendar_bytes(const struct calendar *c)
{
    size_t wheels = (c->wheel ? 1 : 0) + (c->old ? 1 : 0);
    return c->sum.bytes + wheels * mem_good_bytes(sizeof(struct wheel));
}

bool calendar_reserve(struct calendar *c, int64_t deadline, int64_t now_wall_ms)
{
    if (!c->wheel) {
        c->wheel = wheel_new(0, now_wall_ms);
        if (!c->wheel) {
            return false;
        }
    }
    return records_reserve(&c->wheel->slots[slot_of(c->wheel, clamp_time(deadline))], &c->sum);
}

/* Whether the record that an entry has comes up early enough. */
static bool has_record_in_time(const struct calendar *c, const struct entry *e)
{
    unsigned mark = entry_timed(e)->mark;
    const struct wheel *w = c->wheel->first_mark == mark / SLOT_COUNT * SLOT_COUNT ? c->wheel : c->old;
    return mark != ENTRY_UNMARKED && slot_start(w, mark % SLOT_COUNT) <= num_max_i64(entry_timed(e)->deadline, w->at);
}

int64_t calendar_schedule(struct calendar *c, struct entry *e)
{
    c->entry_count++;
    if (has_record_in_time(c, e)) {
        return entry_deadline(e);
    }
    unsigned slot = place(c, e), level = level_of(slot);
    return level == 0 || level > TWICE_LEVELS ? slot_start(c->wheel, slot) : ahead_ms(c->wheel, slot);
}

void calendar_cancel(struct calendar *c, size_t count)
{
    assert(c->entry_count >= count);
    c->entry_count -= count;
}

void calendar_moved(struct calendar *c, struct entry *copy)
{
    place(c, copy);
}

void calendar_forget(struct entry *e)
{
    entry_timed(e)->mark = ENTRY_UNMARKED;
}

/* ---- moving ------------------------------------------------------------------------------------------------------ */

bool calendar_is_untidy(const struct calendar *c)
{
    return c->entry_count == 0 ? c->wheel != NULL : c->sum.count > 2 * c->entry_count + STALE_SPARE;
}

/* Makes room for everything to be put anew, relative to `at`. Put off when memory is refused. */
static void begin_moving(struct calendar *c, int64_t at)
{
    struct wheel *w = wheel_new(SLOT_COUNT - c->wheel->first_mark, at);
    if (w) {
        c->old = c->wheel;
        c->wheel = w;
    }
}

/* Moves what may be due, and more until half of the work is used up. False when what may be due is not all moved. */
static bool move_some(struct calendar *c, int64_t now, unsigned *work)
{
    for (unsigned least = *work / 2; c->old && (*work > least || earliest_start(c->old) <= now); (*work)--) {
        int64_t start;
        unsigned slot = earliest_slot(c->old, &start);
        if (slot == SLOT_COUNT) {
            wheel_free(c, c->old);
            c->old = NULL;
            return true;
        }
        if (*work == 0 || !deal_first(c, c->old, slot)) {
            return false;
        }
    }
    return true;
}

/* ---- coming up --------------------------------------------------------------------------------------------------- */

/* Deals out the slots of `at` above level 0, from the top; false when the work was used up before the end. */
static bool deal_out(struct calendar *c, unsigned *work)
{
    struct wheel *w = c->wheel;
    for (unsigned level = LEVELS - 1; level > 0; level--) {
        for (unsigned slot = present_slot(w, level); is_filled(w, slot); (*work)--) {
            if (*work == 0 || !deal_first(c, w, slot)) {
                return false;
            }
        }
    }
    return true;
}

bool calendar_has_ahead(const struct calendar *c)
{
    bool has = false;
    for (unsigned level = 1; c->wheel && level <= TWICE_LEVELS; level++) {
        has |= is_filled(c->wheel, next_slot(c->wheel, level));
    }
    return has;
}

void calendar_deal_ahead(struct calendar *c, unsigned work)
{
    struct wheel *w = c->wheel;
    for (unsigned level = TWICE_LEVELS; w && level > 0; level--) {
        for (unsigned slot = next_slot(w, level); is_filled(w, slot); work--) {
            if (work == 0 || !deal_first(c, w, slot)) {
                return;
            }
        }
    }
}

/* The first entry of a slot of level 0 whose time has come; NULL when there is none or the work was used up. */
static struct entry *first_due(struct calendar *c, unsigned slot, unsigned *work)
{
    struct wheel *w = c->wheel;
    for (; is_filled(w, slot) && *work > 0; (*work)--) {
        struct entry *e = counted(c, w, slot, first_record(c, w, slot));
        if (e && (int64_t)entry_timed(e)->deadline <= w->at) {
            return e;
        }
        if (!deal_first(c, w, slot)) {
            *work = 0;
            return NULL;
        }
    }
    return NULL;
}

struct entry *calendar_due(struct calendar *c, int64_t now_wall_ms, unsigned *work)
{
    int64_t now = clamp_time(now_wall_ms);
    if (c->entry_count == 0) {
        calendar_clear(c);
        return NULL;
    }
    if (!c->old && (now < c->wheel->at - REWIND_MS || calendar_is_untidy(c))) {
        begin_moving(c, num_min_i64(now, c->wheel->at));
    }
    if (!move_some(c, now, work)) {
        return NULL;
    }
    struct wheel *w = c->wheel;
    while (deal_out(c, work)) {
        int64_t start;
        unsigned slot = earliest_slot(w, &start);
        if (start > now) {
            w->at = num_max_i64(w->at, now);
            return NULL;
        }
        w->at = num_max_i64(w->at, start);
        if (level_of(slot) == 0) {
            struct entry *e = first_due(c, slot, work);
            if (e || *work == 0) {
                return e;
            }
        }
    }
    return NULL;
}

const struct entry *calendar_soon(const struct calendar *c)
{
    const struct wheel *w = c->wheel;
    unsigned slot = present_slot(w, 0);
    size_t count;
    const uint32_t *front = records_front(&w->slots[slot], &count);
    return count > SOON ? counted(c, w, slot, front[SOON]) : NULL;
}

int64_t calendar_next_ms(const struct calendar *c)
{
    const struct wheel *w = c->wheel;
    if (!w) {
        return INT64_MAX;
    }
    int64_t next_ms = earliest_start(w);
    bool is_dealing = false;
    for (unsigned level = 1; level < LEVELS; level++) {
        is_dealing |= is_filled(w, present_slot(w, level));
        if (level <= TWICE_LEVELS && w->filled[level]) {
            int64_t ahead = ahead_ms(w, first_filled(w, level));
            next_ms = ahead > w->at ? num_min_i64(next_ms, ahead) : next_ms;
        }
    }
    return c->old || is_dealing || calendar_is_untidy(c) ? 0 : next_ms;
}

/* The earliest of the first few entries of a slot whose first record counts. */
static struct entry *earliest_of_few(const struct calendar *c, const struct wheel *w, unsigned slot)
{
    size_t count;
    const uint32_t *front = records_front(&w->slots[slot], &count);
    struct entry *earliest = entry_of(c, front[0]);
    for (size_t i = 1; i < count && i < NEAREST_COUNT; i++) {
        struct entry *e = counted(c, w, slot, front[i]);
        if (e && entry_timed(e)->deadline < entry_timed(earliest)->deadline) {
            earliest = e;
        }
    }
    return earliest;
}

/* Whether it is the slot of a deadline, also if it could be dealt out. */
static bool is_in_time(const struct wheel *w, unsigned slot, int64_t deadline)
{
    return number_at(num_max_i64(deadline, w->at), level_of(slot)) == slot_number(w, slot);
}

struct entry *calendar_nearest(struct calendar *c)
{
    while (c->wheel) {
        struct wheel *w = earliest_start(c->old) < earliest_start(c->wheel) ? c->old : c->wheel;
        int64_t start;
        unsigned slot = earliest_slot(w, &start);
        if (slot == SLOT_COUNT) {
            return NULL;
        }
        struct entry *e = counted(c, w, slot, first_record(c, w, slot));
        if (!e) {
            drop_first(c, w, slot);
        } else if (is_in_time(w, slot, entry_timed(e)->deadline) || !replace_first(c, w, slot, e)) {
            return earliest_of_few(c, w, slot);
        }
    }
    return NULL;
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

static int compare_records(const void *a, const void *b)
{
    uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;
    return (first > second) - (first < second);
}

/* Checks one slot; puts the records that count into `found`. */
static size_t check_slot(const struct calendar *c, const struct wheel *w, unsigned slot, struct records_sum *sum,
                         uint32_t *found)
{
    unsigned level = level_of(slot);
    int64_t above = number_at(slot_start(w, slot), level + 1) - number_at(w->at, level + 1);
    size_t count = 0;
    assert(records_empty(&w->slots[slot]) != is_filled(w, slot));
    assert(records_empty(&w->slots[slot]) || above <= (level < TWICE_LEVELS ? 1 : 0));
    records_check(&w->slots[slot], sum);
    struct records_cursor cursor = {0};
    for (uint32_t record; records_next(&w->slots[slot], &cursor, &record);) {
        const struct entry *e = counted(c, w, slot, record);
        if (e) {
            assert(slot_start(w, slot) <= num_max_i64(entry_timed(e)->deadline, w->at));
            found[count++] = record;
        }
    }
    return count;
}

size_t calendar_check(const struct calendar *c)
{
    const struct wheel *wheels[] = {c->wheel, c->old};
    struct records_sum sum = {0};
    size_t count = 0, distinct = 0;
    uint32_t *found = malloc((c->sum.count + 1) * sizeof *found);
    assert(c->wheel || !c->old);
    assert(c->wheel || c->entry_count == 0);
    if (!found) {
        return c->entry_count;
    }
    for (unsigned i = 0; i < countof(wheels); i++) {
        for (unsigned slot = 0; wheels[i] && slot < SLOT_COUNT; slot++) {
            count += check_slot(c, wheels[i], slot, &sum, found + count);
        }
    }
    assert(sum.count == c->sum.count);
    assert(sum.bytes == c->sum.bytes);
    qsort(found, count, sizeof *found, compare_records);
    for (size_t i = 0; i < count; i++) {
        distinct += i == 0 || found[i] != found[i - 1];
    }
    free(found);
    assert(distinct >= c->entry_count);
    return distinct;
}
