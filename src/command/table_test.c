/* The command table: names, subcommands, arity, keys; and every row against the list of what Redis answers to COMMAND, where that list
 * lies beside the project (shared/compat/commands.tsv). */
#include "command/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static err resolve(const char *line, const struct command **ret_command)
{
    slice argv[16];
    unsigned argc = 0;
    for (slice word = command_next_word(&line); word.len > 0; word = command_next_word(&line)) {
        argv[argc++] = word;
    }
    return command_resolve(argc, argv, ret_command);
}

static void test_names(void **state)
{
    (void)state;
    const struct command *c;
    for (unsigned i = 0; i < command_count(); i++) {
        assert_ptr_equal(command_find(slice_of(command_at(i)->name)), command_at(i));
        assert_int_equal(command_at(i)->number, i);
    }
    assert_int_equal(resolve("GeT k", &c), OK);
    assert_string_equal(c->name, "get");
    assert_int_equal(resolve("Client Id", &c), OK);
    assert_string_equal(c->name, "client|id");
    assert_int_equal(resolve("COMMAND", &c), OK);
    assert_string_equal(c->name, "command");
    assert_int_equal(resolve("nosuch", &c), ERR_UNKNOWN_COMMAND);
    assert_null(c);
    assert_int_equal(resolve("client|id", &c), ERR_UNKNOWN_COMMAND);
    assert_int_equal(resolve("client nosuch", &c), ERR_UNKNOWN_SUBCOMMAND);
    assert_string_equal(c->name, "client");
    assert_int_equal(resolve("command nosuch", &c), ERR_UNKNOWN_SUBCOMMAND);
    assert_int_equal(resolve("get", &c), ERR_ARITY);
    assert_int_equal(resolve("get k k", &c), ERR_ARITY);
    assert_int_equal(resolve("client", &c), ERR_ARITY);
    assert_string_equal(c->name, "client");
    assert_int_equal(resolve("client id x", &c), ERR_ARITY);
    assert_string_equal(c->name, "client|id");
    assert_null(command_find(S("")));
    assert_null(command_find(S("|id")));
}

/* Each bit of each name turned: another case of a letter is the same command, nothing else is. */
static void test_names_in_any_case(void **state)
{
    (void)state;
    unsigned met = 0;
    for (unsigned number = 0; number < command_count(); number++) {
        const struct command *row = command_at(number), *c;
        size_t len = strlen(row->name);
        char name[64];
        assert_true(len < sizeof name);
        slice argv[16] = {slice_make(name, len)};
        unsigned argc = (unsigned)abs(row->arity);
        for (size_t bit = 0; bit < 8 * len && !row->container && command_subcommand_count(row) == 0; bit++) {
            memcpy(name, row->name, len);
            bool is_letter = name[bit / 8] >= 'a' && name[bit / 8] <= 'z';
            name[bit / 8] = (char)(name[bit / 8] ^ 1 << bit % 8);
            err e = command_resolve(argc, argv, &c);
            assert_true((e == OK && c == row) == (is_letter && bit % 8 == 5));
            met++;
        }
    }
    assert_true(met > 0);
}

static void test_keys(void **state)
{
    (void)state;
    slice argv[] = {S("x"), S("2"), S("a"), S("v"), S("b"), S("v"), S("NX")};
    struct key_place places[8];
    struct command c = {.specs = {{RANGE_COUNTED, KEY_REPLACES, "OW update", 1, 0, 2}}};
    assert_int_equal(command_keys(&c, 7, argv, 8, places), 2);
    assert_int_equal(places[0].argument, 2);
    assert_int_equal(places[1].argument, 4);
    assert_int_equal(command_keys(&c, 7, argv, 1, places), 2);
    argv[1] = S("3");
    assert_int_equal(command_keys(&c, 7, argv, 8, places), -1);
    argv[1] = S("0");
    assert_int_equal(command_keys(&c, 7, argv, 8, places), -1);
    argv[1] = S("many");
    assert_int_equal(command_keys(&c, 7, argv, 8, places), -1);
    c = (struct command){.specs = {{RANGE_FIXED, KEY_REPLACES, "OW update", 1, -1, 2}}};
    assert_int_equal(command_keys(&c, 7, argv, 8, places), 3);
    assert_int_equal(places[2].argument, 5);
    c = (struct command){
        .specs = {{RANGE_FIXED, KEY_READS, "RO", 1, 1, 1}, {RANGE_FIXED, KEY_REPLACES, "OW", 2, 2, 1}}};
    assert_int_equal(command_keys(&c, 3, argv, 8, places), 2);
    assert_int_equal(places[1].spec->use, KEY_REPLACES);
    int first, last, step;
    command_legacy_range(&c, &first, &last, &step);
    assert_int_equal(first, 1);
    assert_int_equal(last, 2);
    assert_int_equal(step, 1);
}

