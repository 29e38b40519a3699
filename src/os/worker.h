/* A worker: a thread that runs one event loop and serves what lives on it, and its outbox, by which every other thread reaches it, in no
 * other way. Posting never blocks and never allocates: the message lives inside what it is about. A worker that sleeps is woken once. */
#ifndef OS_WORKER_H
#define OS_WORKER_H

#include "os/loop.h"
#include "os/thread.h"

enum { WORKER_COUNT_MAX = 128 };

struct worker;

/* Embedded in its owner; may be posted again once delivered. */
struct message {
    struct message *next;
    void (*deliver)(struct message *m, struct worker *w);
};

struct worker {
    unsigned index; /* 0 .. worker_count - 1 */
    struct loop *loop;
    struct thread thread;
    struct message *inbox; /* atomic stack of posted messages, newest first */
    struct watch wake;
    struct message stop;
    void *owner; /* for whoever set the workers up */
};

/* Makes the loop and the outbox; the thread is not running yet, so that things can be put on the loop. */
MUST_USE err worker_init(struct worker *w, unsigned index, enum loop_engine engine);
MUST_USE err worker_start(struct worker *w);
/* From another thread: asks it to end after the turn and waits. Messages posted before are delivered. Harmless when it does not run. */
void worker_stop(struct worker *w);
/* Of a worker that has stopped: delivers, on the calling thread, what was posted since. True when there was something, which may have been
 * posted on to another. */
bool worker_settle(struct worker *w);
/* Of a worker that does not run and to which nobody posts any more: workers that post to each other are all stopped first, and settled. What
 * lived on the loop is closed already. Harmless after a worker_init() that failed, or twice. */
void worker_fini(struct worker *w);

/* Delivers m on the worker's thread, in order of posting per poster. Any thread. */
void worker_post(struct worker *w, struct message *m);

/* The worker whose thread this is; NULL on other threads. */
struct worker *worker_self(void);

#endif
