/* Entries: what they cost, that every combination of options keeps key, value and times, and how they change their
 * shape. */
#include "keyspace/testing_priv.h"

#include "keyspace/entry_priv.h"
#include "os/mem.h"

static char bytes[150000];
static struct slabs *slabs; /* NULL: what is in no shard */

static void test_names_and_encodings(void **state)
{
    (void)state;
    assert_true(slice_equal(kind_name(KIND_STRING), S("string")));
    assert_true(slice_equal(encoding_name(ENCODING_INT), S("int")));
    assert_true(slice_equal(encoding_name(ENCODING_EMBSTR), S("embstr")));
    assert_true(slice_equal(encoding_name(ENCODING_RAW), S("raw")));
    assert_int_equal(encoding_of_string(S("-9223372036854775808")), ENCODING_INT);
    assert_int_equal(encoding_of_string(S("9223372036854775808")), ENCODING_EMBSTR);
    assert_int_equal(encoding_of_string(S("007")), ENCODING_EMBSTR);
    assert_int_equal(encoding_of_string(slice_make(bytes, 44)), ENCODING_EMBSTR);
    assert_int_equal(encoding_of_string(slice_make(bytes, 45)), ENCODING_RAW);
}

static void test_what_an_entry_costs(void **state)
{
    (void)state;
    struct content c = content_string(slice_make(bytes, 32));
    struct entry *plain = entry_new(slabs, slice_make(bytes, 16), &c);
    c.deadline = c.fresh_until = NOW;
    struct entry *timed = entry_new(slabs, slice_make(bytes, 16), &c);
    assert_int_equal(entry_bytes(plain), 56);
    assert_int_equal(entry_bytes(timed), 64);
    entry_free(slabs, plain);
    entry_free(slabs, timed);
}

static void expect(const struct entry *e, slice key, const struct content *c)
{
    assert_true(slice_equal(entry_key(e), key));
    assert_true(entry_has_key(e, key));
    assert_true(slice_equal(entry_string(e), c->string));
    assert_true(entry_deadline(e) == c->deadline);
    assert_true(entry_fresh_until(e) == c->fresh_until);
    assert_int_equal(entry_negative(e), c->negative);
    assert_int_equal(entry_load_ms(e), c->load_ms);
    assert_true(entry_loaded_at(e) == c->loaded_at);
    assert_int_equal(entry_kind(e), c->kind);
    assert_int_equal(entry_encoding(e), c->encoding);
}

/* Every combination of options, key length and value length, retimed to every combination of times. */
static void test_every_shape(void **state)
{
    (void)state;
    static const size_t key_lens[] = {0, 1, 16, 2047, 2048, 90000}, value_lens[] = {0, 5, 192, 2047, 2048, 70000};
    static const int64_t times[][2] = {{NO_DEADLINE, NO_DEADLINE}, {NO_DEADLINE, 5}, {7, 7}, {9, 8}};
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i * 31 + i / 256);
    }
    for (unsigned k = 0; k < countof(key_lens); k++) {
        for (unsigned v = 0; v < countof(value_lens); v++) {
            for (unsigned t = 0; t < countof(times) * countof(times) * 2; t++) {
                const int64_t *before = times[t % 4], *after = times[t / 4 % 4];
                struct content c = content_string(slice_make(bytes + 1, value_lens[v]));
                slice key = slice_make(bytes, key_lens[k]);
                c.deadline = before[0];
                c.fresh_until = before[1];
                c.loaded_at = t < 16 ? 0 : NOW;
                c.load_ms = t < 16 ? 0 : 12;
                struct entry *e = entry_new(slabs, key, &c);
                expect(e, key, &c);
                struct entry *other = entry_retimed(slabs, e, after[0], after[1]);
                assert_int_equal(other == e, (after[0] == NO_DEADLINE) == (before[0] == NO_DEADLINE) &&
                                                 (after[0] == after[1]) == (before[0] == before[1]));
                c.deadline = after[0];
                c.fresh_until = after[1];
                expect(other, key, &c);
                if (other != e) {
                    entry_free_block(slabs, e);
                }
                entry_free(slabs, other);
            }
        }
    }
}

