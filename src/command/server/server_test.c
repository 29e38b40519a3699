/* The server family: the databases as a whole, the configuration, the figures, the command table. */
#include "command/testing.h"

#include "config/config.h"

static void assert_has_not(const char *text, const char *part)
{
    if (strstr(text, part)) {
        fail_msg("'%s' is in: %s", part, text);
    }
}

static void test_flush(void **state)
{
    (void)state;
    ASK(door, "MSET a 1 b 2", "+OK");
    ASK(door, "SELECT 1", "+OK");
    ASK(door, "SET c 3", "+OK");
    ASK(door, "DBSIZE", ":1");
    ASK(door, "FLUSHDB", "+OK");
    ASK(door, "DBSIZE", ":0");
    ASK(door, "SET c 3", "+OK");
    ASK(door, "SELECT 0", "+OK");
    ASK(door, "DBSIZE", ":2");
    ASK(door, "FLUSHALL ASYNC", "+OK");
    ASK(door, "DBSIZE", ":0");
    ASK(door, "SELECT 1", "+OK");
    ASK(door, "DBSIZE", ":0");
    ASK(door, "FLUSHALL sync", "+OK");
    ASK(door, "FLUSHALL now", "-ERR syntax error");
    ASK(door, "FLUSHDB SYNC SYNC", "-ERR syntax error");
}

static void fill(int count)
{
    for (int i = 0; i < count; i++) {
        char line[64];
        snprintf(line, sizeof line, "SET key:%d value", i);
        ASK(door, line, "+OK");
    }
}

static void test_flush_gives_the_memory_back(void **state)
{
    (void)state;
    uint64_t empty = keyspace_used_bytes(fe->engine.keyspace);
    fill(1000);
    uint64_t full = keyspace_used_bytes(fe->engine.keyspace);
    assert_true(full > empty + 1000 * 16);
    ASK(door, "FLUSHALL SYNC", "+OK");
    assert_true(keyspace_used_bytes(fe->engine.keyspace) < empty + (full - empty) / 4);
}

/* Others see the empty database at once, and what they do then comes behind the flush; who asked hears of it when the memory is free. */
static void test_a_flush_keeps_nobody_else_waiting(void **state)
{
    (void)state;
    struct fake_door *other = fake_door_open(fe), *watcher = fake_door_open(fe);
    unsigned turns = 0;
    fill(100000); /* more than can be freed in a turn */
    uint64_t full = keyspace_used_bytes(fe->engine.keyspace);
    ASK(watcher, "MONITOR", "+OK");
    effect_log_take(&effects);
    assert_int_equal(fake_door_start(door, "FLUSHALL"), RUN_PARKED);
    assert_int_equal(keyspace_used_bytes(fe->engine.keyspace), full);
    ASK(other, "DBSIZE", ":0");
    ASK(other, "SET k v", "+OK");
    EFFECTS(" [FLUSHALL], set k [SET k v]");
    while (!fake_door_reply(door)) {
        fake_turn(fe);
        turns++;
    }
    assert_true(turns > 0);
    assert_string_equal(fake_door_reply(door), "+OK");
    assert_true(keyspace_used_bytes(fe->engine.keyspace) < full / 100);
    ASK(door, "DBSIZE", ":1");
    EFFECTS("");
    fake_turn(fe);
    slice told = fake_door_told(watcher);
    const char *flush = memmem(told.ptr, told.len, "\"FLUSHALL\"", 10),
               *set = memmem(told.ptr, told.len, "\"SET\" \"k\"", 9);
    assert_true(flush && set && flush < set);
    assert_null(memmem(set, told.len - (size_t)(set - told.ptr), "\"FLUSHALL\"", 10));
    fake_door_close(watcher);
    fake_door_close(other);
}

static void test_a_flush_goes_on_when_its_client_has_gone(void **state)
{
    (void)state;
    struct fake_door *other = fake_door_open(fe);
    fill(1000);
    uint64_t full = keyspace_used_bytes(fe->engine.keyspace);
    assert_int_equal(fake_door_start(other, "FLUSHDB SYNC"), RUN_PARKED);
    fake_door_close(other);
    ASK(door, "DBSIZE", ":0");
    while (keyspace_used_bytes(fe->engine.keyspace) > full / 4) {
        fake_turn(fe);
    }
}

