/* Dispatch: refusals in words, authentication, memory, expired keys, effects, counters; and calls that park, with a loader made here: it governs
 * the keys that begin with "g:", and the test decides when and how each load ends. */
#include "command/fake_door.h"
#include "command/figures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "command/effect_log.h"
#include "observe/metric.h"
#include "os/thread.h"

/* ---- a loader ------------------------------------------------------------------------------------------------------- */
enum { LOADS_MAX = 16, WAIT_MS = 20000, MARGIN_MS = 10000 /* real time passes too */, TTL_MS = 60000 };

struct test_loader {
    struct loader loader;
    struct pending *loads[LOADS_MAX]; /* open ones, in the order of their beginning */
    unsigned load_count;
    unsigned loads_begun;
    unsigned consult_count;
    err refusal; /* consult fails with it */
};

static const struct rule *govern(struct loader *l, unsigned db, slice key)
{
    return db == 0 && slice_starts(key, S("g:")) ? (const struct rule *)l : NULL;
}

static struct load_answer consult(struct loader *l, const struct rule *r, const struct key *k, struct entry *e,
                                  enum key_use use, struct outcome *outcome, struct now now)
{
    struct test_loader *t = container_of(l, struct test_loader, loader);
    assert_ptr_equal(r, l);
    assert_true(use == KEY_READS || use == KEY_NEEDS);
    t->consult_count++;
    if (t->refusal != OK) {
        return (struct load_answer){.verdict = VERDICT_FAIL, .error = t->refusal};
    }
    if (outcome && outcome->kind == OUTCOME_ERROR) {
        return (struct load_answer){.verdict = VERDICT_FAIL, .error = outcome->error, .error_text = outcome->text};
    }
    if (outcome && outcome->kind == OUTCOME_TIMEOUT) {
        return (struct load_answer){.verdict = VERDICT_FAIL, .error = ERR_SOURCE_TIMEOUT};
    }
    if (outcome || e) {
        return (struct load_answer){.verdict = VERDICT_USE};
    }
    struct pending *p = pending_find(k->shard, k);
    if (!p) {
        p = pending_open(k->shard, k, NULL);
        assert_non_null(p);
        assert_true(t->load_count < LOADS_MAX);
        t->loads[t->load_count++] = p;
        t->loads_begun++;
    }
    /* The keys that are named "g:slow..." may wait twice as long. */
    int64_t wait_ms = slice_starts(k->bytes, S("g:slow")) ? 2 * WAIT_MS : WAIT_MS;
    return (struct load_answer){.verdict = VERDICT_PARK, .pending = p, .wait_until_mono_ms = now.mono_ms + wait_ms};
}

static void times(struct loader *l, const struct rule *r, struct now now, int64_t deadline, int64_t *ret_deadline,
                  int64_t *ret_fresh_until)
{
    (void)l;
    (void)r;
    *ret_deadline = *ret_fresh_until = deadline == NO_DEADLINE ? now.wall_ms + TTL_MS : deadline;
}

struct setting {
    struct fake_engine *engine;
    struct fake_door *door, *other;
    struct test_loader loader;
    struct effect_log log;
};

static int set_up(void **state)
{
    struct setting *s = calloc(1, sizeof *s);
    s->engine = fake_engine_new();
    s->loader.loader = (struct loader){.has_rules = true, .govern = govern, .consult = consult, .times = times};
    keyspace_set_loader(s->engine->engine.keyspace, &s->loader.loader);
    effect_log_init(&s->log, s->engine->engine.keyspace);
    s->door = fake_door_open(s->engine);
    s->other = fake_door_open(s->engine);
    *state = s;
    return 0;
}

/* Takes load `i` out of the open ones and ends it. */
static void end_load(struct setting *s, unsigned i, struct outcome *o, const char *value, bool stored)
{
    struct pending *p = s->loader.loads[i];
    assert_true(i < s->loader.load_count);
    memmove(&s->loader.loads[i], &s->loader.loads[i + 1], (--s->loader.load_count - i) * sizeof p);
    struct key k = keyspace_key(s->engine->engine.keyspace, 0, p->key);
    shard_lock(k.shard);
    o->voided = !p->attached;
    if (value && stored && p->attached && !shard_find(k.shard, &k)) {
        struct arena arena;
        struct effect fx;
        struct entry *e;
        arena_init(&arena);
        effect_init(&fx, &arena, clock_now(), false);
        struct content c = content_string(slice_of(value));
        assert_int_equal(shard_insert(k.shard, &k, &c, &fx, EVENT_fill, &e), OK);
        arena_fini(&arena);
    }
    pending_resolve(p, o);
    pending_close(p);
    shard_unlock(k.shard);
    outcome_unref(o);
}

