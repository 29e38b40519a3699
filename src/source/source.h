/* A system of record behind the cache: its connections and the queue of queries before them.
 *
 * A query waits for its turn; from its turn on `timeout` counts, for each try anew. At most `max-inflight` are with the source at a time. A
 * driver that blocks has min(connections, max-inflight) helpers with a connection each (threads.c); one that has pipes has a single thread
 * for all connections (pool.c). What failed for a reason that may pass is tried `retries` times more, on a new connection if the old one is
 * lost. The breaker (breaker.h) counts every try; a query that it refuses ends at once, also one that waited in the queue when it opened.
 *
 * A source connects when it is first asked, so that one which is away does not keep the server from starting. */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include "base/list.h"
#include "source/breaker.h"
#include "source/driver.h"

enum { SOURCE_QUEUE_COUNT_MAX = 65536 };

struct source;

/* One query; embedded in what it is about. The owner fills it in and keeps everything it points to until done(). */
struct source_query {
    struct list link;
    const struct source_statement *statement;
    const slice *parameters;                                           /* statement->parameter_count of them */
    bool (*row)(struct source_query *q, const struct source_row *row); /* false: enough */
    void (*restart)(struct source_query *q);                           /* another try begins: forget the rows so far */
    /* The end, once: failure is NULL when all rows were delivered. May free the query. */
    void (*done)(struct source_query *q, const struct source_failure *failure);
    bool probe;     /* source.c's own, as the next */
    unsigned tries; /* begun */
};

/* Starts the helpers. `config` and what it points to must outlive the source. ERR_SYSTEM, ERR_NOMEM. */
MUST_USE err source_open(const struct config_source *config, const struct driver *driver, struct source **ret_source);
/* Ends running queries (ERR_SOURCE_DOWN), answers those in the queue likewise, joins the helpers. Harmless when stopped. Never on a helper of
 * this source. */
void source_stop(struct source *s);
/* Stops it and frees it; NULL is fine. Nobody may submit any more. */
void source_close(struct source *s);

/* Puts a query into the queue; row(), restart() and done() will be called ON(helper) (or by source_stop()'s caller), with no lock of the source held. On
 * failure nothing of this happens: ERR_SOURCE_DOWN (breaker open, or stopped), ERR_SOURCE_BUSY (queue full). Any thread; never waits. */
MUST_USE err source_submit(struct source *s, struct source_query *q);

slice source_name(const struct source *s);
const struct config_source *source_config(const struct source *s);

struct source_figures {
    const char *breaker;  /* "closed", "open", "half-open" */
    unsigned connections; /* open now */
    unsigned inflight;
    unsigned queued;
    uint64_t queries, retries, errors, timeouts;
};
/* Any thread. */
struct source_figures source_figures(struct source *s, int64_t now_mono_ms);

/* Writes `statement` in the driver's words; sql is allocated in `arena`. ERR_NOMEM. */
MUST_USE err source_statement_make(const struct statement *statement, const struct driver *driver, struct arena *arena,
                                   struct source_statement *ret_statement);

#endif
