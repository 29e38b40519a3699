/* A connected socket on a loop, as a stream of bytes in and out. Completion-shaped: the loop hands over bytes that have arrived and takes
 * bytes to send; whoever uses it sees neither readiness nor the loop's engine.
 *
 * In:  received() is called with bytes lent until it returns; the owner consumes or copies them. stream_pause() stops reading (nothing more
 *      is delivered after it returns, except the hang-up of a peer that has left no bytes unread), stream_resume() starts it again. Who knows
 *      that much is to come may have it come where it stays (stream_place()).
 * Out: the owner appends to stream_out() and the stream sends it once at the end of the turn (stream_touch()), then as the peer takes it, a
 *      share each turn;
 *      large blobs are held there instead of copied (output.h).
 *      What cannot be sent stays counted in stream_pending_bytes(); drained() tells when it has become 0 again after it was not.
 * End: a peer that has sent its last byte still gets what is waiting for it. closed() is called exactly once, from the loop, never from
 *      within a stream_* call of the owner; after it the owner may free the stream.
 *
 * A stream may carry a layer (encryption): then what it hands over and takes is what lies above the layer, and its owner sees no
 * difference.
 *
 * All calls on the loop's thread, and harmless between the end of a stream and its closed(). */
#ifndef OS_STREAM_H
#define OS_STREAM_H

#include "base/buf.h"
#include "os/loop.h"
#include "os/output.h"
#include "os/ring.h"

/* The most that one received() is given. */
enum { STREAM_READ_BYTES = LOOP_READ_BYTES };

struct stream;

struct stream_ops {
    /* Bytes that received() will be given in this turn, if nothing is in the way: for who wants to look ahead. It changes nothing, and may be left out. May be
     * NULL. */
    void (*coming)(struct stream *s, slice bytes);
    void (*received)(struct stream *s, slice bytes);
    /* So many bytes have come to where stream_place() said; it is used up. May come after stream_pause(), too. NULL when that is never called. */
    void (*placed)(struct stream *s, size_t bytes);
    void (*drained)(struct stream *s); /* may be NULL */
    /* Whether it will say more, asked when the peer has sent its last byte: the end waits until not. May be NULL: no. */
    bool (*owes)(const struct stream *s);
    /* The peer hung up (OK), failed (ERR_SYSTEM), the output outgrew its limit (ERR_LIMIT) or the memory (ERR_NOMEM), or the owner closed it
     * (ERR_CLOSED). The fd is closed already. */
    void (*closed)(struct stream *s, err reason);
};

struct stream_layer;

/* What a layer does. Any of them may append to the layer's `out`, which is what the peer gets. */
struct stream_layer_ops {
    /* Bytes of the peer, lent; what they mean goes to stream_deliver(). When the owner pauses meanwhile the layer keeps the rest and sets
     * `unread`; it is called again, with nothing new, when the owner resumes. ERR_CLOSED: the peer has said that nothing more will come;
     * any other: the stream is to be closed for this reason, as soon as `out` has been offered to the peer. */
    err (*take)(struct stream_layer *l, struct stream *s, slice bytes);
    /* Output of the owner, to be made ready for the peer; says how much of it was taken: none before the layer can send. */
    err (*give)(struct stream_layer *l, slice plain, size_t *ret_taken);
    /* The last words to the peer; no give() comes after it. */
    void (*end)(struct stream_layer *l);
    void (*free)(struct stream_layer *l);
};

/* Embedded in the layer, zeroed but for ops. */
struct stream_layer {
    const struct stream_layer_ops *ops;
    struct buf out; /* ready for the peer, from out_sent on */
    size_t out_sent;
    bool unread; /* bytes of the peer are kept until the owner resumes */
    bool ended;
};

/* To be read only through the functions, except the two counts. */
struct stream {
    struct loop *loop;
    const struct stream_ops *ops;
    struct stream_layer *layer; /* owned; NULL: none */
    struct watch watch;
    struct ring_socket socket; /* when the loop has a ring */
    struct deferred flush;
    struct deferred finish;
    struct output out;
    char *place; /* where what comes next is to go; */
    size_t place_bytes;
    struct list held;   /* pieces, received when the owner was paused */
    size_t held_bytes;  /* of them */
    uint64_t bytes_in;  /* ever received from the socket */
    uint64_t bytes_out; /* ever sent to it */
    err reason;         /* for closed() */
    bool paused;        /* by the owner */
    bool blocked;       /* some is left: the socket is full or the turn's share is sent; writable is awaited */
    bool ending;        /* reads nothing more and closes when all is sent */
    bool peer_ended;    /* seen while paused, and bytes are still unread */
    bool dead;          /* the fd is closed, closed() is to be called */
};

/* Takes over a connected non-blocking fd; on failure the fd is still the caller's. out_bytes_max bounds what may wait to be sent. */
MUST_USE err stream_open(struct stream *s, struct loop *loop, int fd, const struct stream_ops *ops,
                         size_t out_bytes_max);

/* Puts a layer in, before the first turn; the stream frees it. */
void stream_put_layer(struct stream *s, struct stream_layer *l);
/* Of a layer that was put nowhere; NULL is fine. */
void stream_layer_free(struct stream_layer *l);
/* For the layer, within take(): hands plain bytes to the owner. False when the owner wants no more for now. */
bool stream_deliver(struct stream *s, slice plain);

/* Where to append output. After appending, call stream_touch(). When an append failed the stream closes, for what it holds is torn. */
static inline struct output *stream_out(struct stream *s)
{
    return &s->out;
}
/* Has the output sent at the end of this turn. */
void stream_touch(struct stream *s);
/* Sends now what can be sent: for long batches within one turn. */
void stream_flush(struct stream *s);
size_t stream_pending_bytes(const struct stream *s);

/* The next bytes that come, so many at most, are to go to `place`, instead of being lent to received(): once, and placed() tells how many did. Until then, or
 * closed(), the place belongs to the stream, and only received() and placed() may give it another or (0 bytes) none. What had been received before still comes
 * to received(), which has to say anew then what the place is; and all of it does when there is a layer. */
void stream_place(struct stream *s, char *place, size_t bytes);

void stream_pause(struct stream *s);
void stream_resume(struct stream *s);
/* For who has heard nothing of it for a while: looks whether the peer has ended, of which an engine may have failed to tell. */
void stream_look_again(struct stream *s);

/* Closes at once, what is unsent is dropped; closed() follows at the end of the turn. */
void stream_close(struct stream *s);
/* Sends what there is (as long as the peer takes it, or until stream_close()), reads nothing more, then closes. */
void stream_close_after_flush(struct stream *s);

#endif
