/* PostgreSQL as a source, through libpq in pipeline mode. A pipe is one connection:
 *
 *     connecting -> setting -> in use: exchanges, in order, each with its own Sync, so that a failed one does not abort its neighbours
 *
 * An exchange executes a statement that the connection has prepared. One that it has not is prepared first, and what comes behind waits
 * for that: so order is kept, and what returns no columns (DELETE, COPY, nothing at all) is refused without being run. A statement that
 * PostgreSQL can no longer use as it was prepared (its result type changed, a column it compares with has another type, DISCARD) is
 * forgotten, and the try is reported as ERR_AGAIN: sent again it is prepared anew. Only a statement that has just been prepared is believed
 * when it fails so.
 *
 * Parameters are bound as text and have the type that the server infers: in `WHERE id = {id}` that of the column. Results come as text, row
 * by row, so that a large one is never in memory as a whole.
 *
 * What libpq does that one has to know: it closes its socket by itself when a connection fails, and takes others while connecting, so the
 * loop watches a duplicate; it looks up names without giving up the thread, so a slow name server stops this source's thread, though not
 * what is read from memory; its messages may be several lines, and those about a URL repeat parts of it, so these are not shown.
 *
 * What may pass: lost connections, timeouts, and the classes 40 (rollbacks), 53 (resources), 57 (intervention), 58 (system). All else is the
 * statement's or the parameter's mistake, above all class 22: `abc` where a number is needed.
 *
 * Threads: that of the pipe's loop.
 * I1: exchanges[0 .. sent_count) are with the server, the rest wait; while `preparing`, the last one sent is what they wait for.
 * I2: the listener is called from the loop only: never from open(), send(), forget_first() or close(). */
#include "source/driver.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/loop.h"
#include "source/waiting.h"

enum {
    DEPTH_MAX = 4,
    STATEMENT_COUNT_MAX = 128, /* prepared statements that a connection keeps */
    NAME_CHARS = 32,
    COLUMN_COUNT_MAX = 1664,            /* PostgreSQL's own limit */
    PARAMETERS_BYTES_MAX = 1024 * 1024, /* a key has at most half of that */
};

/* Of pg_type; the numbers never change. */
enum type_oid {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700,
    OID_JSONB = 3802,
};

struct prepared {
    uint64_t hash;
    size_t sql_bytes;
    uint64_t used;   /* the pipe's count of uses when it was last used; 0: not to be used */
    unsigned number; /* the server knows it under; 0: it was never prepared */
};

enum stage { STAGE_PREPARE, STAGE_EXECUTE };

struct exchange {
    struct driver_try *t; /* NULL: forgotten */
    enum stage stage;
    struct prepared *prepared;
    unsigned number;    /* of the prepared statement that was sent */
    unsigned successes; /* PREPARE: commands of the batch that succeeded */
    bool fresh;         /* prepared within this exchange */
    bool delivered;     /* some rows were */
    bool enough;        /* no more rows are wanted */
    bool failed;
    bool stale; /* the failure may be of the prepared form only */
    struct source_failure failure;
};

enum pipe_state { PIPE_CONNECTING, PIPE_SETTING, PIPE_READY };

struct driver_pipe {
    PGconn *pg;
    struct loop *loop;
    struct driver_listener *listener;
    int64_t timeout_ms;
    struct watch watch; /* of a duplicate of libpq's socket */
    struct deferred loss;
    bool lost;
    bool reading; /* results are being taken */
    bool closed;  /* meanwhile: who reads frees it */
    enum pipe_state state;
    struct source_failure failure; /* why it is lost */
    struct exchange exchanges[DEPTH_MAX];
    unsigned count;
    unsigned sent_count;
    bool preparing;
    struct prepared prepared[STATEMENT_COUNT_MAX];
    uint64_t use_count;
    unsigned last_number;
    struct source_column *columns; /* one row's worth */
    unsigned column_count;
    struct buf scratch;
    char pid[16]; /* for make_cancel() */
    slice pid_parameter;
};

/* ---- failures ---------------------------------------------------------------------------------------------------------------------------- */
/* Of several lines the one with the server's own words, else the first. */
static void set_connection_failure(struct source_failure *f, const char *text)
{
    const char *words = strstr(text, "FATAL:");
    while (words && words > text && words[-1] != '\n') {
        words--;
    }
    source_failure_set(f, ERR_SOURCE_DOWN, true, "%s", words ? words : text);
}

