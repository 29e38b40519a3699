/* What source.c shares with the two ways to carry its queries: threads.c and pool.c. An engine takes queries whose turn has come, has each tried, and
 * tells how the try ended; whether there is another, what is counted and who is told is decided here. */
#ifndef SOURCE_SOURCE_PRIV_H
#define SOURCE_SOURCE_PRIV_H

#include "os/lock.h"
#include "source/source.h"

struct carrier; /* an engine's own */

struct engine {
    /* Starts the threads. ERR_SYSTEM, ERR_NOMEM. */
    err (*start)(struct source *s, struct carrier **ret_carrier);
    /* A query was put into the queue. Any thread, without the lock. */
    void (*wake)(struct carrier *c);
    /* `stopping` is set: ends the tries under way, joins the threads. Harmless when stopped, or started in part. */
    void (*stop)(struct carrier *c);
    void (*free)(struct carrier *c);
};
extern const struct engine engine_threads; /* a helper for each connection */
extern const struct engine engine_pool;    /* pipes on one loop */

struct source {
    const struct config_source *config;
    const struct driver *driver;
    const struct engine *engine;
    struct carrier *carrier; /* NULL until it is started */
    struct lock lock;        /* all below, until `stopping` */
    struct list queue;
    unsigned queued;
    unsigned inflight;
    unsigned connections;
    uint64_t queries, retries, errors, timeouts;
    struct breaker breaker;
    bool stopping; /* atomic: written under the lock, also read without it */
};

/* How many queries might be taken now. */
unsigned source_waiting(struct source *s);
/* The query whose turn it is, now in flight; NULL when none waits, `max-inflight` are with the source, or the source stops. */
struct source_query *source_take(struct source *s);
struct source_query *source_take_locked(struct source *s) HOLDS(s->lock);
/* A try of a query that was taken begins. False when the breaker has opened meanwhile: then the query has ended. */
bool source_begin_try(struct source *s, struct source_query *q);
/* The try has ended, well when f is NULL. Either the query ends, or it stands first in the queue again. */
void source_end_try(struct source *s, struct source_query *q, const struct source_failure *f);
/* The try came to nothing by no fault of the query or the source: back to the queue's head, uncounted. */
void source_undo_try(struct source *s, struct source_query *q);
void source_count_connections(struct source *s, int change);
/* What everyone is told whom a stop leaves unanswered. */
void source_failure_stopping(struct source_failure *f);

#endif
