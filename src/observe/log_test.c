/* The log: what lines look like in text, JSON and for the journal; cutting, escaping, levels, reopening, limits, credentials. The file that
 * a test logs to is read back; the time in a line is checked by its shape only. */
#include "observe/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "observe/metric.h"

static char folder[] = "/tmp/larder-log-XXXXXX";
static char path[64], path_old[64];

static int setup(void **state)
{
    (void)state;
    pthread_setname_np(pthread_self(), "tester");
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(path_old, sizeof path_old, "%s/log.1", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(path_old);
    return rmdir(folder);
}

static void open_log(enum log_level level, enum log_format format)
{
    unlink(path);
    assert_int_equal(log_open(&(struct log_options){.level = level, .format = format, .file = path}), OK);
}

/* The file's bytes, NUL-terminated, good until the next call. */
static const char *logged(const char *file)
{
    static char bytes[64 * 1024];
    FILE *f = fopen(file, "rb");
    assert_non_null(f);
    size_t len = fread(bytes, 1, sizeof bytes - 1, f);
    fclose(f);
    bytes[len] = '\0';
    return bytes;
}

static void test_text(void **state)
{
    (void)state;
    open_log(LOG_NOTICE, LOG_TEXT);
    errno = EPERM;
    log_write(LOG_VERBOSE, "os", "not wanted");
    log_write_fields(LOG_WARNING, "source",
                     LOG_FIELDS(LOG_FIELD_SLICE("source", S("shop")), LOG_FIELD_SLICE("why", S("no \"x\"\n")),
                                LOG_FIELD_I64("ms", -5)),
                     "line %d\nof\x01 two", 1);
    assert_int_equal(errno, EPERM);
    const char *line = logged(path);
    assert_int_equal(strspn(line, "0123456789-T:.Z"), 24);
    assert_string_equal(line + 24,
                        " warning tester source: line 1\\nof\\x01 two source=shop why=\"no \\\"x\\\"\\n\" ms=-5\n");
}

static void test_json(void **state)
{
    (void)state;
    open_log(LOG_DEBUG, LOG_JSON);
    log_write_fields(LOG_DEBUG, "rule",
                     LOG_FIELDS(LOG_FIELD_SLICE("key", S("a\\b\xff\xc3\xa9")), LOG_FIELD_I64("count", 7)),
                     "say \"hi\"\t");
    const char *line = logged(path);
    assert_memory_equal(line, "{\"time\":\"", 9);
    assert_string_equal(
        line + 9 + 24,
        "\",\"level\":\"debug\",\"thread\":\"tester\",\"room\":\"rule\",\"message\":\"say \\\"hi\\\"\\t\","
        "\"key\":\"a\\\\b\xef\xbf\xbd\xc3\xa9\",\"count\":7}\n");
}

static void test_cut(void **state)
{
    (void)state;
    static char long_text[8000];
    memset(long_text, '\x01', sizeof long_text - 1);
    open_log(LOG_NOTICE, LOG_TEXT);
    log_write(LOG_NOTICE, "os", "%s", long_text);
    const char *line = logged(path);
    assert_true(strlen(line) <= LOG_LINE_BYTES_MAX);
    assert_string_equal(line + strlen(line) - 5, " ...\n");

    open_log(LOG_NOTICE, LOG_JSON);
    log_write(LOG_NOTICE, "os", "%s", long_text);
    line = logged(path);
    assert_true(strlen(line) <= LOG_LINE_BYTES_MAX);
    const char *ending = "\\u0001\",\"cut\":true}\n";
    assert_string_equal(line + strlen(line) - strlen(ending), ending);

    open_log(LOG_NOTICE, LOG_JSON);
    log_write_fields(LOG_NOTICE, "os",
                     LOG_FIELDS(LOG_FIELD_I64("kept", 1), LOG_FIELD_SLICE("long", slice_of(long_text))), "short");
    line = logged(path);
    assert_non_null(strstr(line, "\"message\":\"short\",\"kept\":1,\"cut\":true}\n"));
}

static void test_level(void **state)
{
    (void)state;
    open_log(LOG_NOTHING, LOG_TEXT);
    log_write(LOG_ERROR, "os", "silence");
    assert_string_equal(logged(path), "");
    log_set_level(LOG_ERROR);
    assert_true(log_wants(LOG_ERROR));
    assert_false(log_wants(LOG_WARNING));
    enum log_level level;
    assert_int_equal(log_level_parse(S("VERBOSE"), &level), OK);
    assert_int_equal(level, LOG_VERBOSE);
    assert_int_equal(log_level_parse(S("loud"), &level), ERR_INVALID);
    assert_string_equal(log_level_name(LOG_NOTHING), "nothing");
}

static void test_reopen(void **state)
{
    (void)state;
    open_log(LOG_NOTICE, LOG_TEXT);
    log_write(LOG_NOTICE, "os", "first");
    assert_int_equal(rename(path, path_old), 0);
    log_write(LOG_NOTICE, "os", "second");
    assert_int_equal(log_reopen(), OK);
    log_write(LOG_NOTICE, "os", "third");
    assert_non_null(strstr(logged(path), "third"));
    assert_null(strstr(logged(path), "second"));
    assert_non_null(strstr(logged(path_old), "second"));

    assert_int_equal(log_open(&(struct log_options){.level = LOG_ERROR, .file = "/nonexistent/x"}), ERR_SYSTEM);
    assert_int_equal(log_open(&(struct log_options){.destination = LOG_TO_FILE}), ERR_INVALID);
    log_write(LOG_NOTICE, "os", "still here");
    assert_non_null(strstr(logged(path), "still here"));
}

/* Stderr is a file for a while; $JOURNAL_STREAM names it. */
static void test_journal(void **state)
{
    (void)state;
    int saved = dup(STDERR_FILENO);
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    char stream[64];
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    dup2(fd, STDERR_FILENO);
    assert_int_equal(log_open(&(struct log_options){.level = LOG_NOTICE}), OK);
    log_write(LOG_NOTICE, "os", "hello");
    log_write(LOG_ERROR, "os", "bad");
    setenv("JOURNAL_STREAM", "1:1", 1);
    assert_int_equal(log_open(&(struct log_options){.level = LOG_NOTICE}), OK);
    log_write(LOG_NOTICE, "os", "plain");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    const char *lines = logged(path);
    const char *expected = "<5>tester os: hello\n<3>tester os: bad\n";
    assert_memory_equal(lines, expected, strlen(expected));
    assert_true(lines[strlen(expected)] == '2');
}

static void test_limit(void **state)
{
    (void)state;
    static struct log_limit limit;
    open_log(LOG_NOTICE, LOG_TEXT);
    uint64_t before = metric_sum(METRIC_log_lines_suppressed);
    for (int i = 0; i < 10; i++) {
        limit.next_mono_ms = i == 0 ? 0 : INT64_MAX; /* the second is never over */
        log_write_limited(&limit, LOG_NOTICE, "source", "failed %d", i);
    }
    limit.next_mono_ms = 0; /* now it is */
    log_write_limited(&limit, LOG_NOTICE, "source", "failed again");
    const char *lines = logged(path);
    assert_non_null(strstr(lines, "failed 0\n"));
    assert_null(strstr(lines, "failed 1"));
    assert_non_null(strstr(lines, "failed again suppressed=9\n"));
    assert_int_equal(metric_sum(METRIC_log_lines_suppressed) - before, 9);
}

static void test_redact(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"postgresql://app:se:cr@et@db/shop", "postgresql://app:***@db/shop"},
        {"postgresql://app@db/shop?password=x&sslmode=on", "postgresql://app@db/shop?password=***&sslmode=on"},
        {"http://h/p?a=1&token=abc#f", "http://h/p?a=1&token=***#f"},
        {"http://h/a:b@c", "http://h/a:b@c"},
        {"shop.db", "shop.db"},
        {"", ""},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf text;
        buf_init(&text, 4096);
        log_redact_url(slice_of(cases[i][0]), &text);
        assert_true(slice_equal(buf_slice(&text), slice_of(cases[i][1])));
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),  cmocka_unit_test(test_json),   cmocka_unit_test(test_cut),
        cmocka_unit_test(test_level), cmocka_unit_test(test_reopen), cmocka_unit_test(test_journal),
        cmocka_unit_test(test_limit), cmocka_unit_test(test_redact),
    };
    int failed = cmocka_run_group_tests(tests, setup, teardown);
    log_close();
    return failed;
}
