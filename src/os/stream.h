/* A connected socket on a loop, as a stream of bytes in and out. Completion-shaped: the loop hands over bytes that have arrived and takes
 * bytes to send; whoever uses it never sees readiness. Behind it epoll and recv/send today.
 *
 * In:  received() is called with bytes lent until it returns; the owner consumes or copies them. stream_pause() stops reading (nothing more
 *      is delivered after it returns, except the hang-up), stream_resume() starts it again.
 * Out: the owner appends to stream_out() and the stream sends it once at the end of the turn (stream_touch()), then as the peer takes it.
 *      What cannot be sent stays counted in stream_pending_bytes(); drained() tells when it has become 0 again after it was not.
 * End: closed() is called exactly once, from the loop, never from within a stream_* call of the owner; after it the owner may free the stream. All calls ON(worker), on the
 *      loop's thread. */
#ifndef OS_STREAM_H
#define OS_STREAM_H

#include "base/buf.h"
#include "os/loop.h"

enum { STREAM_READ_BYTES = 64 * 1024 };

struct stream;

struct stream_ops {
    void (*received)(struct stream *s, slice bytes);
    void (*drained)(struct stream *s); /* may be NULL */
    /* The peer hung up (OK), failed (ERR_SYSTEM), or stream_close() was called (ERR_CLOSED). The fd is closed already. */
    void (*closed)(struct stream *s, err reason);
};

struct stream {
    struct loop *loop;
    const struct stream_ops *ops;
    struct watch watch;
    struct deferred flush;
    struct deferred finish;
    struct buf out; /* not yet sent, from out_sent on */
    size_t out_sent;
    uint64_t bytes_in;  /* ever received */
    uint64_t bytes_out; /* ever sent */
    err reason;
    bool paused, closing, close_after_flush, was_blocked, dead;
};

/* Takes over a connected non-blocking fd; on failure the fd is still the caller's. out_bytes_max bounds what may wait to be sent. */
MUST_USE err stream_open(struct stream *s, struct loop *loop, int fd, const struct stream_ops *ops,
                         size_t out_bytes_max);

/* Where to append output. After appending, call stream_touch(). */
static inline struct buf *stream_out(struct stream *s)
{
    return &s->out;
}
/* Has the output sent at the end of this turn. */
void stream_touch(struct stream *s);
/* Sends now what can be sent: for long batches within one turn. */
void stream_flush(struct stream *s);
size_t stream_pending_bytes(const struct stream *s);

void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* Closes at once, what is unsent is dropped; closed() follows at the end of the turn. */
void stream_close(struct stream *s);
/* Sends what there is (bounded by the peer's willingness until the loop's owner closes it), reads nothing more, then closes. */
void stream_close_after_flush(struct stream *s);

#endif
