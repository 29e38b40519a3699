/* Bytes on their way to a peer, in their order: own ones, which were copied, and between them parts of blobs, which are held until they have
 * been sent. Without such parts it is a buffer and nothing else.
 *
 * Own bytes are appended to `own`, blobs with output_hold(). What does not fit marks `own` as failed, as it does with any buffer. One
 * thread. */
#ifndef OS_OUTPUT_H
#define OS_OUTPUT_H

#include <sys/uio.h>

#include "base/buf.h"
#include "os/blob.h"

/* To be read only through the functions, except `own`. */
struct output {
    struct buf own; /* not yet sent from own_sent on */
    size_t own_sent;
    struct buf parts;  /* of struct output_part, in their order; those before parts_sent are over */
    size_t parts_sent; /* in bytes of `parts` */
    size_t held_bytes; /* of the parts, not yet sent */
    size_t bytes_max;
};

/* bytes_max bounds what may be unsent. */
void output_init(struct output *o, size_t bytes_max);
/* Drops everything, sent or not; the output is as after output_init() with the same bound. */
void output_fini(struct output *o);
/* Another bound, from now on. */
void output_bound(struct output *o, size_t bytes_max);

/* Appends bytes that are in b, which is held until they have been sent or dropped. */
void output_hold(struct output *o, struct blob *b, slice bytes);
/* Drops the own bytes from own_len on, with the blobs from there on, and that something did not fit. (What is to stay ends with own bytes, as
 * answers do.) */
void output_cut(struct output *o, size_t own_len);

/* Not yet sent. */
static inline size_t output_bytes(const struct output *o)
{
    return o->own.len - o->own_sent + o->held_bytes;
}
static inline bool output_has_parts(const struct output *o)
{
    return o->held_bytes > 0;
}
/* Memory that this output has to answer for: its own, and its share of blobs whose owner has let them go. */
size_t output_memory(const struct output *o);

/* Up to `most` pieces that are to be sent next, of at most `bytes` in all, lent until the output changes; none when all is sent. */
unsigned output_pieces(const struct output *o, size_t bytes, struct iovec *pieces, unsigned most);
/* The first of them; empty when all is sent. */
slice output_first(const struct output *o);
/* The first `count` bytes have been sent. */
void output_sent(struct output *o, size_t count);
/* Gives memory back that nothing unsent needs, when there is far more of it than keep_bytes. */
void output_shrink(struct output *o, size_t keep_bytes);

#endif
