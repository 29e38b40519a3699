/* Sources and rules: every knob arrives in its field, defaults, and a table of bad files with what is said about each. */
#include "config/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "base/assert.h"

/* Reads `text` as the file "f"; NULL when there are faults, which are then in `told`, NUL-terminated. */
static struct config_blocks *read_text(const char *text, struct buf *told)
{
    struct arena arena;
    struct parse_lines lines;
    struct faults faults;
    arena_init(&arena);
    parse_lines_init(&lines);
    faults_init(&faults);
    struct config_blocks *blocks = NULL;
    assert_int_equal(parse_text(slice_of(text), S("f"), &arena, &lines, &faults), OK);
    assert_int_equal(blocks_read(lines.first, 16, &faults, &blocks), OK);
    arena_fini(&arena); /* blocks own their text */
    buf_append(told, faults_text(&faults));
    buf_append_byte(told, '\0');
    if (faults.count > 0) {
        blocks_unref(blocks);
        blocks = NULL;
    }
    faults_fini(&faults);
    return blocks;
}

static void test_all_knobs(void **state)
{
    (void)state;
    struct buf told;
    buf_init(&told, 65536);
    struct config_blocks *b = read_text("rule product:{id} {\n"
                                        "  source shop\n"
                                        "  load \"SELECT x FROM product WHERE id = {id}\"\n"
                                        "  value json-array\n"
                                        "  database 3\n"
                                        "  ttl 5m\n"
                                        "  max-ttl 1d\n"
                                        "  ttl-jitter 10%\n"
                                        "  stale-while-revalidate 30s\n"
                                        "  stale-if-error 1h\n"
                                        "  refresh early beta=2.5\n"
                                        "  negative-ttl none\n"
                                        "  on-miss return\n"
                                        "  wait-timeout 700ms\n"
                                        "  max-waiters 5\n"
                                        "}\n"
                                        "source shop {\n"
                                        "  sqlite \"a b.db\"\n"
                                        "  connections 3\n"
                                        "  connect-timeout 1s\n"
                                        "  timeout 3s\n"
                                        "  max-inflight 16\n"
                                        "  retries 0\n"
                                        "  breaker errors=20% window=1s open=2s\n"
                                        "}\n",
                                        &told);
    assert_string_equal(told.bytes, "");
    buf_fini(&told);
    const struct config_source *s = blocks_find_source(b, S("shop"));
    assert_non_null(s);
    assert_true(slice_equal(s->target, S("a b.db")));
    assert_int_equal(s->place.line, 17);
    assert_int_equal(s->connections, 3);
    assert_int_equal(s->connect_timeout_ms, 1000);
    assert_int_equal(s->timeout_ms, 3000);
    assert_int_equal(s->max_inflight, 16);
    assert_int_equal(s->retries, 0);
    assert_true(s->breaker.enabled);
    assert_int_equal(s->breaker.errors_percent, 20);
    assert_int_equal(s->breaker.window_ms, 1000);
    assert_int_equal(s->breaker.open_ms, 2000);
    assert_int_equal(b->rule_count, 1);
    const struct config_rule *r = &b->rules[0];
    assert_ptr_equal(r->source, s);
    assert_true(slice_equal(r->pattern.text, S("product:{id}")));
    assert_int_equal(r->load.parameter_count, 1);
    assert_int_equal(r->value, CONFIG_VALUE_JSON_ARRAY);
    assert_int_equal(r->database, 3);
    assert_int_equal(r->ttl_ms, 300 * 1000);
    assert_int_equal(r->max_ttl_ms, 24 * 3600 * 1000);
    assert_int_equal(r->ttl_jitter_percent, 10);
    assert_int_equal(r->stale_while_revalidate_ms, 30 * 1000);
    assert_int_equal(r->stale_if_error_ms, 3600 * 1000);
    assert_int_equal(r->refresh, CONFIG_REFRESH_EARLY);
    assert_true(r->refresh_beta == 2.5);
    assert_int_equal(r->negative_ttl_ms, 0);
    assert_int_equal(r->on_miss, CONFIG_ON_MISS_RETURN);
    assert_int_equal(r->wait_timeout_ms, 700);
    assert_int_equal(r->max_waiters, 5);
    blocks_unref(b);
}

