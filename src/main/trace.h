/* Traces of requests for `larder simulate`: what was asked for, in order. */
#ifndef MAIN_TRACE_H
#define MAIN_TRACE_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct request {
    uint32_t key; /* its number */
    uint32_t value_bytes;
};

struct trace {
    struct request *requests;
    size_t request_count;
    slice *keys; /* by number, in the order of their first request; in `text` */
    uint32_t key_count;
    struct buf text;
};

/* Reads a text of one request a line: a key without blanks, and the size of its value if it is not
 * `value_bytes_default`, as in redis.conf. `name` is a path, or - for the standard input. When something is wrong `why`
 * says what, with file and line: ERR_INVALID for the text, ERR_NOMEM, or what file_read() returns. */
MUST_USE err trace_read(struct trace *t, const char *name, uint32_t value_bytes_default, struct buf *why);
/* The same of a text; takes it. */
MUST_USE err trace_parse(struct trace *t, struct buf *text, const char *name, uint32_t value_bytes_default,
                         struct buf *why);
/* Harmless when zeroed. */
void trace_fini(struct trace *t);

#endif
