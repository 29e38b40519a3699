/* What a kind of source has to be able to do. source.c has everything that is the same for all kinds (queue, turns, timeouts, retries,
 * breaker, counting); a driver opens a connection, runs one query on it and says truthfully how a failure is to be understood.
 *
 * Threads: each connection belongs to one helper, which alone calls the driver for it. A driver may block, but looks at the limits of the
 * run often enough that its time and a shutdown are kept. */
#ifndef SOURCE_DRIVER_H
#define SOURCE_DRIVER_H

#include "config/block.h"

enum {
    SOURCE_FAILURE_BYTES = 240,
    SOURCE_PARAMETER_COUNT_MAX = PATTERN_PART_COUNT_MAX,
};

/* How a query failed. */
struct source_failure {
    err error;      /* ERR_SOURCE, ERR_SOURCE_TIMEOUT, ERR_SOURCE_DOWN, ERR_NOMEM */
    bool transient; /* the source's trouble, not the query's: worth another try, and counted by the breaker */
    char text[SOURCE_FAILURE_BYTES]; /* the source's own words: first line, no credentials; "" for none */
};
/* Sets all of it; keeps the first line of the formatted text, as printable UTF-8. */
void source_failure_set(struct source_failure *f, err error, bool transient, const char *format, ...) PRINTF_LIKE(4, 5);

/* A statement in the words of its source: parameter i of the text is bound to part parts[i] of the key. */
struct source_statement {
    slice sql;     /* NUL-terminated; the memory is the owner's */
    uint64_t hash; /* of sql: what a connection knows its prepared form by */
    unsigned parameter_count;
    unsigned parts[SOURCE_PARAMETER_COUNT_MAX];
};

/* A NUMBER is the text of an integer or a floating point number as the source prints it. */
enum source_type { SOURCE_NULL, SOURCE_NUMBER, SOURCE_TEXT, SOURCE_BLOB };

struct source_column {
    slice name;
    enum source_type type;
    slice bytes; /* lent until the row's receiver returns; empty for NULL */
};

struct source_row {
    const struct source_column *columns;
    unsigned column_count;
};

/* Takes one row; false when no more are wanted. */
typedef bool source_receive(void *argument, const struct source_row *row);

struct source_limits {
    int64_t deadline_mono_ms;
    const bool *stopping; /* atomic; once true the run ends with ERR_SOURCE_DOWN */
};

struct driver_connection;

struct driver {
    const char *name;
    /* Appends the mark of parameter `number` (from 0) as the source's dialect has it. */
    void (*append_parameter)(struct buf *sql, unsigned number);
    /* On failure *f says why and there is no connection. */
    err (*open)(const struct config_source *config, const struct source_limits *limits,
                struct driver_connection **ret_connection, struct source_failure *f);
    /* Whether the connection can be used for another query; false: close it and open a new one. */
    bool (*usable)(struct driver_connection *c);
    /* Checks a statement without running it, telling how many columns it returns. */
    err (*check)(struct driver_connection *c, const struct source_statement *s, const struct source_limits *limits,
                 unsigned *ret_column_count, struct source_failure *f);
    /* Runs it with its parameters (parameter_count of them) and hands over rows until the end or until the receiver has enough. */
    err (*run)(struct driver_connection *c, const struct source_statement *s, const slice *parameters,
               const struct source_limits *limits, source_receive *receive, void *argument, struct source_failure *f);
    void (*close)(struct driver_connection *c);
};

/* The driver of a kind. Never NULL. */
const struct driver *driver_of(enum config_source_kind kind);

extern const struct driver driver_sqlite;

#endif
