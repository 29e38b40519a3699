/* The watchdog: systemd hears of it only while every worker turns. The loops are turned by hand here, the socket is the
 * test's. */
#include "main/service.h"

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

#include "base/attr.h"

enum { TURNS = 20, TURN_MS = 2, WORKERS = 2 };

static struct worker front, workers[WORKERS];
static struct service service;
static int manager;

static int set_up(void **state)
{
    (void)state;
    char name[64];
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(name, sizeof name, "@larder-service-%d", (int)getpid());
    memcpy(at.sun_path + 1, name + 1, strlen(name) - 1);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(
        bind(manager, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", "2000", 1); /* fed each millisecond */
    assert_int_equal(worker_init(&front, 0, LOOP_EPOLL), OK);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(worker_init(&workers[i], i, LOOP_EPOLL), OK);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WORKERS; i++) {
        loop_turn(workers[i].loop, 0); /* as a worker that stops does */
    }
    service_close(&service);
    for (unsigned i = 0; i < WORKERS; i++) {
        worker_fini(&workers[i]);
    }
    worker_fini(&front);
    close(manager);
    return 0;
}

static void open_with(enum config_supervised supervised)
{
    struct config *config = config_new();
    config->supervised = supervised;
    assert_int_equal(service_open(&service, config, &front, workers, WORKERS), OK);
    config_free(config);
}

/* How many datagrams of this text have come; none of another. */
static unsigned received(const char *expected)
{
    char text[128];
    unsigned count = 0;
    ssize_t bytes;
    while ((bytes = recv(manager, text, sizeof text - 1, 0)) >= 0) {
        text[bytes] = '\0';
        assert_string_equal(text, expected);
        count++;
    }
    return count;
}

static void turn(unsigned worker_count)
{
    for (int i = 0; i < TURNS; i++) {
        loop_turn(front.loop, TURN_MS);
        for (unsigned j = 0; j < worker_count; j++) {
            loop_turn(workers[j].loop, 0);
        }
    }
}

static void test_watchdog_needs_every_worker(void **state)
{
    (void)state;
    open_with(SUPERVISED_SYSTEMD);
    turn(WORKERS);
    assert_true(received("WATCHDOG=1") > 1);
    turn(1); /* the second one is stuck; what it had answered before counts once */
    assert_true(received("WATCHDOG=1") <= 1);
    turn(1);
    assert_int_equal(received("WATCHDOG=1"), 0);
    turn(WORKERS);
    assert_true(received("WATCHDOG=1") > 1);
}

static void test_words(void **state)
{
    (void)state;
    open_with(SUPERVISED_AUTO);
    service_ready(&service);
    assert_int_equal(received("READY=1"), 1);
    service_stopping(&service);
    assert_int_equal(received("STOPPING=1"), 1);
}

static void test_unsupervised(void **state)
{
    (void)state;
    open_with(SUPERVISED_NO);
    service_ready(&service);
    turn(WORKERS);
    assert_int_equal(received(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_watchdog_needs_every_worker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unsupervised, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
