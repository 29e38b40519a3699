/* Notes of what a call changed; see effect.h. Everything is linked in the order of the calls and lives in the call's
 * arena, so that nothing here is freed. A touch or a record that the arena refuses is left out and remembered in
 * `failed`. */
#include "keyspace/effect.h"

static const struct {
    slice text;
    char class;
} events[EVENT_COUNT] = {
#define EVENT(name, text, class) [EVENT_##name] = {{text, sizeof text - 1}, class},
#include "keyspace/event.def"
#undef EVENT
};

slice event_text(enum event event)
{
    return events[event].text;
}

char event_class(enum event event)
{
    return events[event].class;
}

void effect_init(struct effect *fx, struct arena *arena, struct now now, bool wants_records)
{
    *fx = (struct effect){.arena = arena, .now = now, .wants_records = wants_records};
    fx->touches_end = &fx->touches;
    fx->records_end = &fx->records;
}

void effect_touch(struct effect *fx, unsigned db, slice key, enum change change, enum event event)
{
    struct touch *t = arena_alloc(fx->arena, sizeof *t);
    if (!t) {
        fx->failed = true;
        return;
    }
    *t = (struct touch){.key = key, .db = db, .event = event, .change = change};
    *fx->touches_end = t;
    fx->touches_end = &t->next;
    fx->touch_count++;
}

void effect_rewind(struct effect *fx, struct effect_mark mark)
{
    *mark.end = NULL;
    fx->touches_end = mark.end;
    fx->touch_count = mark.count;
}

void effect_record_before(struct effect *fx, unsigned db, unsigned argc, slice *argv)
{
    if (!fx->wants_records) {
        return;
    }
    struct record *r = arena_alloc(fx->arena, sizeof *r);
    if (!r) {
        fx->failed = true;
        return;
    }
    *r = (struct record){.db = db, .argc = argc, .argv = argv};
    *fx->records_end = r;
    fx->records_end = &r->next;
}

void effect_record_instead(struct effect *fx, unsigned db, unsigned argc, slice *argv)
{
    fx->records_replaced = true;
    effect_record_before(fx, db, argc, argv);
}
