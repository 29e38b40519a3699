/* What the verbs stand on besides the call: wired once by main/, the same for all calls of a process (tests make their own). */
#ifndef COMMAND_ENGINE_H
#define COMMAND_ENGINE_H

#include "config/config.h"
#include "keyspace/keyspace.h"
#include "os/lock.h"
#include "os/worker.h"

struct rules; /* rule/: for the CACHE family; NULL when there are none */

struct engine {
    struct keyspace *keyspace;
    struct rules *rules;
    struct worker *workers;
    unsigned worker_count;
    char run_id[41];
    struct now started;
    const char *executable;  /* absolute path */
    const char *config_file; /* absolute path, or "" */
    struct lock
        config_lock; /* LOCK_CONFIG: held by CONFIG SET while it makes and applies a snapshot; a reload takes it, too */
    /* Makes `next` the configuration in force: applies what differs from config_now() (memory limits, listeners, log ...), then publishes it and sees to
     * it that the one before is freed when nobody can read it any more. Called with config_lock held, on a worker. When something could not be applied:
     * ERR_CONFIG, the option and the reason in words; then all is as before, and `next` is still the caller's. */
    err (*apply_config)(struct engine *engine, struct config *next, enum option *ret_option, const char **ret_reason);
    /* Ends the server as SIGTERM does; `at_once`: without waiting for what is in flight. Any worker. */
    void (*shut_down)(struct engine *engine, bool at_once);
};

#endif
