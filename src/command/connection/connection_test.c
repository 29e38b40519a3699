/* Sessions and the connection family. */
#include "command/testing.h"

static void test_hello(void **state)
{
    (void)state;
    char expected[256];
    unsigned long long id = fake_door_session(door)->id;
    snprintf(
        expected, sizeof expected,
        "*14 \"server\" \"redis\" \"version\" \"7.4.0\" \"proto\" :2 \"id\" :%llu \"mode\" \"standalone\" \"role\" \"master\" \"modules\" *0",
        id);
    ASK(door, "HELLO", expected);
    ASK(door, "hello 2", expected);
    snprintf(
        expected, sizeof expected,
        "%%7 \"server\" \"redis\" \"version\" \"7.4.0\" \"proto\" :3 \"id\" :%llu \"mode\" \"standalone\" \"role\" \"master\" \"modules\" *0",
        id);
    ASK(door, "HELLO 3 SETNAME me", expected);
    ASK(door, "CLIENT GETNAME", "\"me\"");
    ASK(door, "HELLO", expected);
    ASK(door, "HELLO 3 AUTH default any SETNAME you", expected);
    ASK(door, "CLIENT GETNAME", "\"you\"");
    ASK(door, "HELLO 4", "-NOPROTO unsupported protocol version");
    ASK(door, "HELLO three", "-ERR Protocol version is not an integer or out of range");
    ASK(door, "HELLO 3 AUTH a", "-ERR Syntax error in HELLO option 'AUTH'");
    ASK(door, "HELLO 3 nosuch", "-ERR Syntax error in HELLO option 'nosuch'");
    ASK(door, "HELLO 2 SETNAME 'a b'", "-ERR Client names cannot contain spaces, newlines or special characters.");
    ASK(door, "HELLO 2 AUTH joe x", "-WRONGPASS invalid username-password pair or user is disabled.");
    assert_int_equal(fake_door_session(door)->protocol, 3);
}

static void test_auth(void **state)
{
    (void)state;
    ASK(door, "AUTH x",
        "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?");
    ASK(door, "AUTH default x", "+OK");
    ASK(door, "AUTH joe x", "-WRONGPASS invalid username-password pair or user is disabled.");
    ASK(door, "AUTH a b c", "-ERR syntax error");
    ASK(door, "CONFIG SET requirepass hush", "+OK");
    struct fake_door *d = fake_door_open(fe);
    ASK(d, "HELLO 3 AUTH default hus", "-WRONGPASS invalid username-password pair or user is disabled.");
    assert_int_equal(fake_door_session(d)->protocol, 2);
    assert_true(strncmp(fake_door_run(d, "HELLO 3 AUTH default hush"), "%7", 2) == 0);
    ASK(d, "PING", "+PONG");
    fake_door_close(d);
}

static void test_ping_and_echo(void **state)
{
    (void)state;
    ASK(door, "PING", "+PONG");
    ASK(door, "PING 'a b'", "\"a b\"");
    ASK(door, "PING a b", "-ERR wrong number of arguments for 'ping' command");
    ASK(door, "ECHO \"\\x00\"", "\"\\x00\"");
}

static void test_select(void **state)
{
    (void)state;
    ASK(door, "SET k 0", "+OK");
    ASK(door, "SELECT 15", "+OK");
    ASK(door, "GET k", "nil");
    ASK(door, "SELECT 16", "-ERR DB index is out of range");
    ASK(door, "SELECT -1", "-ERR DB index is out of range");
    ASK(door, "SELECT x", "-ERR value is not an integer or out of range");
    ASK(door, "SELECT 9999999999", "-ERR value is out of range, value must between -2147483648 and 2147483647");
    ASK(door, "SELECT 0", "+OK");
    ASK(door, "GET k", "\"0\"");
}

static void test_reset_and_quit(void **state)
{
    (void)state;
    const struct session *session = fake_door_session(door);
    fake_door_run(door, "HELLO 3 SETNAME me");
    ASK(door, "SELECT 3", "+OK");
    ASK(door, "CLIENT NO-TOUCH on", "+OK");
    ASK(door, "CLIENT REPLY OFF", "");
    ASK(door, "RESET", "+RESET");
    assert_int_equal(session->db, 0);
    assert_int_equal(session->protocol, 2);
    assert_int_equal(session->reply_mode, SESSION_REPLY_ON);
    assert_false(session->no_touch);
    ASK(door, "CLIENT GETNAME", "nil");
    ASK(door, "QUIT now", "+OK");
    assert_true(session->close_after_reply);
}

