/* LATENCY: of each kind of event the last 160 seconds in which it was slow, with the worst of each second; and how long the calls of each command took.
 *
 * The samples are one table under one lock, since what is noted is slow by definition. The times of commands are not from here but from the counters that each worker
 * keeps (figures.c). */
#include "command/server/latency.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/num.h"
#include "command/command.h"
#include "command/figures.h"
#include "command/help.h"
#include "command/verb.h"
#include "os/lock.h"

enum { SAMPLES = 160 };

struct sample {
    int64_t wall_s;
    int64_t ms; /* the worst of this second */
};

struct series {
    struct sample samples[SAMPLES]; /* a ring */
    uint64_t count;                 /* ever taken */
    int64_t ms_max;
};

static struct {
    struct lock lock;
    struct series of[LATENCY_EVENT_COUNT];
} table;

static const struct {
    slice name;
    const char *meaning;
} events[] = {
#define LATENCY(name, text, meaning) {{text, sizeof(text) - 1}, meaning},
#include "command/server/latency.def"
#undef LATENCY
};

__attribute__((constructor)) static void init_table(void)
{
    lock_init(&table.lock, LOCK_LATENCY, 0);
}

void latency_note(enum latency_event event, uint64_t ns, struct now now)
{
    int64_t ms = (int64_t)(ns / 1000000), wall_s = now.wall_ms / 1000;
    struct series *s = &table.of[event];
    lock_acquire(&table.lock);
    struct sample *last = &s->samples[(s->count + SAMPLES - 1) % SAMPLES];
    if (s->count > 0 && last->wall_s == wall_s) {
        last->ms = num_max_i64(last->ms, ms);
    } else {
        s->samples[s->count++ % SAMPLES] = (struct sample){wall_s, ms};
    }
    s->ms_max = num_max_i64(s->ms_max, ms);
    lock_release(&table.lock);
}

/* ---- the samples ---------------------------------------------------------------------------------------------------- */
static uint64_t kept(const struct series *s)
{
    return num_min_u64(s->count, SAMPLES);
}

/* The i-th of those that are kept, the oldest first. */
static const struct sample *sample_at(const struct series *s, uint64_t i)
{
    return &s->samples[(s->count - kept(s) + i) % SAMPLES];
}

err cmd_latency_latest(struct call *call)
{
    struct reply *r = call->reply;
    size_t count = 0;
    lock_acquire(&table.lock);
    for (size_t i = 0; i < LATENCY_EVENT_COUNT; i++) {
        count += table.of[i].count > 0;
    }
    reply_array(r, count);
    for (size_t i = 0; i < LATENCY_EVENT_COUNT; i++) {
        const struct series *s = &table.of[i];
        if (s->count > 0) {
            const struct sample *last = sample_at(s, kept(s) - 1);
            reply_array(r, 4);
            reply_bytes(r, events[i].name);
            reply_integer(r, last->wall_s);
            reply_integer(r, last->ms);
            reply_integer(r, s->ms_max);
        }
    }
    lock_release(&table.lock);
    return OK;
}

/* LATENCY_EVENT_COUNT when there is none of that name. */
static enum latency_event event_called(slice name)
{
    enum latency_event event = 0;
    while (event < LATENCY_EVENT_COUNT && !slice_equal(events[event].name, name)) {
        event++;
    }
    return event;
}

err cmd_latency_history(struct call *call)
{
    enum latency_event event = event_called(call_arg(call, 2));
    if (event == LATENCY_EVENT_COUNT) {
        reply_array(call->reply, 0);
        return OK;
    }
    const struct series *s = &table.of[event];
    lock_acquire(&table.lock);
    reply_array(call->reply, kept(s));
    for (uint64_t i = 0; i < kept(s); i++) {
        reply_array(call->reply, 2);
        reply_integer(call->reply, sample_at(s, i)->wall_s);
        reply_integer(call->reply, sample_at(s, i)->ms);
    }
    lock_release(&table.lock);
    return OK;
}

static bool is_named(const struct call *call, slice name)
{
    for (unsigned i = 2; i < call->argc; i++) {
        if (slice_equal(call_arg(call, i), name)) {
            return true;
        }
    }
    return call->argc == 2;
}

err cmd_latency_reset(struct call *call)
{
    int64_t count = 0;
    lock_acquire(&table.lock);
    for (size_t i = 0; i < LATENCY_EVENT_COUNT; i++) {
        if (table.of[i].count > 0 && is_named(call, events[i].name)) {
            table.of[i] = (struct series){0};
            count++;
        }
    }
    lock_release(&table.lock);
    reply_integer(call->reply, count);
    return OK;
}