static void test_defaults(void **state)
{
    (void)state;
    struct buf told;
    buf_init(&told, 65536);
    struct config_blocks *b =
        read_text("source s {\n sqlite x\n}\nrule a:{x} {\n source s\n load \"SELECT {x}\"\n refresh ahead 90%\n}\n"
                  "rule b:* {\n}\nsource t {\n sqlite y\n breaker off\n timeout 5s\n}\n",
                  &told);
    assert_string_equal(told.bytes, "");
    buf_fini(&told);
    const struct config_source *s = &b->sources[0];
    assert_int_equal(s->connections, 8);
    assert_int_equal(s->connect_timeout_ms, 500);
    assert_int_equal(s->timeout_ms, 2000);
    assert_int_equal(s->max_inflight, 64);
    assert_int_equal(s->retries, 1);
    assert_int_equal(s->breaker.errors_percent, 50);
    assert_false(b->sources[1].breaker.enabled);
    const struct config_rule *loads = &b->rules[0], *plain = &b->rules[1];
    assert_int_equal(loads->value, CONFIG_VALUE_STRING);
    assert_int_equal(loads->ttl_ms, 0);
    assert_int_equal(loads->negative_ttl_ms, 10000);
    assert_int_equal(loads->on_miss, CONFIG_ON_MISS_LOAD);
    assert_int_equal(loads->wait_timeout_ms, 3000);
    assert_int_equal(loads->max_waiters, 10000);
    assert_int_equal(loads->refresh, CONFIG_REFRESH_AHEAD);
    assert_int_equal(loads->refresh_ahead_percent, 90);
    assert_null(plain->source);
    assert_int_equal(plain->negative_ttl_ms, 0);
    assert_int_equal(plain->on_miss, CONFIG_ON_MISS_RETURN);
    assert_int_equal(plain->wait_timeout_ms, 500);
    blocks_unref(b);
}

#define SHOP "source shop {\n sqlite x\n}\n"                                              /* lines 1 to 3 */
#define RULE(lines) SHOP "rule a:{x} {\n source shop\n load \"SELECT {x}\"\n" lines "}\n" /* its lines begin at 7 */

