/* The rules in force: the published set, reloads, and the loader that keyspace/ asks for. One object a process (tests make their own).
 *
 * Threads: workers read the published set without locks and use what they found until their next loop turn; a set that was replaced is freed when
 * every worker has passed a turn since (each is sent a message) and its last load has ended. Making, reloading, reaping, stopping: one thread, not a
 * worker, since closing a source waits for its helpers. */
#ifndef RULE_RULES_H
#define RULE_RULES_H

#include "config/block.h"
#include "keyspace/keyspace.h"
#include "os/worker.h"
#include "source/driver.h"

struct rules;
struct rule_set;

struct rules_options {
    struct keyspace *keyspace;
    struct worker *workers;                                     /* they must outlive the rules */
    unsigned worker_count;                                      /* 0: nobody to wait for (tests of one thread) */
    const struct driver *(*driver_of)(enum config_source_kind); /* NULL: driver_of() */
};

/* Without rules at first. ERR_NOMEM. */
MUST_USE err rules_new(const struct rules_options *o, struct rules **ret_rules);
/* Stops, then frees. Workers must not run any more. NULL is fine. */
void rules_free(struct rules *rs);
/* For keyspace_set_loader(). */
struct loader *rules_loader(struct rules *rs);

/* The set in force; lent until the calling worker's next loop turn. */
const struct rule_set *rules_published(const struct rules *rs);

/* Publishes the rules of `blocks` (takes a reference). Later calls see the new ones; loads that run keep the old. On failure (ERR_NOMEM, ERR_SYSTEM) nothing
 * changed. */
MUST_USE err rules_reload(struct rules *rs, struct config_blocks *blocks);
/* Frees replaced sets that nobody uses any more, and closes sources that went with them. True when none is left to wait for: until then call it again
 * now and then. */
bool rules_reap(struct rules *rs);
/* Ends all loads: who waits is answered with ERR_SOURCE_DOWN, helpers are joined. Further loads are refused, walks end
 * at their next step. Workers may still run. */
void rules_stop(struct rules *rs);

/* The `cache` section of INFO, without its heading: a line per rule and per source, lines end in \r\n. Any worker. */
void rules_info(struct rules *rs, struct buf *out, int64_t now_mono_ms);

#endif