static bool is_class(const char *sqlstate, const char *class)
{
    return strncmp(sqlstate, class, 2) == 0;
}

/* Whether the server hangs up after this. */
static bool is_last_word(const PGresult *r)
{
    const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    return severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

static void set_query_failure(struct exchange *e, const PGresult *r)
{
    const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    e->failed = true;
    if (!sqlstate) {
        set_connection_failure(&e->failure, PQresultErrorMessage(r));
        return;
    }
    bool transient =
        is_class(sqlstate, "40") || is_class(sqlstate, "53") || is_class(sqlstate, "57") || is_class(sqlstate, "58");
    err error =
        strcmp(sqlstate, "57014") == 0 ? ERR_SOURCE_TIMEOUT : ERR_SOURCE; /* cancelled: by its timeout, as a rule */
    e->stale = is_class(sqlstate, "0A") || is_class(sqlstate, "26") || is_class(sqlstate, "42");
    source_failure_set(&e->failure, error, transient, "%s", text ? text : "");
}

static void fail_exchange(struct exchange *e, const char *text)
{
    e->failed = true;
    source_failure_set(&e->failure, ERR_SOURCE, false, "%s", text);
}

/* ---- the connection ---------------------------------------------------------------------------------------------------------------------- */
static void unwatch(struct driver_pipe *p)
{
    if (p->watch.fd >= 0) {
        loop_unwatch(p->loop, &p->watch);
        close(p->watch.fd);
        p->watch.fd = -1;
    }
}

/* The listener learns of it at the end of the turn. */
static void lose_with(struct driver_pipe *p, const char *text)
{
    if (!p->lost && !p->closed) {
        p->lost = true;
        set_connection_failure(&p->failure, text);
        unwatch(p);
        loop_defer(p->loop, &p->loss);
    }
}

static void lose(struct driver_pipe *p)
{
    lose_with(p, PQerrorMessage(p->pg));
}

static void report_loss(struct deferred *d)
{
    struct driver_pipe *p = container_of(d, struct driver_pipe, loss);
    struct source_failure why = p->failure; /* outlives the pipe */
    p->listener->lost(p->listener, &why);
}

static void on_ready(struct watch *w, unsigned events);

/* Watches the socket that libpq has now. */
static void watch_socket(struct driver_pipe *p, unsigned events)
{
    unwatch(p);
    int fd = fcntl(PQsocket(p->pg), F_DUPFD_CLOEXEC, 0);
    if (fd < 0 || loop_watch(p->loop, &p->watch, fd, events, on_ready) != OK) {
        if (fd >= 0) {
            close(fd);
        }
        p->watch.fd = -1;
        lose_with(p, "the system refuses a file descriptor for the connection");
    }
}

static void flush(struct driver_pipe *p)
{
    int left = PQflush(p->pg);
    if (left < 0) {
        lose(p);
    } else if (!p->lost) {
        loop_rewatch(p->loop, &p->watch, left ? LOOP_READ | LOOP_WRITE : LOOP_READ);
    }
}

/* ---- sending ----------------------------------------------------------------------------------------------------------------------------- */
/* The prepared form of a statement; NULL when there is none, *ret_oldest being the place that was not used for the longest time. */
static struct prepared *find_prepared(struct driver_pipe *p, const struct source_statement *s,
                                      struct prepared **ret_oldest)
{
    *ret_oldest = &p->prepared[0];
    for (unsigned i = 0; i < STATEMENT_COUNT_MAX; i++) {
        struct prepared *prepared = &p->prepared[i];
        if (prepared->used > 0 && prepared->hash == s->hash && prepared->sql_bytes == s->sql.len) {
            return prepared;
        }
        *ret_oldest = prepared->used < (*ret_oldest)->used ? prepared : *ret_oldest;
    }
    return NULL;
}

static void name_of(unsigned number, char ret_name[static NAME_CHARS])
{
    snprintf(ret_name, NAME_CHARS, "larder_%u", number);
}

static bool send_text(struct driver_pipe *p, const char *sql)
{
    return PQsendQueryParams(p->pg, sql, 0, NULL, NULL, NULL, NULL, 0);
}

/* Has a statement planned that is only to be checked, with NULL for each parameter: so it shows whether its tables may be read. */
static bool send_explain(struct driver_pipe *p, const char *name, unsigned parameter_count)
{
    char sql[NAME_CHARS + 32 + SOURCE_PARAMETER_COUNT_MAX * 5];
    int len = snprintf(sql, sizeof sql, "EXPLAIN EXECUTE %s", name);
    for (unsigned i = 0; i < parameter_count; i++) {
        len += snprintf(sql + len, sizeof sql - (size_t)len, i == 0 ? "(NULL" : ",NULL");
    }
    snprintf(sql + len, sizeof sql - (size_t)len, parameter_count > 0 ? ")" : "");
    return send_text(p, sql);
}

/* The commands of the batch that have to succeed. */
static unsigned steps_of(const struct exchange *e)
{
    return e->t && !e->t->receive ? 3 : 2;
}

/* Prepares and describes it; then gives up the one whose place it takes, at the end, so that it matters to nobody if that one is unknown. */
static bool send_prepare(struct driver_pipe *p, struct exchange *e, struct prepared *place)
{
    char name[NAME_CHARS];
    char old[NAME_CHARS];
    char deallocate[NAME_CHARS + 16];
    name_of(place->number, old);
    snprintf(deallocate, sizeof deallocate, "DEALLOCATE %s", old);
    bool replaces = place->number > 0;
    const struct source_statement *s = e->t->statement;
    *place = (struct prepared){.hash = s->hash, .sql_bytes = s->sql.len, .number = ++p->last_number};
    name_of(place->number, name);
    e->stage = STAGE_PREPARE;
    e->prepared = place;
    e->successes = 0;
    e->fresh = true;
    p->preparing = true;
    return PQsendPrepare(p->pg, name, s->sql.ptr, 0, NULL) && PQsendDescribePrepared(p->pg, name) &&
           (e->t->receive || send_explain(p, name, s->parameter_count)) && (!replaces || send_text(p, deallocate)) &&
           PQpipelineSync(p->pg);
}

/* The parameters as libpq wants them: each with a NUL behind it. */
static bool lay_out_parameters(struct driver_pipe *p, struct exchange *e,
                               const char *values[static SOURCE_PARAMETER_COUNT_MAX])
{
    unsigned count = e->t->statement->parameter_count;
    size_t starts[SOURCE_PARAMETER_COUNT_MAX];
    buf_truncate(&p->scratch, 0);
    for (unsigned i = 0; i < count; i++) {
        slice bytes = e->t->parameters[i];
        if (bytes.len > 0 && memchr(bytes.ptr, '\0', bytes.len)) {
            fail_exchange(e, "a parameter has a NUL byte, which PostgreSQL's text cannot hold");
            return false;
        }
        starts[i] = p->scratch.len;
        buf_append(&p->scratch, bytes);
        buf_append_byte(&p->scratch, '\0');
    }
    if (buf_failed(&p->scratch)) {
        e->failed = true;
        source_failure_set(&e->failure, ERR_NOMEM, false, "%s", "");
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        values[i] = p->scratch.bytes + starts[i];
    }
    return true;
}

/* One that cannot be sent is a Sync alone, so that it ends in its turn. */
static bool send_execute(struct driver_pipe *p, struct exchange *e, struct prepared *prepared)
{
    const char *values[SOURCE_PARAMETER_COUNT_MAX];
    char name[NAME_CHARS];
    name_of(prepared->number, name);
    prepared->used = ++p->use_count;
    e->stage = STAGE_EXECUTE;
    e->prepared = prepared;
    e->number = prepared->number;
    bool sent = !lay_out_parameters(p, e, values) ||
                PQsendQueryPrepared(p->pg, name, (int)e->t->statement->parameter_count, values, NULL, NULL, 0);
    return sent && PQpipelineSync(p->pg);
}

/* libpq wants to hear of it when the first result of an exchange is the next to come. */
static void begin_first(struct driver_pipe *p)
{
    if (p->sent_count > 0 && p->exchanges[0].stage == STAGE_EXECUTE) {
        PQsetSingleRowMode(p->pg); /* else the rows come together */
    }
}

static void send_more(struct driver_pipe *p)
{
    while (!p->lost && !p->preparing && p->sent_count < p->count) {
        struct exchange *e = &p->exchanges[p->sent_count++];
        struct prepared *oldest;
        struct prepared *prepared = find_prepared(p, e->t->statement, &oldest);
        bool executes = prepared && e->t->receive; /* what is only to be checked is prepared anew */
        if (!(executes ? send_execute(p, e, prepared) : send_prepare(p, e, prepared ? prepared : oldest))) {
            lose(p);
            return;
        }
        if (p->sent_count == 1) {
            begin_first(p);
        }
    }
    if (!p->lost) {
        flush(p);
    }
}

/* ---- results ----------------------------------------------------------------------------------------------------------------------------- */
static enum source_type type_of(Oid oid)
{
    switch ((enum type_oid)oid) {
    case OID_BOOL: return SOURCE_BOOLEAN;
    case OID_BYTEA: return SOURCE_BLOB;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID:
    case OID_FLOAT4:
    case OID_FLOAT8:
    case OID_NUMERIC: return SOURCE_NUMBER;
    case OID_JSON:
    case OID_JSONB: return SOURCE_JSON;
    }
    return SOURCE_TEXT;
}

/* False when memory is refused. A BLOB's bytes are libpq's, to be freed. */
static bool fill_column(const PGresult *r, int row, int number, struct source_column *column)
{
    column->name = slice_of(PQfname(r, number));
    column->bytes = slice_make(NULL, 0);
    column->type = SOURCE_NULL;
    if (PQgetisnull(r, row, number)) {
        return true;
    }
    enum source_type type = type_of(PQftype(r, number));
    if (type == SOURCE_BLOB) {
        size_t bytes;
        unsigned char *blob = PQunescapeBytea((const unsigned char *)PQgetvalue(r, row, number), &bytes);
        if (!blob) {
            return false;
        }
        column->bytes = slice_make(blob, bytes);
    } else {
        column->bytes = slice_make(PQgetvalue(r, row, number), (size_t)PQgetlength(r, row, number));
    }
    column->type = type;
    return true;
}

static bool make_room_for_columns(struct driver_pipe *p, unsigned count)
{
    assert(count <= COLUMN_COUNT_MAX);
    if (count > p->column_count) {
        struct source_column *columns = realloc(p->columns, count * sizeof *columns);
        if (!columns) {
            return false;
        }
        p->columns = columns;
        p->column_count = count;
    }
    return true;
}

static void deliver_row(struct driver_pipe *p, struct exchange *e, const PGresult *r, int row)
{
    unsigned count = (unsigned)PQnfields(r);
    unsigned filled = 0;
    bool good = make_room_for_columns(p, count);
    while (good && filled < count) {
        good = fill_column(r, row, (int)filled, &p->columns[filled]);
        filled += good;
    }
    if (good) {
        e->delivered = true;
        e->enough = !e->t->receive(e->t->argument, &(struct source_row){p->columns, count});
    } else {
        e->failed = true;
        source_failure_set(&e->failure, ERR_NOMEM, false, "%s", "");
    }
    for (unsigned i = 0; i < filled; i++) {
        if (p->columns[i].type == SOURCE_BLOB) {
            PQfreemem((void *)(uintptr_t)p->columns[i].bytes.ptr);
        }
    }
}

/* The description of what was prepared. */
static void check_description(struct exchange *e, const PGresult *r)
{
    if (!e->t) {
        return;
    }
    e->t->column_count = (unsigned)PQnfields(r);
    if (PQnfields(r) == 0) {
        fail_exchange(e, "the statement returns no columns");
    } else if (PQnparams(r) != (int)e->t->statement->parameter_count) {
        fail_exchange(e, "the statement has parameters of its own; only {name} can be bound");
    }
}

static void end_exchange(struct driver_pipe *p)
{
    struct exchange done = p->exchanges[0];
    struct exchange *e = &p->exchanges[0];
    p->sent_count--;
    if (done.stage == STAGE_PREPARE) {
        p->preparing = false;
        if (!done.failed) {
            done.prepared->used = ++p->use_count;
            if (done.t && done.t->receive) {
                *e = (struct exchange){.t = done.t, .fresh = true};
                send_more(p);
                return;
            }
        }
    } else if (done.failed && done.stale && !done.fresh && !done.delivered) {
        if (done.prepared->number == done.number) {
            done.prepared->used = 0; /* its number stays, to be given up when the place is taken */
        }
        source_failure_set(&done.failure, ERR_AGAIN, true, "%s", "");
    }
    p->count--;
    memmove(e, e + 1, p->count * sizeof *e);
    begin_first(p);
    send_more(p);
    p->listener->ended(p->listener, done.t, done.failed ? &done.failure : NULL);
}

static void set_session(struct driver_pipe *p)
{
    char text[64];
    int64_t ms = p->timeout_ms < INT32_MAX ? p->timeout_ms : INT32_MAX; /* as long as PostgreSQL can have it */
    snprintf(text, sizeof text, "SET statement_timeout = %lld", (long long)ms);
    p->state = PIPE_SETTING;
    PQsetnonblocking(p->pg, 1);
    if (!PQenterPipelineMode(p->pg) || !send_text(p, text) || !PQpipelineSync(p->pg)) {
        lose(p);
        return;
    }
    flush(p);
}

static void take_setting_result(struct driver_pipe *p, const PGresult *r)
{
    if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
        p->state = PIPE_READY;
        p->listener->ready(p->listener);
    } else if (PQresultStatus(r) != PGRES_COMMAND_OK) {
        lose_with(p, PQresultErrorMessage(r));
    }
}