/* Deadlines at the end of what the word of a timed entry holds, and after it. */
static void test_far_deadlines_are_exact(void **state)
{
    (void)state;
    struct content c = content_string(S("value"));
    c.deadline = c.fresh_until = NOW;
    struct entry *e = entry_new(slabs, S("key"), &c);
    for (int64_t far = ENTRY_DEADLINE_MAX - 2; far < ENTRY_DEADLINE_MAX + 3; far++) {
        const int64_t deadlines[] = {far, NO_DEADLINE - 1, far};
        for (unsigned i = 0; i < countof(deadlines); i++) {
            struct entry *before = e;
            e = entry_retimed(slabs, e, deadlines[i], deadlines[i]);
            if (e != before) {
                entry_free_block(slabs, before);
            }
            assert_true(entry_deadline(e) == deadlines[i]);
            assert_true(entry_fresh_until(e) == deadlines[i]);
        }
    }
    struct entry *stale = entry_retimed(slabs, e, NO_DEADLINE - 1, NOW); /* the deadline gives way */
    assert_ptr_equal(stale, e);
    assert_true(entry_deadline(e) == ENTRY_DEADLINE_MAX);
    assert_true(entry_fresh_until(e) == NOW);
    entry_free(slabs, e);
}

static void test_resizing_keeps_and_zeroes(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 3, 10, 191, 192, 193, 1000, 70000, 200, 20, 0, 40};
    struct content c = content_string(slice_make(bytes + 1, 7));
    c.deadline = c.fresh_until = NOW;
    slice key = slice_make(bytes, 16);
    struct entry *e = entry_new(slabs, key, &c);
    char *model = calloc(1, sizeof bytes);
    size_t len = 7;
    memcpy(model, bytes + 1, 7);
    for (unsigned i = 0; i < countof(lens); i++) {
        struct entry *to = entry_resized(slabs, e, lens[i]);
        assert_non_null(to);
        if (to != e) {
            entry_free_block(slabs, e);
        }
        e = to;
        if (lens[i] < len) {
            memset(model + lens[i], 0, len - lens[i]);
        }
        len = lens[i];
        c.string = slice_make(model, len);
        c.encoding = ENCODING_RAW;
        expect(e, key, &c);
        memset(entry_value(e), 'x', len);
        memset(model, 'x', len);
    }
    entry_free(slabs, e);
    free(model);
}

static void test_appending_seldom_allocates(void **state)
{
    (void)state;
    struct content c = content_string(S(""));
    struct entry *e = entry_new(slabs, S("k"), &c);
    unsigned moves = 0;
    const char *at = NULL;
    for (size_t len = 1; len <= 1000000; len += 10) {
        struct entry *to = entry_resized(slabs, e, len);
        if (to != e) {
            entry_free_block(slabs, e);
        }
        e = to;
        moves += entry_value(e) != at;
        at = entry_value(e);
    }
    assert_true(moves < 80);
    assert_true(entry_bytes(e) < 2000000);
    entry_free(slabs, e);
}

static void test_assigning_in_place(void **state)
{
    (void)state;
    struct content c = content_string(S("123"));
    struct entry *e = entry_new(slabs, S("key"), &c);
    c = content_string(S("4567"));
    assert_true(entry_assign(e, &c));
    expect(e, S("key"), &c);
    c.string = slice_make(bytes, 180); /* another size class */
    assert_false(entry_assign(e, &c));
    c.string = S("1");
    c.deadline = c.fresh_until = NOW; /* another option */
    assert_false(entry_assign(e, &c));
    c = content_string(S("4567"));
    expect(e, S("key"), &c);
    entry_free(slabs, e);
}

