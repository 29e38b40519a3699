/* An event loop: readiness of file descriptors, timers, work for the end of the turn. One thread runs it and only that thread touches it;
 * other threads reach it through its worker's outbox (os/worker.h). Sockets that carry a client's bytes go through os/stream.h, whose
 * interface is completion-shaped: which engine is behind it is seen by nobody above.
 *
 * A turn: take the time, run due timers, deliver events (those that it is too full for come first in the next), run deferred work, sleep until the next
 * event or timer. */
#ifndef OS_LOOP_H
#define OS_LOOP_H

#include "base/buf.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "os/clock.h"

struct loop;
struct ring;

/* How the bytes of streams travel. Watches are the same in both. */
enum loop_engine {
    LOOP_EPOLL, /* readiness, then recv() and send() */
    LOOP_URING  /* the kernel receives and sends: one system call a turn */
};

enum loop_events {
    LOOP_READ = 1,
    LOOP_WRITE = 2,
    LOOP_HANGUP = 4,  /* both directions are over, or the fd has failed */
    LOOP_PEER_END = 8 /* the peer will send nothing more; bytes may still wait to be read */
};

enum { LOOP_READ_BYTES = 64 * 1024, LOOP_SHARE_BYTES_MAX = 1 << 20 };

/* A file descriptor of interest; embedded in its owner, zeroed before its first use. Level-triggered. */
struct watch {
    int fd;
    unsigned events; /* of enum loop_events; LOOP_HANGUP is always reported */
    void (*ready)(struct watch *w, unsigned events);
};

/* One-shot; embedded in its owner. */
struct timer {
    struct heap_node node;
    void (*fire)(struct timer *t, struct now now);
};

/* Work for the end of the current turn, in order, once; embedded in its owner. */
struct deferred {
    struct list link;
    void (*run)(struct deferred *d);
};

MUST_USE err loop_new(enum loop_engine engine, struct loop **ret_loop);
/* NULL is fine. Nothing may be watched any more. */
void loop_free(struct loop *l);
/* Whether loops can have this engine here. ERR_SYSTEM: the kernel refuses; `why` gets the reason, one line without its end. */
MUST_USE err loop_engine_try(enum loop_engine engine, struct buf *why);

/* Runs until loop_stop(). */
void loop_run(struct loop *l);
/* Ends loop_run() after the current turn; only from the loop's own thread. */
void loop_stop(struct loop *l);
/* One turn that sleeps at most wait_ms (-1: until something happens): for tests and for draining. */
void loop_turn(struct loop *l, int wait_ms);

/* "epoll" or "io_uring". */
const char *loop_engine_name(const struct loop *l);
/* NULL when the engine is epoll. For os/stream.c. */
struct ring *loop_ring(const struct loop *l);

/* The time as taken at the start of this turn. */
struct now loop_now(const struct loop *l);

MUST_USE err loop_watch(struct loop *l, struct watch *w, int fd, unsigned events,
                        void (*ready)(struct watch *, unsigned));
/* Changes the events of interest. */
void loop_rewatch(struct loop *l, struct watch *w, unsigned events);
/* Forgets it, also events of it that this turn has still to deliver. Before the fd is closed. Harmless when not watched. */
void loop_unwatch(struct loop *l, struct watch *w);

void timer_init(struct timer *t, void (*fire)(struct timer *, struct now));
/* (Re)arms for an absolute monotonic time; one that has passed already fires in the next turn. ERR_NOMEM leaves it unarmed, which only
 * one that was not armed can meet. */
MUST_USE err loop_timer_set(struct loop *l, struct timer *t, int64_t deadline_mono_ms);
void loop_timer_clear(struct loop *l, struct timer *t);

void deferred_init(struct deferred *d, void (*run)(struct deferred *));
/* Harmless when already queued. Deferred work that defers more runs it in the same turn's end. */
void loop_defer(struct loop *l, struct deferred *d);
/* At the end of the next turn, which comes without a sleep. Harmless when already queued. */
void loop_defer_to_next(struct loop *l, struct deferred *d);
void loop_undefer(struct loop *l, struct deferred *d);

/* How much one who sends may send now, so that a turn does not get long when many have much: all who can send in this turn get as much as the
 * others, but not so little that its system call costs more than its bytes. And tells that so much was sent. */
size_t loop_send_share(struct loop *l);
void loop_note_sent(struct loop *l, size_t bytes);

/* What streams have read in this turn and not handed over yet, for os/stream.c. */
enum { LOOP_ARRIVALS_MAX = 16 };
struct loop_arrivals {
    struct deferred hand_over;
    unsigned count;
    size_t bytes; /* of them, in the buffer */
    struct {
        struct stream *stream; /* NULL: it has died since */
        slice bytes;
    } of[LOOP_ARRIVALS_MAX];
    char buffer[2 * LOOP_READ_BYTES];
};
struct loop_arrivals *loop_arrivals(struct loop *l);

/* Turns made. Any thread. */
uint64_t loop_turn_count(const struct loop *l);
/* How long this turn has lasted, in ns. */
int64_t loop_turn_ns(const struct loop *l);
/* After so long a turn is full: whoever has not been served waits for the next one, which begins with him. 0, at first: it never is. */
void loop_set_full_turn(struct loop *l, int64_t full_ns);
/* Whether so much time fills a turn. */
bool loop_fills_turn(const struct loop *l, int64_t ns);
/* Whether this one has lasted twice as long: who is being served leaves the rest to the next one, too. */
bool loop_turn_is_long(const struct loop *l);
/* Called after every turn with how long it took in ns (os/turn.h); one hook a loop, NULL for none. */
void loop_on_turn(struct loop *l, void (*hook)(void *argument, int64_t turn_ns), void *argument);

#endif
