/* Own bytes lie in one buffer, and a part of a blob knows before which of them it stands:
 *
 *      own     $ 2 0 0 0 0 \r \n \r \n $ 3 \r \n a b c \r \n
 *                               ^
 *      parts   { at 8, bytes }--'
 *
 * What is sent goes from the front of both. Memory is moved only when half of it is sent, so that many pieces do not cost their square.
 *
 * Invariants: (I1) parts ascend by `at`, none is empty, and none of those left is before own_sent. (I2) held_bytes is their sum. (I3) own
 * gets no more memory than held_bytes leaves of bytes_max; what it has it may use. */
#include "os/output.h"

#include "base/assert.h"
#include "base/num.h"

struct output_part {
    size_t at; /* the own bytes before it */
    struct blob *blob;
    slice bytes; /* not yet sent */
};

/* Those that are left; both NULL when there never was one. */
static struct output_part *parts_begin(const struct output *o)
{
    return o->parts.bytes ? (struct output_part *)(o->parts.bytes + o->parts_sent) : NULL;
}

static struct output_part *parts_end(const struct output *o)
{
    return o->parts.bytes ? (struct output_part *)(o->parts.bytes + o->parts.len) : NULL;
}

static void update_bound(struct output *o)
{
    o->own.bytes_max = o->own_sent + (o->bytes_max - num_min_u64(o->bytes_max, o->held_bytes));
}

void output_init(struct output *o, size_t bytes_max)
{
    *o = (struct output){.bytes_max = bytes_max};
    buf_init(&o->parts, SIZE_MAX);
    buf_init(&o->own, bytes_max);
}

void output_fini(struct output *o)
{
    output_cut(o, 0);
    buf_fini(&o->own);
    buf_fini(&o->parts);
    o->own_sent = o->parts_sent = 0;
    update_bound(o);
}

void output_bound(struct output *o, size_t bytes_max)
{
    o->bytes_max = bytes_max;
    update_bound(o);
}

void output_hold(struct output *o, struct blob *b, slice bytes)
{
    if (bytes.len == 0 || buf_failed(&o->own)) {
        return;
    }
    if (output_bytes(o) > o->bytes_max || bytes.len > o->bytes_max - output_bytes(o)) {
        o->own.failure = ERR_LIMIT;
        return;
    }
    struct output_part *part = (struct output_part *)buf_extend(&o->parts, sizeof *part);
    if (!part) {
        o->own.failure = o->parts.failure;
        return;
    }
    blob_hold(b);
    *part = (struct output_part){.at = o->own.len, .blob = b, .bytes = bytes};
    o->held_bytes += bytes.len;
    update_bound(o);
}

void output_cut(struct output *o, size_t own_len)
{
    while (o->parts_sent < o->parts.len && parts_end(o)[-1].at >= own_len) {
        struct output_part *last = parts_end(o) - 1;
        o->held_bytes -= last->bytes.len;
        blob_release(last->blob);
        o->parts.len -= sizeof *last;
    }
    buf_truncate(&o->own, own_len);
    update_bound(o);
}

size_t output_memory(const struct output *o)
{
    size_t bytes = o->own.capacity + o->parts.capacity;
    for (const struct output_part *p = parts_begin(o); p < parts_end(o); p++) {
        bytes += blob_share_bytes(p->blob);
    }
    return bytes;
}

/* ---- sending ------------------------------------------------------------------------------------------------------- */

unsigned output_pieces(const struct output *o, size_t bytes, struct iovec *pieces, unsigned most)
{
    const struct output_part *p = parts_begin(o), *end = parts_end(o);
    size_t at = o->own_sent;
    unsigned count = 0;
    while (count < most && bytes > 0 && (at < o->own.len || p < end)) {
        size_t stop = p < end ? p->at : o->own.len;
        struct iovec *piece = &pieces[count++];
        if (at < stop) {
            *piece = (struct iovec){.iov_base = o->own.bytes + at, .iov_len = stop - at};
            at = stop;
        } else {
            *piece = (struct iovec){.iov_base = (char *)p->bytes.ptr, .iov_len = p->bytes.len};
            p++;
        }
        piece->iov_len = num_min_u64(piece->iov_len, bytes);
        bytes -= piece->iov_len;
    }
    return count;
}

slice output_first(const struct output *o)
{
    struct iovec piece = {0};
    (void)output_pieces(o, SIZE_MAX, &piece, 1);
    return slice_make(piece.iov_base, piece.iov_len);
}

static void part_sent(struct output *o, size_t count)
{
    struct output_part *p = parts_begin(o);
    p->bytes = slice_sub(p->bytes, count, SIZE_MAX);
    o->held_bytes -= count;
    if (p->bytes.len == 0) {
        blob_release(p->blob);
        o->parts_sent += sizeof *p;
    }
}

/* Moves to the front what is left, when about as much is over. */
static void tidy(struct output *o)
{
    if (o->parts_sent >= o->parts.len / 2) {
        buf_consume(&o->parts, o->parts_sent);
        o->parts_sent = 0;
    }
    if (o->own_sent >= o->own.len / 2) {
        for (struct output_part *p = parts_begin(o); p < parts_end(o); p++) {
            p->at -= o->own_sent;
        }
        buf_consume(&o->own, o->own_sent);
        o->own_sent = 0;
    }
    update_bound(o);
}

void output_sent(struct output *o, size_t count)
{
    assert(count <= output_bytes(o));
    while (output_has_parts(o) && count > 0) {
        size_t before = parts_begin(o)->at - o->own_sent, own = num_min_u64(before, count);
        size_t held = num_min_u64(count - own, parts_begin(o)->bytes.len);
        o->own_sent += own;
        if (held > 0) {
            part_sent(o, held);
        }
        count -= own + held;
    }
    o->own_sent += count;
    tidy(o);
}

void output_shrink(struct output *o, size_t keep_bytes)
{
    if (output_bytes(o) == 0) {
        buf_shrink(&o->own, keep_bytes);
        buf_fini(&o->parts);
    }
}
