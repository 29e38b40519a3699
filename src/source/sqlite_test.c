/* The SQLite driver on real files: types, parameters, what is refused, limits, and files that are locked, replaced, deleted or no database. */
#include "source/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "os/clock.h"

static char folder[64];
static char path[96];
static bool stopping;
static struct source_failure failure;
static struct driver_connection *connection;
static char rows[4096]; /* "column=type:bytes|...;" for each row */
static unsigned rows_wanted;

static struct source_limits limits_of(int64_t ms)
{
    return (struct source_limits){clock_mono_ms() + ms, &stopping};
}

static void write_db(const char *file, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s", message);
    }
    sqlite3_close(db);
}

static err open_connection(void)
{
    struct config_source config = {.name = S("test"), .target = slice_of(path)};
    struct source_limits limits = limits_of(20);
    return driver_sqlite.open(&config, &limits, &connection, &failure);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/larder-sqlite-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/t.db", folder);
    write_db(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, any);"
        "INSERT INTO t VALUES (1, 'one', 1), (2, '2', 2.5), (3, 'three', x'00ff'), (4, NULL, 9e999), (5, 'a' || char(0) || 'b', NULL)");
    connection = NULL;
    stopping = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (connection) {
        driver_sqlite.close(connection);
    }
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static bool receive(void *argument, const struct source_row *row)
{
    (void)argument;
    size_t at = strlen(rows);
    for (unsigned i = 0; i < row->column_count; i++) {
        const struct source_column *c = &row->columns[i];
        at += (size_t)snprintf(rows + at, sizeof rows - at, "%s%.*s=%c:", i ? "|" : "", SLICE_ARG(c->name),
                               "0NTB"[c->type]);
        for (size_t b = 0; b < c->bytes.len; b++) {
            unsigned char byte = (unsigned char)c->bytes.ptr[b];
            at += (size_t)snprintf(rows + at, sizeof rows - at, byte < 0x20 || byte > 0x7e ? "\\%02x" : "%c", byte);
        }
    }
    snprintf(rows + at, sizeof rows - at, ";");
    return --rows_wanted > 0;
}

static err run_limited(const char *sql, slice parameter, int64_t ms, unsigned wanted)
{
    struct source_statement s = {
        .sql = slice_of(sql), .parameter_count = parameter.ptr != NULL, .hash = (uint64_t)strlen(sql)};
    struct source_limits limits = limits_of(ms);
    rows[0] = '\0';
    rows_wanted = wanted;
    return driver_sqlite.run(connection, &s, &parameter, &limits, receive, NULL, &failure);
}

static err run(const char *sql, const char *parameter)
{
    return run_limited(sql, slice_of(parameter), 60000, 1000);
}

static void hands_over_rows_with_types_as_sqlite_prints_them(void **state)
{
    (void)state;
    assert_int_equal(open_connection(), OK);
    assert_int_equal(run("SELECT id, any FROM t ORDER BY id", NULL), OK);
    assert_string_equal(rows, "id=N:1|any=N:1;id=N:2|any=N:2.5;id=N:3|any=B:\\00\\ff;id=N:4|any=N:Inf;id=N:5|any=0:;");
    assert_int_equal(run("SELECT name AS \"n m\" FROM t WHERE id = 5", NULL), OK);
    assert_string_equal(rows, "n m=T:a\\00b;");
    assert_int_equal(run("SELECT 1 WHERE 0", NULL), OK);
    assert_string_equal(rows, "");
    assert_int_equal(run_limited("SELECT id FROM t ORDER BY id", slice_of(NULL), 1000, 2), OK);
    assert_string_equal(rows, "id=N:1;id=N:2;");
}

static void a_text_parameter_finds_integer_and_text_columns_alike(void **state)
{
    (void)state;
    assert_int_equal(open_connection(), OK);
    assert_int_equal(run("SELECT id FROM t WHERE id = ?1", "2"), OK);
    assert_string_equal(rows, "id=N:2;");
    assert_int_equal(run("SELECT id FROM t WHERE name = ?1", "2"), OK);
    assert_string_equal(rows, "id=N:2;");
    assert_int_equal(run("SELECT id FROM t WHERE id = ?1", "2 OR 1=1"), OK);
    assert_string_equal(rows, "");
    /* by the index, not by reading the table */
    assert_int_equal(run("EXPLAIN QUERY PLAN SELECT id FROM t WHERE id = ?1", "2"), OK);
    assert_non_null(strstr(rows, "SEARCH t USING INTEGER PRIMARY KEY"));
    assert_int_equal(run("EXPLAIN QUERY PLAN SELECT id FROM t WHERE name = ?1", "2"), OK);
    assert_non_null(strstr(rows, "SEARCH t USING COVERING INDEX"));
}

static void a_mistake_of_the_statement_is_the_callers(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"SELEC 1", "near \"SELEC\": syntax error"},
        {"SELECT * FROM missing", "no such table: missing"},
        {"DELETE FROM t", "the statement returns no columns"},
        {"DELETE FROM t RETURNING id", "the statement is not read-only"},
        {"SELECT 1; SELECT 2", "more than one statement"},
        {"SELECT ?1, :other", "the statement has parameters of its own; only {name} can be bound"},
        {"-- nothing", "the statement returns no columns"},
        {"SELECT abs(-9223372036854775808)", "integer overflow"},
    };
    assert_int_equal(open_connection(), OK);
    for (size_t i = 0; i < countof(wrong); i++) {
        assert_int_equal(run(wrong[i][0], NULL), ERR_SOURCE);
        assert_string_equal(failure.text, wrong[i][1]);
        assert_false(failure.transient);
        assert_true(driver_sqlite.usable(connection));
    }
    assert_int_equal(run("SELECT count(*) FROM t;  ", NULL), OK);
    assert_string_equal(rows, "count(*)=N:5;");
}

