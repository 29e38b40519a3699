/* What the verbs stand on besides the call: wired once by main/, the same for all calls of a process (tests make their own). */
#ifndef COMMAND_ENGINE_H
#define COMMAND_ENGINE_H

#include "keyspace/keyspace.h"
#include "os/worker.h"

struct config_store; /* config/: current snapshot, CONFIG GET and SET */
struct rules;        /* rule/: for the CACHE family; NULL when there are none */

struct engine {
    struct keyspace *keyspace;
    struct config_store *config;
    struct rules *rules;
    struct worker *workers;
    unsigned worker_count;
    char run_id[41];
    struct now started;
    const char *executable;  /* absolute path */
    const char *config_file; /* absolute path, or "" */
};

#endif
