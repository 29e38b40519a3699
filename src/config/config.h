/* The configuration in force: an immutable snapshot with a typed field for each row of option.def, and the blocks.
 *
 * A snapshot is made from the command line, the environment and the file (config_load), or from another one with some values changed
 * (config_set). Whoever makes one applies it (sockets, log) and publishes it; readers take the pointer anew whenever they begin something
 * and keep it for one call at most. The old snapshot is freed when every worker has passed a loop turn since.
 *
 * config_now() may be called by any thread; everything that makes, publishes or frees snapshots by one thread at a time. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "config/block.h"
#include "config/fault.h"
#include "observe/log.h"

enum config_policy {
    POLICY_VOLATILE_LRU,
    POLICY_VOLATILE_LFU,
    POLICY_VOLATILE_RANDOM,
    POLICY_VOLATILE_TTL,
    POLICY_ALLKEYS_LRU,
    POLICY_ALLKEYS_LFU,
    POLICY_ALLKEYS_RANDOM,
    POLICY_NOEVICTION,
    POLICY_ADAPTIVE,
};

enum config_tls_auth { TLS_AUTH_NO, TLS_AUTH_YES, TLS_AUTH_OPTIONAL };
enum config_io_engine { IO_ENGINE_AUTO, IO_ENGINE_EPOLL, IO_ENGINE_URING };
enum config_supervised { SUPERVISED_NO, SUPERVISED_SYSTEMD, SUPERVISED_AUTO };

/* Of directives that allow something: to nobody, to everybody, to clients on this machine. */
enum config_enable { ENABLE_NO, ENABLE_YES, ENABLE_LOCAL };

/* The classes of client-output-buffer-limit. */
enum config_client_class { CLIENT_CLASS_NORMAL, CLIENT_CLASS_REPLICA, CLIENT_CLASS_PUBSUB, CLIENT_CLASS_COUNT };

struct config_output_limit {
    uint64_t hard_bytes; /* 0: none */
    uint64_t soft_bytes; /* 0: none */
    int64_t soft_seconds;
};

struct config_words {
    slice *items; /* each is followed by a NUL byte */
    unsigned count;
};

struct config_output_limits {
    struct config_output_limit of[CLIENT_CLASS_COUNT];
};

/* The C type of each option type. TEXT ends in a NUL byte that is not counted; PERCENT is bytes, or -1 to -100 for percent of maxmemory. */
typedef bool config_type_BOOL;
typedef int64_t config_type_INT;
typedef int64_t config_type_OCTAL;
typedef uint64_t config_type_BYTES;
typedef int64_t config_type_PERCENT;
typedef int config_type_ENUM;
typedef slice config_type_TEXT;
typedef struct config_words config_type_WORDS;
typedef struct config_output_limits config_type_OUTPUT_LIMITS;

/* One for each directive; an alias is the directive that it stands for. */
enum option {
#define OPTION(field, name, type, accepts, flags, standard, meaning) OPTION_##field,
#define ALIAS(name, field)
#include "config/option.def"
#undef OPTION
#undef ALIAS
    OPTION_COUNT
};

/* Where a value comes from; later ones win. */
enum config_origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENVIRONMENT, ORIGIN_ARGUMENT, ORIGIN_RUNTIME };

struct config_setting {
    enum config_origin origin;
    struct place place; /* of the last line that set it; empty for default and runtime */
    unsigned set_count; /* how often CONFIG SET has set it, be it to the same value */
};

struct config {
#define OPTION(field, name, type, accepts, flags, standard, meaning) config_type_##type field;
#define ALIAS(name, field)
#include "config/option.def"
#undef OPTION
#undef ALIAS
    struct config_setting settings[OPTION_COUNT];
    struct config_blocks *blocks; /* never NULL; a counted reference */
    slice file;                   /* the path of the configuration file as given, empty without one */
    struct arena arena;           /* everything that the fields point to */
};

/* What config_load() reads. */
struct config_input {
    const char *file; /* NULL for none */
    char *const *
        environment; /* NAME=value strings, NULL at the end; NULL for none. LARDER_<NAME> and LARDER_<NAME>_FILE count */
    char *const *arguments; /* "--name" "value" ... , without program name and file */
    unsigned argument_count;
};

/* Reads everything. On ERR_CONFIG `faults` tells all mistakes; `warnings` gets what is accepted but should be said at start, one a line
 * (not the list of config_unused()). ERR_NOMEM when memory is refused. */
MUST_USE err config_load(const struct config_input *input, struct faults *faults, struct buf *warnings,
                         struct config **ret_config);

/* What a reload does: reads the file of `input` again and makes a snapshot with the options of `old` and the blocks of the file.
 * Options in the file are checked, but do not change. As config_load() on mistakes. */
MUST_USE err config_reload(const struct config *old, const struct config_input *input, struct faults *faults,
                           struct config **ret_config);

/* All defaults, no blocks; NULL when memory is refused. */
struct config *config_new(void);
/* Accepts NULL. */
void config_free(struct config *c);

/* One name and its new value of CONFIG SET. */
struct config_change {
    slice name;
    slice value;
};
/* A snapshot like `old` with all changes, or none: ERR_CONFIG, and the words of the answer behind "ERR " in ret_words ("CONFIG SET failed
 * (possibly related to argument 'port') - argument must be between 0 and 65535 inclusive"). */
MUST_USE err config_set(const struct config *old, const struct config_change *changes, size_t change_count,
                        struct buf *ret_words, struct config **ret_config);
/* The same words for a change that config_set() accepted and the caller could not apply. */
void config_set_words(slice name, const char *reason, struct buf *ret_words);

/* Calls `each` for every name, aliases too, that one of the globs matches (without regard to case), each once, in the order of the table.
 * The value is lent for the call. A name without glob characters is found even if it is hidden, and told as it was asked for. ERR_NOMEM. */
MUST_USE err config_get(const struct config *c, const slice *globs, size_t glob_count,
                        void (*each)(void *argument, slice name, slice value), void *argument);
/* The value of one option as CONFIG GET answers it, appended. */
void config_value(const struct config *c, enum option o, struct buf *ret_value);

/* Calls `each` for every directive that somebody has set and that has no meaning here. */
void config_unused(const struct config *c, void (*each)(void *argument, slice name), void *argument);

/* The option of this name or alias, OPTION_COUNT when there is none. */
enum option config_find(slice name);
slice config_name(enum option o);
/* The i-th word of the fixed set that an option takes, and its value; NULL past the last. */
const char *config_choice(enum option o, unsigned i, int *ret_value);
/* Whether this is the name or an alias of an option whose value is not to be shown. */
bool config_is_secret(slice name);

/* The configuration file's text made such that the file alone would give what is in force now, but for what comes from the environment. What was set at run time
 * or on the command line replaces the line that set it, or goes to the end; every other byte stays: comments, blocks, what has not changed. `path` is the file's. ERR_CONFIG
 * when the text cannot be understood (`why` says it), ERR_NOMEM. Reads the files that it includes. */
MUST_USE err config_rewrite(const struct config *c, slice path, slice text, struct buf *ret_text, struct buf *why);

/* The published snapshot, never NULL after the first config_publish(). Any thread. */
const struct config *config_now(void);
/* Publishes and returns the one before (NULL the first time), to be freed when no thread can read it any more. */
MUST_USE struct config *config_publish(struct config *next);

#endif
