/* The CACHE family and reading through as dispatch does it: commands parked on loads and on walks, with a fake source whose queries wait at a gate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "command/fake_door.h"
#include "rule/rules.h"
#include "rule/testing.h"

static struct fake_engine *fe;
static struct fake_door *door;

static void load_rules(const char *text)
{
    struct config_blocks *blocks = testing_blocks(text);
    assert_int_equal(rules_reload(fe->engine.rules, blocks), OK);
    blocks_unref(blocks);
}

static int set_up(void **state)
{
    (void)state;
    fe = fake_engine_new();
    struct rules_options options = {
        .keyspace = fe->engine.keyspace, .workers = &fe->worker, .worker_count = 1, .driver_of = testing_driver};
    assert_int_equal(rules_new(&options, &fe->engine.rules), OK);
    keyspace_set_loader(fe->engine.keyspace, rules_loader(fe->engine.rules));
    fake_source_reset("41");
    load_rules(
        "source s {\n sqlite \"x.db\"\n connections 4\n retries 0\n timeout 60s\n}\n"
        "rule k:{id} {\n source s\n load \"SELECT {id}\"\n ttl 100s\n wait-timeout 5s\n stale-if-error 100s\n}\n");
    door = fake_door_open(fe);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_door_close(door);
    rules_stop(fe->engine.rules);
    fake_turn(fe);
    rules_free(fe->engine.rules);
    fake_engine_free(fe);
    return 0;
}

/* Turns the loop until the call has its reply. */
static const char *await(struct fake_door *d)
{
    const char *reply;
    while (!(reply = fake_door_reply(d))) {
        fake_turn(fe);
    }
    return reply;
}

static void a_thousand_calls_make_one_query(void **state)
{
    (void)state;
    enum { CALLS = 1000 };
    static struct fake_door *doors[CALLS];
    fake_source_close_gate();
    for (unsigned i = 0; i < CALLS; i++) {
        doors[i] = fake_door_open(fe);
        assert_int_equal(fake_door_start(doors[i], i % 2 ? "GET k:1" : "MGET k:1 plain k:1"), RUN_PARKED);
    }
    fake_source_open_gate();
    for (unsigned i = 0; i < CALLS; i++) {
        assert_string_equal(await(doors[i]), i % 2 ? "\"41\"" : "*3 \"41\" nil \"41\"");
        fake_door_close(doors[i]);
    }
    assert_int_equal(fake_source_queries(), 1);
}

static void several_absent_keys_are_loaded_at_once(void **state)
{
    (void)state;
    fake_source_close_gate();
    assert_int_equal(fake_door_start(door, "MGET k:1 k:2 k:3"), RUN_PARKED);
    fake_source_await(3);
    fake_source_open_gate();
    assert_string_equal(await(door), "*3 \"41\" \"41\" \"41\"");
}

static void who_changes_a_value_loads_it_first(void **state)
{
    (void)state;
    ASK(door, "INCR k:1", ":42");
    ASK(door, "APPEND k:2 x", ":3");
    ASK(door, "SETRANGE k:3 1 xx", ":3");
    ASK(door, "SET k:4 mine NX", "nil");
    ASK(door, "GETSET k:5 mine", "\"41\"");
    assert_int_equal(fake_source_queries(), 5);
    ASK(door, "SET k:6 mine", "+OK");
    ASK(door, "DEL k:7", ":0");
    assert_int_equal(fake_source_queries(), 5);
}

static void a_wait_ends_with_wait_timeout(void **state)
{
    (void)state;
    fake_source_close_gate();
    assert_int_equal(fake_door_start(door, "GET k:1"), RUN_PARKED);
    if (!fake_clock_advance(fe, 2500)) {
        skip();
    }
    assert_null(fake_door_reply(door));
    fake_clock_advance(fe, 2500);
    assert_string_equal(await(door), "-SOURCETIMEOUT the source did not answer in time");
    fake_source_open_gate();
}

