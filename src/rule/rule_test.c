/* Which rule governs: against a plain search over all rules, with many random ones; sharing of sources and accounts between sets. */
#include "rule/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/random.h"
#include "rule/testing.h"

static struct rule_set *set_of(const char *text, const struct rule_set *before)
{
    struct config_blocks *blocks = testing_blocks(text);
    struct rule_set *set = NULL;
    assert_int_equal(rule_set_new(blocks, before, 1, testing_driver, &set), OK);
    blocks_unref(blocks);
    return set;
}

static void assert_governed(const struct rule_set *set, unsigned db, const char *key, const char *pattern)
{
    const struct rule *r = rule_set_find(set, db, slice_of(key));
    if (!pattern) {
        assert_null(r);
        return;
    }
    assert_non_null(r);
    assert_true(slice_equal(r->config->pattern.text, slice_of(pattern)));
}

static void the_longest_literal_prefix_governs(void **state)
{
    (void)state;
    struct rule_set *set = set_of(
        "rule product:{id} {\n ttl 1s\n}\nrule product:new:{id} {\n ttl 1s\n}\nrule product:* {\n ttl 1s\n}\n"
        "rule {shop}:orders {\n ttl 1s\n}\nrule p{x}:y {\n ttl 1s\n}\nrule session:* {\n database 3\n ttl 1s\n}\n",
        NULL);
    assert_governed(set, 0, "product:42", "product:{id}");
    assert_governed(set, 0, "product:new:42", "product:new:{id}");
    assert_governed(set, 0, "product:new:", "product:*");
    assert_governed(set, 0, "product:", "product:*");
    assert_governed(set, 0, "product", NULL);
    assert_governed(set, 0, "a:orders", "{shop}:orders");
    assert_governed(set, 0, "product:orders", "product:{id}");
    assert_governed(set, 0, "paul:orders", "{shop}:orders");
    assert_governed(set, 0, "paul:y", "p{x}:y");
    assert_governed(set, 0, ":orders", NULL);
    assert_governed(set, 0, "", NULL);
    assert_governed(set, 0, "\xff\xff", NULL);
    assert_governed(set, 0, "session:1", NULL);
    assert_governed(set, 3, "session:1", "session:*");
    assert_governed(set, 3, "product:1", NULL);
    assert_governed(set, 15, "product:1", NULL);
    rule_set_free(set);

    set = set_of("", NULL);
    assert_governed(set, 0, "product:42", NULL);
    rule_set_free(set);

    set = set_of("rule * {\n ttl 1s\n}\n", NULL);
    assert_governed(set, 0, "", "*");
    assert_governed(set, 0, "anything", "*");
    rule_set_free(set);
}

/* The definition, word for word: of all that match the one that takes precedence. */
static const struct rule *find_plainly(const struct rule_set *set, slice key)
{
    const struct rule *best = NULL;
    slice parts[PATTERN_PART_COUNT_MAX];
    for (unsigned i = 0; i < set->rule_count; i++) {
        const struct pattern *p = &set->rules[i].config->pattern;
        if (pattern_match(p, key, parts) && (!best || pattern_precedence(p, &best->config->pattern) < 0)) {
            best = &set->rules[i];
        }
    }
    return best;
}

/* A few letters, so that prefixes nest and keys hit. */
static void append_letters(struct buf *b, struct random *r, unsigned at_most)
{
    for (uint64_t n = random_below(r, at_most + 1); n > 0; n--) {
        buf_append_byte(b, "ab:\x7e"[random_below(r, 4)]);
    }
}