static void test_bad_files(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"source {\n}", "f:1: source: found 0 words before {, expected one name\n"},
        {"source \"\" {\n}", "f:1: source: found \"\" before {, expected a name\n"},
        {"source a b {\n}", "f:1: source: found 2 words before {, expected one name\n"},
        {"source a {\n}",
         "f:1: source a: found no line that says what it is, expected sqlite \"FILE\" or postgres \"URL\"\n"},
        {"source a {\n postgres app:secret@host\n}",
         "f:2: postgres: found something else, expected a URL like postgresql://app@127.0.0.1/shop\n"},
        {"source a {\n sqlite x\n postgres postgresql:///y\n}",
         "f:3: postgres: found a second line that says what the source is, expected one\n"},
        {"source a {\n http x\n}", "f:2: http is not supported by this version\n"},
        {"source a {\n sqlite\n}", "f:2: sqlite: found 0 values, expected one\n"},
        {"source a {\n sqlite \"\"\n}", "f:2: sqlite: found \"\", expected the path of a database file\n"},
        {"source a {\n sqlite x\n sqlite y\n}", "f:3: sqlite is given twice in this source\n"},
        {"source a {\n sqlite x\n connections 0\n}",
         "f:3: connections: found \"0\", expected a number from 1 to 1024\n"},
        {"source a {\n sqlite x\n retries -1\n}", "f:3: retries: found \"-1\", expected a number from 0 to 100\n"},
        {"source a {\n sqlite x\n timeout 2\n}",
         "f:3: timeout: found \"2\", expected a duration like 500ms, 10s, 5m\n"},
        {"source a {\n sqlite x\n timeout 0s\n}",
         "f:3: timeout: found \"0s\", expected a duration like 500ms, 10s, 5m\n"},
        {"source a {\n sqlite x\n breaker errors=0%\n}",
         "f:3: breaker: found \"errors=0%\", expected errors=50%, window=10s, open=5s, or off\n"},
        {"source a {\n sqlite x\n timout 2s\n}",
         "f:3: found \"timout\", expected a knob of a source; the nearest is \"timeout\"\n"},
        {"source a {\n sqlite x\n}\nsource a {\n sqlite y\n}", "f:4: source a is defined twice, first at f:1\n"},
        {"rule a:{x} y {\n}", "f:1: rule: found 2 words before {, expected one pattern\n"},
        {"rule a:{x {\n}",
         "f:1: rule: found \"a:{x\", expected a pattern like product:{id}: a part is not closed by }\n"},
        {"rule a:{x} {\n source shop\n load \"SELECT {x}\"\n}",
         "f:2: source: found \"shop\", expected the name of a source\n"},
        {SHOP "rule a:{x} {\n source shpo\n load \"SELECT {x}\"\n}",
         "f:5: source: found \"shpo\", expected the name of a source; the nearest is \"shop\"\n"},
        {SHOP "rule a:{x} {\n source shop\n}", "f:4: rule a:{x}: found source without load, expected both or none\n"},
        {SHOP "rule a:{x} {\n load \"SELECT {x}\"\n}",
         "f:4: rule a:{x}: found load without source, expected both or none\n"},
        {SHOP "rule a:{x} {\n source shop\n load \"SELECT {y}\"\n}",
         "f:6: load: {y} is no part of the pattern a:{x}\n"},
        {SHOP "rule a:{x}:{y} {\n source shop\n load \"SELECT '{x}', {y}\"\n}",
         "f:4: rule a:{x}:{y}: the part {x} is never used in load\n"},
        {SHOP "rule a:* {\n source shop\n load \"SELECT 1\"\n}",
         "f:4: rule a:*: a rule that loads cannot end in *, as no parameter can name what it matches\n"},
        {RULE(" value hash\n"), "f:7: value hash is not supported by this version\n"},
        {RULE(" value yaml\n"), "f:7: value: found \"yaml\", expected string, json or json-array\n"},
        {RULE(" on-miss lease\n"), "f:7: on-miss lease is not supported by this version\n"},
        {RULE(" on-miss wait\n"), "f:7: on-miss wait is not supported by this version\n"},
        {RULE(" on-miss nil\n"), "f:7: on-miss: found \"nil\", expected load or return\n"},
        {RULE(" idle-ttl 5m\n"), "f:7: idle-ttl is not supported by this version\n"},
        {RULE(" write through\n"), "f:7: write is not supported by this version\n"},
        {RULE(" ttl 5 m\n"), "f:7: ttl: found 2 values, expected one\n"},
        {RULE(" ttl soon\n"), "f:7: ttl: found \"soon\", expected a duration like 500ms, 10s, 5m, 24h, 7d, or none\n"},
        {RULE(" ttl-jitter 10\n"), "f:7: ttl-jitter: found \"10\", expected a percentage from 0% to 100%\n"},
        {RULE(" refresh early beta=0\n"),
         "f:7: refresh: found \"beta=0\", expected off, early beta=1.0 (over 0, at most 1000), or ahead 90% (1% to 99%)\n"},
        {RULE(" refresh ahead 100%\n"),
         "f:7: refresh: found \"100%\", expected off, early beta=1.0 (over 0, at most 1000), or ahead 90% (1% to 99%)\n"},
        {RULE(" database 16\n"), "f:7: database: found \"16\", expected a number from 0 to 15\n"},
        {RULE(" tll 1s\n"), "f:7: found \"tll\", expected a knob of a rule; the nearest is \"ttl\"\n"},
        {"rule a:{x} {\n on-miss load\n}", "f:1: rule a:{x}: found on-miss load, expected a source to load from\n"},
        {"rule a:{x} {\n}\nrule a:{y} {\n}",
         "f:3: rule a:{y} ties with rule a:{x} at f:1: both match the key \"a:x\" and neither goes first\n"},
        {"rule a:{x}:b {\n}\nrule a:{x}b: {\n}", ""},
        {"rule a:{x} {\n}\nrule a:{y} {\n database 1\n}", ""},
        {"rule a:{x} {\n ttl x\n stale-if-error y\n}\nrule b {\n ttl z\n}\n",
         "f:2: ttl: found \"x\", expected a duration like 500ms, 10s, 5m, 24h, 7d, or none\n"
         "f:3: stale-if-error: found \"y\", expected a duration like 500ms, 10s, 5m, 24h, 7d, or none\n"
         "f:6: ttl: found \"z\", expected a duration like 500ms, 10s, 5m, 24h, 7d, or none\n"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf told;
        buf_init(&told, 65536);
        struct config_blocks *b = read_text(cases[i][0], &told);
        assert_string_equal(told.bytes, cases[i][1]);
        assert_int_equal(b == NULL, told.bytes[0] != '\0');
        blocks_unref(b);
        buf_fini(&told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_knobs),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
