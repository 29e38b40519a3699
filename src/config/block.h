/* The two blocks of the configuration, `source` and `rule`, as plain values. Everything is checked when it is read: a set of blocks that
 * exists is consistent (I1: a rule's source is in the set; I2: a rule has a statement exactly if it has a source; I3: no two rules of one
 * database tie on a key that both match; I4: names of sources are unique).
 *
 * A set is immutable and counted: configurations that differ in their options share it. Times are in ms; 0 stands for `none`. */
#ifndef CONFIG_BLOCK_H
#define CONFIG_BLOCK_H

#include "base/arena.h"
#include "base/err.h"
#include "config/fault.h"
#include "config/parse.h"
#include "config/pattern.h"
#include "config/statement.h"

enum { BLOCK_SOURCE_COUNT_MAX = 256, BLOCK_RULE_COUNT_MAX = 4096 };

enum config_source_kind { SOURCE_KIND_SQLITE, SOURCE_KIND_POSTGRES };

struct config_breaker {
    bool enabled;
    unsigned errors_percent; /* 1 to 100 */
    int64_t window_ms;
    int64_t open_ms;
};

struct config_source {
    struct place place;
    slice name;
    enum config_source_kind kind;
    /* The file or URL, as written; NUL-terminated. A URL may hold a password: it is never shown. */
    slice target;
    unsigned index; /* in the set */
    unsigned connections;
    int64_t connect_timeout_ms;
    int64_t timeout_ms;
    unsigned max_inflight;
    unsigned retries;
    struct config_breaker breaker;
};

enum config_value { CONFIG_VALUE_STRING, CONFIG_VALUE_JSON, CONFIG_VALUE_JSON_ARRAY };
enum config_refresh { CONFIG_REFRESH_OFF, CONFIG_REFRESH_EARLY, CONFIG_REFRESH_AHEAD };
enum config_on_miss { CONFIG_ON_MISS_RETURN, CONFIG_ON_MISS_LOAD };

struct config_rule {
    struct place place;
    struct pattern pattern;
    unsigned index; /* in the set */
    unsigned database;
    const struct config_source *source; /* NULL: the rule only governs keys that clients set */
    struct statement load;              /* empty without a source */
    enum config_value value;
    int64_t ttl_ms;
    int64_t max_ttl_ms;
    unsigned ttl_jitter_percent; /* 0 to 100 */
    int64_t stale_while_revalidate_ms;
    int64_t stale_if_error_ms;
    enum config_refresh refresh;
    double refresh_beta;            /* EARLY */
    unsigned refresh_ahead_percent; /* AHEAD: 1 to 99 */
    int64_t negative_ttl_ms;
    enum config_on_miss on_miss;
    int64_t wait_timeout_ms; /* never 0 */
    unsigned max_waiters;
};

struct config_blocks {
    unsigned ref_count; /* atomic */
    struct arena arena;
    struct config_source *sources;
    unsigned source_count;
    struct config_rule *rules; /* in the order of the file */
    unsigned rule_count;
};

/* Reads every block among `lines` (other lines are passed over). Mistakes go to `faults`: then the result is not to be used, but freed.
 * Text is copied. `database_count` bounds `database`. ERR_NOMEM, ERR_LIMIT. */
MUST_USE err blocks_read(const struct parse_line *lines, unsigned database_count, struct faults *faults,
                         struct config_blocks **ret_blocks);

/* A set without blocks; NULL when the system refuses memory. */
struct config_blocks *blocks_new(void);
struct config_blocks *blocks_ref(struct config_blocks *b);
void blocks_unref(struct config_blocks *b);

/* NULL when there is none of that name. */
const struct config_source *blocks_find_source(const struct config_blocks *b, slice name);

/* Whether a line's name opens a block. */
bool block_is_name(slice name);

#endif