static void finds_what_a_plain_search_finds(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, 11, 12);
    unsigned governed = 0;
    for (unsigned round = 0; round < 30; round++) {
        struct buf text;
        buf_init(&text, 1 << 20);
        for (unsigned i = 0; i < 60; i++) { /* distinct literals behind the part, so that no two tie */
            buf_append(&text, S("rule "));
            append_letters(&text, &r, 5);
            buf_printf(&text, "{x}:%u {\n ttl 1s\n}\n", i % 20 + 20 * (unsigned)random_below(&r, 2));
        }
        buf_append_byte(&text, '\0');
        struct arena arena;
        struct faults faults;
        struct parse_lines lines;
        struct config_blocks *blocks = NULL;
        arena_init(&arena);
        faults_init(&faults);
        parse_lines_init(&lines);
        assert_int_equal(parse_text(slice_of(text.bytes), S("test"), &arena, &lines, &faults), OK);
        assert_int_equal(blocks_read(lines.first, 16, &faults, &blocks), OK);
        struct rule_set *set = NULL;
        if (faults.count == 0 ||
            blocks->rule_count > 0) { /* doubles are refused by the reader; what it kept is a valid set or nothing */
            assert_int_equal(rule_set_new(blocks, NULL, 1, testing_driver, &set), OK);
        }
        for (unsigned i = 0; set && i < 2000; i++) {
            struct buf key;
            buf_init(&key, 256);
            append_letters(&key, &r, 7);
            buf_printf(&key, "c:%u", (unsigned)random_below(&r, 40));
            const struct rule *plain = find_plainly(set, buf_slice(&key));
            const struct rule *found = rule_set_find(set, 0, buf_slice(&key));
            if (plain != found) { /* equals only if two tie */
                assert_non_null(plain);
                assert_non_null(found);
                assert_int_equal(pattern_precedence(&plain->config->pattern, &found->config->pattern), 0);
            }
            governed += found != NULL;
            buf_fini(&key);
        }
        rule_set_free(set);
        blocks_unref(blocks);
        faults_fini(&faults);
        arena_fini(&arena);
        buf_fini(&text);
    }
    assert_true(governed > 1000);
}

static void a_new_set_shares_what_did_not_change(void **state)
{
    (void)state;
    static const char *const head =
        "source shop {\n sqlite \"x.db\"\n connections 1\n}\nsource other {\n sqlite \"y.db\"\n connections 1\n}\n";
    char text[1000];
    snprintf(
        text, sizeof text,
        "%srule a:{x} {\n source shop\n load \"SELECT {x}\"\n}\nrule b:{x} {\n source other\n load \"SELECT {x}\"\n}\n",
        head);
    struct rule_set *first = set_of(text, NULL);
    rule_count(&first->rules[0], FIGURE_hits);
    snprintf(
        text, sizeof text,
        "source other {\n sqlite \"y.db\"\n connections 2\n}\nsource shop {\n sqlite \"x.db\"\n connections 1\n}\n"
        "rule b:{x} {\n source other\n load \"SELECT {x}\"\n}\nrule a:{x} {\n source shop\n load \"SELECT 2, {x}\"\n ttl 3s\n}\n");
    struct rule_set *second = set_of(text, first);
    assert_ptr_equal(second->rules[1].source, first->rules[0].source);
    assert_ptr_not_equal(second->rules[0].source, first->rules[1].source);
    rule_set_free(first);
    assert_int_equal(rule_figure(&second->rules[1], FIGURE_hits), 1);
    assert_int_equal(rule_figure(&second->rules[0], FIGURE_hits), 0);
    rule_set_free(second);
}

static void a_parameter_that_stands_twice_is_bound_once(void **state)
{
    (void)state;
    struct rule_set *set = set_of("source s {\n sqlite \"x.db\"\n connections 1\n}\nrule a:{x}:{y} {\n source s\n"
                                  " load \"SELECT '{x}', {y} -- {z}\\nFROM t WHERE a = {x} OR b = {y}\"\n}\n",
                                  NULL);
    const struct source_statement *s = &set->rules[0].load;
    assert_string_equal(s->sql.ptr, "SELECT '{x}', $1 -- {z}\nFROM t WHERE a = $2 OR b = $1");
    assert_int_equal(s->parameter_count, 2);
    assert_int_equal(s->parts[0], 1);
    assert_int_equal(s->parts[1], 0);
    rule_set_free(set);
}

int main(void)
{
    fake_source_reset("x");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_literal_prefix_governs),
        cmocka_unit_test(finds_what_a_plain_search_finds),
        cmocka_unit_test(a_new_set_shares_what_did_not_change),
        cmocka_unit_test(a_parameter_that_stands_twice_is_bound_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
