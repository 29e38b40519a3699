/* Blobs: who may change one, who frees it, also when all let go at once. A leak or a second free is for the sanitizers to see. */
#include "os/blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/slice.h"
#include "os/thread.h"

enum { ROOM = 100, THREADS = 4, ROUNDS = 20000 };

static void test_an_owner_changes_what_nobody_holds(void **state)
{
    (void)state;
    struct blob *b = blob_new(ROOM);
    memcpy(b->bytes, "value", 5);
    assert_false(blob_is_held(b));
    b = blob_resize(b, 5, 100 * ROOM);
    assert_memory_equal(b->bytes, "value", 5);
    blob_hold(b);
    assert_true(blob_is_held(b));
    struct blob *other = blob_resize(b, 3, ROOM);
    assert_ptr_not_equal(other, b);
    assert_false(blob_is_held(other));
    memcpy(other->bytes + 3, "id", 2);
    assert_memory_equal(other->bytes, "valid", 5);
    assert_memory_equal(b->bytes, "value", 5);
    assert_true(blob_share_bytes(b) >= 100 * ROOM); /* it has no owner now */
    blob_release(b);
    blob_disown(other);
    blob_disown(NULL);
}

static struct blob *shared[ROUNDS];
static unsigned seen; /* atomic: the sum of what the holders have read */

static void hold_none_longer(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        __atomic_add_fetch(&seen, (unsigned)shared[i]->bytes[0], __ATOMIC_RELAXED);
        blob_release(shared[i]);
    }
}

static void test_the_last_one_frees_it(void **state)
{
    (void)state;
    struct thread threads[THREADS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        shared[i] = blob_new(ROOM);
        shared[i]->bytes[0] = 1;
        for (unsigned j = 0; j < THREADS; j++) {
            blob_hold(shared[i]);
        }
    }
    for (unsigned j = 0; j < THREADS; j++) {
        assert_int_equal(thread_start(&threads[j], "holder", hold_none_longer, NULL), OK);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (!blob_is_held(shared[i])) {
            shared[i]->bytes[0] = 2; /* nobody reads it any more */
        }
        blob_disown(shared[i]);
    }
    for (unsigned j = 0; j < THREADS; j++) {
        thread_join(&threads[j]);
    }
    assert_int_equal(seen, THREADS * ROUNDS);
}

static void test_a_holder_makes_it_owned(void **state)
{
    (void)state;
    struct blob *b = blob_new(ROOM);
    blob_hold(b);
    blob_disown(b);
    assert_true(blob_share_bytes(b) >= ROOM);
    blob_own(b);
    assert_true(blob_is_held(b));
    assert_int_equal(blob_share_bytes(b), 0);
    blob_release(b);
    assert_false(blob_is_held(b));
    blob_disown(b);
}

static void test_two_owners_leave_it_as_it_is(void **state)
{
    (void)state;
    struct blob *b = blob_new(ROOM);
    memset(b->bytes, 'x', ROOM);
    blob_own(b);
    assert_true(blob_is_held(b));
    struct blob *other = blob_resize(b, ROOM, 2 * ROOM);
    assert_ptr_not_equal(other, b);
    assert_memory_equal(other->bytes, b->bytes, ROOM);
    assert_false(blob_is_held(b));
    assert_false(blob_is_held(other));
    blob_disown(b);
    blob_disown(other);
}

static bool is_filled(const char *bytes, size_t len, char with)
{
    size_t i = 0;
    while (i < len && bytes[i] == with) {
        i++;
    }
    return i == len;
}

/* Through the kinds of memory and back. */
static void test_what_a_large_one_gets_is_zeros(void **state)
{
    (void)state;
    enum { LARGE = BLOB_MAPPED_BYTES_MIN };
    static const size_t rooms[] = {LARGE, 3 * LARGE, 50 * (size_t)LARGE, 2 * LARGE, ROOM, LARGE};
    uint64_t before = mem_stats().allocated_bytes;
    struct blob *b = blob_new(ROOM);
    memset(b->bytes, 'x', ROOM);
    size_t used = ROOM;
    for (unsigned i = 0; i < countof(rooms); i++) {
        size_t kept = used < rooms[i] ? used : rooms[i];
        b = blob_resize(b, kept, rooms[i]);
        assert_int_equal(b->room, rooms[i]);
        assert_int_equal(blob_is_mapped(b), rooms[i] > ROOM);
        assert_true(is_filled(b->bytes, kept, 'x'));
        assert_true(!blob_is_mapped(b) || is_filled(b->bytes + kept, rooms[i] - kept, 0));
        assert_true(before == 0 || !blob_is_mapped(b) || mem_stats().allocated_bytes >= before + rooms[i]);
        memset(b->bytes, 'x', rooms[i]);
        used = rooms[i];
    }
    blob_disown(b);
    assert_true(mem_stats().allocated_bytes < before + LARGE);
}

static void test_rooms_are_kept(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes < 20 * (size_t)BLOB_MAPPED_BYTES_MIN; bytes += bytes / 3 + 1) {
        size_t room = blob_good_room(bytes);
        assert_true(room >= bytes);
        assert_int_equal(blob_good_room(room), room);
        assert_true(room < BLOB_MAPPED_BYTES_MIN || (room % MEM_MAP_STEP == 0 && room < bytes + MEM_MAP_STEP));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_owner_changes_what_nobody_holds),
        cmocka_unit_test(test_the_last_one_frees_it),
        cmocka_unit_test(test_a_holder_makes_it_owned),
        cmocka_unit_test(test_two_owners_leave_it_as_it_is),
        cmocka_unit_test(test_what_a_large_one_gets_is_zeros),
        cmocka_unit_test(test_rooms_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
