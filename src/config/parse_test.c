/* The syntax: words, quotes, comments, blocks, includes, and statements with parameters. */
#include "config/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/assert.h"
#include "config/statement.h"

static struct arena arena;
static struct parse_lines lines;
static struct faults faults;

static void begin(void)
{
    arena_init(&arena);
    parse_lines_init(&lines);
    faults_init(&faults);
}

static void end(void)
{
    arena_fini(&arena);
    faults_fini(&faults);
}

/* Each line as [word][word], inner lines behind "> ". */
static void print_lines(const struct parse_line *line, const char *prefix, struct buf *text)
{
    for (; line; line = line->next) {
        buf_printf(text, "%s%u", prefix, line->place.line);
        for (unsigned i = 0; i < line->word_count; i++) {
            buf_printf(text, "[%.*s]", SLICE_ARG(line->words[i]));
            assert_int_equal(line->words[i].ptr[line->words[i].len], '\0');
        }
        buf_append(text, line->is_block ? S("{\n") : S("\n"));
        print_lines(line->inner, "> ", text);
    }
}

static void check(const char *input, const char *expected_lines, const char *expected_faults)
{
    begin();
    assert_int_equal(parse_text(slice_of(input), S("f"), &arena, &lines, &faults), OK);
    struct buf text;
    buf_init(&text, 65536);
    print_lines(lines.first, "", &text);
    buf_append_byte(&text, '\0');
    assert_string_equal(text.bytes, expected_lines);
    buf_truncate(&text, 0);
    buf_append(&text, faults_text(&faults));
    buf_append_byte(&text, '\0');
    assert_string_equal(text.bytes, expected_faults);
    buf_fini(&text);
    end();
}

static void test_words(void **state)
{
    (void)state;
    check("port 6379\n\n  bind a  b\t\r\n# comment\n", "1[port][6379]\n3[bind][a][b]\n", "");
    check("a b#c # d \"\nlast", "1[a][b#c]\n2[last]\n", "");
    check("a \"b c\" 'd \\' \\n' \"\" ''", "1[a][b c][d ' \\n][][]\n", "");
    check("a \"\\n\\r\\t\\a\\b\\\"\\\\\\x41\\xzz\"", "1[a][\n\r\t\a\b\"\\Axzz]\n", "");
    check("a b\"c", "1[a][b\"c]\n", "");
    check("a \"b\nc d", "2[c][d]\n", "f:1: a quote is not closed\n");
    check("a \"b\"c", "", "f:1: a closing quote is followed by text without a blank between\n");
}