static void end_with_value(struct setting *s, unsigned i, const char *value)
{
    struct content c = content_string(slice_of(value));
    end_load(s, i, outcome_new_value(s->loader.loads[i]->key, &c), value, true);
}

static void end_with_value_unstored(struct setting *s, unsigned i, const char *value)
{
    struct content c = content_string(slice_of(value));
    end_load(s, i, outcome_new_value(s->loader.loads[i]->key, &c), value, false);
}

static int tear_down(void **state)
{
    struct setting *s = *state;
    fake_door_close(s->door);
    fake_door_close(s->other);
    while (s->loader.load_count > 0) {
        end_load(s, 0, outcome_new_negative(), NULL, false);
    }
    keyspace_check(s->engine->engine.keyspace);
    fake_engine_free(s->engine);
    effect_log_fini(&s->log);
    assert_int_equal(metric_sum(METRIC_calls_parked_now), 0);
    free(s);
    return 0;
}

/* ---- refusals ------------------------------------------------------------------------------------------------------- */
static void test_words_of_refusal(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "foo", "-ERR unknown command 'foo', with args beginning with: ");
    ASK(s->door, "FOO a 'b c'", "-ERR unknown command 'FOO', with args beginning with: 'a' 'b c' ");
    ASK(s->door, "foo \"a\\r\\nb\"", "-ERR unknown command 'foo', with args beginning with: 'a  b' ");
    ASK(s->door, "foo \"a\\x00b\"", "-ERR unknown command 'foo', with args beginning with: 'a' ");
    ASK(s->door, "GET", "-ERR wrong number of arguments for 'get' command");
    ASK(s->door, "client", "-ERR wrong number of arguments for 'client' command");
    ASK(s->door, "client id x", "-ERR wrong number of arguments for 'client|id' command");
    ASK(s->door, "CLIENT Foo", "-ERR unknown subcommand 'Foo'. Try CLIENT HELP.");
    ASK(s->door, "client|id", "-ERR unknown command 'client|id', with args beginning with: ");
    ASK(s->door, "MSET a", "-ERR wrong number of arguments for 'mset' command");
    ASK(s->door, "MSET a b c", "-ERR wrong number of arguments for 'mset' command");
    ASK(s->door, "COMMAND NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP.");
}

static void test_long_arguments_of_unknown_commands_are_cut(void **state)
{
    struct setting *s = *state;
    char word[201] = {0}, expected[512];
    memset(word, 'x', 200);
    slice argv[] = {S("foo"), slice_of(word), S("never shown")};
    snprintf(expected, sizeof expected, "-ERR unknown command 'foo', with args beginning with: '%.128s' ", word);
    assert_string_equal(fake_door_run_argv(s->door, 3, argv), expected);
}

static void test_password(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "CONFIG SET requirepass hush", "+OK");
    ASK(s->door, "PING", "+PONG"); /* it was in before there was a password */
    struct fake_door *d = fake_door_open(s->engine);
    ASK(d, "PING", "-NOAUTH Authentication required.");
    ASK(d, "foo", "-ERR unknown command 'foo', with args beginning with: ");
    ASK(d, "GET", "-ERR wrong number of arguments for 'get' command");
    ASK(d, "HELLO",
        "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
        "option can be used to authenticate the client and select the RESP protocol version at the same time");
    ASK(d, "AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled.");
    ASK(d, "AUTH joe hush", "-WRONGPASS invalid username-password pair or user is disabled.");
    ASK(d, "AUTH hush", "+OK");
    ASK(d, "PING", "+PONG");
    ASK(d, "RESET", "+RESET");
    ASK(d, "PING", "-NOAUTH Authentication required.");
    ASK(d, "AUTH default hush", "+OK");
    ASK(d, "CONFIG SET requirepass ''", "+OK");
    fake_door_close(d);
}

