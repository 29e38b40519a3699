/* Sessions and the connection family. */
#include "command/fake_door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct setting {
    struct fake_engine *engine;
    struct fake_door *door;
};

static int set_up(void **state)
{
    struct setting *s = calloc(1, sizeof *s);
    s->engine = fake_engine_new();
    s->door = fake_door_open(s->engine);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct setting *s = *state;
    fake_door_close(s->door);
    assert_int_equal(sessions_count(), 0);
    fake_engine_free(s->engine);
    free(s);
    return 0;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("'%s' is not in: %s", part, text);
    }
}

static void test_hello(void **state)
{
    struct setting *s = *state;
    char expected[256];
    unsigned long long id = fake_door_session(s->door)->id;
    snprintf(
        expected, sizeof expected,
        "*14 \"server\" \"redis\" \"version\" \"7.4.0\" \"proto\" :2 \"id\" :%llu \"mode\" \"standalone\" \"role\" \"master\" \"modules\" *0",
        id);
    ASK(s->door, "HELLO", expected);
    ASK(s->door, "hello 2", expected);
    snprintf(
        expected, sizeof expected,
        "%%7 \"server\" \"redis\" \"version\" \"7.4.0\" \"proto\" :3 \"id\" :%llu \"mode\" \"standalone\" \"role\" \"master\" \"modules\" *0",
        id);
    ASK(s->door, "HELLO 3 SETNAME me", expected);
    ASK(s->door, "CLIENT GETNAME", "\"me\"");
    ASK(s->door, "HELLO", expected);
    ASK(s->door, "HELLO 3 AUTH default any SETNAME you", expected);
    ASK(s->door, "CLIENT GETNAME", "\"you\"");
    ASK(s->door, "HELLO 4", "-NOPROTO unsupported protocol version");
    ASK(s->door, "HELLO three", "-ERR Protocol version is not an integer or out of range");
    ASK(s->door, "HELLO 3 AUTH a", "-ERR Syntax error in HELLO option 'AUTH'");
    ASK(s->door, "HELLO 3 nosuch", "-ERR Syntax error in HELLO option 'nosuch'");
    ASK(s->door, "HELLO 2 SETNAME 'a b'", "-ERR Client names cannot contain spaces, newlines or special characters.");
    ASK(s->door, "HELLO 2 AUTH joe x", "-WRONGPASS invalid username-password pair or user is disabled.");
    assert_int_equal(fake_door_session(s->door)->protocol, 3);
}

static void test_auth(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "AUTH x",
        "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?");
    ASK(s->door, "AUTH default x", "+OK");
    ASK(s->door, "AUTH joe x", "-WRONGPASS invalid username-password pair or user is disabled.");
    ASK(s->door, "AUTH a b c", "-ERR syntax error");
    ASK(s->door, "CONFIG SET requirepass hush", "+OK");
    struct fake_door *d = fake_door_open(s->engine);
    ASK(d, "HELLO 3 AUTH default hus", "-WRONGPASS invalid username-password pair or user is disabled.");
    assert_int_equal(fake_door_session(d)->protocol, 2);
    assert_true(strncmp(fake_door_run(d, "HELLO 3 AUTH default hush"), "%7", 2) == 0);
    ASK(d, "PING", "+PONG");
    fake_door_close(d);
}

static void test_ping_and_echo(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "PING", "+PONG");
    ASK(s->door, "PING 'a b'", "\"a b\"");
    ASK(s->door, "PING a b", "-ERR wrong number of arguments for 'ping' command");
    ASK(s->door, "ECHO \"\\x00\"", "\"\\x00\"");
}

static void test_select(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "SET k 0", "+OK");
    ASK(s->door, "SELECT 15", "+OK");
    ASK(s->door, "GET k", "nil");
    ASK(s->door, "SELECT 16", "-ERR DB index is out of range");
    ASK(s->door, "SELECT -1", "-ERR DB index is out of range");
    ASK(s->door, "SELECT x", "-ERR value is not an integer or out of range");
    ASK(s->door, "SELECT 9999999999", "-ERR value is out of range, value must between -2147483648 and 2147483647");
    ASK(s->door, "SELECT 0", "+OK");
    ASK(s->door, "GET k", "\"0\"");
}

static void test_reset_and_quit(void **state)
{
    struct setting *s = *state;
    const struct session *session = fake_door_session(s->door);
    fake_door_run(s->door, "HELLO 3 SETNAME me");
    ASK(s->door, "SELECT 3", "+OK");
    ASK(s->door, "CLIENT NO-TOUCH on", "+OK");
    ASK(s->door, "CLIENT REPLY OFF", "");
    ASK(s->door, "RESET", "+RESET");
    assert_int_equal(session->db, 0);
    assert_int_equal(session->protocol, 2);
    assert_int_equal(session->reply_mode, SESSION_REPLY_ON);
    assert_false(session->no_touch);
    ASK(s->door, "CLIENT GETNAME", "nil");
    ASK(s->door, "QUIT now", "+OK");
    assert_true(session->close_after_reply);
}

