/* Blobs: who may change one, who frees it, also when all let go at once. A leak or a second free is for the sanitizers to see. */
#include "os/blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

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

static void test_a_blob_without_an_owner_gets_one(void **state)
{
    (void)state;
    struct blob *b = blob_new(ROOM);
    blob_hold(b);
    assert_false(blob_own(b)); /* it has one */
    blob_disown(b);
    assert_true(blob_share_bytes(b) >= ROOM);
    assert_true(blob_own(b));
    assert_true(blob_is_held(b));
    assert_int_equal(blob_share_bytes(b), 0);
    blob_release(b);
    assert_false(blob_is_held(b));
    blob_disown(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_owner_changes_what_nobody_holds),
        cmocka_unit_test(test_the_last_one_frees_it),
        cmocka_unit_test(test_a_blob_without_an_owner_gets_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