static void test_memory_limit(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "SET k v", "+OK");
    ASK(s->door, "CONFIG SET maxmemory 1", "+OK");
    uint64_t rejected = command_figures(command_find(S("set"))->number).rejected;
    ASK(s->door, "SET k2 v", "-OOM command not allowed when used memory > 'maxmemory'.");
    assert_int_equal(command_figures(command_find(S("set"))->number).rejected, rejected + 1);
    ASK(s->door, "GET k", "\"v\"");
    ASK(s->door, "DEL k", ":1");
    ASK(s->door, "CONFIG SET maxmemory 0", "+OK");
    ASK(s->door, "SET k2 v", "+OK");
}

/* ---- effects and counters ------------------------------------------------------------------------------------------- */
static void test_effects(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "MSET a 1 b 2", "+OK");
    assert_string_equal(effect_log_take(&s->log), "set a, set b [MSET a 1 b 2]");
    ASK(s->door, "GET a", "\"1\"");
    ASK(s->door, "DEL nosuch", ":0");
    ASK(s->door, "INCR c d", "-ERR wrong number of arguments for 'incr' command");
    assert_string_equal(effect_log_take(&s->log), "");
    ASK(s->door, "DEL a a b", ":2");
    assert_string_equal(effect_log_take(&s->log), "del a, del b [DEL a a b]");
    ASK(s->door, "SELECT 3", "+OK");
    ASK(s->door, "SET a 1", "+OK");
    assert_string_equal(effect_log_take(&s->log), "set a@3 [SET a 1]");
    ASK(s->door, "FLUSHDB", "+OK");
    assert_string_equal(effect_log_take(&s->log), " [FLUSHDB]");
    ASK(s->door, "SWAPDB 3 4", "+OK");
    assert_string_equal(effect_log_take(&s->log), " [SWAPDB 3 4]");
}

static void assert_recorded(struct setting *s, const char *line, const char *before_the_time, const char *after)
{
    fake_door_run(s->door, line);
    const char *told = effect_log_take(&s->log);
    size_t len = strlen(before_the_time);
    if (strncmp(told, before_the_time, len) != 0 || strcmp(told + len + strspn(told + len, "0123456789"), after) != 0) {
        fail_msg("%s: %s", line, told);
    }
}

static void test_a_rule_s_times_are_recorded(void **state)
{
    struct setting *s = *state;
    assert_recorded(s, "MSET g:a 1 b 2", "set g:a, set b [MSET g:a 1 b 2] [PEXPIREAT g:a ", "]");
    assert_recorded(s, "COPY b g:c REPLACE", "copy_to g:c [COPY b g:c REPLACE] [PEXPIREAT g:c ", "]");
    assert_recorded(s, "SET g:d 1", "set g:d [SET g:d 1 PXAT ", "]");
    assert_recorded(s, "APPEND g:d 1", "append g:d [APPEND g:d 1]", "");
}

static void test_expired_keys_go_before_the_verb(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "SET k v PX 100000", "+OK");
    ASK(s->door, "SET k2 v PX 100000", "+OK");
    ASK(s->door, "SET k3 v PX 100000", "+OK");
    effect_log_take(&s->log);
    if (!fake_clock_advance(s->engine, 50000)) {
        skip();
    }
    ASK(s->door, "EXISTS k", ":1");
    fake_clock_advance(s->engine, 60000);
    uint64_t expired = metric_sum(METRIC_keys_expired);
    ASK(s->door, "GET k", "nil");
    assert_string_equal(effect_log_take(&s->log), "expired k [DEL k]");
    ASK(s->door, "APPEND k2 x", ":1");
    assert_string_equal(effect_log_take(&s->log), "expired k2, append k2 [DEL k2] [APPEND k2 x]");
    ASK(s->door, "PERSIST k3", ":0"); /* a WRITE that changed nothing itself has no record */
    assert_string_equal(effect_log_take(&s->log), "expired k3 [DEL k3]");
    assert_int_equal(metric_sum(METRIC_keys_expired), expired + 3);
}

/* What one argument has removed another of the same call does not find. */
static void test_an_expired_key_that_is_named_twice(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "SET k v PX 50000", "+OK");
    ASK(s->door, "SET k2 v PX 50000", "+OK");
    if (!fake_clock_advance(s->engine, 60000)) {
        skip();
    }
    ASK(s->door, "MGET k k k", "*3 nil nil nil");
    ASK(s->door, "DEL k2 k2", ":0");
    ASK(s->door, "MGET k k2 k", "*3 nil nil nil");
    keyspace_check(s->engine->engine.keyspace);
}

