/* The words of string commands, and what they say about the use of keys. */
#include "command/string/modifier.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "command/command.h"

enum { WORDS_MAX = 16 };

static unsigned split(const char *line, slice argv[static WORDS_MAX])
{
    unsigned argc = 0;
    for (slice word = command_next_word(&line); word.len > 0; word = command_next_word(&line)) {
        argv[argc++] = word;
    }
    return argc;
}

static err parse(const char *line, unsigned first, unsigned allowed, struct modifiers *ret_modifiers)
{
    slice argv[WORDS_MAX];
    return modifiers_parse(split(line, argv), argv, first, allowed, ret_modifiers);
}

static err parse_set(const char *line, struct modifiers *ret_modifiers)
{
    return parse(line, 3, MODIFIERS_OF_SET, ret_modifiers);
}

static void reads_words_in_any_order_and_case(void **state)
{
    (void)state;
    struct modifiers m;
    assert_int_equal(parse_set("set k v", &m), OK);
    assert_int_equal(m.seen, 0);
    assert_int_equal(parse_set("set k v gEt eXaT 5 nx", &m), OK);
    assert_int_equal(m.seen, MODIFIER_GET | MODIFIER_EXAT | MODIFIER_NX);
    assert_int_equal(m.time, 5);
    assert_true(m.form.in_seconds);
    assert_true(m.form.absolute);
    assert_int_equal(parse_set("set k v IFEQ NX PX 7", &m), OK);
    assert_int_equal(m.seen, MODIFIER_IFEQ | MODIFIER_PX);
    assert_int_equal(m.compare, 4);
    assert_int_equal(m.time, 6);
    assert_false(m.form.in_seconds);
    assert_false(m.form.absolute);
}

static void lets_the_last_of_the_same_word_count(void **state)
{
    (void)state;
    struct modifiers m;
    assert_int_equal(parse_set("set k v EX 10 EX 20 NX NX", &m), OK);
    assert_int_equal(m.time, 6);
}

static void refuses_what_excludes_each_other(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "set k v NX XX",     "set k v XX IFEQ a",    "set k v IFDEQ a IFDNE a", "set k v IFEQ a IFEQ a",
        "set k v EX 1 PX 1", "set k v EX 1 KEEPTTL", "set k v KEEPTTL PXAT 1",  "set k v EX",
        "set k v IFNE",      "set k v PERSIST",      "set k v nosuch",          "set k v 5",
    };
    for (unsigned i = 0; i < countof(lines); i++) {
        struct modifiers m;
        assert_int_equal(parse_set(lines[i], &m), ERR_SYNTAX);
    }
    struct modifiers m;
    assert_int_equal(parse("getex k EX 1 PERSIST", 2, MODIFIERS_OF_GETEX, &m), ERR_SYNTAX);
    assert_int_equal(parse("getex k KEEPTTL", 2, MODIFIERS_OF_GETEX, &m), ERR_SYNTAX);
    assert_int_equal(parse("msetex 1 k v GET", 4, MODIFIERS_OF_MSETEX, &m), ERR_SYNTAX);
}

/* The uses of the keys of a command line, a letter each. */
static void assert_uses(const char *line, const char *expected)
{
    static const char letters[] = {
        [KEY_PEEKS] = 'p', [KEY_READS] = 'r', [KEY_NEEDS] = 'n', [KEY_REPLACES] = 'x', [KEY_DROPS] = 'd'};
    slice argv[WORDS_MAX];
    unsigned argc = split(line, argv);
    const struct command *c;
    assert_int_equal(command_resolve(argc, argv, &c), OK);
    struct key_place places[WORDS_MAX];
    int count = command_keys(c, argc, argv, WORDS_MAX, places);
    char uses[WORDS_MAX + 1] = "";
    for (int i = 0; i < count; i++) {
        uses[i] = letters[places[i].use];
    }
    assert_string_equal(uses, expected);
}

static void decide_how_keys_are_used(void **state)
{
    (void)state;
    assert_uses("SET k v", "x");
    assert_uses("SET k v EX 5", "x");
    assert_uses("SET k v NX", "n");
    assert_uses("SET k v GET PX 5", "n");
    assert_uses("SET k v KEEPTTL", "n");
    assert_uses("SET k v IFDNE 0", "n");
    assert_uses("SET k v NX XX", "p");
    assert_uses("GETEX k", "r");
    assert_uses("GETEX k PERSIST", "n");
    assert_uses("DELEX k", "d");
    assert_uses("DELEX k IFEQ v", "n");
    assert_uses("MSETEX 2 a 1 b 2 EX 5", "xx");
    assert_uses("MSETEX 2 a 1 b 2 EX 5 NX", "nn");
    assert_uses("MSETEX 2 a 1 b 2 nosuch", "pp");
    assert_uses("MSETEX 3 a 1 b 2", "");
    assert_uses("COPY a b", "rn");
    assert_uses("COPY a b REPLACE", "rx");
    assert_uses("COPY a b DB 1", "rp");
    assert_uses("COPY a b nosuch", "pp");
    assert_uses("RENAME a b", "nx");
    assert_uses("RENAMENX a b", "nn");
    assert_uses("MSET a 1 b 2", "xx");
    assert_uses("MSETNX a 1 b 2", "nn");
    assert_uses("OBJECT ENCODING k", "p");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_words_in_any_order_and_case),
        cmocka_unit_test(lets_the_last_of_the_same_word_count),
        cmocka_unit_test(refuses_what_excludes_each_other),
        cmocka_unit_test(decide_how_keys_are_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
