/* Patterns: what parses, what matches and with which parts, who goes first, common keys. Random patterns are held against a matcher that
 * tries every way, and common keys against a search through all short keys. */
#include "config/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/random.h"

static struct pattern parsed(const char *text)
{
    struct pattern p;
    const char *reason = "";
    if (pattern_parse(slice_of(text), &p, &reason) != OK) {
        fail_msg("%s: %s", text, reason);
    }
    return p;
}

static void test_parse(void **state)
{
    (void)state;
    struct pattern p = parsed("order:{customer}:{number}:*");
    assert_int_equal(p.piece_count, 6);
    assert_int_equal(p.part_count, 2);
    assert_int_equal(p.prefix_bytes, 6);
    assert_int_equal(p.literal_bytes, 8);
    assert_int_equal(pattern_find_part(&p, S("number")), 1);
    assert_int_equal(pattern_find_part(&p, S("nummer")), -1);

    static const char *const bad[][2] = {
        {"", "the pattern is empty"},
        {"a{b", "a part is not closed by }"},
        {"a{}", "the name of a part is made of letters, digits and _"},
        {"a{1b}", "the name of a part is made of letters, digits and _"},
        {"a{b}{c}", "there is no text between two parts"},
        {"a{b}:{b}", "two parts have the same name"},
        {"a}b", "a } closes nothing"},
        {"a*b", "a * may only be the last character"},
        {"a{b}*", "there is no text between a part and the *"},
        {"{a}:{b}:{c}:{d}:{e}:{f}:{g}:{h}:{i}:{j}:{k}:{l}:{m}:{n}:{o}:{p}:{q}", "there are more than 16 parts"},
    };
    for (size_t i = 0; i < countof(bad); i++) {
        const char *reason = NULL;
        assert_int_equal(pattern_parse(slice_of(bad[i][0]), &p, &reason), ERR_SYNTAX);
        assert_string_equal(reason, bad[i][1]);
    }
}

static void test_match(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *key, *first, *second;
    } cases[] = {
        {"product:{id}", "product:42", "42", NULL},
        {"product:{id}", "product:", NULL, NULL},
        {"product:{id}", "product:4:2", NULL, NULL},
        {"product:{id}", "product", NULL, NULL},
        {"{a}-{b}", "1-2-3", "1", "2-3"},
        {"{a}-{b}-c", "1-2-c", "1", "2"},
        {"{a}-{b}-c", "1-c", NULL, NULL},
        {"{a}x:{b}", "axx:1", "ax", "1"},
        {"{a}:{b}", "a:b", "a", "b"},
        {"{a}:{b}", ":b", NULL, NULL},
        {"s:{a}:*", "s:1:", "1", ""},
        {"s:{a}:*", "s:1:2:3", "1", ""},
        {"s:{a}:*", "s:1", NULL, NULL},
        {"{a}aa", "aaa", "a", NULL},
        {"{a}aa", "aa", NULL, NULL},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct pattern p = parsed(cases[i].pattern);
        slice parts[PATTERN_PART_COUNT_MAX];
        bool matched = pattern_match(&p, slice_of(cases[i].key), parts);
        assert_int_equal(matched, cases[i].first != NULL);
        if (matched) {
            assert_true(slice_equal(parts[0], slice_of(cases[i].first)));
            assert_true(p.part_count < 2 || slice_equal(parts[1], slice_of(cases[i].second)));
        }
    }
    struct pattern all = parsed("*");
    slice parts[PATTERN_PART_COUNT_MAX];
    assert_true(pattern_match(&all, S(""), parts));
    struct pattern exact = parsed("exact");
    assert_true(pattern_match(&exact, S("exact"), parts));
    assert_false(pattern_match(&exact, S("exact2"), parts));
}

static void test_precedence(void **state)
{
    (void)state;
    static const char *const ordered[] = {"product:{id}:stock", "product:{id}:{x}", "product:{id}",
                                          "product:*",          "prod{x}",          "*"};
    for (size_t i = 0; i < countof(ordered); i++) {
        for (size_t j = 0; j < countof(ordered); j++) {
            struct pattern a = parsed(ordered[i]), b = parsed(ordered[j]);
            int order = pattern_precedence(&a, &b);
            assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
        }
    }
}

static void test_common_key(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *key;
    } cases[] = {
        {"product:{id}", "product:{sku}", "product:x"},
        {"a{x}b", "a{y}c", NULL},
        {"a:{x}:b", "a:c:{y}", "a:c:b"},
        {"{x}:b", "a:{y}", "a:b"},
        {"{x}b", "b{y}", "bb"},
        {"a*", "b*", NULL},
        {"a:*", "a:{x}:{y}", "a:x:x"},
        {"{x}", "a:b", NULL},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct pattern a = parsed(cases[i].a), b = parsed(cases[i].b);
        struct buf key;
        buf_init(&key, 4096);
        err e = pattern_common_key(&a, &b, &key);
        assert_int_equal(e, cases[i].key ? OK : ERR_NOT_FOUND);
        assert_true(!cases[i].key || slice_equal(buf_slice(&key), slice_of(cases[i].key)));
        buf_fini(&key);
    }
}