static void test_counters(void **state)
{
    struct setting *s = *state;
    uint64_t hits = metric_sum(METRIC_keyspace_hits), misses = metric_sum(METRIC_keyspace_misses);
    struct command_figures before = command_figures(command_find(S("mget"))->number);
    ASK(s->door, "MSET a 1 b 2", "+OK");
    ASK(s->door, "MGET a nosuch b", "*3 \"1\" nil \"2\"");
    ASK(s->door, "INCR a", ":2");
    assert_int_equal(metric_sum(METRIC_keyspace_hits), hits + 2);
    assert_int_equal(metric_sum(METRIC_keyspace_misses), misses + 1);
    struct command_figures after = command_figures(command_find(S("mget"))->number);
    assert_int_equal(after.calls, before.calls + 1);
    assert_int_equal(after.failed, before.failed);
    before = command_figures(command_find(S("incr"))->number);
    uint64_t errors = metric_error_sum(ERR_NOT_INTEGER);
    ASK(s->door, "SET a x", "+OK");
    ASK(s->door, "INCR a", "-ERR value is not an integer or out of range");
    assert_int_equal(command_figures(command_find(S("incr"))->number).failed, before.failed + 1);
    assert_int_equal(metric_error_sum(ERR_NOT_INTEGER), errors + 1);
    ASK(s->door, "INCR", "-ERR wrong number of arguments for 'incr' command");
    assert_int_equal(command_figures(command_find(S("incr"))->number).rejected, before.rejected + 1);
    const struct session *session = fake_door_session(s->door);
    assert_int_equal(session->command_count, 5);
    assert_string_equal(session->last_command->name, "incr");
}

static void test_looking_is_no_use(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "SET k v", "+OK");
    if (!fake_clock_advance(s->engine, 10000)) {
        skip();
    }
    ASK(s->door, "TTL k", ":-1");
    ASK(s->door, "OBJECT IDLETIME k", ":10");
    ASK(s->door, "CLIENT NO-TOUCH ON", "+OK");
    ASK(s->door, "GET k", "\"v\"");
    ASK(s->door, "OBJECT IDLETIME k", ":10");
    ASK(s->door, "TOUCH k", ":1");
    ASK(s->door, "OBJECT IDLETIME k", ":0");
    fake_clock_advance(s->engine, 10000);
    ASK(s->door, "CLIENT NO-TOUCH OFF", "+OK");
    ASK(s->door, "GET k", "\"v\"");
    ASK(s->door, "OBJECT IDLETIME k", ":0");
}

/* ---- parking -------------------------------------------------------------------------------------------------------- */
static void test_a_missing_key_is_loaded_once(void **state)
{
    struct setting *s = *state;
    uint64_t hits = metric_sum(METRIC_keyspace_hits), misses = metric_sum(METRIC_keyspace_misses);
    assert_int_equal(fake_door_start(s->door, "GET g:1"), RUN_PARKED);
    assert_int_equal(fake_door_start(s->other, "GET g:1"), RUN_PARKED);
    assert_null(fake_door_reply(s->door));
    assert_int_equal(s->loader.loads_begun, 1);
    assert_int_equal(metric_sum(METRIC_calls_parked_now), 2);
    end_with_value(s, 0, "one");
    assert_null(fake_door_reply(s->door)); /* not before the worker has heard of it */
    fake_turn(s->engine);
    assert_string_equal(fake_door_reply(s->door), "\"one\"");
    assert_string_equal(fake_door_reply(s->other), "\"one\"");
    ASK(s->door, "GET g:1", "\"one\"");
    assert_int_equal(s->loader.loads_begun, 1);
    assert_int_equal(metric_sum(METRIC_keyspace_misses), misses + 2);
    assert_int_equal(metric_sum(METRIC_keyspace_hits), hits + 1);
}

static void test_several_keys_park_once(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "MSET plain p g:there t", "+OK");
    uint64_t parked = metric_sum(METRIC_calls_parked);
    assert_int_equal(fake_door_start(s->door, "MGET g:1 plain g:2 g:there g:1 g:3"), RUN_PARKED);
    assert_int_equal(s->loader.loads_begun, 3);
    assert_int_equal(s->loader.consult_count, 5);
    end_with_value(s, 2, "three");
    end_load(s, 1, outcome_new_negative(), NULL, false);
    fake_turn(s->engine);
    assert_null(fake_door_reply(s->door));
    end_with_value(s, 0, "one");
    fake_turn(s->engine);
    assert_string_equal(fake_door_reply(s->door), "*6 \"one\" \"p\" nil \"t\" \"one\" \"three\"");
    assert_int_equal(metric_sum(METRIC_calls_parked), parked + 1);
    assert_int_equal(s->loader.consult_count, 10);
}

