/* The Redis protocol as bytes: requests in, replies out. Pure: no sockets, no clock; any thread, each parser by one
 * thread at a time. */
#ifndef WIRE_RESP_H
#define WIRE_RESP_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"

enum {
    RESP_LINE_BYTES_MAX = 64 * 1024, /* an inline request, a line with a count or a length */
    RESP_ARGUMENT_COUNT_MAX = 1024 * 1024,
    RESP_UNKNOWN_ARGUMENT_COUNT_MAX = 10, /* of somebody who has not said who he is */
    RESP_UNKNOWN_BULK_BYTES_MAX = 16 * 1024,
};

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* What may change from request to request. */
struct resp_limits {
    uint64_t bulk_bytes_max; /* longest argument */
    bool unknown;            /* AUTH is needed and has not come: the small limits hold */
};

/* Where an argument lies, from the first byte of its request. */
struct resp_span {
    size_t from;
    size_t bytes;
};

/* How far a request that has not come in full is parsed. */
struct resp_parser {
    size_t at;               /* everything before is parsed */
    size_t searched;         /* no end of line in [at, searched) */
    uint32_t argument_count; /* as claimed; 0 while the first line is not complete */
    bool in_bulk;            /* the length line of the next argument is parsed */
    size_t bulk_bytes;       /* in_bulk: its length, as far as it is in the input */
    struct resp_span *spans; /* of the arguments that are there; grows with what came, never with what was claimed */
    uint32_t span_count;
    uint32_t span_capacity;
    char fault[64]; /* RESP_FAULT: what is wrong, for the peer: "Protocol error: ..." */
};

struct resp_request {
    unsigned argc; /* 0: nothing was asked (an empty line, *0, *-1); there is nothing to answer */
    slice *argv;   /* in the arena; the bytes are in the input, those of an inline request in the arena */
    size_t bytes;  /* length of the request in the input, without what was left out */
};

enum resp_step {
    RESP_REQUEST, /* complete */
    RESP_MORE,    /* the rest is needed */
    RESP_FAULT,   /* nothing that follows can be understood: say fault, then close */
};

/* Allocates nothing. */
void resp_parser_init(struct resp_parser *p);
void resp_parser_fini(struct resp_parser *p);
/* Forgets a request that was begun; keeps the memory. */
void resp_parser_reset(struct resp_parser *p);

/* After RESP_MORE: the length of the argument whose bytes come next, from p->at on; 0 when it is not known. */
static inline size_t resp_parser_bulk_bytes(const struct resp_parser *p)
{
    return p->in_bulk ? p->bulk_bytes : 0;
}
/* The caller keeps the bytes of that argument, which is number span_count, out of the input: there follows at p->at what is behind them. In
 * the request the argument is empty, and the caller puts it in. */
static inline void resp_parser_leave_out(struct resp_parser *p)
{
    p->bulk_bytes = 0;
}

/* The second word, mostly a key, of a request that is all there is in `input`, or more than that; the request may be faulty behind it. An empty slice without bytes when it is
 * not written in the plain way, or not there in full, or another request follows. */
slice resp_lone_second_word(slice input);

/* Parses the request that `input` begins with. After RESP_MORE it is called again with the same bytes and at least one
 * more, which may lie elsewhere by then: what was parsed is not looked at again. After RESP_REQUEST the parser is
 * ready for the next request, whose first byte is input.ptr[bytes]. A system that refuses memory is a fault, too. */
MUST_USE enum resp_step resp_parse(struct resp_parser *p, slice input, const struct resp_limits *limits,
                                   struct arena *arena, struct resp_request *ret_request);

/* ---- replies: appended; a failure is remembered by the buffer ---------------------------------------------------- */

void resp_render_bulk(struct buf *out, slice bytes);
void resp_render_status(struct buf *out, slice word);
/* "-<prefix> <text>", line ends in the text turned into blanks; without a prefix the text alone. */
void resp_render_error(struct buf *out, slice prefix, slice text);
void resp_render_integer(struct buf *out, int64_t value);
/* The first line of what has elements: `kind` is one of * % ~ > */
void resp_render_count(struct buf *out, char kind, size_t count);

/* RESP2 only. */
static inline void resp_render_null_bulk(struct buf *out)
{
    buf_append(out, S("$-1\r\n"));
}
static inline void resp_render_null_array(struct buf *out)
{
    buf_append(out, S("*-1\r\n"));
}
/* A double as a bulk string. */
void resp_render_real_bulk(struct buf *out, double value);

/* RESP3 only. */
static inline void resp_render_null(struct buf *out)
{
    buf_append(out, S("_\r\n"));
}
static inline void resp_render_boolean(struct buf *out, bool value)
{
    buf_append(out, value ? S("#t\r\n") : S("#f\r\n"));
}
void resp_render_real(struct buf *out, double value);
/* Plain text, marked as such ("txt:"). */
void resp_render_verbatim(struct buf *out, slice text);
void resp_render_big_number(struct buf *out, slice digits);

#endif