static void take_result(struct driver_pipe *p, const PGresult *r)
{
    struct exchange *e = &p->exchanges[0];
    switch (PQresultStatus(r)) {
    case PGRES_PIPELINE_SYNC: end_exchange(p); return;
    case PGRES_SINGLE_TUPLE:
    case PGRES_TUPLES_OK:
        e->successes++; /* PREPARE: what EXPLAIN says is not wanted */
        for (int row = 0; e->stage == STAGE_EXECUTE && row < PQntuples(r) && e->t && !e->enough && !e->failed; row++) {
            deliver_row(p, e, r, row);
        }
        return;
    case PGRES_COMMAND_OK:
        if (++e->successes == 2 && e->stage == STAGE_PREPARE) {
            check_description(e, r);
        }
        return;
    case PGRES_PIPELINE_ABORTED: return; /* behind the failure in its batch */
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
    case PGRES_FATAL_ERROR:
        if (is_last_word(r)) {
            lose_with(p, PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY));
        } else if (!e->failed && (e->stage == STAGE_EXECUTE || e->successes < steps_of(e))) {
            set_query_failure(e, r);
        }
        return;
    default: /* COPY: refused when it was prepared */ lose_with(p, "the server answered out of turn"); return;
    }
}

static bool awaits_result(const struct driver_pipe *p)
{
    return !p->lost && !p->closed && (p->state == PIPE_SETTING || p->sent_count > 0);
}