/* While its blob is held a value may go, but not change. */
static void test_a_held_value_is_never_changed(void **state)
{
    (void)state;
    struct content c = content_string(slice_make(bytes, 70000)), other = content_string(slice_make(bytes + 7, 70000));
    for (size_t len = 0; len <= 140000; len += 35000) {
        struct entry *e = entry_new(slabs, S("key"), &c);
        struct blob *b = entry_blob(e);
        blob_hold(b);
        assert_false(entry_assign(e, &other));
        assert_ptr_equal(entry_resized(slabs, e, len), e);
        assert_ptr_not_equal(entry_blob(e), b);
        assert_int_equal(entry_string(e).len, len);
        assert_true(entry_bytes(e) >= entry_block_bytes(e) + len);
        assert_memory_equal(entry_value(e), bytes, len < 70000 ? len : 70000);
        memset(entry_value(e), 'x', len);
        assert_memory_equal(b->bytes, bytes, 70000);
        assert_true(blob_share_bytes(b) >= 70000); /* no longer the entry's */
        blob_release(b);
        entry_free(slabs, e);
    }
}

static void test_a_held_value_outlives_its_entry(void **state)
{
    (void)state;
    struct content c = content_string(slice_make(bytes, 70000)), other = content_string(slice_make(bytes + 7, 70000));
    struct entry *e = entry_new(slabs, S("key"), &c);
    struct blob *b = entry_blob(e);
    blob_hold(b);
    entry_free(slabs, e);
    assert_memory_equal(b->bytes, bytes, 70000);
    blob_release(b);

    e = entry_new(slabs, S("key"), &c);
    b = entry_blob(e);
    blob_hold(b);
    blob_release(b);
    assert_true(entry_assign(e, &other)); /* in place again */
    assert_ptr_equal(entry_blob(e), b);
    expect(e, S("key"), &other);
    entry_free(slabs, e);

    c = content_string(S("small"));
    e = entry_new(slabs, S("key"), &c);
    assert_null(entry_blob(e));
    entry_free(slabs, e);
}

/* A blob that is held and has no owner, with the content of its bytes. */
static struct content content_in_blob(size_t len)
{
    struct blob *b = blob_new(blob_good_room(len));
    memcpy(b->bytes, bytes, len);
    blob_hold(b);
    blob_disown(b);
    struct content c = content_string(slice_make(b->bytes, len));
    c.blob = b;
    return c;
}

static void test_a_blob_becomes_the_value(void **state)
{
    (void)state;
    struct content c = content_in_blob(70000), copy = content_string(slice_make(bytes, 70000));
    struct entry *e = entry_new(slabs, S("key"), &c), *other = entry_new(slabs, S("key"), &copy);
    assert_ptr_equal(entry_blob(e), c.blob);
    assert_int_equal(entry_bytes(e), entry_bytes(other));
    expect(e, S("key"), &copy);
    assert_false(entry_assign(other, &c)); /* that would be a copy */
    entry_free(slabs, other);

    other = entry_new(slabs, S("other"), &c); /* both have it */
    assert_ptr_equal(entry_blob(other), c.blob);
    assert_int_equal(entry_bytes(other), entry_bytes(e) + (slab_good_bytes(29) - slab_good_bytes(27)));
    expect(other, S("other"), &copy);
    entry_free(slabs, other);

    entry_free(slabs, e); /* it is still held, and may have an owner again */
    assert_memory_equal(c.blob->bytes, bytes, 70000);
    e = entry_new(slabs, slice_make(bytes, 3000), &c);
    assert_ptr_equal(entry_blob(e), c.blob);
    blob_release(c.blob);
    assert_false(blob_is_held(entry_blob(e)));
    expect(e, slice_make(bytes, 3000), &copy);
    entry_free(slabs, e);
}

