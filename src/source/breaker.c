/* The window is a ring of slices numbered by time; a slice is cleared when time first comes to it, so that nothing has to run while the
 * source is idle.
 * I1: only a half-open breaker has a probe under way. */
#include "source/breaker.h"

#include <string.h>

#include "base/assert.h"

static void forget(struct breaker *b)
{
    memset(b->queries, 0, sizeof b->queries);
    memset(b->failures, 0, sizeof b->failures);
}

static unsigned slice_at(struct breaker *b, int64_t now_mono_ms)
{
    int64_t width_ms = b->limits.window_ms / BREAKER_SLICE_COUNT;
    int64_t number = now_mono_ms / (width_ms > 0 ? width_ms : 1);
    if (number - b->slice_number >= BREAKER_SLICE_COUNT) {
        forget(b);
        b->slice_number = number;
    }
    while (b->slice_number < number) {
        b->slice_number++;
        b->queries[b->slice_number % BREAKER_SLICE_COUNT] = 0;
        b->failures[b->slice_number % BREAKER_SLICE_COUNT] = 0;
    }
    return (unsigned)(b->slice_number % BREAKER_SLICE_COUNT);
}

static void open_until(struct breaker *b, int64_t now_mono_ms)
{
    b->state = BREAKER_OPEN;
    b->probing = false;
    b->open_until_mono_ms = now_mono_ms + b->limits.open_ms;
    forget(b);
}

void breaker_init(struct breaker *b, const struct config_breaker *limits)
{
    *b = (struct breaker){.limits = *limits};
}

enum breaker_answer breaker_ask(struct breaker *b, int64_t now_mono_ms)
{
    if (b->state == BREAKER_CLOSED) {
        return BREAKER_GO;
    }
    if (b->state == BREAKER_OPEN && now_mono_ms >= b->open_until_mono_ms) {
        b->state = BREAKER_HALF_OPEN;
    }
    if (b->state == BREAKER_OPEN || b->probing) {
        return BREAKER_REFUSE;
    }
    b->probing = true;
    return BREAKER_GO_PROBE;
}

bool breaker_note(struct breaker *b, bool failed, int64_t now_mono_ms)
{
    if (!b->limits.enabled || b->state != BREAKER_CLOSED) {
        return false; /* sent before it opened: the window it belonged to is gone */
    }
    unsigned slice = slice_at(b, now_mono_ms);
    b->queries[slice]++;
    b->failures[slice] += failed;
    uint64_t queries = 0;
    uint64_t failures = 0;
    for (unsigned i = 0; i < BREAKER_SLICE_COUNT; i++) {
        queries += b->queries[i];
        failures += b->failures[i];
    }
    if (!failed || queries < BREAKER_QUERY_COUNT_MIN || failures * 100 < queries * b->limits.errors_percent) {
        return false;
    }
    open_until(b, now_mono_ms);
    return true;
}

bool breaker_note_probe(struct breaker *b, bool failed, int64_t now_mono_ms)
{
    assert(b->state == BREAKER_HALF_OPEN);
    assert(b->probing);
    if (failed) {
        open_until(b, now_mono_ms);
        return false;
    }
    b->state = BREAKER_CLOSED;
    b->probing = false;
    return true;
}

const char *breaker_state_name(const struct breaker *b, int64_t now_mono_ms)
{
    switch (b->state) {
    case BREAKER_CLOSED: return "closed";
    case BREAKER_OPEN: return now_mono_ms < b->open_until_mono_ms ? "open" : "half-open";
    case BREAKER_HALF_OPEN: return "half-open";
    }
    unreachable();
}