/* ---- the list ------------------------------------------------------------------------------------------------------ */
static FILE *open_list(void)
{
    static const char *const places[] = {"/../../../shared", "/../../../../shared"}; /* seen from this folder */
    char path[4096];
    for (size_t i = 0; i < countof(places); i++) {
        const char *slash = strrchr(__FILE__, '/');
        snprintf(path, sizeof path, "%.*s%s/compat/commands.tsv", (int)(slash - __FILE__), __FILE__, places[i]);
        FILE *file = fopen(path, "r");
        if (file) {
            return file;
        }
    }
    return NULL;
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The words of a text, sorted, into `ret_text`. */
static void sort_words(const char *text, char ret_text[static 512])
{
    char copy[512], *words[64], *rest = NULL;
    size_t count = 0;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        words[count++] = word;
    }
    qsort(words, count, sizeof words[0], compare_words);
    ret_text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        strcat(strcat(ret_text, words[i]), " ");
    }
}

static void assert_same_words(const char *command, const char *ours, const char *listed)
{
    char a[512], b[512];
    sort_words(ours, a);
    sort_words(listed, b);
    if (strcmp(a, b) != 0) {
        fail_msg("%s: '%s' here, '%s' in Redis", command, a, b);
    }
}

static void assert_same(const char *command, const char *ours, const char *listed)
{
    if (strcmp(ours, listed) != 0) {
        fail_msg("%s: '%s' here, '%s' in Redis", command, ours, listed);
    }
}

static void specs_text(const struct command *c, char ret_text[static 512])
{
    size_t len = 0;
    ret_text[0] = '\0';
    for (unsigned i = 0; i < COMMAND_KEY_SPECS_MAX && c->specs[i].range != RANGE_NONE; i++) {
        const struct key_spec *s = &c->specs[i];
        const char *comma = i > 0 ? "; " : "";
        if (s->range == RANGE_COUNTED) {
            len += (size_t)snprintf(ret_text + len, 512 - len, "%sindex:%d/keynum:0,1,%d[%s]", comma, s->first, s->step,
                                    s->flags);
        } else {
            int last = s->last < 0 ? s->last : s->last - s->first;
            len += (size_t)snprintf(ret_text + len, 512 - len, "%sindex:%d/range:%d,%d,0[%s]", comma, s->first, last,
                                    s->step, s->flags);
        }
    }
}

static void compare_row(const struct command *c, char **fields)
{
    enum { NAME, GROUP, SINCE, ARITY, FLAGS, ACL, RANGE, SPECS, TIPS };
    char text[512] = "";
    assert_same(c->name, c->since, fields[SINCE]);
    snprintf(text, sizeof text, "%d", c->arity);
    assert_same(c->name, text, fields[ARITY]);
    const char *flags[COMMAND_FLAGS_MAX];
    unsigned count = command_flags(c, flags);
    text[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        strcat(strcat(text, flags[i]), " ");
    }
    assert_same_words(c->name, text, fields[FLAGS]);
    assert_same_words(c->name, c->acl, fields[ACL]);
    int first, last, step;
    command_legacy_range(c, &first, &last, &step);
    snprintf(text, sizeof text, "%d,%d,%d", first, last, step);
    assert_same(c->name, text, fields[RANGE]);
    specs_text(c, text);
    assert_same(c->name, text, fields[SPECS]);
    char tips[512], *end = tips;
    for (const char *t = command_tips(c); *t; t++) {
        *end++ = *t;
        if (*t == ';') {
            *end++ = ' ';
        }
    }
    *end = '\0';
    assert_same(c->name, tips, fields[TIPS]);
}

static void test_rows_are_those_of_redis(void **state)
{
    (void)state;
    FILE *list = open_list();
    if (!list) {
        skip();
    }
    char line[4096];
    unsigned compared = 0;
    while (fgets(line, sizeof line, list)) {
        char *fields[16], *rest = line;
        size_t count = 0;
        while (count < countof(fields) && (fields[count] = strsep(&rest, "\t\n")) != NULL) {
            count++;
        }
        const struct command *c = count < 10 ? NULL : command_find(slice_of(fields[0]));
        if (c) {
            compare_row(c, fields);
            compared++;
        }
    }
    fclose(list);
    for (unsigned i = 0; i < command_count(); i++) {
        compared += strcmp(command_at(i)->group, "cache") == 0 || strcmp(command_at(i)->name, "config|unused") == 0;
    }
    assert_int_equal(compared, command_count());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_in_any_case),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_rows_are_those_of_redis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