/* True when there was one. */
static bool take_results(struct driver_pipe *p)
{
    bool some = false;
    while (awaits_result(p) && !PQisBusy(p->pg)) {
        PGresult *r = PQgetResult(p->pg);
        if (PQstatus(p->pg) == CONNECTION_BAD) {
            char text[SOURCE_FAILURE_BYTES];
            snprintf(text, sizeof text, "%s", r ? PQresultErrorMessage(r) : PQerrorMessage(p->pg));
            lose_with(p, text);
        } else if (r && p->state == PIPE_SETTING) {
            take_setting_result(p, r);
        } else if (r) {
            take_result(p, r);
        } /* else: the results of one command end, others follow */
        PQclear(r);
        some = true;
    }
    return some;
}

static void free_pipe(struct driver_pipe *p)
{
    PQfinish(p->pg);
    buf_fini(&p->scratch);
    free(p->columns);
    free(p);
}

/* Under TLS bytes may be left in the library when the socket has none: then one more look, until twice nothing came of it. */
static void read_all(struct driver_pipe *p)
{
    unsigned looks = PQsslInUse(p->pg) ? 2 : 1;
    p->reading = true;
    for (unsigned idle = 0; idle < looks && !p->lost && !p->closed;) {
        if (!PQconsumeInput(p->pg)) {
            take_results(p); /* the server may have said why before it hung up */
            lose(p);
            break;
        }
        idle = take_results(p) && looks > 1 ? 0 : idle + 1;
    }
    p->reading = false;
    if (p->closed) {
        free_pipe(p);
    } else if (!p->lost) {
        flush(p);
    }
}

