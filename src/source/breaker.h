/* A circuit breaker: it counts how the last queries of a source ended and, when too many of them failed, says no for a while, so that a
 * source in trouble is left alone and callers are answered at once.
 *
 * closed     every query may go. The ends of the last `window` are counted in BREAKER_SLICE_COUNT slices. Once at least
 *            BREAKER_QUERY_COUNT_MIN of them are there and the share of failures reaches `errors`, it opens. (Below that number a share says
 *            nothing: the first query of a night that fails is 100%.)
 * open       none may go until `open` is over.
 * half-open  one query at a time may go, as a probe: success closes the breaker and forgets the window, failure opens it again.
 *
 * Pure: the time is passed. Not synchronised; a source keeps it under its lock. */
#ifndef SOURCE_BREAKER_H
#define SOURCE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/block.h"

enum { BREAKER_SLICE_COUNT = 10, BREAKER_QUERY_COUNT_MIN = 10 };

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
    struct config_breaker limits;
    enum breaker_state state;
    bool probing;               /* half-open: the one probe is under way */
    int64_t open_until_mono_ms; /* open */
    int64_t slice_number;       /* of the newest slice: mono time / slice width */
    uint32_t queries[BREAKER_SLICE_COUNT];
    uint32_t failures[BREAKER_SLICE_COUNT];
};

enum breaker_answer { BREAKER_GO, BREAKER_GO_PROBE, BREAKER_REFUSE };

void breaker_init(struct breaker *b, const struct config_breaker *limits);
/* Whether a query may go now. Who was told GO_PROBE must end it with breaker_note_probe(). */
enum breaker_answer breaker_ask(struct breaker *b, int64_t now_mono_ms);
/* How a query that was told GO ended. True when this opened the breaker. */
bool breaker_note(struct breaker *b, bool failed, int64_t now_mono_ms);
/* How the probe ended. True when the breaker is closed now. */
bool breaker_note_probe(struct breaker *b, bool failed, int64_t now_mono_ms);
/* "closed", "open", "half-open": an open one whose time is over is half-open. */
const char *breaker_state_name(const struct breaker *b, int64_t now_mono_ms);

#endif