/* A value and its copy: who is changed first leaves it to the other, who then has it alone. */
static void test_two_entries_have_one_blob(void **state)
{
    (void)state;
    struct content c = content_string(slice_make(bytes, 70000));
    struct entry *e = entry_new(slabs, S("one"), &c);
    struct content same = content_string(entry_string(e));
    same.blob = entry_blob(e);
    struct entry *other = entry_new(slabs, S("two"), &same);
    assert_ptr_equal(entry_blob(other), entry_blob(e));
    assert_true(blob_is_held(entry_blob(e)));
    assert_ptr_equal(entry_resized(slabs, other, 70001), other);
    entry_value(other)[0] = '!';
    assert_ptr_not_equal(entry_blob(other), entry_blob(e));
    assert_false(blob_is_held(entry_blob(e)));
    assert_false(blob_is_held(entry_blob(other)));
    expect(e, S("one"), &c);
    entry_free(slabs, other);
    entry_free(slabs, e);
}

/* From one kind of memory to the other: bytes are kept, the rest is zeros, what it costs is right. */
static void test_a_large_value_grows_without_being_copied(void **state)
{
    (void)state;
    struct content c = content_string(slice_make(bytes, 70000));
    struct entry *e = entry_new(slabs, S("key"), &c);
    size_t before = entry_bytes(e) - blob_cost(entry_blob(e)->room);
    for (size_t len = 70000, more; len < 5 * (size_t)BLOB_MAPPED_BYTES_MIN; len = more) {
        more = len * 5 / 3;
        assert_ptr_equal(entry_resized(slabs, e, more), e);
        assert_int_equal(entry_string(e).len, more);
        assert_int_equal(entry_bytes(e), before + blob_cost(entry_blob(e)->room));
        assert_int_equal(blob_is_mapped(entry_blob(e)), entry_blob(e)->room >= BLOB_MAPPED_BYTES_MIN);
        assert_memory_equal(entry_value(e), bytes, 70000);
        for (size_t i = 70000; i < len; i++) {
            assert_int_equal(entry_value(e)[i], 'x');
        }
        for (size_t i = len; i < more; i++) {
            assert_int_equal(entry_value(e)[i], 0);
        }
        memset(entry_value(e) + len, 'x', more - len);
    }
    assert_true(blob_is_mapped(entry_blob(e)));
    size_t room = entry_blob(e)->room, len = room - 10; /* zeros also where something was before */
    assert_ptr_equal(entry_resized(slabs, e, len), e);
    memset(entry_value(e), 'x', len);
    assert_ptr_equal(entry_resized(slabs, e, len / 2), e);
    assert_ptr_equal(entry_resized(slabs, e, room + 10), e);
    for (size_t i = len / 2; i < room + 10; i++) {
        assert_int_equal(entry_value(e)[i], 0);
    }
    entry_free(slabs, e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_encodings),
        cmocka_unit_test(test_what_an_entry_costs),
        cmocka_unit_test(test_every_shape),
        cmocka_unit_test(test_far_deadlines_are_exact),
        cmocka_unit_test(test_resizing_keeps_and_zeroes),
        cmocka_unit_test(test_appending_seldom_allocates),
        cmocka_unit_test(test_assigning_in_place),
        cmocka_unit_test(test_a_held_value_is_never_changed),
        cmocka_unit_test(test_a_held_value_outlives_its_entry),
        cmocka_unit_test(test_a_blob_becomes_the_value),
        cmocka_unit_test(test_two_entries_have_one_blob),
        cmocka_unit_test(test_a_large_value_grows_without_being_copied),
    };
    struct slab_bench b;
    slab_bench_init(&b);
    slabs = &b.slabs;
    int failed = cmocka_run_group_tests_name("in a shard", tests, NULL, NULL);
    slab_check(slabs);
    slab_bench_fini(&b);
    slabs = NULL;
    return failed + cmocka_run_group_tests_name("in none", tests, NULL, NULL);
}