/* ---- against the naive matcher ---- */

/* Tries every length of every part, the shortest first. */
static bool naive_match(const struct pattern *p, unsigned piece, slice key, slice *parts)
{
    if (piece == p->piece_count) {
        return key.len == 0;
    }
    const struct pattern_piece *at = &p->pieces[piece];
    if (at->kind == PATTERN_REST) {
        return true;
    }
    if (at->kind == PATTERN_LITERAL) {
        return slice_starts(key, at->text) && naive_match(p, piece + 1, slice_sub(key, at->text.len, SIZE_MAX), parts);
    }
    for (size_t len = 1; len <= key.len && key.ptr[len - 1] != ':'; len++) {
        *parts = slice_sub(key, 0, len);
        if (naive_match(p, piece + 1, slice_sub(key, len, SIZE_MAX), parts + 1)) {
            return true;
        }
    }
    return false;
}

static size_t random_text(struct random *r, const char *alphabet, size_t len_max, char *text)
{
    size_t len = random_u64(r) % (len_max + 1);
    for (size_t i = 0; i < len; i++) {
        text[i] = alphabet[random_u64(r) % strlen(alphabet)];
    }
    text[len] = '\0';
    return len;
}

/* A pattern out of few letters, so that keys of the same letters often match. */
static struct pattern random_pattern(struct random *r, char text[static 64])
{
    struct pattern p;
    const char *reason;
    do {
        size_t len = random_text(r, "ab:", 2, text);
        unsigned part_count = random_u64(r) % 4;
        for (unsigned i = 0; i < part_count; i++) {
            len += (size_t)snprintf(text + len, 64 - len, "{p%u}", i);
            len += random_text(r, "ab:", 2, text + len);
        }
        if (random_u64(r) % 4 == 0) {
            snprintf(text + len, 64 - len, "*");
        }
    } while (pattern_parse(slice_of(text), &p, &reason) != OK);
    return p;
}

static void test_random_matches(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, 7, 0);
    unsigned match_count = 0;
    for (int i = 0; i < 200000; i++) {
        char text[64], key[16];
        struct pattern p = random_pattern(&r, text);
        random_text(&r, "ab:", 9, key);
        slice parts[PATTERN_PART_COUNT_MAX], naive_parts[PATTERN_PART_COUNT_MAX];
        bool matched = pattern_match(&p, slice_of(key), parts);
        if (matched != naive_match(&p, 0, slice_of(key), naive_parts)) {
            fail_msg("pattern %s key %s: %d", text, key, matched);
        }
        for (unsigned j = 0; matched && j < p.part_count; j++) {
            if (!slice_equal(parts[j], naive_parts[j])) {
                fail_msg("pattern %s key %s part %u", text, key, j);
            }
        }
        match_count += matched;
    }
    assert_true(match_count > 5000); /* else the test says little */
}

/* Whether some key of at most 6 letters out of "abx:" matches both. */
static bool naive_common(const struct pattern *a, const struct pattern *b)
{
    static const char letters[] = "abx:";
    slice parts[PATTERN_PART_COUNT_MAX];
    for (size_t len = 0; len <= 6; len++) {
        for (unsigned number = 0; number < 1u << (2 * len); number++) {
            char key[8];
            for (size_t i = 0; i < len; i++) {
                key[i] = letters[number >> (2 * i) & 3];
            }
            slice k = slice_make(key, len);
            if (pattern_match(a, k, parts) && pattern_match(b, k, parts)) {
                return true;
            }
        }
    }
    return false;
}

static void test_random_common_keys(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, 8, 0);
    unsigned found_count = 0;
    for (int i = 0; i < 1500; i++) {
        char text_a[64], text_b[64];
        struct pattern a = random_pattern(&r, text_a), b = random_pattern(&r, text_b);
        struct buf key;
        buf_init(&key, 4096);
        slice parts[PATTERN_PART_COUNT_MAX];
        err e = pattern_common_key(&a, &b, &key);
        if (e == OK && !(pattern_match(&a, buf_slice(&key), parts) && pattern_match(&b, buf_slice(&key), parts))) {
            fail_msg("%s and %s do not both match %.*s", text_a, text_b, SLICE_ARG(buf_slice(&key)));
        }
        if (e != OK && naive_common(&a, &b)) {
            fail_msg("%s and %s have a common key", text_a, text_b);
        }
        found_count += e == OK;
        buf_fini(&key);
    }
    assert_true(found_count > 100);
    assert_true(found_count < 1400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),          cmocka_unit_test(test_match),
        cmocka_unit_test(test_precedence),     cmocka_unit_test(test_common_key),
        cmocka_unit_test(test_random_matches), cmocka_unit_test(test_random_common_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