static void test_blocks(void **state)
{
    (void)state;
    check("source shop {   # why\n sqlite x\n\n}\nport 1", "1[source][shop]{\n> 2[sqlite][x]\n5[port][1]\n", "");
    check("rule p:{id} {\n}\n", "1[rule][p:{id}]{\n", "");
    check("a {\nb 1\n", "1[a]{\n> 2[b][1]\n", "f:1: the block a { is not closed by a line }\n");
    check("}\na 1", "2[a][1]\n", "f:1: found }, expected a directive: no block is open\n");
    check("a {\n} b\nc 1", "1[a]{\n3[c][1]\n", "f:2: found text behind }, expected the end of the line\n");
    check("a {\nb {\n}\n", "1[a]{\n", "f:2: found \"b\" inside of a block, expected a knob or }: blocks do not nest\n");
    check("{\n", "", "f:1: found {, expected the name of a block in front of it\n");
    check("a {\ninclude x\n}", "1[a]{\n",
          "f:2: found \"include\" inside of a block, expected a knob or }: blocks do not nest\n");
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_include(void **state)
{
    (void)state;
    char folder[] = "/tmp/larder-parse-XXXXXX";
    char back[4096];
    assert_non_null(getcwd(back, sizeof back));
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkdir("d", 0700), 0);
    write_file("d/main", "a 1\ninclude beside\ninclude d/parts-*\ninclude none-*\ninclude missing\nz 1\n");
    write_file("d/beside", "b 1\n");
    write_file("d/parts-1", "c 1\n");
    write_file("d/parts-2", "c 2\ninclude main\n");
    begin();
    assert_int_equal(parse_file(S("d/main"), (struct place){0}, &arena, &lines, &faults), OK);
    struct buf text;
    buf_init(&text, 65536);
    print_lines(lines.first, "", &text);
    buf_append_byte(&text, '\0');
    assert_string_equal(text.bytes, "1[a][1]\n1[b][1]\n1[c][1]\n1[c][2]\n6[z][1]\n");
    buf_truncate(&text, 0);
    buf_append(&text, faults_text(&faults));
    buf_append_byte(&text, '\0');
    assert_string_equal(text.bytes, "d/parts-2:2: include: \"d/main\" includes itself\n"
                                    "d/main:5: include: found \"missing\", expected a file that exists\n");
    assert_string_equal(lines.first->next->place.source.ptr, "d/beside");
    buf_fini(&text);
    end();

    begin();
    assert_int_equal(parse_file(S("nowhere.conf"), (struct place){S("larder"), 0}, &arena, &lines, &faults), OK);
    assert_true(
        slice_equal(faults_text(&faults), S("larder: cannot read \"nowhere.conf\": No such file or directory\n")));
    end();
    unlink("d/main"), unlink("d/beside"), unlink("d/parts-1"), unlink("d/parts-2"), rmdir("d");
    assert_int_equal(chdir(back), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_faults_are_bounded(void **state)
{
    (void)state;
    begin();
    struct buf text;
    buf_init(&text, 65536);
    for (int i = 0; i < 25; i++) {
        buf_append(&text, S("a \"\n"));
    }
    assert_int_equal(parse_text(buf_slice(&text), S("f"), &arena, &lines, &faults), OK);
    assert_int_equal(faults.count, 25);
    slice told = faults_text(&faults);
    assert_true(slice_starts(slice_sub(told, told.len - 11, 11), S("and 5 more\n")));
    buf_fini(&text);
    end();
}

static void test_long_fault(void **state)
{
    (void)state;
    begin();
    static char long_text[100 * 1000];
    memset(long_text, 'a', sizeof long_text - 1);
    faults_add(&faults, (struct place){S("f"), 1}, "%s", long_text);
    faults_add(&faults, (struct place){S("f"), 2}, "short");
    slice told = faults_text(&faults);
    assert_true(told.len < 5000);
    slice ending = S("aaa...\nf:2: short\n");
    assert_true(slice_equal(slice_sub(told, told.len - ending.len, SIZE_MAX), ending));
    end();
}

static void test_nearest(void **state)
{
    (void)state;
    static const slice names[] = {{"port", 4}, {"maxmemory", 9}, {"maxmemory-policy", 16}, {"bind", 4}};
    assert_true(slice_equal(fault_nearest(S("prot"), names, countof(names)), S("port")));
    assert_true(slice_equal(fault_nearest(S("MAXMEMORI"), names, countof(names)), S("maxmemory")));
    assert_true(slice_equal(fault_nearest(S("maxmemory-polcy"), names, countof(names)), S("maxmemory-policy")));
    assert_int_equal(fault_nearest(S("xyzzy"), names, countof(names)).len, 0);
    assert_int_equal(fault_nearest(S(""), names, countof(names)).len, 0);
}

/* ---- statements ---- */

static void check_statement(const char *sql, const char *expected)
{
    struct pattern p;
    const char *reason;
    assert_int_equal(pattern_parse(S("a:{id}:{n}"), &p, &reason), OK);
    arena_init(&arena);
    struct buf text;
    buf_init(&text, 65536);
    struct statement s;
    if (statement_parse(slice_of(sql), &p, &arena, &s, &text) == OK) {
        for (unsigned i = 0; i < s.piece_count; i++) {
            if (s.pieces[i].part == STATEMENT_TEXT) {
                buf_append(&text, s.pieces[i].text);
            } else {
                buf_printf(&text, "<%d>", s.pieces[i].part);
            }
        }
    }
    buf_append_byte(&text, '\0');
    assert_string_equal(text.bytes, expected);
    buf_fini(&text);
    arena_fini(&arena);
}

static void test_statements(void **state)
{
    (void)state;
    check_statement("SELECT * FROM t WHERE id = {id} AND n={n} OR id={id}",
                    "SELECT * FROM t WHERE id = <0> AND n=<1> OR id=<0>");
    check_statement("SELECT '{id}', \"{x}\", [{y}], `{z}`, 'it''s {w}' -- {v}\n, {n}",
                    "SELECT '{id}', \"{x}\", [{y}], `{z}`, 'it''s {w}' -- {v}\n, <1>");
    check_statement("SELECT 1 /* {x} */", "SELECT 1 /* {x} */");
    check_statement("SELECT {idd}", "{idd} is no part of the pattern a:{id}:{n}");
    check_statement("SELECT {id", "a { outside of quotes is not closed by }");
    check_statement("SELECT 'x", "a quote in the statement is not closed");
    check_statement("SELECT 1 /* x", "a comment in the statement is not closed");
    check_statement("", "the statement is empty");
    check_statement("  -- only a comment", "the statement is empty");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),      cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_include),    cmocka_unit_test(test_faults_are_bounded),
        cmocka_unit_test(test_long_fault), cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_statements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