static void test_client_texts(void **state)
{
    (void)state;
    ASK(door, "CLIENT SETNAME me", "+OK");
    ASK(door, "CLIENT GETNAME", "\"me\"");
    ASK(door, "CLIENT SETNAME 'a b'", "-ERR Client names cannot contain spaces, newlines or special characters.");
    ASK(door, "CLIENT SETNAME ''", "+OK");
    ASK(door, "CLIENT GETNAME", "nil");
    ASK(door, "CLIENT SETINFO LIB-NAME redis-py(django_v6.1)", "+OK");
    ASK(door, "CLIENT SETINFO lib-ver 1.2", "+OK");
    ASK(door, "CLIENT SETINFO lib-ver 'a b'", "-ERR lib-ver cannot contain spaces, newlines or special characters.");
    ASK(door, "CLIENT SETINFO color red", "-ERR Unrecognized option 'color'");
    assert_has(fake_door_run(door, "CLIENT INFO"), " lib-name=redis-py(django_v6.1) lib-ver=1.2\\n");
}

static void test_client_switches(void **state)
{
    (void)state;
    const struct session *session = fake_door_session(door);
    ASK(door, "CLIENT NO-EVICT on", "+OK");
    ASK(door, "CLIENT NO-TOUCH on", "+OK");
    assert_has(fake_door_run(door, "CLIENT INFO"), " flags=eT ");
    ASK(door, "CLIENT NO-EVICT off", "+OK");
    ASK(door, "CLIENT NO-TOUCH off", "+OK");
    ASK(door, "CLIENT NO-EVICT maybe", "-ERR syntax error");
    ASK(door, "CLIENT NO-TOUCH maybe", "-ERR syntax error");
    ASK(door, "CLIENT REPLY SKIP", "");
    assert_true(session->skip_next);
    ASK(door, "CLIENT REPLY OFF", "");
    assert_int_equal(session->reply_mode, SESSION_REPLY_OFF);
    ASK(door, "CLIENT REPLY ON", "+OK");
    assert_int_equal(session->reply_mode, SESSION_REPLY_ON);
    assert_false(session->skip_next);
    ASK(door, "CLIENT REPLY what", "-ERR syntax error");
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
    (void)state;
    struct fake_door *other = fake_door_open(fe);
    ASK(other, "SELECT 2", "+OK");
    const char *list = fake_door_run(door, "CLIENT LIST");
    assert_int_equal(line_count(list), 2);
    assert_has(list, " addr=127.0.0.1:50000 laddr=127.0.0.1:6379 fd=-1 name= age=0 idle=0 flags=N db=2 sub=0 ");
    assert_has(list, " cmd=select user=default redir=-1 resp=2 lib-name= lib-ver=\\n");
    assert_has(list, " cmd=client|list user=");
    assert_int_equal(line_count(fake_door_run(door, "CLIENT LIST TYPE normal")), 2);
    ASK(door, "CLIENT LIST TYPE pubsub", "\"\"");
    ASK(door, "CLIENT LIST TYPE strange", "-ERR Unknown client type 'strange'");
    char line[64], id[32];
    snprintf(line, sizeof line, "CLIENT LIST ID %llu 999999", (unsigned long long)fake_door_session(other)->id);
    snprintf(id, sizeof id, "\"id=%llu ", (unsigned long long)fake_door_session(other)->id);
    list = fake_door_run(door, line);
    assert_int_equal(line_count(list), 1);
    assert_has(list, id);
    ASK(door, "CLIENT LIST ID 1 x", "-ERR Invalid client ID");
    ASK(door, "CLIENT LIST ID", "-ERR syntax error");
    ASK(door, "CLIENT LIST all", "-ERR syntax error");
    fake_door_close(other);
    assert_int_equal(line_count(fake_door_run(door, "CLIENT LIST")), 1);
}

static void test_ids_ascend(void **state)
{
    (void)state;
    struct fake_door *other = fake_door_open(fe);
    char expected[32];
    snprintf(expected, sizeof expected, ":%llu", (unsigned long long)fake_door_session(door)->id + 1);
    ASK(other, "CLIENT ID", expected);
    fake_door_close(other);
}

static void test_help(void **state)
{
    (void)state;
    const char *help = fake_door_run(door, "CLIENT HELP");
    assert_has(help, "+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are: ");
    assert_has(help, "+HELP +    Prints this help.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_hello),          TEST(test_auth),         TEST(test_ping_and_echo),   TEST(test_select),
        TEST(test_reset_and_quit), TEST(test_client_texts), TEST(test_client_switches), TEST(test_client_list),
        TEST(test_ids_ascend),     TEST(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