static void append_report(struct buf *out, size_t i, const struct series *s)
{
    int64_t sum = 0, min = INT64_MAX;
    for (uint64_t n = 0; n < kept(s); n++) {
        sum += sample_at(s, n)->ms;
        min = num_min_i64(min, sample_at(s, n)->ms);
    }
    buf_printf(out,
               "%.*s: slow in %" PRIu64 " seconds, at most %" PRId64 " ms; of the last %" PRIu64 " the mean is %" PRId64
               " ms and the least %" PRId64 " ms.\n    It is %s.\n",
               SLICE_ARG(events[i].name), s->count, s->ms_max, kept(s), sum / (int64_t)kept(s), min, events[i].meaning);
}

err cmd_latency_doctor(struct call *call)
{
    struct buf out;
    buf_init(&out, 64 * 1024);
    int64_t threshold = config_now()->latency_monitor_threshold;
    lock_acquire(&table.lock);
    for (size_t i = 0; i < LATENCY_EVENT_COUNT; i++) {
        if (table.of[i].count > 0) {
            append_report(&out, i, &table.of[i]);
        }
    }
    lock_release(&table.lock);
    if (threshold == 0) {
        buf_append(&out, S("Nothing is watched: CONFIG SET latency-monitor-threshold <milliseconds> begins it.\n"));
    } else if (out.len == 0) {
        buf_printf(&out, "Nothing took %" PRId64 " ms or longer.\n", threshold);
    }
    reply_verbatim(call->reply, buf_slice(&out));
    buf_fini(&out);
    return OK;
}

/* ---- the times of commands ------------------------------------------------------------------------------------------ */
/* Whether HISTOGRAM is to show this command: all, or those that are named, with the subcommands of a named one. */
static bool is_shown(const struct call *call, const struct command *c)
{
    for (unsigned i = 2; i < call->argc; i++) {
        if (slice_equal_nocase(call_arg(call, i), slice_of(c->name)) ||
            (c->container && slice_equal_nocase(call_arg(call, i), slice_of(c->container->name)))) {
            return true;
        }
    }
    return call->argc == 2;
}

/* Counts up to each power of two at which they grow. */
static void reply_times(struct reply *r, const struct command_times *t)
{
    reply_map(r, 2);
    reply_bytes(r, S("calls"));
    reply_integer(r, (int64_t)t->count);
    reply_bytes(r, S("histogram_usec"));
    size_t pairs = 0;
    uint64_t before = 0;
    for (unsigned pass = 0; pass < 2; pass++) {
        before = 0;
        for (uint64_t us = 1; before < t->count; us *= 2) {
            uint64_t within = us >> FIGURES_VALUE_BITS ? t->count : command_times_within(t, us);
            if (within > before && pass == 0) {
                pairs++;
            } else if (within > before) {
                reply_integer(r, (int64_t)us);
                reply_integer(r, (int64_t)within);
            }
            before = within;
        }
        if (pass == 0) {
            reply_map(r, pairs);
        }
    }
}

err cmd_latency_histogram(struct call *call)
{
    struct command_times *t = malloc(sizeof *t);
    if (!t) {
        return ERR_NOMEM;
    }
    bool shown[COMMAND_COUNT_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < command_count(); i++) {
        shown[i] = false;
        if (is_shown(call, command_at(i))) {
            command_times(FIGURES_ALL_WORKERS, i, t);
            shown[i] = t->count > 0;
            count += shown[i];
        }
    }
    reply_map(call->reply, count);
    for (unsigned i = 0; i < command_count(); i++) {
        if (shown[i]) {
            command_times(FIGURES_ALL_WORKERS, i, t);
            reply_bytes(call->reply, slice_of(command_at(i)->name));
            reply_times(call->reply, t);
        }
    }
    free(t);
    return OK;
}

err cmd_latency_help(struct call *call)
{
    static const char *const lines[] = {
        "DOCTOR",
        "    What was slow, in words.",
        "HISTOGRAM [command ...]",
        "    How many calls took how many microseconds.",
        "HISTORY event",
        "    When an event was slow, and how slow.",
        "LATEST",
        "    Of each event the last time, and the longest.",
        "RESET [event ...]",
        "    Forgets these events, or all.",
        NULL,
    };
    reply_help(call, lines);
    return OK;
}
