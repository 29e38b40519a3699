/* A call's answer, typed, without syntax: a verb says "an integer", the door that asked says how that looks. Functions may be called in
 * any number as long as counts hold: after reply_array(n) come n elements, each one reply.
 *
 * Bytes are copied into the door's output at once, or it holds the blob that they are in: so what was lent may change afterwards (GETDEL
 * answers, then drops). Rendering cannot fail loudly: an output at its limit remembers it and the door closes the connection. A verb that
 * returns an error has answered nothing: dispatch cuts back what it had rendered and renders the error. */
#ifndef COMMAND_REPLY_H
#define COMMAND_REPLY_H

#include "base/err.h"
#include "os/output.h"

struct reply;

struct reply_ops {
    void (*bytes)(struct reply *r, slice bytes);                /* RESP: bulk string */
    void (*held)(struct reply *r, struct blob *b, slice bytes); /* the same: bytes of b, which is held until sent */
    void (*status)(struct reply *r, slice word);                /* OK, PONG, QUEUED */
    void (*integer)(struct reply *r, int64_t value);
    void (*null)(struct reply *r);
    void (*null_array)(struct reply *r); /* RESP2's *-1; RESP3 has one null */
    void (*array)(struct reply *r, size_t count);
    void (*map)(struct reply *r, size_t pair_count); /* 2n elements follow; RESP2: a flat array */
    void (*set)(struct reply *r, size_t count);
    void (*push)(struct reply *r, size_t count);
    void (*real)(struct reply *r, double value);           /* RESP2: as bytes */
    void (*boolean)(struct reply *r, bool value);          /* RESP2: 0 or 1 */
    void (*big_number)(struct reply *r, slice digits);     /* RESP2: as bytes */
    void (*attribute)(struct reply *r, size_t pair_count); /* RESP3 alone: what is said about the reply that follows */
    void (*verbatim)(struct reply *r, slice text);         /* RESP2: as bytes; RESP3: txt: */
    void (*error)(struct reply *r, err e, slice text); /* prefix from err.def; text replaces the row's when not empty */
};

struct reply {
    const struct reply_ops *ops; /* may change within a call: HELLO */
    struct output *out;
};

static inline void reply_bytes(struct reply *r, slice bytes)
{
    r->ops->bytes(r, bytes);
}
static inline void reply_held(struct reply *r, struct blob *b, slice bytes)
{
    r->ops->held(r, b, bytes);
}
static inline void reply_status(struct reply *r, slice word)
{
    r->ops->status(r, word);
}
static inline void reply_ok(struct reply *r)
{
    r->ops->status(r, S("OK"));
}
static inline void reply_integer(struct reply *r, int64_t value)
{
    r->ops->integer(r, value);
}
static inline void reply_null(struct reply *r)
{
    r->ops->null(r);
}
static inline void reply_null_array(struct reply *r)
{
    r->ops->null_array(r);
}
static inline void reply_array(struct reply *r, size_t count)
{
    r->ops->array(r, count);
}
static inline void reply_map(struct reply *r, size_t pair_count)
{
    r->ops->map(r, pair_count);
}
static inline void reply_set(struct reply *r, size_t count)
{
    r->ops->set(r, count);
}
static inline void reply_push(struct reply *r, size_t count)
{
    r->ops->push(r, count);
}
static inline void reply_real(struct reply *r, double value)
{
    r->ops->real(r, value);
}
static inline void reply_boolean(struct reply *r, bool value)
{
    r->ops->boolean(r, value);
}
static inline void reply_big_number(struct reply *r, slice digits)
{
    r->ops->big_number(r, digits);
}
static inline void reply_attribute(struct reply *r, size_t pair_count)
{
    r->ops->attribute(r, pair_count);
}
static inline void reply_verbatim(struct reply *r, slice text)
{
    r->ops->verbatim(r, text);
}
static inline void reply_error(struct reply *r, err e, slice text)
{
    r->ops->error(r, e, text);
}

#endif