static void test_which_flush_waits(void **state)
{
    (void)state;
    struct fake_door *other = fake_door_open(fe);
    assert_int_equal(fake_door_start(door, "FLUSHDB ASYNC"), RUN_DONE);
    ASK(other, "CONFIG SET lazyfree-lazy-user-flush yes", "+OK");
    assert_int_equal(fake_door_start(door, "FLUSHDB"), RUN_DONE);
    assert_int_equal(fake_door_start(door, "FLUSHALL"), RUN_DONE);
    assert_int_equal(fake_door_start(door, "FLUSHALL SYNC"), RUN_PARKED);
    assert_int_equal(fake_door_start(other, "FLUSHDB now"), RUN_DONE);
    fake_door_close(other);
}

static void test_swapdb(void **state)
{
    (void)state;
    ASK(door, "SET k zero", "+OK");
    ASK(door, "SWAPDB 0 5", "+OK");
    ASK(door, "GET k", "nil");
    ASK(door, "SELECT 5", "+OK");
    ASK(door, "GET k", "\"zero\"");
    ASK(door, "SWAPDB 5 5", "+OK");
    ASK(door, "GET k", "\"zero\"");
    ASK(door, "SWAPDB a 1", "-ERR invalid first DB index");
    ASK(door, "SWAPDB 1 b", "-ERR invalid second DB index");
    ASK(door, "SWAPDB 1 16", "-ERR DB index is out of range");
}

static void test_config(void **state)
{
    (void)state;
    ASK(door, "CONFIG GET timeout", "*2 \"timeout\" \"0\"");
    ASK(door, "CONFIG SET timeout 7 maxmemory-policy allkeys-lru", "+OK");
    ASK(door, "CONFIG GET timeout maxmemory-policy", "*4 \"timeout\" \"7\" \"maxmemory-policy\" \"allkeys-lru\"");
    assert_int_equal(config_now()->timeout, 7);
    ASK(door, "CONFIG GET nosuch", "*0");
    assert_has(fake_door_run(door, "CONFIG GET *"), "\"databases\" \"16\"");
    ASK(door, "CONFIG SET timeout 1 timeout", "-ERR syntax error");
    assert_has(fake_door_run(door, "CONFIG SET timeout 8 port none"),
               "-ERR CONFIG SET failed (possibly related to argument 'port') - ");
    assert_int_equal(config_now()->timeout, 7); /* all or none */
    ASK(door, "CONFIG RESETSTAT", "+OK");
    ASK(door, "CONFIG REWRITE", "-ERR The server is running without a config file");
    ASK(door, "CONFIG UNUSED", "*0");
}

static err refuse_port(struct engine *engine, struct config *next, enum option *ret_option, const char **ret_reason)
{
    (void)engine;
    (void)next;
    *ret_option = OPTION_port;
    *ret_reason = "Address already in use";
    return ERR_CONFIG;
}

static void test_a_change_that_cannot_be_applied(void **state)
{
    (void)state;
    fe->engine.apply_config = refuse_port;
    ASK(door, "CONFIG SET port 1",
        "-ERR CONFIG SET failed (possibly related to argument 'port') - Address already in use");
    assert_int_equal(config_now()->port, 6379);
}

static void test_info(void **state)
{
    (void)state;
    ASK(door, "SET k v EX 100", "+OK");
    ASK(door, "SET k2 v", "+OK");
    ASK(door, "APPEND k w", ":2"); /* counters are the process's: commands that no other test here uses */
    ASK(door, "STRLEN", "-ERR wrong number of arguments for 'strlen' command");
    const char *info = fake_door_run(door, "INFO");
    assert_has(info, "\"# Server\\r\\nredis_version:7.4.0\\r\\nlarder_version:" LARDER_VERSION "\\r\\n");
    assert_has(info, "\\r\\n\\r\\n# Clients\\r\\nconnected_clients:1\\r\\n");
    assert_has(info, "\\r\\n\\r\\n# Memory\\r\\nused_memory:");
    assert_has(info, "\\r\\nmaxmemory_policy:noeviction\\r\\n");
    assert_has(info, "\\r\\n\\r\\n# Stats\\r\\n");
    assert_has(info, "\\r\\n\\r\\n# Cache\\r\\nloads_started:0\\r\\n");
    assert_has(info, "\\r\\n\\r\\n# Keyspace\\r\\ndb0:keys=2,expires=1,avg_ttl=");
    assert_has(info, "\\r\\nerrorstat_ERR:count=");
    assert_has_not(info, "# Commandstats");
    const char *stats = fake_door_run(door, "INFO commandstats");
    assert_has(stats, "\"# Commandstats\\r\\n");
    assert_has(stats, "cmdstat_append:calls=1,usec=");
    assert_has(stats, "cmdstat_strlen:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0\\r\\n");
    assert_has_not(stats, "cmdstat_incrby");
    assert_has(fake_door_run(door, "INFO ALL"), "# Commandstats");
    assert_has(fake_door_run(door, "INFO everything"), "# Commandstats");
    assert_has_not(fake_door_run(door, "INFO default"), "# Commandstats");
    const char *two = fake_door_run(door, "INFO keyspace Clients");
    assert_has(two, "\"# Clients");
    assert_has(two, "# Keyspace");
    assert_has_not(two, "# Server");
    ASK(door, "INFO nosuch", "\"\"");
}