static void go_on_connecting(struct driver_pipe *p)
{
    switch (PQconnectPoll(p->pg)) {
    case PGRES_POLLING_READING: watch_socket(p, LOOP_READ); return;
    case PGRES_POLLING_WRITING: watch_socket(p, LOOP_WRITE); return;
    case PGRES_POLLING_OK:
        watch_socket(p, LOOP_READ);
        if (!p->lost) {
            set_session(p);
        }
        return;
    default: lose(p); return;
    }
}

static void on_ready(struct watch *w, unsigned events)
{
    struct driver_pipe *p = container_of(w, struct driver_pipe, watch);
    (void)events;
    if (p->state == PIPE_CONNECTING) {
        go_on_connecting(p);
    } else {
        read_all(p);
    }
}

/* ---- the driver -------------------------------------------------------------------------------------------------------------------------- */
static void ignore_notice(void *argument, const PGresult *r)
{
    (void)argument, (void)r;
}

/* What stands before the URL is a default, what stands behind it is not. Kerberos would have files and servers asked on this thread. */
static PGconn *start_connecting(const char *url)
{
    static const char *const names[] = {"gssencmode", "fallback_application_name", "dbname", "client_encoding", NULL};
    const char *const values[] = {"disable", "larder", url, "UTF8", NULL};
    return PQconnectStartParams(names, values, 1);
}