static void who_hangs_up_leaves_the_load_alone(void **state)
{
    (void)state;
    struct fake_door *other = fake_door_open(fe);
    fake_source_close_gate();
    assert_int_equal(fake_door_start(other, "GET k:1"), RUN_PARKED);
    assert_int_equal(fake_door_start(door, "GET k:1"), RUN_PARKED);
    fake_door_close(other);
    fake_source_open_gate();
    assert_string_equal(await(door), "\"41\"");
    assert_int_equal(fake_source_queries(), 1);
}

static void a_failure_is_told_and_a_stale_value_covers_it(void **state)
{
    (void)state;
    fake_source_fail(1, ERR_SOURCE, false);
    ASK(door, "GET k:1", "-SOURCEERR the fake fails");
    ASK(door, "GET k:1", "\"41\"");
    if (!fake_clock_advance(fe, 100001)) {
        skip();
    }
    fake_source_fail(1, ERR_SOURCE, false);
    ASK(door, "GET k:1", "\"41\"");
    fake_source_set_row("new");
    ASK(door, "GET k:1", "\"new\"");
}

static void a_walk_parks_its_call_and_answers_when_it_is_over(void **state)
{
    (void)state;
    struct fake_door *other = fake_door_open(fe);
    char line[64];
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(line, sizeof line, "SET many:%u x", i);
        ASK(door, line, "+OK");
    }
    assert_int_equal(fake_door_start(door, "CACHE.INVALIDATE PREFIX many:"), RUN_PARKED);
    ASK(other, "SET other x", "+OK");
    assert_null(fake_door_reply(door));
    assert_string_equal(await(door), ":3000");
    ASK(other, "DBSIZE", ":1");
    ASK(door, "CACHE.INVALIDATE RULE k:{id}", ":0");
    ASK(door, "CACHE.INVALIDATE RULE k", "-ERR no such rule in this database");
    fake_door_close(other);
}

static void a_walk_goes_on_when_its_client_is_gone(void **state)
{
    (void)state;
    struct fake_door *other = fake_door_open(fe);
    char line[64];
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(line, sizeof line, "SET many:%u x", i);
        ASK(door, line, "+OK");
    }
    assert_int_equal(fake_door_start(other, "CACHE.INVALIDATE PREFIX many:"), RUN_PARKED);
    fake_door_close(other);
    while (keyspace_key_count(fe->engine.keyspace, 0) > 0) {
        fake_turn(fe);
    }
}

static void a_walk_ends_when_the_rules_stop(void **state)
{
    (void)state;
    struct fake_door *other = fake_door_open(fe);
    assert_int_equal(fake_door_start(other, "CACHE.INVALIDATE PREFIX many:"), RUN_PARKED);
    fake_door_close(other);
}

static void get_tells_the_state(void **state)
{
    (void)state;
    ASK(door, "CACHE.GET plain", "*10 \"value\" nil \"state\" \"miss\" \"ttl\" :-2 \"stale-ttl\" :-2 \"age\" nil");
    ASK(door, "SET plain x", "+OK");
    ASK(door, "CACHE.GET plain", "*10 \"value\" \"x\" \"state\" \"fresh\" \"ttl\" :-1 \"stale-ttl\" :-1 \"age\" nil");
    ASK(door, "CACHE.GET plain WAIT 5", "-ERR syntax error");
    ASK(door, "CACHE.GET", "-ERR wrong number of arguments for 'cache.get' command");
}

static void refresh_counts_what_a_rule_loads(void **state)
{
    (void)state;
    ASK(door, "CACHE.REFRESH plain", ":0");
    ASK(door, "CACHE.REFRESH k:1 plain k:2", ":2");
    ASK(door, "CACHE.REFRESH \"k:\\xff\"", "-SOURCEERR the key has bytes that cannot be bound as text");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_thousand_calls_make_one_query),
        TEST(several_absent_keys_are_loaded_at_once),
        TEST(who_changes_a_value_loads_it_first),
        TEST(a_wait_ends_with_wait_timeout),
        TEST(who_hangs_up_leaves_the_load_alone),
        TEST(a_failure_is_told_and_a_stale_value_covers_it),
        TEST(a_walk_parks_its_call_and_answers_when_it_is_over),
        TEST(a_walk_goes_on_when_its_client_is_gone),
        TEST(a_walk_ends_when_the_rules_stop),
        TEST(get_tells_the_state),
        TEST(refresh_counts_what_a_rule_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
