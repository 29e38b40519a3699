/* SQLite as a source. The file belongs to somebody else, who writes to it while Larder reads:
 *
 * - Opened read-only, with automatic checkpoints off and none at close, no mmap: Larder never writes a page of the user's file and never
 *   moves its WAL, so it cannot take part in the WAL-reset bug of SQLite before 3.51.3.
 * - A lock that another process holds is waited for in small steps within the query's own time (limits), not with busy_timeout, whose end
 *   could not follow that of the query nor a shutdown.
 * - A file that was replaced (other inode) or deleted is not read any further, though the old one could be: before each query a stat.
 * - Only statements that SQLite itself calls read-only and that return columns are run; one statement, nothing behind it.
 *
 * Parameters are bound as text, always: the type of a parameter must not depend on what a client happens to ask for. SQLite applies the
 * affinity of the column that it is compared with, so `WHERE id = {id}` finds an INTEGER column by its index and a TEXT column alike. An
 * expression has no affinity: against one write CAST({n} AS INTEGER).
 *
 * What is a passing trouble of the source: busy, locked, I/O errors, a file that cannot be opened, is corrupt or no database. What is the
 * statement's own mistake: all the rest; it is answered and neither tried again nor counted by the breaker.
 *
 * Threads: a connection is opened without SQLite's own mutexes and belongs to one helper (driver.h).
 * I1: a statement in the cache is reset and holds no bindings between runs, so that no read lock outlives its query. */
#include "source/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"

enum {
    STATEMENT_COUNT_MAX = 128, /* prepared statements a connection keeps */
    PROGRESS_STEPS = 2000,   /* instructions of SQLite's machine between two looks at the clock: tens of microseconds */
    COLUMN_COUNT_MAX = 2000, /* SQLite's own limit */
};

struct prepared {
    uint64_t hash;
    uint64_t used; /* the connection's count of runs when it was last run; 0: the place is free */
    sqlite3_stmt *stmt;
    unsigned column_count;
    struct source_column *columns; /* one row's worth, filled anew for each */
};

struct driver_connection {
    sqlite3 *db;
    const char *path;
    dev_t device;
    ino_t inode;
    bool lost;                          /* after an error that says the file or the connection is not in order */
    const struct source_limits *limits; /* of the run under way */
    uint64_t run_count;
    struct prepared prepared[STATEMENT_COUNT_MAX];
};

/* ---- limits ------------------------------------------------------------------------------------------------------------------------------ */
static bool is_stopping(const struct source_limits *limits)
{
    return __atomic_load_n(limits->stopping, __ATOMIC_ACQUIRE);
}

static bool is_over(const struct source_limits *limits)
{
    return is_stopping(limits) || clock_mono_ms() >= limits->deadline_mono_ms;
}

/* SQLite calls it now and then while a statement runs; other than 0 interrupts it. */
static int on_progress(void *argument)
{
    struct driver_connection *c = argument;
    return is_over(c->limits);
}

/* SQLite calls it when the file is locked; 0 gives up. */
static int on_busy(void *argument, int tries)
{
    struct driver_connection *c = argument;
    if (is_over(c->limits)) {
        return 0;
    }
    usleep(tries < 10 ? 1000 : 10000);
    return 1;
}

/* ---- failures ---------------------------------------------------------------------------------------------------------------------------- */
static bool is_transient(int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FULL: return true;
    default: return false;
    }
}

/* Words what SQLite said. An interrupt, or a lock that stayed, is one of our limits. */
static err fail(struct driver_connection *c, int code, struct source_failure *f)
{
    bool limited = (code & 0xff) == SQLITE_INTERRUPT || (code & 0xff) == SQLITE_BUSY;
    if (limited && is_stopping(c->limits)) {
        source_failure_set(f, ERR_SOURCE_DOWN, true, "the server is shutting down or the source was removed");
    } else if (limited) {
        bool locked = (code & 0xff) == SQLITE_BUSY;
        source_failure_set(f, ERR_SOURCE_TIMEOUT, true, "%s", locked ? sqlite3_errmsg(c->db) : "");
    } else if ((code & 0xff) == SQLITE_NOMEM) {
        source_failure_set(f, ERR_NOMEM, false, "%s", "");
    } else {
        c->lost = is_transient(code);
        source_failure_set(f, ERR_SOURCE, c->lost, "%s", c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(code));
    }
    return f->error;
}

/* ---- what a test can see ----------------------------------------------------------------------------------------------------------------- */
#ifdef LARDER_TEST_HOOKS
/* With LARDER_SOURCE_LOG=FILE, SQLite itself reports each statement that it starts and ends, one line each:
 * "<start|end> <mono ns> <the statement, parameters filled in>". So a test counts queries without believing Larder's own counters. */
