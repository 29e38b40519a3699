/* The configuration of a running server: changed by CONFIG SET and by a reload, applied, published, freed when nobody
 * can see it any more. */
#ifndef MAIN_SETTINGS_H
#define MAIN_SETTINGS_H

#include "command/engine.h"
#include "door/door.h"
#include "main/headroom.h"

enum { SETTINGS_LOOK_MS = 100 };

struct retired;

struct settings {
    struct engine *engine;
    struct door *door;
    const struct config_input *input; /* what a reload reads again */
    struct retired *retired;          /* snapshots that some worker may still read; under the engine's config_lock */
    struct message relisten;          /* to the front */
    bool relistening;                 /* under the same lock: it is on its way */
    struct headroom headroom;         /* the front's */
    uint64_t data_bytes;              /* under the same lock: what maxmemory-process leaves to the data; 0: no limit */
    struct buf reason;                /* under the same lock: why the last change was refused; ends in NUL */
};

/* Publishes `config`, which it owns from then on. One a process. */
void settings_init(struct settings *s, struct engine *engine, struct config *config, const struct config_input *input);
/* Nobody reads the configuration any more, except config_now() of this thread. */
void settings_fini(struct settings *s);

/* engine->apply_config. */
err settings_apply(struct engine *engine, struct config *next, enum option *ret_option, const char **ret_reason);

/* Has the door offer what the tls-... directives say, if there is a TLS port. ERR_CONFIG: the log says what is wrong.
 * Before listening. */
MUST_USE err settings_start_tls(struct settings *s);

/* Learns what this server takes without data, when it is about to listen. ERR_CONFIG: that is more than
 * maxmemory-process; the log says so. */
MUST_USE err settings_start_memory(struct settings *s);
/* Looks how much maxmemory-process leaves to the data; true when it is set, and the next look is due in SETTINGS_LOOK_MS. The front's thread. */
bool settings_look(struct settings *s);
/* The narrowest of the two limits that the data has; 0: none. */
uint64_t settings_limit(uint64_t maxmemory_bytes, uint64_t data_bytes);

/* What a word of maxmemory-policy means to the keyspace. */
enum eviction settings_eviction(enum config_policy policy);
/* The log as the configuration has it. */
struct log_options settings_log_options(const struct config *config);

/* Reads the file again and takes its blocks; a file with mistakes changes nothing. Reads certificates and keys again,
 * too: if something is wrong with them the former ones stay. Says in the log how it went. The front's thread. */
void settings_reload(struct settings *s);
/* Frees snapshots that nobody can see any more. The front's thread, now and then. */
void settings_tick(struct settings *s);

#endif
