/* The timing wheel; see calendar_priv.h. The time that the wheel has come to (`at`) moves only in calendar_due(), and
 * never past a slot that holds something: that keeps every entry at its level without touching it. */
#include "keyspace/calendar_priv.h"

#include "base/num.h"

enum { TIME_BITS = CALENDAR_LEVELS * CALENDAR_SLOT_BITS, REWIND_MS = 1000 };

static const int64_t TIME_MAX = ((int64_t)1 << TIME_BITS) - 1;

static int64_t clamp_time(int64_t ms)
{
    return num_max_i64(0, num_min_i64(ms, TIME_MAX));
}

static unsigned group(int64_t ms, unsigned level)
{
    return (unsigned)(ms >> (level * CALENDAR_SLOT_BITS)) & (CALENDAR_SLOTS - 1);
}

void calendar_init(struct calendar *c, int64_t now_wall_ms)
{
    *c = (struct calendar){.at = clamp_time(now_wall_ms)};
}

static void link_entry(struct calendar *c, struct entry *e)
{
    struct entry_timed *t = entry_timed(e);
    int64_t due = num_max_i64(clamp_time(t->deadline), c->at);
    uint64_t differs = (uint64_t)(due ^ c->at);
    unsigned level = differs ? (63 - (unsigned)__builtin_clzll(differs)) / CALENDAR_SLOT_BITS : 0;
    unsigned slot = group(due, level);
    struct entry **head = &c->slots[level][slot];
    t->next = *head;
    t->previous = head;
    if (t->next) {
        entry_timed(t->next)->previous = &t->next;
    }
    *head = e;
    c->filled[level] |= (uint64_t)1 << slot;
}

static void unlink_entry(struct calendar *c, struct entry *e)
{
    struct entry_timed *t = entry_timed(e);
    *t->previous = t->next;
    if (t->next) {
        entry_timed(t->next)->previous = t->previous;
    } else if (t->previous >= &c->slots[0][0] && t->previous < &c->slots[0][0] + CALENDAR_LEVELS * CALENDAR_SLOTS) {
        size_t slot = (size_t)(t->previous - &c->slots[0][0]); /* it was alone there */
        c->filled[slot / CALENDAR_SLOTS] &= ~((uint64_t)1 << slot % CALENDAR_SLOTS);
    }
    t->next = NULL;
    t->previous = NULL;
}

void calendar_schedule(struct calendar *c, struct entry *e)
{
    assert(entry_timed(e)->previous == NULL);
    link_entry(c, e);
    c->count++;
}

void calendar_cancel(struct calendar *c, struct entry *e)
{
    if (entry_timed(e)->previous) {
        unlink_entry(c, e);
        c->count--;
    }
}

/* The clock was set back: everything takes its place again relative to the new time. */
static void rewind_to(struct calendar *c, int64_t now_wall_ms)
{
    struct entry *all = NULL;
    for (unsigned level = 0; level < CALENDAR_LEVELS; level++) {
        for (unsigned slot = 0; slot < CALENDAR_SLOTS; slot++) {
            for (struct entry *e; (e = c->slots[level][slot]);) {
                unlink_entry(c, e);
                entry_timed(e)->next = all;
                all = e;
            }
        }
    }
    c->at = clamp_time(now_wall_ms);
    for (struct entry *next; all; all = next) {
        next = entry_timed(all)->next;
        link_entry(c, all);
    }
}

/* The lowest level that holds something, which holds the earliest; CALENDAR_LEVELS when all are empty. */
static unsigned lowest_filled(const struct calendar *c)
{
    unsigned level = 0;
    while (level < CALENDAR_LEVELS && !c->filled[level]) {
        level++;
    }
    return level;
}

/* When the time of a slot begins. */
static int64_t slot_start(const struct calendar *c, unsigned level, unsigned slot)
{
    int64_t above = c->at >> ((level + 1) * CALENDAR_SLOT_BITS) << ((level + 1) * CALENDAR_SLOT_BITS);
    return above | (int64_t)slot << (level * CALENDAR_SLOT_BITS);
}

/* Deals out the slots of `at` above level 0, from the top; false when the work was used up before the end. */
static bool deal_out(struct calendar *c, unsigned *work)
{
    for (unsigned level = CALENDAR_LEVELS - 1; level > 0; level--) {
        for (struct entry *e; (e = c->slots[level][group(c->at, level)]); (*work)--) {
            if (*work == 0) {
                return false;
            }
            if (entry_timed(e)->next) {
                __builtin_prefetch(entry_timed(e)->next);
            }
            unlink_entry(c, e);
            link_entry(c, e);
        }
    }
    return true;
}

struct entry *calendar_due(struct calendar *c, int64_t now_wall_ms, unsigned *work)
{
    int64_t now = clamp_time(now_wall_ms);
    if (now < c->at - REWIND_MS) {
        rewind_to(c, now);
    }
    while (deal_out(c, work)) {
        unsigned level = lowest_filled(c);
        if (level == CALENDAR_LEVELS) {
            return NULL;
        }
        unsigned slot = (unsigned)__builtin_ctzll(c->filled[level]);
        int64_t start = slot_start(c, level, slot);
        if (start > now) {
            c->at = num_max_i64(c->at, now);
            return NULL;
        }
        c->at = num_max_i64(c->at, start);
        if (level == 0) {
            return c->slots[0][slot];
        }
    }
    return NULL;
}

int64_t calendar_next_ms(const struct calendar *c)
{
    for (unsigned level = 1; level < CALENDAR_LEVELS; level++) {
        if (c->slots[level][group(c->at, level)]) {
            return c->at; /* being dealt out */
        }
    }
    unsigned level = lowest_filled(c);
    return level == CALENDAR_LEVELS ? INT64_MAX : slot_start(c, level, (unsigned)__builtin_ctzll(c->filled[level]));
}

struct entry *calendar_nearest(const struct calendar *c)
{
    unsigned level = lowest_filled(c);
    return level == CALENDAR_LEVELS ? NULL : c->slots[level][__builtin_ctzll(c->filled[level])];
}

void calendar_check(const struct calendar *c)
{
    size_t count = 0;
    for (unsigned level = 0; level < CALENDAR_LEVELS; level++) {
        for (unsigned slot = 0; slot < CALENDAR_SLOTS; slot++) {
            assert((c->slots[level][slot] != NULL) == (c->filled[level] >> slot & 1));
            struct entry *const *previous = &c->slots[level][slot];
            for (const struct entry *e = *previous; e; e = *previous, count++) {
                const struct entry_timed *t = entry_timed(e);
                int64_t due = num_max_i64(clamp_time(t->deadline), c->at);
                assert(e->flags & ENTRY_TIMED);
                assert(t->previous == previous);
                assert(level > 0 ? slot >= group(c->at, level) : due == c->at || group(due, 0) == slot);
                assert(level == 0 || group(due, level) == slot);
                previous = &t->next;
            }
        }
    }
    assert(count == c->count);
}
