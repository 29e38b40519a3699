/* What a kind of source has to be able to do. source.c has everything that is the same for all kinds (queue, turns, retries, breaker,
 * counting); a driver has connections, runs queries on them and says truthfully how a failure is to be understood.
 *
 * Every driver can be used by one who waits: open, run, close. threads.c gives each such connection a helper of its own. A driver of a source
 * that answers over a socket has pipes besides: connections on a loop that carry several queries and never block; then pool.c carries the
 * queries of a source over few pipes on one thread, and the waiting form is made from them (waiting.c).
 *
 * Threads: each connection belongs to one helper, which alone calls the driver for it; a pipe belongs to the thread of its loop. Who blocks
 * looks at the limits of the run often enough that its time and a shutdown are kept. */
#ifndef SOURCE_DRIVER_H
#define SOURCE_DRIVER_H

#include "base/list.h"
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

/* A NUMBER is the text of a number as the source prints it, a BOOLEAN one that begins with t or f, JSON is a document that the source has
 * checked. */
enum source_type { SOURCE_NULL, SOURCE_NUMBER, SOURCE_TEXT, SOURCE_BLOB, SOURCE_BOOLEAN, SOURCE_JSON };

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
source_receive source_receive_nothing;

struct source_limits {
    int64_t deadline_mono_ms;
    const bool *stopping; /* atomic; once true the run ends with ERR_SOURCE_DOWN */
};

/* ---- pipes ------------------------------------------------------------------------------------------------------------------------------- */
struct loop;
struct driver_pipe;

/* One try of a query, for a pipe; its owner keeps it until it has ended or was forgotten. */
struct driver_try {
    struct list link; /* the owner's */
    const struct source_statement *statement;
    const slice *parameters;
    source_receive *receive; /* NULL: the statement is only checked */
    void *argument;
    unsigned column_count; /* told when it was only checked */
};

/* Whom a pipe reports to; embedded in its owner. Never called from within a call of the owner's; the owner may close the pipe in each,
 * and the failure is still good until he returns. */
struct driver_listener {
    /* It is connected. */
    void (*ready)(struct driver_listener *l);
    /* A try has ended: in the order of sending; NULL for one that was forgotten. `f` is NULL when all went well. */
    void (*ended)(struct driver_listener *l, struct driver_try *t, const struct source_failure *f);
    /* It could not connect, or is connected no longer. Its tries have not ended and will not: they are the owner's again, who closes it. */
    void (*lost)(struct driver_listener *l, const struct source_failure *f);
};

struct driver_pipes {
    unsigned depth_max; /* tries that a pipe takes at a time */
    /* Begins to connect. On failure *f says why. */
    err (*open)(const struct config_source *config, struct loop *loop, struct driver_listener *listener,
                struct driver_pipe **ret_pipe, struct source_failure *f);
    /* Sends a try behind those that the pipe has; it is ready and has fewer than depth_max. */
    void (*send)(struct driver_pipe *p, struct driver_try *t);
    /* The first of its tries is its owner's again at once; its rows, when they come, are dropped. Its end is reported as NULL. */
    void (*forget_first)(struct driver_pipe *p);
    /* Makes `t` a try that has the source end what it is doing for `whom`; to be sent on another pipe before `whom` is closed. */
    void (*make_cancel)(struct driver_pipe *whom, struct driver_try *t);
    /* Whatever state it is in. */
    void (*close)(struct driver_pipe *p);
};

/* ---- drivers ----------------------------------------------------------------------------------------------------------------------------- */
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
    const struct driver_pipes *pipes; /* NULL: it has none */
};

/* The driver of a kind. Never NULL. */
const struct driver *driver_of(enum config_source_kind kind);

extern const struct driver driver_sqlite;
extern const struct driver driver_postgres;

#endif
