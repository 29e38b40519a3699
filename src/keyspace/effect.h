/* What a call changed, told once, in one place. Every function of keyspace/ that alters an entry takes the effect of
 * the call and notes the change there, so that a handler cannot forget it; dispatch hands the finished effect to the
 * taps while the shards are still locked.
 *
 * An effect has (a) touches: each key with its event and what happened, in the order they happened; taps of meaning
 * (events, tracking, WATCH, tags) read these; (b) records: the commands, final (absolute times, chosen members), that
 * make the same change on a replica or from a log; taps of bytes read these. By default the record is the call itself;
 * a handler whose command is not deterministic replaces it. Records are made only when some tap wants them
 * (effect_wants_records()).
 *
 * Memory comes from the call's arena and lives until the call's reset. Failing to get it sets `failed`; the taps see
 * what is there, and dispatch treats the call as a bug of sizing (the arena refuses only when the system is out of
 * memory). One thread. */
#ifndef KEYSPACE_EFFECT_H
#define KEYSPACE_EFFECT_H

#include "base/arena.h"
#include "base/list.h"
#include "os/clock.h"

enum event {
    EVENT_NONE,
#define EVENT(name, text, class) EVENT_##name,
#include "keyspace/event.def"
#undef EVENT
    EVENT_COUNT
};

/* Redis's name of the event ("incrby"), and its class letter. */
slice event_text(enum event event);
char event_class(enum event event);

enum change {
    CHANGE_NONE,
    CHANGE_CREATED,
    CHANGE_CHANGED,
    CHANGE_DELETED,
    CHANGE_EXPIRED,
    CHANGE_EVICTED,
    CHANGE_FILLED
};

struct touch {
    struct touch *next;
    slice key; /* lent by the call or copied to the arena */
    unsigned db;
    enum event event;
    enum change change;
};

struct record {
    struct record *next;
    unsigned db;
    unsigned argc;
    slice *argv;
};

struct effect {
    struct arena *arena;
    struct now now;
    struct touch *touches, **touches_end;
    struct record *records, **records_end;
    unsigned touch_count;
    bool wants_records;
    bool records_replaced; /* the handler gave its own; the call itself is not the record */
    bool failed;
};

/* Nothing noted yet. */
void effect_init(struct effect *fx, struct arena *arena, struct now now, bool wants_records);

/* Notes a change of a key. The bytes of `key` must live until the taps have run (copy to the arena what will not). */
void effect_touch(struct effect *fx, unsigned db, slice key, enum change change, enum event event);
/* A further event of a key already touched ("set" then "expire"). */
static inline void effect_event(struct effect *fx, unsigned db, slice key, enum event event)
{
    effect_touch(fx, db, key, CHANGE_NONE, event);
}

/* How far the touches go, and back to there: what was noted since has been taken back. */
struct effect_mark {
    struct touch **end;
    unsigned count;
};
static inline struct effect_mark effect_mark(const struct effect *fx)
{
    return (struct effect_mark){fx->touches_end, fx->touch_count};
}
void effect_rewind(struct effect *fx, struct effect_mark mark);

static inline bool effect_wants_records(const struct effect *fx)
{
    return fx->wants_records;
}
/* Adds a record before or instead of the call itself; argv and its slices must live as long as the effect. */
void effect_record_before(struct effect *fx, unsigned db, unsigned argc, slice *argv);
void effect_record_instead(struct effect *fx, unsigned db, unsigned argc, slice *argv);

/* Who is told. Registered at set-up, before workers run; called with the shards of the effect locked: short, never
 * waiting. */
struct tap {
    struct list link;
    bool wants_records;
    void (*effect)(struct tap *t, const struct effect *fx);
};

#endif
