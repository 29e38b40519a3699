/* Outputs against a model: a plain buffer of everything that was appended, of which everything that was sent is cut off. */
#include "os/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/num.h"
#include "base/random.h"
#include "os/mem.h"

enum { BLOB_COUNT = 4, BLOB_BYTES = 1000, STEPS = 20000, PIECES = 3, BYTES_MAX = 5000 };

static struct blob *blobs[BLOB_COUNT];

static int set_up(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BLOB_COUNT; i++) {
        blobs[i] = blob_new(BLOB_BYTES);
        for (unsigned j = 0; j < BLOB_BYTES; j++) {
            blobs[i]->bytes[j] = (char)(j * (i + 3));
        }
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BLOB_COUNT; i++) {
        assert_false(blob_is_held(blobs[i])); /* every hold has been let go */
        blob_disown(blobs[i]);
    }
    return 0;
}

/* As answers are: own bytes at the end. */
static void append_something(struct output *o, struct buf *model, struct random *r)
{
    const struct blob *b = blobs[random_below(r, BLOB_COUNT)];
    size_t from = random_below(r, BLOB_BYTES);
    slice bytes = slice_make(b->bytes + from, random_below(r, BLOB_BYTES - from + 1));
    if (random_below(r, 2)) {
        output_hold(o, (struct blob *)b, bytes);
    } else {
        bytes.len = num_min_u64(bytes.len, 9);
        buf_append(&o->own, bytes);
    }
    buf_append(&o->own, S("end"));
    if (!buf_failed(&o->own)) {
        buf_append(model, bytes);
        buf_append(model, S("end"));
    }
}

static void send_something(struct output *o, struct buf *model, struct random *r)
{
    struct iovec pieces[PIECES];
    size_t most = random_below(r, 4) ? SIZE_MAX : random_below(r, 2 * BLOB_BYTES), bytes = 0;
    unsigned count = output_pieces(o, most, pieces, PIECES);
    for (unsigned i = 0; i < count; i++) {
        assert_true(pieces[i].iov_len > 0);
        assert_memory_equal(pieces[i].iov_base, model->bytes + bytes, pieces[i].iov_len);
        bytes += pieces[i].iov_len;
    }
    assert_true(bytes <= most);
    assert_true(count == PIECES || bytes == num_min_u64(most, model->len));
    slice first = output_first(o);
    assert_true(bytes == 0 || (first.ptr == pieces->iov_base && num_min_u64(first.len, most) == pieces->iov_len));
    assert_true(model->len > 0 || first.len == 0);
    size_t sent = random_below(r, 3) ? random_below(r, bytes + 1) : bytes;
    output_sent(o, sent);
    buf_consume(model, sent);
}

static void test_what_goes_in_comes_out(void **state)
{
    (void)state;
    struct output o;
    struct buf model;
    struct random r;
    random_init(&r, 7, 7);
    output_init(&o, BYTES_MAX);
    buf_init(&model, SIZE_MAX);
    unsigned refused = 0, cut = 0;
    for (unsigned i = 0; i < STEPS; i++) {
        size_t mark = o.own.len, bytes = model.len;
        append_something(&o, &model, &r);
        if (buf_failed(&o.own) || random_below(&r, 10) == 0) {
            refused += buf_failed(&o.own);
            cut++;
            output_cut(&o, mark);
            buf_truncate(&model, bytes);
        }
        assert_true(output_bytes(&o) <= BYTES_MAX + o.own.capacity);
        if (random_below(&r, 4) == 0) {
            send_something(&o, &model, &r);
        }
        assert_int_equal(output_bytes(&o), model.len);
    }
    assert_true(refused > 100);
    assert_true(cut > refused + 100);
    output_fini(&o);
    assert_int_equal(output_bytes(&o), 0);
    buf_fini(&model);
}

static void test_the_bound_counts_blobs(void **state)
{
    (void)state;
    struct output o;
    slice half = slice_make(blobs[0]->bytes, BLOB_BYTES / 2);
    output_init(&o, BLOB_BYTES);
    output_hold(&o, blobs[0], half);
    assert_non_null(buf_extend(&o.own, BLOB_BYTES / 2));
    assert_false(buf_failed(&o.own));
    output_hold(&o, blobs[1], slice_make(blobs[1]->bytes, 1));
    assert_int_equal(o.own.failure, ERR_LIMIT);
    assert_false(blob_is_held(blobs[1]));
    output_cut(&o, 1);
    output_sent(&o, BLOB_BYTES / 2); /* makes room */
    assert_non_null(buf_extend(&o.own, BLOB_BYTES - 1));
    assert_null(buf_extend(&o.own, 1));
    output_fini(&o);
}

/* Each answers for its share of what nobody else does. */
static void test_who_pays_for_a_blob(void **state)
{
    (void)state;
    struct output a, b;
    struct blob *shared = blob_new(blob_good_room(BLOB_BYTES));
    size_t cost = blob_cost(blob_good_room(BLOB_BYTES));
    output_init(&a, SIZE_MAX);
    output_init(&b, SIZE_MAX);
    output_hold(&a, shared, slice_make(shared->bytes, 10));
    output_hold(&b, shared, slice_make(shared->bytes, 10));
    size_t own = output_memory(&a);
    assert_true(own < BLOB_BYTES / 2); /* the owner does */
    blob_disown(shared);
    assert_int_equal(output_memory(&a), own + cost / 2);
    assert_int_equal(output_memory(&b), own + cost / 2);
    output_fini(&a);
    assert_int_equal(output_memory(&a), 0);
    assert_int_equal(output_memory(&b), own + cost);
    output_sent(&b, 10);
    output_shrink(&b, 0);
    assert_int_equal(output_memory(&b), 0);
    output_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_goes_in_comes_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_bound_counts_blobs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_pays_for_a_blob, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
