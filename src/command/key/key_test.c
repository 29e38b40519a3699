/* What the commands on keys do besides answering: events in their order, records that are final, stale and negative entries. What they answer is compared
 * with Redis in tests/command/key/. */
#include "command/testing.h"

/* Puts an entry where only a loader would: with a stale window, or negative. */
static void put(const char *name, const struct content *c)
{
    struct keyspace *ks = fe->engine.keyspace;
    struct key key = keyspace_key(ks, 0, slice_of(name));
    struct arena arena;
    arena_init(&arena);
    struct effect fx;
    effect_init(&fx, &arena, clock_now(), false);
    struct entry *entry;
    keyspace_lock_keys(ks, &key, 1);
    assert_int_equal(shard_insert(key.shard, &key, c, &fx, EVENT_fill, &entry), OK);
    keyspace_unlock_keys(ks, &key, 1);
    arena_fini(&arena);
}

static void put_stale(const char *name)
{
    struct content c = content_string(S("old"));
    c.fresh_until = clock_wall_ms() - 1000;
    c.deadline = clock_wall_ms() + 1000000;
    put(name, &c);
}

static void put_negative(const char *name)
{
    struct content c = content_string(S(""));
    c.negative = true;
    c.fresh_until = c.deadline = clock_wall_ms() + 1000000;
    put(name, &c);
}

static void removal_counts_each_key_once(void **state)
{
    (void)state;
    ASK(door, "MSET a 1 b 2 c 3", "+OK");
    effect_log_take(&effects);
    ASK(door, "DEL a a nosuch", ":1");
    EFFECTS("del a [DEL a a nosuch]");
    ASK(door, "UNLINK b c b", ":2");
    EFFECTS("del b, del c [UNLINK b c b]");
    ASK(door, "DEL a", ":0");
    EFFECTS("");
}

static void an_end_is_recorded_absolute(void **state)
{
    (void)state;
    ASK(door, "SET k v", "+OK");
    effect_log_take(&effects);
    ASK(door, "EXPIREAT k 99999999999", ":1");
    EFFECTS("expire k [PEXPIREAT k 99999999999000]");
    ASK(door, "EXPIRE k 100", ":1");
    assert_memory_equal(effect_log_take(&effects), "expire k [PEXPIREAT k ", 22);
    ASK(door, "EXPIRE k 50 GT", ":0");
    EFFECTS("");
    ASK(door, "PERSIST k", ":1");
    EFFECTS("persist k [PERSIST k]");
    ASK(door, "PERSIST k", ":0");
    EFFECTS("");
    ASK(door, "EXPIRE k -1", ":1");
    EFFECTS("del k [DEL k]");
}

static void a_rename_tells_the_old_name_first(void **state)
{
    (void)state;
    ASK(door, "SET a 1 PXAT 99999999999000", "+OK");
    ASK(door, "SET b 2", "+OK");
    effect_log_take(&effects);
    ASK(door, "RENAME a b", "+OK");
    EFFECTS("rename_from a, rename_to b [RENAME a b]");
    ASK(door, "PEXPIRETIME b", ":99999999999000");
    ASK(door, "RENAME b b", "+OK");
    ASK(door, "RENAMENX b b", ":0");
    EFFECTS("");
    ASK(door, "RENAMENX b a", ":1");
    EFFECTS("rename_from b, rename_to a [RENAMENX b a]");
}

static void copies_and_moves_reach_other_databases(void **state)
{
    (void)state;
    ASK(door, "SET a 1 PXAT 99999999999000", "+OK");
    effect_log_take(&effects);
    ASK(door, "COPY a b", ":1");
    EFFECTS("copy_to b [COPY a b]");
    ASK(door, "COPY a b", ":0");
    ASK(door, "COPY a a DB 1", ":1");
    EFFECTS("copy_to a@1 [COPY a a DB 1]");
    ASK(door, "MOVE a 1", ":0");
    EFFECTS("");
    ASK(door, "MOVE a 2", ":1");
    EFFECTS("move_from a, move_to a@2 [MOVE a 2]");
    ASK(door, "SELECT 2", "+OK");
    ASK(door, "PEXPIRETIME a", ":99999999999000");
    ASK(door, "COPY a a DB 1 REPLACE", ":1");
}

static void stale_entries_have_no_time_left_and_stay_stale(void **state)
{
    (void)state;
    put_stale("s");
    ASK(door, "GET s", "\"old\"");
    ASK(door, "TTL s", ":0");
    ASK(door, "PTTL s", ":0");
    ASK(door, "COPY s t", ":1");
    ASK(door, "TTL t", ":0");
    ASK(door, "RENAME s u", "+OK");
    ASK(door, "PTTL u", ":0");
    ASK(door, "DBSIZE", ":2");
}

static void negative_entries_do_not_exist(void **state)
{
    (void)state;
    put_negative("n");
    ASK(door, "GET n", "nil");
    ASK(door, "EXISTS n", ":0");
    ASK(door, "TTL n", ":-2");
    ASK(door, "TYPE n", "+none");
    ASK(door, "OBJECT ENCODING n", "nil");
    ASK(door, "KEYS *", "*0");
    ASK(door, "SCAN 0", "*2 \"0\" *0");
    ASK(door, "RANDOMKEY", "nil");
    ASK(door, "RENAME n m", "-ERR no such key");
    ASK(door, "DEL n", ":0");
    ASK(door, "SETNX n v", ":1");
    ASK(door, "GET n", "\"v\"");
}

/* Adds and removes keys between the calls of a scan, so that indexes grow and shrink, and demands what was there throughout. */
static void scan_finds_what_was_there_throughout(void **state)
{
    (void)state;
    enum { STAY = 300, COME = 5000 };
    bool seen[STAY] = {false};
    char line[64];
    for (int i = 0; i < STAY; i++) {
        snprintf(line, sizeof line, "SET stay:%d v", i);
        ASK(door, line, "+OK");
    }
    unsigned come = 0, gone = 0;
    unsigned long long cursor = 0;
    unsigned calls = 0;
    do {
        snprintf(line, sizeof line, "SCAN %llu COUNT 20", cursor);
        const char *reply = fake_door_run(door, line);
        assert_int_equal(sscanf(reply, "*2 \"%llu\"", &cursor), 1);
        for (const char *at = reply; (at = strstr(at, "stay:")) != NULL;) {
            at += strlen("stay:");
            seen[atoi(at)] = true;
        }
        for (int i = 0; i < 400 && come < COME && calls % 2 == 0; i++) {
            snprintf(line, sizeof line, "SET come:%u v", come++);
            ASK(door, line, "+OK");
        }
        for (int i = 0; i < 300 && gone < come && calls % 2 == 1; i++) {
            snprintf(line, sizeof line, "DEL come:%u", gone++);
            ASK(door, line, ":1");
        }
        calls++;
    } while (cursor != 0);
    assert_true(calls > 10);
    for (int i = 0; i < STAY; i++) {
        assert_true(seen[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(removal_counts_each_key_once),
        TEST(an_end_is_recorded_absolute),
        TEST(a_rename_tells_the_old_name_first),
        TEST(copies_and_moves_reach_other_databases),
        TEST(stale_entries_have_no_time_left_and_stay_stale),
        TEST(negative_entries_do_not_exist),
        TEST(scan_finds_what_was_there_throughout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