static void test_uses_that_never_load(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "SET g:1 v", "+OK");
    ASK(s->door, "TTL g:1", ":60"); /* the rule's */
    ASK(s->door, "DEL g:1 g:2", ":1");
    ASK(s->door, "OBJECT ENCODING g:1", "nil");
    ASK(s->door, "MSET g:1 a g:2 b", "+OK");
    assert_int_equal(s->loader.consult_count, 1);
    ASK(s->door, "SELECT 1", "+OK");
    ASK(s->door, "GET g:9", "nil"); /* rules govern database 0 */
    assert_int_equal(s->loader.loads_begun, 0);
}

static void test_error_of_a_load(void **state)
{
    struct setting *s = *state;
    assert_int_equal(fake_door_start(s->door, "MGET g:1 g:2"), RUN_PARKED);
    end_load(s, 0, outcome_new_error(ERR_SOURCE, S("no such table: product")), NULL, false);
    end_with_value(s, 0, "two");
    fake_turn(s->engine);
    assert_string_equal(fake_door_reply(s->door), "-SOURCEERR no such table: product");
    s->loader.refusal = ERR_SOURCE_DOWN;
    ASK(s->door, "GET g:7", "-SOURCEDOWN the source is unavailable");
    s->loader.refusal = OK;
}

static void test_time_is_up(void **state)
{
    struct setting *s = *state;
    uint64_t timed_out = metric_sum(METRIC_waits_timed_out);
    assert_int_equal(fake_door_start(s->door, "GET g:1"), RUN_PARKED);
    if (!fake_clock_advance(s->engine, WAIT_MS - MARGIN_MS)) {
        skip();
    }
    assert_null(fake_door_reply(s->door));
    fake_clock_advance(s->engine, MARGIN_MS);
    assert_string_equal(fake_door_reply(s->door), "-SOURCETIMEOUT the source did not answer in time");
    assert_int_equal(metric_sum(METRIC_waits_timed_out), timed_out + 1);
    end_with_value(s, 0, "late");
    ASK(s->door, "GET g:1", "\"late\"");
}

static void test_each_key_has_its_own_time(void **state)
{
    struct setting *s = *state;
    assert_int_equal(fake_door_start(s->door, "MGET g:slow g:1"), RUN_PARKED);
    if (!fake_clock_advance(s->engine, WAIT_MS)) {
        skip();
    }
    assert_null(fake_door_reply(s->door)); /* one is still waited for */
    fake_clock_advance(s->engine, WAIT_MS);
    assert_string_equal(fake_door_reply(s->door), "-SOURCETIMEOUT the source did not answer in time");
}

