/* What a service manager would receive: here its socket is the test's. */
#include "os/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A datagram socket bound to this name; a leading @ is an abstract one. */
static int listen_at(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, name, strlen(name));
    if (name[0] == '@') {
        at.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(bind(fd, (struct sockaddr *)&at, bytes), 0);
    return fd;
}

static void assert_received(int fd, const char *expected)
{
    char text[128] = {0};
    assert_true(recv(fd, text, sizeof text - 1, 0) >= 0);
    assert_string_equal(text, expected);
}

static void told_at(const char *name)
{
    int manager = listen_at(name);
    struct notify n;
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_true(notify_open(&n));
    assert_int_equal(n.watchdog_us, 30000000);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    notify_send(&n, "READY=1\nSTATUS=x");
    notify_send(&n, "STOPPING=1");
    assert_received(manager, "READY=1\nSTATUS=x");
    assert_received(manager, "STOPPING=1");
    notify_close(&n);
    close(manager);
}

static void test_path(void **state)
{
    (void)state;
    char folder[] = "/tmp/larder-notify-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/socket", folder);
    told_at(path);
    unlink(path);
    rmdir(folder);
}

static void test_abstract(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "@larder-notify-%d", (int)getpid());
    told_at(name);
}

static void test_nobody(void **state)
{
    (void)state;
    static const char *const names[] = {"", "/", "@", "relative", "/nonexistent/socket"};
    struct notify n;
    unsetenv("NOTIFY_SOCKET");
    assert_false(notify_open(&n));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        setenv("WATCHDOG_USEC", "1000", 1);
        assert_false(notify_open(&n));
        assert_int_equal(n.watchdog_us, 0);
        notify_send(&n, "READY=1");
        notify_close(&n);
    }
}

static void test_watchdog_of_others(void **state)
{
    (void)state;
    char name[64], pid[16];
    snprintf(name, sizeof name, "@larder-notify-%d", (int)getpid());
    int manager = listen_at(name);
    struct notify n;
    const struct {
        int pid;
        const char *us;
        int64_t expected;
    } cases[] = {{1, "5", 0}, {(int)getpid(), "5", 5}, {(int)getpid(), "-5", 0}, {(int)getpid(), "x", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(pid, sizeof pid, "%d", cases[i].pid);
        setenv("NOTIFY_SOCKET", name, 1);
        setenv("WATCHDOG_PID", pid, 1);
        setenv("WATCHDOG_USEC", cases[i].us, 1);
        assert_true(notify_open(&n));
        assert_int_equal(n.watchdog_us, cases[i].expected);
        notify_close(&n);
    }
    close(manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_abstract),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_watchdog_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