static int on_trace(unsigned what, void *argument, void *stmt, void *detail)
{
    (void)detail;
    char *sql = sqlite3_expanded_sql(stmt);
    char line[1024];
    int len = snprintf(line, sizeof line, "%s %lld %.900s\n", what == SQLITE_TRACE_STMT ? "start" : "end",
                       (long long)clock_mono_ns(), sql ? sql : "?");
    sqlite3_free(sql);
    int fd = open(argument, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0) {
        bool written = write(fd, line, (size_t)len) == len;
        close(fd);
        assert(written);
    }
    return 0;
}

static void trace(sqlite3 *db)
{
    char *file = getenv("LARDER_SOURCE_LOG");
    if (file) {
        sqlite3_trace_v2(db, SQLITE_TRACE_STMT | SQLITE_TRACE_PROFILE, on_trace, file);
    }
}
#else
static void trace(sqlite3 *db)
{
    (void)db;
}
#endif

/* ---- statements -------------------------------------------------------------------------------------------------------------------------- */
static void forget_statement(struct prepared *p)
{
    sqlite3_finalize(p->stmt);
    free(p->columns);
    *p = (struct prepared){.used = 0};
}

static err prepare(struct driver_connection *c, const struct source_statement *s, struct prepared *p,
                   struct source_failure *f)
{
    const char *tail = NULL;
    int code = sqlite3_prepare_v3(c->db, s->sql.ptr, (int)s->sql.len + 1, SQLITE_PREPARE_PERSISTENT, &p->stmt, &tail);
    if (code != SQLITE_OK) {
        return fail(c, code, f);
    }
    const char *mistake = NULL;
    sqlite3_stmt *further = NULL;
    if (sqlite3_prepare_v3(c->db, tail, -1, 0, &further, NULL) != SQLITE_OK || further) {
        mistake = "more than one statement";
    } else if (!p->stmt || sqlite3_column_count(p->stmt) == 0) {
        mistake = "the statement returns no columns";
    } else if (!sqlite3_stmt_readonly(p->stmt)) {
        mistake = "the statement is not read-only";
    } else if (sqlite3_bind_parameter_count(p->stmt) != (int)s->parameter_count) {
        mistake = "the statement has parameters of its own; only {name} can be bound";
    }
    sqlite3_finalize(further);
    if (mistake) {
        forget_statement(p);
        source_failure_set(f, ERR_SOURCE, false, "%s", mistake);
        return ERR_SOURCE;
    }
    p->hash = s->hash;
    return OK;
}

/* The prepared form of a statement: from the cache, or made in the place that was not used for the longest time. */
static err get_prepared(struct driver_connection *c, const struct source_statement *s, struct prepared **ret_prepared,
                        struct source_failure *f)
{
    struct prepared *oldest = &c->prepared[0];
    for (unsigned i = 0; i < STATEMENT_COUNT_MAX; i++) {
        struct prepared *p = &c->prepared[i];
        if (p->used != 0 && p->hash == s->hash && slice_equal(slice_of(sqlite3_sql(p->stmt)), s->sql)) {
            *ret_prepared = p;
            return OK;
        }
        oldest = p->used < oldest->used ? p : oldest;
    }
    forget_statement(oldest);
    err e = prepare(c, s, oldest, f);
    if (e == OK) {
        oldest->used = ++c->run_count;
        *ret_prepared = oldest;
    }
    return e;
}

static void fill_column(sqlite3_stmt *stmt, int number, struct source_column *column)
{
    static const enum source_type types[] = {[SQLITE_INTEGER] = SOURCE_NUMBER,
                                             [SQLITE_FLOAT] = SOURCE_NUMBER,
                                             [SQLITE_TEXT] = SOURCE_TEXT,
                                             [SQLITE_BLOB] = SOURCE_BLOB,
                                             [SQLITE_NULL] = SOURCE_NULL};
    column->type = types[sqlite3_column_type(stmt, number)];
    column->name = slice_of(sqlite3_column_name(stmt, number));
    const void *bytes = column->type == SOURCE_BLOB ? sqlite3_column_blob(stmt, number)
                                                    : (const void *)sqlite3_column_text(stmt, number);
    column->bytes = slice_make(bytes, (size_t)sqlite3_column_bytes(stmt, number));
}

/* The schema may have changed since the last run ("SELECT *"), so the count of columns is asked for each row. */
static bool deliver_row(struct prepared *p, source_receive *receive, void *argument, bool *ret_no_memory)
{
    unsigned count = (unsigned)sqlite3_data_count(p->stmt);
    assert(count <= COLUMN_COUNT_MAX);
    if (count > p->column_count) {
        struct source_column *columns = realloc(p->columns, count * sizeof *columns);
        if (!columns) {
            *ret_no_memory = true;
            return false;
        }
        p->columns = columns;
        p->column_count = count;
    }
    for (unsigned i = 0; i < count; i++) {
        fill_column(p->stmt, (int)i, &p->columns[i]);
    }
    return receive(argument, &(struct source_row){p->columns, count});
}