static void test_client_texts(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "CLIENT SETNAME me", "+OK");
    ASK(s->door, "CLIENT GETNAME", "\"me\"");
    ASK(s->door, "CLIENT SETNAME 'a b'", "-ERR Client names cannot contain spaces, newlines or special characters.");
    ASK(s->door, "CLIENT SETNAME ''", "+OK");
    ASK(s->door, "CLIENT GETNAME", "nil");
    ASK(s->door, "CLIENT SETINFO LIB-NAME redis-py(django_v6.1)", "+OK");
    ASK(s->door, "CLIENT SETINFO lib-ver 1.2", "+OK");
    ASK(s->door, "CLIENT SETINFO lib-ver 'a b'", "-ERR lib-ver cannot contain spaces, newlines or special characters.");
    ASK(s->door, "CLIENT SETINFO color red", "-ERR Unrecognized option 'color'");
    assert_has(fake_door_run(s->door, "CLIENT INFO"), " lib-name=redis-py(django_v6.1) lib-ver=1.2\\n");
}

static void test_client_switches(void **state)
{
    struct setting *s = *state;
    const struct session *session = fake_door_session(s->door);
    ASK(s->door, "CLIENT NO-EVICT on", "+OK");
    ASK(s->door, "CLIENT NO-TOUCH on", "+OK");
    assert_has(fake_door_run(s->door, "CLIENT INFO"), " flags=eT ");
    ASK(s->door, "CLIENT NO-EVICT off", "+OK");
    ASK(s->door, "CLIENT NO-TOUCH off", "+OK");
    ASK(s->door, "CLIENT NO-EVICT maybe", "-ERR syntax error");
    ASK(s->door, "CLIENT NO-TOUCH maybe", "-ERR syntax error");
    ASK(s->door, "CLIENT REPLY SKIP", "");
    assert_true(session->skip_next);
    ASK(s->door, "CLIENT REPLY OFF", "");
    assert_int_equal(session->reply_mode, SESSION_REPLY_OFF);
    ASK(s->door, "CLIENT REPLY ON", "+OK");
    assert_int_equal(session->reply_mode, SESSION_REPLY_ON);
    assert_false(session->skip_next);
    ASK(s->door, "CLIENT REPLY what", "-ERR syntax error");
}

static unsigned line_count(const char *quoted)
{
    unsigned count = 0;
    for (const char *at = strstr(quoted, "\\n"); at; at = strstr(at + 1, "\\n")) {
        count++;
    }
    return count;
}

static void test_client_list(void **state)
{
    struct setting *s = *state;
    struct fake_door *other = fake_door_open(s->engine);
    ASK(other, "SELECT 2", "+OK");
    const char *list = fake_door_run(s->door, "CLIENT LIST");
    assert_int_equal(line_count(list), 2);
    assert_has(list, " addr=127.0.0.1:50000 laddr=127.0.0.1:6379 fd=-1 name= age=0 idle=0 flags=N db=2 sub=0 ");
    assert_has(list, " cmd=select user=default redir=-1 resp=2 lib-name= lib-ver=\\n");
    assert_has(list, " cmd=client|list user=");
    assert_int_equal(line_count(fake_door_run(s->door, "CLIENT LIST TYPE normal")), 2);
    ASK(s->door, "CLIENT LIST TYPE pubsub", "\"\"");
    ASK(s->door, "CLIENT LIST TYPE strange", "-ERR Unknown client type 'strange'");
    char line[64], id[32];
    snprintf(line, sizeof line, "CLIENT LIST ID %llu 999999", (unsigned long long)fake_door_session(other)->id);
    snprintf(id, sizeof id, "\"id=%llu ", (unsigned long long)fake_door_session(other)->id);
    list = fake_door_run(s->door, line);
    assert_int_equal(line_count(list), 1);
    assert_has(list, id);
    ASK(s->door, "CLIENT LIST ID 1 x", "-ERR Invalid client ID");
    ASK(s->door, "CLIENT LIST ID", "-ERR syntax error");
    ASK(s->door, "CLIENT LIST all", "-ERR syntax error");
    fake_door_close(other);
    assert_int_equal(line_count(fake_door_run(s->door, "CLIENT LIST")), 1);
}

static void test_ids_ascend(void **state)
{
    struct setting *s = *state;
    struct fake_door *other = fake_door_open(s->engine);
    char expected[32];
    snprintf(expected, sizeof expected, ":%llu", (unsigned long long)fake_door_session(s->door)->id + 1);
    ASK(other, "CLIENT ID", expected);
    fake_door_close(other);
}

static void test_help(void **state)
{
    struct setting *s = *state;
    const char *help = fake_door_run(s->door, "CLIENT HELP");
    assert_has(help, "+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are: ");
    assert_has(help, "+HELP +    Prints this help.");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_hello),          TEST(test_auth),         TEST(test_ping_and_echo),   TEST(test_select),
        TEST(test_reset_and_quit), TEST(test_client_texts), TEST(test_client_switches), TEST(test_client_list),
        TEST(test_ids_ascend),     TEST(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
