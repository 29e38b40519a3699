/* An io_uring with which a loop receives and sends for its streams: one system call a turn submits all sends and sleeps until something
 * has come. The kernel receives by itself, into buffers that all sockets of the ring share, so that an idle socket holds none.
 *
 * For os/loop.c, which sleeps in it, and os/stream.c; everybody else knows streams only. One thread: the one that makes the first turn. */
#ifndef OS_RING_H
#define OS_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "os/turn.h"

struct ring;

/* The most that one received() is given. */
enum { RING_READ_BYTES = 64 * 1024 };
/* The most that a place may have. */
enum { RING_PLACE_BYTES_MAX = 256 * 1024 };

/* A socket on a ring, embedded in its owner. */
struct ring_socket {
    uint32_t slot;       /* in the ring's table; RING_NOWHERE: not on it */
    uint32_t send_place; /* in the ring's queue of sends; RING_NOWHERE: none */
};

enum { RING_NOWHERE = UINT32_MAX };

struct ring_ops {
    /* These bytes will be received() in this turn, unless something is in the way: to be looked at now, so that the memory which they will need is
     * fetched meanwhile. Nothing may come of it. */
    void (*coming)(struct ring_socket *s, slice bytes);
    /* Bytes of the peer, lent until it returns. They may come after ring_stop_receiving(), too: those that were on their way. */
    void (*received)(struct ring_socket *s, slice bytes);
    /* Where the next bytes of the peer are wanted instead, and how many at most; 0: nowhere. Asked when the kernel is told to receive. The place stays until
     * placed(), which says how many have come there, or ring_detach(). */
    size_t (*place)(struct ring_socket *s, char **ret_place);
    void (*placed)(struct ring_socket *s, size_t bytes);
    /* Nothing more will be received: the peer has sent its last byte (OK, not told while stopped), or the socket has failed (ERR_SYSTEM). */
    void (*ended)(struct ring_socket *s, err reason);
    /* What is to be sent, asked immediately before it is: lent until sent(). May be empty: then sent() does not come. */
    slice (*sending)(struct ring_socket *s);
    /* How much of it the socket took, which may be nothing; negative: the socket has failed. Not the place to queue more. */
    void (*sent)(struct ring_socket *s, ssize_t count);
};

/* A ring that also waits for the events of an epoll instance. ERR_SYSTEM: the kernel has no io_uring that can do all this, or allows none;
 * `why` (NULL when nobody asks) gets the reason, one line without its end. */
MUST_USE err ring_new(int epoll_fd, struct ring **ret_ring, struct buf *why);
/* NULL is fine. No socket is on it any more. */
void ring_free(struct ring *r);

/* Puts a connected non-blocking socket on the ring. */
MUST_USE err ring_attach(struct ring *r, struct ring_socket *s, int fd, const struct ring_ops *ops);
/* Before the fd is closed: none of the ops is called for it any more, and its memory is the owner's again. Harmless when not on it. */
void ring_detach(struct ring *r, struct ring_socket *s);

/* Has the kernel receive for it until the end, or until it is stopped. Harmless when it does already. */
void ring_receive(struct ring *r, const struct ring_socket *s);
void ring_stop_receiving(struct ring *r, const struct ring_socket *s);
/* There is a place now: has place() asked as soon as what was received already is delivered. */
void ring_ask_place(struct ring *r, const struct ring_socket *s);
/* Asks the kernel anew, which forgets now and then to tell the end of a peer that came right behind his last bytes (seen on Linux 6.18: once in some
 * 400,000 such ends). */
void ring_ask_again(struct ring *r, const struct ring_socket *s);
/* Whether it is asked to, and the end has not come. */
bool ring_is_receiving(const struct ring *r, const struct ring_socket *s);

/* Has it asked what to send when the ring is entered next. False: the queue is full, and the owner has to send by itself. Harmless when
 * it is queued. */
bool ring_send_later(struct ring *r, struct ring_socket *s);

/* Sends what is queued, then sleeps until something has come, for wait_ms at most (-1: for ever). Calls sending() and sent(). */
void ring_enter(struct ring *r, int64_t wait_ms);
/* Calls received() and ended() for what has come: at least one received(), then until the turn has lasted full_ns (0: for ever); the rest in the next turn. True: the
 * epoll instance has events. */
bool ring_deliver(struct ring *r, const struct turn_clock *turn, int64_t full_ns);

#endif