static void a_long_query_ends_with_its_time_or_with_the_source(void **state)
{
    (void)state;
    const char *endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    assert_int_equal(open_connection(), OK);
    assert_int_equal(run_limited(endless, slice_of(NULL), 5, 1), ERR_SOURCE_TIMEOUT);
    assert_true(failure.transient);
    assert_int_equal(run("SELECT 1", NULL), OK); /* the connection is as good as before */
    stopping = true;
    assert_int_equal(run(endless, NULL), ERR_SOURCE_DOWN);
}

static void a_locked_file_is_waited_for_within_the_time(void **state)
{
    (void)state;
    assert_int_equal(open_connection(), OK);
    sqlite3 *other;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(run_limited("SELECT count(*) FROM t", slice_of(NULL), 5, 1), ERR_SOURCE_TIMEOUT);
    assert_string_equal(failure.text, "database is locked");
    assert_true(failure.transient);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(run("SELECT count(*) FROM t", NULL), OK);
    sqlite3_close(other);
}

static void a_replaced_or_deleted_file_is_not_read_any_further(void **state)
{
    (void)state;
    assert_int_equal(open_connection(), OK);
    assert_true(driver_sqlite.usable(connection));
    char other[128];
    snprintf(other, sizeof other, "%s.new", path);
    write_db(other, "CREATE TABLE t (id INTEGER)");
    assert_int_equal(rename(other, path), 0);
    assert_false(driver_sqlite.usable(connection));
    driver_sqlite.close(connection);
    connection = NULL;
    assert_int_equal(open_connection(), OK);
    assert_int_equal(run("SELECT count(*) FROM t", NULL), OK);
    assert_string_equal(rows, "count(*)=N:0;");
    unlink(path);
    assert_false(driver_sqlite.usable(connection));
    driver_sqlite.close(connection);
    connection = NULL;
    assert_int_equal(open_connection(), ERR_SOURCE);
    assert_true(failure.transient);
    assert_int_equal(access(path, F_OK), -1); /* nothing was made in its place */
}

static void what_is_no_database_is_the_sources_trouble(void **state)
{
    (void)state;
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 1000; i++) {
        fputs("this is no database\n", f);
    }
    fclose(f);
    assert_int_equal(open_connection(), ERR_SOURCE);
    assert_string_equal(failure.text, "file is not a database");
    assert_true(failure.transient);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* would block whoever opens it */
    assert_int_equal(open_connection(), ERR_SOURCE);
    assert_string_equal(failure.text, "unable to open database file: not a regular file");
}

static off_t file_bytes(const char *suffix)
{
    char file[128];
    struct stat status;
    snprintf(file, sizeof file, "%s%s", path, suffix);
    return stat(file, &status) == 0 ? status.st_size : -1;
}

static void never_checkpoints_a_wal(void **state)
{
    (void)state;
    sqlite3 *writer;
    assert_int_equal(sqlite3_open(path, &writer), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(writer,
                     "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; INSERT INTO t (name) VALUES ('new')",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_db_config(writer, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    assert_int_equal(open_connection(), OK);
    assert_int_equal(run("SELECT count(*) FROM t", NULL), OK);
    assert_string_equal(rows, "count(*)=N:6;"); /* sees what is only in the WAL */
    sqlite3_close(writer);
    off_t wal_bytes = file_bytes("-wal");
    off_t file = file_bytes("");
    assert_true(wal_bytes > 0);
    driver_sqlite.close(connection); /* the last connection of all */
    connection = NULL;
    assert_int_equal(file_bytes("-wal"), wal_bytes);
    assert_int_equal(file_bytes(""), file);
}

static void keeps_more_statements_than_there_are_places(void **state)
{
    (void)state;
    char sql[64];
    char expected[64];
    assert_int_equal(open_connection(), OK);
    for (int i = 0; i < 300; i++) {
        snprintf(sql, sizeof sql, "SELECT %d AS x", i % 150);
        snprintf(expected, sizeof expected, "x=N:%d;", i % 150);
        assert_int_equal(run(sql, NULL), OK);
        assert_string_equal(rows, expected);
    }
}

static void sees_a_changed_schema(void **state)
{
    (void)state;
    assert_int_equal(open_connection(), OK);
    assert_int_equal(run("SELECT * FROM t WHERE id = 1", NULL), OK);
    assert_string_equal(rows, "id=N:1|name=T:one|any=N:1;");
    write_db(path, "ALTER TABLE t ADD COLUMN more TEXT DEFAULT 'x'; ALTER TABLE t RENAME name TO title");
    assert_int_equal(run("SELECT * FROM t WHERE id = 1", NULL), OK);
    assert_string_equal(rows, "id=N:1|title=T:one|any=N:1|more=T:x;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hands_over_rows_with_types_as_sqlite_prints_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_text_parameter_finds_integer_and_text_columns_alike, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mistake_of_the_statement_is_the_callers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_query_ends_with_its_time_or_with_the_source, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_locked_file_is_waited_for_within_the_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_replaced_or_deleted_file_is_not_read_any_further, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_database_is_the_sources_trouble, set_up, tear_down),
        cmocka_unit_test_setup_teardown(never_checkpoints_a_wal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_more_statements_than_there_are_places, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sees_a_changed_schema, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