static void test_command(void **state)
{
    (void)state;
    unsigned top = 0;
    char expected[64];
    for (unsigned i = 0; i < command_count(); i++) {
        top += command_at(i)->container == NULL;
    }
    snprintf(expected, sizeof expected, ":%u", top);
    ASK(door, "COMMAND COUNT", expected);
    snprintf(expected, sizeof expected, "*%u *10 \"", top);
    assert_has(fake_door_run(door, "COMMAND"), expected);
    assert_has(fake_door_run(door, "COMMAND INFO"), expected);
    ASK(door, "COMMAND INFO get nosuch",
        "*2 *10 \"get\" :2 *2 +readonly +fast :1 :1 :1 *3 +@read +@string +@fast *0 "
        "*1 *6 \"flags\" *2 +RO +access \"begin_search\" *4 \"type\" \"index\" \"spec\" *2 \"index\" :1 "
        "\"find_keys\" *4 \"type\" \"range\" \"spec\" *6 \"lastkey\" :0 \"keystep\" :1 \"limit\" :0 *0 nil-array");
    ASK(door, "COMMAND INFO client|id",
        "*1 *10 \"client|id\" :2 *3 +noscript +loading +stale :0 :0 :0 *2 +@slow +@connection *0 *0 *0");
    const char *client = fake_door_run(door, "COMMAND INFO client");
    assert_has(client, " *10 \"client|list\" :-2 ");
    assert_has(client, " *1 \"nondeterministic_output\" ");
    assert_has(fake_door_run(door, "COMMAND INFO msetex"), "+movablekeys :0 :0 :0 ");
}

static void test_command_list(void **state)
{
    (void)state;
    ASK(door, "COMMAND LIST FILTERBY PATTERN CLIENT|g*", "*1 \"client|getname\"");
    ASK(door, "COMMAND LIST FILTERBY MODULE json", "*0");
    ASK(door, "COMMAND LIST FILTERBY ACLCAT nosuch", "*0");
    assert_has(fake_door_run(door, "COMMAND LIST FILTERBY ACLCAT string"), "\"getset\"");
    assert_has_not(fake_door_run(door, "COMMAND LIST FILTERBY ACLCAT string"), "\"ping\"");
    assert_has(fake_door_run(door, "COMMAND LIST"), "\"config|set\"");
    ASK(door, "COMMAND LIST FILTERBY", "-ERR syntax error");
    ASK(door, "COMMAND LIST FILTERBY COLOR red", "-ERR syntax error");
}

static void test_command_getkeys(void **state)
{
    (void)state;
    ASK(door, "COMMAND GETKEYS MSET a 1 b 2", "*2 \"a\" \"b\"");
    ASK(door, "COMMAND GETKEYS MSETEX 2 a 1 b 2 EX 10", "*2 \"a\" \"b\"");
    ASK(door, "COMMAND GETKEYS RENAME a b", "*2 \"a\" \"b\"");
    ASK(door, "COMMAND GETKEYS nosuch a", "-ERR Invalid command specified");
    ASK(door, "COMMAND GETKEYS PING a", "-ERR The command has no key arguments");
    ASK(door, "COMMAND GETKEYS GET a b", "-ERR Invalid number of arguments specified for command");
    ASK(door, "COMMAND GETKEYS MSETEX x a b", "-ERR Invalid arguments specified for command");
    ASK(door, "COMMAND GETKEYS PING", "-ERR wrong number of arguments for 'command|getkeys' command");
}

static void test_what_is_not_there(void **state)
{
    (void)state;
    ASK(door, "SUBSCRIBE c", "-ERR unknown command 'SUBSCRIBE', with args beginning with: 'c' ");
    ASK(door, "CLIENT TRACKING x", "-ERR unknown subcommand 'TRACKING'. Try CLIENT HELP.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_flush),
        TEST(test_flush_gives_the_memory_back),
        TEST(test_a_flush_keeps_nobody_else_waiting),
        TEST(test_a_flush_goes_on_when_its_client_has_gone),
        TEST(test_which_flush_waits),
        TEST(test_swapdb),
        TEST(test_config),
        TEST(test_a_change_that_cannot_be_applied),
        TEST(test_info),
        TEST(test_command),
        TEST(test_command_list),
        TEST(test_command_getkeys),
        TEST(test_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
