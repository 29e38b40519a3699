#include "command/effect_log.h"

#include "base/assert.h"

static void write_touch(struct buf *text, const struct touch *touch, bool is_first)
{
    slice event = event_text(touch->event);
    buf_printf(text, "%s%.*s %.*s", is_first ? "" : ", ", SLICE_ARG(event), SLICE_ARG(touch->key));
    if (touch->db != 0) {
        buf_printf(text, "@%u", touch->db);
    }
}

static void write_record(struct buf *text, const struct record *record)
{
    buf_append(text, S(" ["));
    for (unsigned i = 0; i < record->argc; i++) {
        buf_printf(text, "%s%.*s", i ? " " : "", SLICE_ARG(record->argv[i]));
    }
    buf_append(text, S("]"));
}

static void note_effect(struct tap *t, const struct effect *fx)
{
    struct effect_log *log = container_of(t, struct effect_log, tap);
    bool is_first = log->text.len == 0;
    for (const struct touch *touch = fx->touches; touch; touch = touch->next) {
        if (touch->event != EVENT_NONE) {
            write_touch(&log->text, touch, is_first);
            is_first = false;
        }
    }
    for (const struct record *record = fx->records; record; record = record->next) {
        write_record(&log->text, record);
    }
}

void effect_log_init(struct effect_log *log, struct keyspace *ks)
{
    *log = (struct effect_log){.tap = {.wants_records = true, .effect = note_effect}};
    buf_init(&log->text, 1 << 20);
    buf_init(&log->taken, 1 << 20);
    keyspace_add_tap(ks, &log->tap);
}

void effect_log_fini(struct effect_log *log)
{
    buf_fini(&log->text);
    buf_fini(&log->taken);
}

const char *effect_log_take(struct effect_log *log)
{
    buf_truncate(&log->taken, 0);
    buf_append(&log->taken, buf_slice(&log->text));
    buf_append_byte(&log->taken, '\0');
    assert(!buf_failed(&log->taken));
    buf_truncate(&log->text, 0);
    return log->taken.bytes;
}
