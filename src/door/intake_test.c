/* Large arguments as they come: what they cost meanwhile, and that the call gets them. */
#include "door/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/num.h"
#include "os/blob.h"
#include "os/mem.h"

enum { BYTES = 3000001, PIECE = 60000 };

static char bytes[BYTES + 2];

/* Gives it what it wants of `all`, in pieces; returns how much that was. */
static size_t fill(struct intake *i, slice all)
{
    size_t at = 0;
    for (size_t taken = 1; taken > 0;) {
        slice piece = slice_sub(all, at, PIECE), left = piece;
        size_t before = intake_bytes(i);
        assert_int_equal(intake_fill(i, &left), OK);
        taken = piece.len - left.len;
        at += taken;
        assert_int_equal(intake_bytes(i), before + taken);
    }
    return at;
}

static void test_they_take_what_is_theirs(void **state)
{
    (void)state;
    static const size_t lens[] = {CALL_BLOCK_BYTES_MIN, PIECE, PIECE + 1, 262144, 262145, BYTES};
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i * 31 + i / 256);
    }
    slice argv[countof(lens) * 2] = {0};
    struct call call = {.argc = countof(argv), .argv = argv};
    struct intake *in = intake_new();
    for (unsigned i = 0; i < countof(lens); i++) {
        assert_int_equal(intake_begin(in, 2 * i + 1, lens[i]), OK);
        assert_int_equal(fill(in, slice_make(bytes, lens[i] + 2)), lens[i]);
        assert_int_equal(fill(in, S("more")), 0);
    }
    intake_lend(in, &call);
    for (unsigned i = 0; i < countof(lens); i++) {
        struct blob *b = call_block(&call, 2 * i + 1);
        assert_non_null(b);
        assert_null(call_block(&call, 2 * i));
        assert_ptr_equal(argv[2 * i].ptr, NULL);
        assert_ptr_equal(argv[2 * i + 1].ptr, b->bytes);
        assert_int_equal(argv[2 * i + 1].len, lens[i]);
        assert_memory_equal(b->bytes, bytes, lens[i]);
        assert_int_equal(b->room, blob_good_room(lens[i]));
    }
    struct content c = call_content(&call, 1);
    assert_ptr_equal(c.blob, call_block(&call, 1));
    blob_own(c.blob); /* somebody has stored it */
    intake_free(in);
    assert_memory_equal(c.blob->bytes, bytes, lens[0]);
    assert_false(blob_is_held(c.blob));
    blob_disown(c.blob);
}

/* Room follows what has come, and is believed to be needed when enough has. */
static void test_a_claim_reserves_nothing(void **state)
{
    (void)state;
    struct intake *in = intake_new();
    assert_int_equal(intake_begin(in, 2, 100 << 20), OK);
    assert_int_equal(intake_bytes(in) + intake_spare_bytes(in), 0);
    for (size_t come = 0; come < 240000; come += 1000) {
        slice piece = slice_make(bytes, 1000);
        assert_int_equal(intake_fill(in, &piece), OK);
        assert_int_equal(intake_bytes(in), come + 1000);
        assert_true(intake_spare_bytes(in) <= mem_good_bytes(2 * (come + 1000)) - come);
    }
    assert_int_equal(fill(in, slice_make(bytes, BYTES)), BYTES);
    assert_int_equal(intake_spare_bytes(in), 0); /* addresses */
    intake_free(in);
    intake_free(NULL);
}

/* For who has sent enough of it, until little is missing. */
static void test_what_is_missing_has_a_place(void **state)
{
    (void)state;
    static const size_t lens[] = {40000, 300000, 100 << 20}, first[] = {40000, 33000, 263000};
    for (unsigned i = 0; i < countof(lens); i++) {
        struct intake *in = intake_new();
        char *place = NULL;
        assert_int_equal(intake_begin(in, 0, lens[i]), OK);
        assert_int_equal(intake_place(in, &place), 0);
        size_t come = 0;
        for (slice piece; intake_place(in, &place) == 0 && come < lens[i]; come += 1000) {
            piece = slice_make(bytes + come, 1000);
            assert_int_equal(intake_fill(in, &piece), OK);
        }
        assert_int_equal(come, first[i]);
        if (lens[i] == 300000) {
            assert_int_equal(intake_place(in, &place), lens[i] - come);
            memcpy(place, bytes + come, lens[i] - come - 1000);
            intake_placed(in, lens[i] - come - 1000);
            assert_int_equal(intake_bytes(in), lens[i] - 1000);
            assert_int_equal(intake_spare_bytes(in), 0);
            assert_int_equal(intake_place(in, &place), 0);
            slice argv[1];
            struct call call = {.argc = 1, .argv = argv};
            assert_int_equal(fill(in, slice_make(bytes + lens[i] - 1000, 2000)), 1000);
            assert_int_equal(intake_place(in, &place), 0);
            intake_lend(in, &call);
            assert_int_equal(argv[0].len, lens[i]);
            assert_memory_equal(argv[0].ptr, bytes, lens[i]);
        }
        intake_free(in);
    }
}

static void test_freed_at_any_point(void **state)
{
    (void)state;
    for (size_t come = 0; come < 5 * PIECE; come += PIECE / 2) {
        struct intake *in = intake_new();
        if (come > 0) {
            assert_int_equal(intake_begin(in, 0, 2 * PIECE), OK);
            size_t taken = fill(in, slice_make(bytes, come));
            assert_int_equal(taken, num_min_u64(come, 2 * PIECE));
            if (taken < come) {
                assert_int_equal(intake_begin(in, 1, 4 * PIECE), OK);
                fill(in, slice_make(bytes, come - taken));
            }
        }
        intake_free(in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_they_take_what_is_theirs),
        cmocka_unit_test(test_a_claim_reserves_nothing),
        cmocka_unit_test(test_what_is_missing_has_a_place),
        cmocka_unit_test(test_freed_at_any_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
