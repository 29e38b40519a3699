/* resp_fuzz - the parser of requests, called as the door calls it: once with the whole input, once with the same bytes
 * in pieces, each piece at another address. Both must find the same requests, the same fault, and leave the same rest.
 *
 * Input: the first byte chooses the limits, the second seeds where it is cut, the rest is what a client sends. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "wire/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* What was found, as bytes that can be compared. */
static void note(struct buf *trace, const struct resp_request *r)
{
    buf_printf(trace, "\n%u in %zu:", r->argc, r->bytes);
    for (unsigned i = 0; i < r->argc; i++) {
        buf_printf(trace, " %zu ", r->argv[i].len);
        buf_append(trace, r->argv[i]);
    }
}

struct feed {
    struct resp_parser parser;
    struct arena arena;
    struct buf trace;
    size_t done; /* bytes of requests that were found */
    bool over;   /* a fault */
};

/* Serves what is there, from a copy of exactly that size. */
static void serve(struct feed *f, const uint8_t *bytes, size_t seen, const struct resp_limits *limits)
{
    size_t waiting = seen - f->done, at = 0;
    char *copy = malloc(waiting ? waiting : 1);
    memcpy(copy, bytes + f->done, waiting);
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
        note(&f->trace, &r);
        at += r.bytes;
        arena_reset(&f->arena);
    }
    /* Memory follows what came, not what was claimed. */
    assert(f->parser.span_capacity <= 16 + 2 * waiting / 5);
    f->done += at;
    free(copy);
}

static void open_feed(struct feed *f)
{
    *f = (struct feed){.over = false};
    resp_parser_init(&f->parser);
    arena_init(&f->arena);
    buf_init(&f->trace, 64 << 20);
}

static void close_feed(struct feed *f)
{
    resp_parser_fini(&f->parser);
    arena_fini(&f->arena);
    buf_fini(&f->trace);
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
    serve(&whole, bytes, length, &limits);
    unsigned piece_max = bytes[-1] & 1 ? 3 + length / 1024 : 1 + length / 4; /* few enough to be quick */
    for (size_t seen = 0; seen < length && !pieces.over;) {
        seen += 1 + random_below(&random, piece_max);
        serve(&pieces, bytes, seen < length ? seen : length, &limits);
    }
    assert(whole.over == pieces.over);
    assert(whole.done == pieces.done);
    assert(slice_equal(buf_slice(&whole.trace), buf_slice(&pieces.trace)));
    close_feed(&whole);
    close_feed(&pieces);
    return 0;
}
