/* What the verbs stand on besides the call: wired once by main/, the same for all calls of a process (tests make their own). */
#ifndef COMMAND_ENGINE_H
#define COMMAND_ENGINE_H

#include "config/config.h"
#include "keyspace/keyspace.h"
#include "os/worker.h"

struct rules; /* rule/: for the CACHE family; NULL when there are none */

struct engine {
    struct keyspace *keyspace;
    /* CONFIG SET: makes a snapshot with all changes, applies and publishes it, or changes nothing: ERR_CONFIG with the words of the answer in
     * ret_words. CONFIG GET reads config_now(). Any worker, one at a time by itself. */
    err (*configure)(struct engine *engine, const struct config_change *changes, size_t change_count, struct buf *ret_words);
    struct rules *rules;
    struct worker *workers;
    unsigned worker_count;
    char run_id[41];
    struct now started;
    const char *executable;  /* absolute path */
    const char *config_file; /* absolute path, or "" */
};

#endif