static void test_unblock(void **state)
{
    struct setting *s = *state;
    char line[64];
    snprintf(line, sizeof line, "CLIENT UNBLOCK %d", (int)fake_door_session(s->door)->id);
    ASK(s->other, line, ":0"); /* it does not wait */
    assert_int_equal(fake_door_start(s->door, "MGET g:1 g:2"), RUN_PARKED);
    end_with_value(s, 0, "one");
    ASK(s->other, line, ":1");
    assert_string_equal(fake_door_reply(s->door), "-SOURCETIMEOUT the source did not answer in time");
    snprintf(line, sizeof line, "CLIENT UNBLOCK %d ERROR", (int)fake_door_session(s->door)->id);
    assert_int_equal(fake_door_start(s->door, "MGET g:3 g:4"), RUN_PARKED);
    ASK(s->other, line, ":1");
    assert_string_equal(fake_door_reply(s->door), "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
    ASK(s->other, line, ":0");
    ASK(s->door, "PING", "+PONG");
    assert_int_equal(metric_sum(METRIC_calls_parked_now), 0);
}

/* A write whose load comes while writes are held waits on, and changes nothing before the pause is over. */
static void test_a_pause_holds_what_was_loaded_for(void **state)
{
    struct setting *s = *state;
    assert_int_equal(fake_door_start(s->door, "APPEND g:1 !"), RUN_PARKED);
    ASK(s->other, "CLIENT PAUSE 100000 WRITE", "+OK");
    end_with_value(s, 0, "one");
    fake_turn(s->engine);
    assert_null(fake_door_reply(s->door));
    ASK(s->other, "GET g:1", "\"one\"");
    ASK(s->other, "CLIENT UNPAUSE", "+OK");
    assert_string_equal(fake_door_reply(s->door), ":4");
    ASK(s->other, "GET g:1", "\"one!\"");
}

static void test_a_held_call_is_cancelled(void **state)
{
    struct setting *s = *state;
    struct fake_door *gone = fake_door_open(s->engine);
    ASK(s->door, "CLIENT PAUSE 100000 WRITE", "+OK");
    assert_int_equal(fake_door_start(gone, "SET k v"), RUN_PARKED);
    fake_door_close(gone);
    ASK(s->door, "CLIENT UNPAUSE", "+OK");
    ASK(s->door, "GET k", "nil");
}

/* A connection goes while its call travels. */
static void test_a_traveller_is_cancelled(void **state)
{
    struct setting *s = *state;
    struct fake_door *gone = fake_door_open(s->engine);
    assert_int_equal(fake_door_start(gone, "CLIENT KILL ID 12345"), RUN_PARKED);
    fake_door_close(gone);
    fake_turn(s->engine);
    fake_turn(s->engine);
    ASK(s->door, "CLIENT KILL TYPE normal", ":1");
    assert_true(fake_door_killed(s->other));
    assert_false(fake_door_killed(s->door));
}

static bool has(slice text, const char *part)
{
    return text.ptr && memmem(text.ptr, text.len, part, strlen(part));
}

static void test_monitor(void **state)
{
    struct setting *s = *state;
    ASK(s->other, "MONITOR", "+OK");
    ASK(s->door, "SET k 'a b'", "+OK");
    ASK(s->door, "AUTH default secret", "+OK");
    ASK(s->door, "CONFIG GET port", "*2 \"port\" \"6379\"");
    assert_int_equal(fake_door_start(s->door, "GET g:1"), RUN_PARKED);
    fake_turn(s->engine);
    slice told = fake_door_told(s->other);
    assert_true(has(told, "] \"SET\" \"k\" \"a b\"\n"));
    assert_true(has(told, "] \"AUTH\" \"(redacted)\" \"(redacted)\"\n"));
    assert_false(has(told, "CONFIG"));
    assert_false(has(told, "GET")); /* it waits: shown once, when it runs */
    end_with_value(s, 0, "one");
    fake_turn(s->engine);
    fake_turn(s->engine);
    told = fake_door_told(s->other);
    assert_true(has(told, "] \"GET\" \"g:1\"\n"));
}

static void test_cancel(void **state)
{
    struct setting *s = *state;
    struct fake_door *gone = fake_door_open(s->engine);
    assert_int_equal(fake_door_start(gone, "MGET g:1 g:2"), RUN_PARKED);
    assert_int_equal(fake_door_start(s->door, "GET g:1"), RUN_PARKED);
    fake_door_close(gone);
    assert_int_equal(s->loader.loads[0]->waiter_count, 1);
    assert_int_equal(s->loader.loads[1]->waiter_count, 0);
    end_with_value(s, 0, "one");
    fake_turn(s->engine);
    assert_string_equal(fake_door_reply(s->door), "\"one\"");
}

static void test_cancel_when_the_message_is_on_its_way(void **state)
{
    struct setting *s = *state;
    struct fake_door *gone = fake_door_open(s->engine);
    assert_int_equal(fake_door_start(gone, "MGET g:1 g:2"), RUN_PARKED);
    end_with_value(s, 0, "one");
    end_with_value(s, 0, "two");
    fake_door_close(gone);
    fake_turn(s->engine);
    ASK(s->door, "MGET g:1 g:2", "*2 \"one\" \"two\"");
}

static void test_a_reader_takes_a_voided_value(void **state)
{
    struct setting *s = *state;
    assert_int_equal(fake_door_start(s->door, "GET g:1"), RUN_PARKED);
    ASK(s->other, "DEL g:1", ":0"); /* absent, and yet what is loading is old from now on */
    assert_false(s->loader.loads[0]->attached);
    end_with_value(s, 0, "old");
    fake_turn(s->engine);
    assert_string_equal(fake_door_reply(s->door), "\"old\"");
    assert_int_equal(fake_door_start(s->door, "GET g:1"), RUN_PARKED); /* and it was not kept */
    assert_int_equal(s->loader.loads_begun, 2);
}

static void test_nothing_is_built_upon_a_voided_value(void **state)
{
    struct setting *s = *state;
    assert_int_equal(fake_door_start(s->door, "APPEND g:1 !"), RUN_PARKED);
    ASK(s->other, "DEL g:1", ":0");
    end_with_value(s, 0, "old");
    fake_turn(s->engine);
    assert_null(fake_door_reply(s->door));
    assert_int_equal(s->loader.loads_begun, 2);
    end_with_value(s, 0, "new");
    fake_turn(s->engine);
    assert_string_equal(fake_door_reply(s->door), ":4");
    ASK(s->door, "GET g:1", "\"new!\"");
}

static void test_waiting_again_takes_no_more_time(void **state)
{
    struct setting *s = *state;
    assert_int_equal(fake_door_start(s->door, "APPEND g:1 !"), RUN_PARKED);
    if (!fake_clock_advance(s->engine, WAIT_MS - MARGIN_MS)) {
        skip();
    }
    ASK(s->other, "DEL g:1", ":0");
    end_with_value(s, 0, "old");
    fake_turn(s->engine);
    assert_null(fake_door_reply(s->door));
    fake_clock_advance(s->engine, MARGIN_MS);
    assert_string_equal(fake_door_reply(s->door), "-SOURCETIMEOUT the source did not answer in time");
    effect_log_take(&s->log);
}

static void test_a_write_that_came_meanwhile_is_what_counts(void **state)
{
    struct setting *s = *state;
    assert_int_equal(fake_door_start(s->door, "INCR g:1"), RUN_PARKED);
    ASK(s->other, "SET g:1 41", "+OK");
    end_with_value(s, 0, "7");
    fake_turn(s->engine);
    assert_string_equal(fake_door_reply(s->door), ":42");
}

static void test_a_value_that_was_not_stored(void **state)
{
    struct setting *s = *state;
    assert_int_equal(fake_door_start(s->door, "GET g:1"), RUN_PARKED);
    end_with_value_unstored(s, 0, "huge");
    fake_turn(s->engine);
    assert_string_equal(fake_door_reply(s->door), "\"huge\"");
    assert_int_equal(fake_door_start(s->door, "APPEND g:2 !"), RUN_PARKED);
    end_with_value_unstored(s, 0, "huge");
    fake_turn(s->engine);
    assert_string_equal(fake_door_reply(s->door), ":5");
    ASK(s->door, "GET g:2", "\"huge!\"");
    assert_int_equal(fake_door_start(s->door, "GETDEL g:3"), RUN_PARKED);
    end_with_value_unstored(s, 0, "huge");
    fake_turn(s->engine);
    assert_string_equal(fake_door_reply(s->door), "\"huge\"");
    assert_int_equal(fake_door_start(s->door, "RENAME g:4 g:5"), RUN_PARKED);
    end_with_value_unstored(s, 0, "four");
    fake_turn(s->engine);
    assert_string_equal(fake_door_reply(s->door), "+OK");
    ASK(s->door, "GET g:5", "\"four\"");
}

static void test_flush_voids_what_loads(void **state)
{
    struct setting *s = *state;
    assert_int_equal(fake_door_start(s->door, "GET g:1"), RUN_PARKED);
    ASK(s->other, "FLUSHALL", "+OK");
    end_with_value(s, 0, "old");
    fake_turn(s->engine);
    assert_string_equal(fake_door_reply(s->door), "\"old\"");
    ASK(s->door, "DBSIZE", ":0");
}

/* ---- two threads ---------------------------------------------------------------------------------------------------- */
struct race {
    struct setting *s;
    unsigned begun; /* atomic: how many rounds may be ended */
    unsigned ended; /* atomic */
    unsigned rounds;
};

static void end_rounds(void *argument)
{
    struct race *r = argument;
    for (unsigned i = 0; i < r->rounds; i++) {
        while (__atomic_load_n(&r->begun, __ATOMIC_ACQUIRE) <= i) {
            usleep(1);
        }
        while (r->s->loader.load_count > 0) {
            end_with_value_unstored(r->s, 0, "v");
        }
        __atomic_store_n(&r->ended, i + 1, __ATOMIC_RELEASE);
    }
}

/* Loads end on another thread while the connection goes away, or while it waits. */
static void test_waking_against_leaving(void **state)
{
    struct setting *s = *state;
    struct race race = {.s = s, .rounds = 300};
    struct thread helper = {0};
    assert_int_equal(thread_start(&helper, "loader", end_rounds, &race), OK);
    for (unsigned i = 0; i < race.rounds; i++) {
        struct fake_door *d = fake_door_open(s->engine);
        assert_int_equal(fake_door_start(d, "MGET g:1 g:2 g:3"), RUN_PARKED);
        __atomic_store_n(&race.begun, i + 1, __ATOMIC_RELEASE);
        if (i % 3 == 0) {
            usleep(i % 50);
        }
        if (i % 2 == 0) {
            while (!fake_door_reply(d)) {
                fake_turn(s->engine);
            }
            assert_string_equal(fake_door_reply(d), "*3 \"v\" \"v\" \"v\"");
        }
        fake_door_close(d);
        while (__atomic_load_n(&race.ended, __ATOMIC_ACQUIRE) <= i) {
            fake_turn(s->engine);
        }
    }
    thread_join(&helper);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- without locks ----------------------------------------------------------------------------------------------- */

static uint32_t lock_version(struct setting *s, const char *key)
{
    role_assume_worker();
    struct key k = keyspace_key(s->engine->engine.keyspace, 0, slice_of(key));
    struct sight sight;
    shard_look(&(struct look){.key = &k, .sight = &sight}, 1);
    return sight.version;
}

/* It has nothing to show but time: here only that it bears more keys than it has room for, absent ones and an empty database, and changes nothing. */
static void test_a_forecast_changes_nothing(void **state)
{
    struct setting *s = *state;
    role_assume_worker();
    struct session session = {.db = 0};
    struct forecast f = {0};
    ASK(s->door, "SET k v", "+OK");
    uint32_t version = lock_version(s, "k");
    forecast_fetch(&f);
    for (int i = 0; i < 3 * FORECAST_KEYS_MAX; i++) {
        forecast_add(&f, &session, &s->engine->engine, i % 2 ? S("k") : S("absent"));
    }
    assert_int_equal(f.count, FORECAST_KEYS_MAX);
    forecast_fetch(&f);
    assert_int_equal(f.count, 0);
    session.db = 1;
    forecast_add(&f, &session, &s->engine->engine, S("k"));
    forecast_fetch(&f);
    assert_int_equal(lock_version(s, "k"), version);
    ASK(s->door, "GET k", "\"v\"");
}

static void test_a_plain_read_takes_no_lock(void **state)
{
    struct setting *s = *state;
    ASK(s->door, "SET k v", "+OK");
    uint32_t version = lock_version(s, "k");
    ASK(s->door, "GET k", "\"v\"");
    ASK(s->door, "STRLEN k", ":1");
    ASK(s->door, "TTL k", ":-1");
    assert_int_equal(lock_version(s, "k"), version);
    ASK(s->door, "MGET k", "*1 \"v\"");
    assert_int_not_equal(lock_version(s, "k"), version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_forecast_changes_nothing),
        TEST(test_a_plain_read_takes_no_lock),
        TEST(test_words_of_refusal),
        TEST(test_long_arguments_of_unknown_commands_are_cut),
        TEST(test_password),
        TEST(test_memory_limit),
        TEST(test_effects),
        TEST(test_a_rule_s_times_are_recorded),
        TEST(test_expired_keys_go_before_the_verb),
        TEST(test_an_expired_key_that_is_named_twice),
        TEST(test_counters),
        TEST(test_looking_is_no_use),
        TEST(test_a_missing_key_is_loaded_once),
        TEST(test_several_keys_park_once),
        TEST(test_uses_that_never_load),
        TEST(test_error_of_a_load),
        TEST(test_time_is_up),
        TEST(test_each_key_has_its_own_time),
        TEST(test_unblock),
        TEST(test_a_pause_holds_what_was_loaded_for),
        TEST(test_a_held_call_is_cancelled),
        TEST(test_a_traveller_is_cancelled),
        TEST(test_monitor),
        TEST(test_cancel),
        TEST(test_cancel_when_the_message_is_on_its_way),
        TEST(test_a_reader_takes_a_voided_value),
        TEST(test_nothing_is_built_upon_a_voided_value),
        TEST(test_waiting_again_takes_no_more_time),
        TEST(test_a_write_that_came_meanwhile_is_what_counts),
        TEST(test_a_value_that_was_not_stored),
        TEST(test_flush_voids_what_loads),
        TEST(test_waking_against_leaving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
