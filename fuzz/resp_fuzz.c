/* resp_fuzz - the parser of requests, called as the door calls it: once with the whole input, once with the same bytes
 * in pieces, each piece at another address, and arguments of LARGE_BYTES that are not there in full kept out of the
 * input. Both must find the same requests, the same fault, and leave the same rest.
 *
 * Input: the first byte chooses the limits, the second seeds where it is cut, the rest is what a client sends. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "wire/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { LARGE_BYTES = 8, LEFT_OUT_MAX = 64 };

/* What was found, as bytes that can be compared. */
static void note(struct buf *trace, const struct resp_request *r, size_t bytes)
{
    buf_printf(trace, "\n%u in %zu:", r->argc, bytes);
    for (unsigned i = 0; i < r->argc; i++) {
        buf_printf(trace, " %zu ", r->argv[i].len);
        buf_append(trace, r->argv[i]);
    }
}

struct feed {
    struct resp_parser parser;
    struct arena arena;
    struct buf trace;
    struct buf waiting; /* input, of requests that are not found yet */
    struct {
        unsigned argument;
        size_t bytes, filled;
        char *copy;
    } left_out[LEFT_OUT_MAX]; /* of the first of them */
    unsigned left_out_count;
    size_t left_out_bytes;
    size_t done; /* bytes of requests that were found */
    bool over;   /* a fault */
};

/* Takes from the front of `piece` what the argument that was left out last still misses. */
static slice fill(struct feed *f, slice piece)
{
    if (f->left_out_count == 0) {
        return piece;
    }
    size_t last = f->left_out_count - 1;
    slice taken = slice_sub(piece, 0, f->left_out[last].bytes - f->left_out[last].filled);
    memcpy(f->left_out[last].copy + f->left_out[last].filled, taken.ptr, taken.len);
    f->left_out[last].filled += taken.len;
    f->left_out_bytes += taken.len;
    return slice_sub(piece, taken.len, SIZE_MAX);
}

static void forget_left_out(struct feed *f)
{
    while (f->left_out_count > 0) {
        free(f->left_out[--f->left_out_count].copy);
    }
    f->left_out_bytes = 0;
}

/* After RESP_MORE, as the connection does it. Claims may be huge: memory here follows what is still to come. */
static void leave_out(struct feed *f, size_t to_come)
{
    size_t bytes = resp_parser_bulk_bytes(&f->parser), at = f->parser.at;
    if (bytes < LARGE_BYTES || f->waiting.len - at >= bytes || bytes > f->waiting.len - at + to_come ||
        f->left_out_count == LEFT_OUT_MAX) {
        return;
    }
    f->left_out[f->left_out_count].argument = f->parser.span_count;
    f->left_out[f->left_out_count].bytes = bytes;
    f->left_out[f->left_out_count].filled = 0;
    f->left_out[f->left_out_count++].copy = malloc(bytes);
    resp_parser_leave_out(&f->parser);
    (void)fill(f, slice_sub(buf_slice(&f->waiting), at, SIZE_MAX));
    f->waiting.len = at;
}

/* Serves what is there, from a copy of exactly that size. */
static void serve(struct feed *f, slice piece, const struct resp_limits *limits, size_t to_come)
{
    piece = fill(f, piece);
    if (piece.len == 0) {
        return;
    }
    buf_append(&f->waiting, piece);
    size_t at = 0, waiting = f->waiting.len;
    char *copy = malloc(waiting);
    memcpy(copy, f->waiting.bytes, waiting);
    while (!f->over) {
        struct resp_request r;
        enum resp_step step = resp_parse(&f->parser, slice_make(copy + at, waiting - at), limits, &f->arena, &r);
        if (step == RESP_MORE) {
            assert(f->parser.at <= waiting - at);
            break;
        }
        if (step == RESP_FAULT) {
            buf_printf(&f->trace, "\n%s", f->parser.fault);
            f->over = true;
            break;
        }
        assert(r.bytes > 0);
        assert(r.bytes <= waiting - at);
        slice second = resp_lone_second_word(slice_make(copy + at, waiting - at));
        assert(!second.ptr || f->left_out_count > 0 || (r.argc >= 2 && slice_equal(second, r.argv[1])));
        for (unsigned i = 0; i < f->left_out_count; i++) {
            assert(r.argv[f->left_out[i].argument].len == 0);
            assert(f->left_out[i].filled == f->left_out[i].bytes);
            r.argv[f->left_out[i].argument] = slice_make(f->left_out[i].copy, f->left_out[i].bytes);
        }
        note(&f->trace, &r, r.bytes + f->left_out_bytes);
        f->done += r.bytes + f->left_out_bytes;
        at += r.bytes;
        forget_left_out(f);
        arena_reset(&f->arena);
    }
    /* Memory follows what came, not what was claimed. */
    assert(f->parser.span_capacity <= 16 + 2 * waiting / 5);
    buf_consume(&f->waiting, at);
    free(copy);
    if (!f->over) {
        leave_out(f, to_come);
    }
}

static void open_feed(struct feed *f)
{
    *f = (struct feed){.over = false};
    resp_parser_init(&f->parser);
    arena_init(&f->arena);
    buf_init(&f->trace, 64 << 20);
    buf_init(&f->waiting, 64 << 20);
}

static void close_feed(struct feed *f)
{
    forget_left_out(f);
    resp_parser_fini(&f->parser);
    arena_fini(&f->arena);
    buf_fini(&f->trace);
    buf_fini(&f->waiting);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < 2) {
        return 0;
    }
    struct resp_limits limits = {.bulk_bytes_max = bytes[0] & 2 ? 64 : 512 << 20, .unknown = bytes[0] & 1};
    struct random random;
    random_init(&random, bytes[1], 1);
    bytes += 2;
    length -= 2;

    struct feed whole, pieces;
    open_feed(&whole);
    open_feed(&pieces);
    serve(&whole, slice_make((const char *)bytes, length), &limits, 0);
    unsigned piece_max = bytes[-1] & 1 ? 3 + length / 1024 : 1 + length / 4; /* few enough to be quick */
    for (size_t seen = 0; seen < length && !pieces.over;) {
        slice piece = slice_sub(slice_make((const char *)bytes, length), seen, 1 + random_below(&random, piece_max));
        seen += piece.len;
        serve(&pieces, piece, &limits, length - seen);
    }
    assert(whole.over == pieces.over);
    assert(whole.done == pieces.done);
    assert(slice_equal(buf_slice(&whole.trace), buf_slice(&pieces.trace)));
    close_feed(&whole);
    close_feed(&pieces);
    return 0;
}
