/* What the string commands do besides answering: events in their order, records that are final, times that stay or go. What they answer is compared with
 * Redis in tests/command/string/. */
#include "command/testing.h"

static void set_tells_its_events_and_its_final_form(void **state)
{
    (void)state;
    ASK(door, "SET k v", "+OK");
    EFFECTS("set k [SET k v]");
    ASK(door, "SET k v EXAT 99999999999 XX", "+OK");
    EFFECTS("set k, expire k [SET k v PXAT 99999999999000]");
    ASK(door, "SET k w KEEPTTL GET", "\"v\"");
    EFFECTS("set k [SET k w KEEPTTL]");
    ASK(door, "SET k x NX", "nil");
    ASK(door, "SET k x IFEQ v", "nil");
    EFFECTS("");
    ASK(door, "SET k x IFEQ w", "+OK");
    EFFECTS("set k [SET k x]");
    ASK(door, "SETNX k y", ":0");
    EFFECTS("");
    ASK(door, "GETSET k z", "\"x\"");
    EFFECTS("set k [SET k z]");
    ASK(door, "TTL k", ":-1");
}

static void a_relative_time_is_recorded_absolute(void **state)
{
    (void)state;
    const char *const lines[] = {"SET k v EX 100", "SETEX k 100 v", "PSETEX k 100000 v"};
    for (unsigned i = 0; i < countof(lines); i++) {
        ASK(door, lines[i], "+OK");
        const char prefix[] = "set k, expire k [SET k v PXAT ";
        const char *effect = effect_log_take(&effects);
        assert_memory_equal(effect, prefix, sizeof prefix - 1);
        assert_int_equal(strlen(effect), sizeof prefix - 1 + 13 + 1);
    }
    ASK(door, "GETEX k PX 5000", "\"v\"");
    assert_memory_equal(effect_log_take(&effects), "expire k [PEXPIREAT k ", 22);
}

static void several_are_set_with_an_event_each(void **state)
{
    (void)state;
    ASK(door, "MSET a 1 b 2 a 3", "+OK");
    EFFECTS("set a, set b, set a [MSET a 1 b 2 a 3]");
    ASK(door, "MGET a b c", "*3 \"3\" \"2\" nil");
    ASK(door, "MSETNX c 1 a 2", ":0");
    EFFECTS("");
    ASK(door, "MSETNX c 1 d 2", ":1");
    EFFECTS("set c, set d [MSETNX c 1 d 2]");
    ASK(door, "MSETEX 2 a 1 b 2 XX EXAT 99999999999", ":1");
    EFFECTS("set a, expire a, set b, expire b [MSETEX 2 a 1 b 2 PXAT 99999999999000]");
    ASK(door, "MSETEX 2 a 5 new 6 XX", ":0");
    EFFECTS("");
    ASK(door, "MSETEX 1 a 5 KEEPTTL", ":1");
    EFFECTS("set a [MSETEX 1 a 5 KEEPTTL]");
    ASK(door, "PEXPIRETIME a", ":99999999999000");
}

static void reading_may_change_the_life(void **state)
{
    (void)state;
    ASK(door, "SET k v EXAT 99999999999", "+OK");
    effect_log_take(&effects);
    ASK(door, "GETEX k", "\"v\"");
    EFFECTS("");
    ASK(door, "GETEX k PERSIST", "\"v\"");
    EFFECTS("persist k [PERSIST k]");
    ASK(door, "GETEX k PERSIST", "\"v\"");
    EFFECTS("");
    ASK(door, "GETEX k EXAT 1", "\"v\"");
    EFFECTS("del k [DEL k]");
    ASK(door, "SET k v", "+OK");
    effect_log_take(&effects);
    ASK(door, "GETDEL k", "\"v\"");
    EFFECTS("del k [DEL k]");
    ASK(door, "GETDEL k", "nil");
    EFFECTS("");
}

static void numbers_keep_their_times(void **state)
{
    (void)state;
    ASK(door, "SET n 5 EXAT 99999999999", "+OK");
    effect_log_take(&effects);
    ASK(door, "INCRBY n 10", ":15");
    EFFECTS("incrby n [INCRBY n 10]");
    ASK(door, "DECR n", ":14");
    EFFECTS("incrby n [DECR n]");
    ASK(door, "INCRBYFLOAT n 0.5", "\"14.5\"");
    EFFECTS("incrbyfloat n [SET n 14.5 KEEPTTL]");
    ASK(door, "PEXPIRETIME n", ":99999999999000");
    ASK(door, "INCR n", "-ERR value is not an integer or out of range");
    EFFECTS("");
}

static void parts_are_written_in_place(void **state)
{
    (void)state;
    ASK(door, "APPEND s 12", ":2");
    EFFECTS("append s [APPEND s 12]");
    ASK(door, "OBJECT ENCODING s", "\"int\"");
    ASK(door, "APPEND s 3", ":3");
    ASK(door, "OBJECT ENCODING s", "\"raw\"");
    effect_log_take(&effects);
    ASK(door, "SETRANGE s 5 ab", ":7");
    EFFECTS("setrange s [SETRANGE s 5 ab]");
    ASK(door, "GET s", "\"123\\x00\\x00ab\"");
    ASK(door, "SETRANGE s 0 ''", ":7");
    EFFECTS("");
    ASK(door, "SETRANGE new 0 ''", ":0");
    EFFECTS("");
    ASK(door, "SETRANGE new 1 x", ":2");
    EFFECTS("setrange new [SETRANGE new 1 x]");
    ASK(door, "OBJECT ENCODING new", "\"raw\"");
}

static void a_conditional_removal_is_recorded_as_del(void **state)
{
    (void)state;
    ASK(door, "MSET a 1 b 2 c 3", "+OK");
    effect_log_take(&effects);
    ASK(door, "DELEX a IFEQ 2", ":0");
    EFFECTS("");
    ASK(door, "DELEX a IFEQ 1", ":1");
    EFFECTS("del a [DEL a]");
    ASK(door, "DELIFEQ b 2", ":1");
    EFFECTS("del b [DEL b]");
    ASK(door, "DELEX c", ":1");
    EFFECTS("del c [DEL c]");
    ASK(door, "DELEX c", ":0");
    EFFECTS("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(set_tells_its_events_and_its_final_form),
        TEST(a_relative_time_is_recorded_absolute),
        TEST(several_are_set_with_an_event_each),
        TEST(reading_may_change_the_life),
        TEST(numbers_keep_their_times),
        TEST(parts_are_written_in_place),
        TEST(a_conditional_removal_is_recorded_as_del),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