/* ---- the driver -------------------------------------------------------------------------------------------------------------------------- */
static void sqlite_append_parameter(struct buf *sql, unsigned number)
{
    buf_printf(sql, "?%u", number + 1);
}

static void sqlite_close(struct driver_connection *c)
{
    for (unsigned i = 0; i < STATEMENT_COUNT_MAX; i++) {
        forget_statement(&c->prepared[i]);
    }
    int code = sqlite3_close(c->db);
    assert(code == SQLITE_OK);
    free(c);
}

/* Reads the header, so that what is no database, or is locked for good, shows at opening and not in somebody's query. */
static err open_file(struct driver_connection *c, struct source_failure *f)
{
    int code =
        sqlite3_open_v2(c->path, &c->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code != SQLITE_OK) {
        return fail(c, code, f);
    }
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_wal_autocheckpoint(c->db, 0);
    sqlite3_busy_handler(c->db, on_busy, c);
    sqlite3_progress_handler(c->db, PROGRESS_STEPS, on_progress, c);
    code = sqlite3_exec(c->db, "PRAGMA mmap_size = 0; PRAGMA schema_version", NULL, NULL, NULL);
    return code == SQLITE_OK ? OK : fail(c, code, f);
}

static err sqlite_open(const struct config_source *config, const struct source_limits *limits,
                       struct driver_connection **ret_connection, struct source_failure *f)
{
    struct stat status;
    int error = stat(config->target.ptr, &status) < 0 ? errno : 0;
    if (error || !S_ISREG(status.st_mode)) {
        source_failure_set(f, ERR_SOURCE, true, "unable to open database file: %s",
                           error ? strerrordesc_np(error) : "not a regular file");
        return ERR_SOURCE;
    }
    struct driver_connection *c = calloc(1, sizeof *c);
    if (!c) {
        source_failure_set(f, ERR_NOMEM, false, "%s", "");
        return ERR_NOMEM;
    }
    c->path = config->target.ptr;
    c->device = status.st_dev;
    c->inode = status.st_ino;
    c->limits = limits;
    err e = open_file(c, f);
    if (e != OK) {
        sqlite_close(c);
        return e;
    }
    trace(c->db);
    *ret_connection = c;
    return OK;
}

static bool sqlite_usable(struct driver_connection *c)
{
    struct stat status;
    return !c->lost && stat(c->path, &status) == 0 && status.st_dev == c->device && status.st_ino == c->inode;
}

static err sqlite_check(struct driver_connection *c, const struct source_statement *s,
                        const struct source_limits *limits, unsigned *ret_column_count, struct source_failure *f)
{
    struct prepared *p;
    c->limits = limits;
    err e = get_prepared(c, s, &p, f);
    if (e == OK) {
        *ret_column_count = (unsigned)sqlite3_column_count(p->stmt);
    }
    return e;
}

static err sqlite_run(struct driver_connection *c, const struct source_statement *s, const slice *parameters,
                      const struct source_limits *limits, source_receive *receive, void *argument,
                      struct source_failure *f)
{
    struct prepared *p;
    c->limits = limits;
    err e = get_prepared(c, s, &p, f);
    if (e != OK) {
        return e;
    }
    p->used = ++c->run_count;
    bool more = true;
    bool no_memory = false;
    int code = SQLITE_OK;
    for (unsigned i = 0; i < s->parameter_count && code == SQLITE_OK; i++) {
        code =
            sqlite3_bind_text64(p->stmt, (int)i + 1, parameters[i].ptr, parameters[i].len, SQLITE_STATIC, SQLITE_UTF8);
    }
    while (code == SQLITE_OK || (code == SQLITE_ROW && more)) {
        code = sqlite3_step(p->stmt);
        if (code == SQLITE_ROW) {
            more = deliver_row(p, receive, argument, &no_memory);
        }
    }
    if (no_memory) {
        e = ERR_NOMEM;
        source_failure_set(f, e, false, "%s", "");
    } else if (code != SQLITE_ROW && code != SQLITE_DONE) {
        e = fail(c, code, f);
    }
    sqlite3_reset(p->stmt);
    sqlite3_clear_bindings(p->stmt);
    return e;
}

const struct driver driver_sqlite = {
    .name = "sqlite",
    .append_parameter = sqlite_append_parameter,
    .open = sqlite_open,
    .usable = sqlite_usable,
    .check = sqlite_check,
    .run = sqlite_run,
    .close = sqlite_close,
};