static bool is_understood(const char *url)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &message);
    PQconninfoFree(options);
    PQfreemem(message);
    return options != NULL;
}

static void postgres_pipe_close(struct driver_pipe *p)
{
    unwatch(p);
    loop_undefer(p->loop, &p->loss);
    p->closed = true;
    if (!p->reading) {
        free_pipe(p);
    }
}

static err postgres_pipe_open(const struct config_source *config, struct loop *loop, struct driver_listener *listener,
                              struct driver_pipe **ret_pipe, struct source_failure *f)
{
    if (!is_understood(config->target.ptr)) {
        source_failure_set(f, ERR_SOURCE, false, "the URL of the database cannot be understood");
        return f->error;
    }
    struct driver_pipe *p = calloc(1, sizeof *p);
    PGconn *pg = p ? start_connecting(config->target.ptr) : NULL;
    if (!pg) {
        free(p);
        source_failure_set(f, ERR_NOMEM, false, "%s", "");
        return f->error;
    }
    p->pg = pg;
    p->loop = loop;
    p->listener = listener;
    p->timeout_ms = config->timeout_ms;
    p->watch.fd = -1;
    deferred_init(&p->loss, report_loss);
    buf_init(&p->scratch, PARAMETERS_BYTES_MAX);
    PQsetNoticeReceiver(pg, ignore_notice, NULL);
    if (PQstatus(pg) == CONNECTION_BAD) {
        set_connection_failure(f, PQerrorMessage(pg));
        postgres_pipe_close(p);
        return f->error;
    }
    watch_socket(p, LOOP_WRITE);
    *ret_pipe = p;
    return OK;
}

static void postgres_pipe_send(struct driver_pipe *p, struct driver_try *t)
{
    assert(p->state == PIPE_READY);
    assert(p->count < DEPTH_MAX);
    p->exchanges[p->count++] = (struct exchange){.t = t};
    send_more(p);
}

static void postgres_pipe_forget_first(struct driver_pipe *p)
{
    assert(p->sent_count > 0 || p->lost);
    p->exchanges[0].t = NULL;
}

static void postgres_pipe_make_cancel(struct driver_pipe *whom, struct driver_try *t)
{
    static const struct source_statement statement = {
        .sql = {"SELECT pg_cancel_backend($1)", 28}, .hash = 1, .parameter_count = 1};
    snprintf(whom->pid, sizeof whom->pid, "%d", PQbackendPID(whom->pg));
    whom->pid_parameter = slice_of(whom->pid);
    *t = (struct driver_try){
        .statement = &statement, .parameters = &whom->pid_parameter, .receive = source_receive_nothing};
}

static const struct driver_pipes pipes = {
    .depth_max = DEPTH_MAX,
    .open = postgres_pipe_open,
    .send = postgres_pipe_send,
    .forget_first = postgres_pipe_forget_first,
    .make_cancel = postgres_pipe_make_cancel,
    .close = postgres_pipe_close,
};

static void postgres_append_parameter(struct buf *sql, unsigned number)
{
    buf_printf(sql, "$%u", number + 1);
}

static err postgres_open(const struct config_source *config, const struct source_limits *limits,
                         struct driver_connection **ret_connection, struct source_failure *f)
{
    return waiting_open(&pipes, config, limits, ret_connection, f);
}

const struct driver driver_postgres = {
    .name = "postgres",
    .append_parameter = postgres_append_parameter,
    .open = postgres_open,
    .usable = waiting_usable,
    .check = waiting_check,
    .run = waiting_run,
    .close = waiting_close,
    .pipes = &pipes,
};
