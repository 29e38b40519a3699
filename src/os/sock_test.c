/* Sockets: addresses as people write them, listeners, names, and who sits on a path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/sock.h"

static void assert_parses(const char *text, const char *host, uint16_t port)
{
    slice got_host;
    uint16_t got_port;
    assert_int_equal(sock_parse_address(slice_of(text), 6379, &got_host, &got_port), OK);
    assert_true(slice_equal(got_host, slice_of(host)));
    assert_int_equal(got_port, port);
}

static void test_addresses(void **state)
{
    (void)state;
    assert_parses("db.example", "db.example", 6379);
    assert_parses("127.0.0.1:7000", "127.0.0.1", 7000);
    assert_parses("[::1]:7000", "::1", 7000);
    assert_parses("[::1]", "::1", 6379);
    assert_parses("::1", "::1", 6379);
    assert_parses("a:0", "a", 0);
    static const char *const wrong[] = {"", ":1", "a:", "a:65536", "a:-1", "a:1x", "[::1", "[]:1", "[::1]7"};
    for (size_t i = 0; i < countof(wrong); i++) {
        slice host = S("untouched");
        uint16_t port = 1;
        assert_int_equal(sock_parse_address(slice_of(wrong[i]), 6379, &host, &port), ERR_INVALID);
        assert_true(slice_equal(host, S("untouched")));
    }
}

static void test_a_connection_and_its_names(void **state)
{
    (void)state;
    int listener, ours = -1;
    assert_int_equal(sock_listen(S("127.0.0.1"), 0, 5, &listener, NULL), OK);
    assert_int_equal(sock_accept(listener, &ours), ERR_AGAIN);
    assert_int_equal(ours, -1);
    uint16_t port = sock_local_port(listener);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int theirs = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(theirs, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(sock_accept(listener, &ours), OK);
    char name[SOCK_NAME_CHARS], other[SOCK_NAME_CHARS], expected[SOCK_NAME_CHARS];
    snprintf(expected, sizeof expected, "127.0.0.1:%u", port);
    sock_local_name(ours, name);
    assert_string_equal(name, expected);
    sock_peer_name(ours, name);
    sock_local_name(theirs, other);
    assert_string_equal(name, other);
    assert_true(sock_peer_is_loopback(ours));

    sock_set_nodelay(ours);
    sock_set_keepalive(ours, 300);
    int value = 0;
    socklen_t value_bytes = sizeof value;
    assert_int_equal(getsockopt(ours, IPPROTO_TCP, TCP_NODELAY, &value, &value_bytes), 0);
    assert_int_equal(value, 1);
    assert_int_equal(getsockopt(ours, IPPROTO_TCP, TCP_KEEPINTVL, &value, &value_bytes), 0);
    assert_int_equal(value, 100);
    sock_set_keepalive(ours, 0);
    assert_int_equal(getsockopt(ours, SOL_SOCKET, SO_KEEPALIVE, &value, &value_bytes), 0);
    assert_int_equal(value, 0);

    struct buf why;
    int second = -1;
    buf_init(&why, 100);
    assert_int_equal(sock_listen(S("127.0.0.1"), port, 5, &second, &why), ERR_SYSTEM);
    assert_true(slice_equal(buf_slice(&why), S("Address already in use")));
    assert_int_equal(second, -1);
    buf_fini(&why);
    close(theirs);
    close(ours);
    close(listener);
    sock_peer_name(listener, name);
    assert_string_equal(name, ":0");
}

static void test_all_addresses_and_missing_ones(void **state)
{
    (void)state;
    int v4, v6, none;
    assert_int_equal(sock_listen(S("*"), 0, 5, &v4, NULL), OK);
    err e = sock_listen(S("-::*"), sock_local_port(v4), 5, &v6, NULL); /* beside it, where there is IPv6 */
    assert_true(e == OK || e == ERR_NOT_FOUND);
    if (e == OK) {
        close(v6);
    }
    close(v4);
    assert_int_equal(sock_listen(S("-192.0.2.1"), 0, 5, &none, NULL), ERR_NOT_FOUND);
    assert_int_equal(sock_listen(S("192.0.2.1"), 0, 5, &none, NULL), ERR_SYSTEM);
    assert_int_equal(sock_listen(S("300.1.1.1.1.invalid."), 0, 5, &none, NULL), ERR_INVALID);
    assert_int_equal(sock_listen(S(""), 0, 5, &none, NULL), ERR_INVALID);
}

static void test_ipv6_names(void **state)
{
    (void)state;
    int listener;
    err e = sock_listen(S("-::1"), 0, 5, &listener, NULL);
    if (e == ERR_NOT_FOUND) {
        skip();
    }
    assert_int_equal(e, OK);
    char name[SOCK_NAME_CHARS], expected[SOCK_NAME_CHARS];
    snprintf(expected, sizeof expected, "[::1]:%u", sock_local_port(listener));
    sock_local_name(listener, name);
    assert_string_equal(name, expected);
    close(listener);
}

static void test_unix_paths(void **state)
{
    (void)state;
    char directory[] = "/tmp/larder-sock-XXXXXX", path[64], name[SOCK_NAME_CHARS], expected[SOCK_NAME_CHARS];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/s", directory);
    int listener, second, ours;
    assert_int_equal(sock_listen_unix(path, 0770, 5, &listener, NULL), OK);
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0770);

    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, path, strlen(path) + 1);
    int theirs = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(theirs, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(sock_accept(listener, &ours), OK);
    snprintf(expected, sizeof expected, "%s:0", path);
    sock_peer_name(ours, name);
    assert_string_equal(name, expected);
    assert_true(sock_peer_is_loopback(ours));
    sock_set_nodelay(ours);
    sock_set_keepalive(ours, 10);

    struct buf why;
    buf_init(&why, 100);
    assert_int_equal(sock_listen_unix(path, 0, 5, &second, &why), ERR_SYSTEM);
    assert_true(slice_equal(buf_slice(&why), S("another process listens on the path")));
    close(theirs);
    close(ours);
    close(listener);
    assert_int_equal(sock_listen_unix(path, 0, 5, &second, NULL), OK); /* nobody listens on it any more */
    close(second);
    unlink(path);
    fclose(fopen(path, "w"));
    assert_int_equal(sock_listen_unix(path, 0, 5, &second, NULL), ERR_SYSTEM);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(sock_listen_unix("", 0, 5, &second, NULL), ERR_INVALID);
    buf_fini(&why);
    unlink(path);
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_a_connection_and_its_names),
        cmocka_unit_test(test_all_addresses_and_missing_ones),
        cmocka_unit_test(test_ipv6_names),
        cmocka_unit_test(test_unix_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
