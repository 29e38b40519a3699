/* A worker's desk: its connections, the calls that it has in hand, and the little that happens without being asked
 * (idle connections, limits over time). One a worker; everything but desk_init() and desk_fini() runs on that
 * worker. */
#ifndef DOOR_DESK_H
#define DOOR_DESK_H

#include "base/random.h"
#include "command/dispatch.h"
#include "os/worker.h"

struct conn;
struct door;
struct resp_parser;

/* Calls of a batch: enough to fetch from memory what many need at a time; with more the batch itself leaves the first cache. */
enum { DESK_BATCH_CALLS = 32, DESK_HANDSHAKE_MS_MAX = 10 * 1000 };

struct desk {
    struct door *door;
    struct engine *engine;
    struct worker *worker;
    struct random random;
    struct list active; /* connections that asked something lately, and */
    struct list idle; /* those that did not and have taken all replies, without buffers; each the longest idle first */
    struct list shaking;                  /* connections in their TLS handshake, the oldest first */
    struct list ready;                    /* connections that go on in the next turn */
    struct deferred next_turn;            /* has them go on */
    struct timer second;                  /* once a second */
    struct call *batch[DESK_BATCH_CALLS]; /* calls parsed ahead, made when first needed */
    size_t batch_ends[DESK_BATCH_CALLS];  /* where the request of each ends in the input */
    struct forecast forecast;             /* keys of requests that come next */
    struct resp_parser *parser;           /* for whole requests; a connection takes it along when one is not */
    unsigned conn_count;                  /* atomic; also those that are on their way here */
    bool draining;
    struct message drain;
    struct message close_all;
    struct message emptied; /* to the door: draining, and nobody is left */
};

MUST_USE err desk_init(struct desk *d, struct door *door, struct engine *engine, struct worker *w);
/* The worker has stopped and no connection is left. Harmless when zeroed. */
void desk_fini(struct desk *d);

/* A call for place `i` of the batch, reset; NULL when the system refuses memory. */
struct call *desk_call(struct desk *d, unsigned i);
/* Takes the call out of the batch: it parks. */
struct call *desk_take_call(struct desk *d, unsigned i);
/* Frees a call that was taken. */
void desk_free_call(struct call *call);

/* A parser at the start of a request; NULL when the system refuses memory. Back with desk_give_parser(). */
struct resp_parser *desk_take_parser(struct desk *d);
void desk_give_parser(struct desk *d, struct resp_parser *p);

/* Has conn_go_on() called for it in the next turn. */
void desk_defer(struct desk *d, struct conn *c);
/* It has come. */
void desk_note_new(struct desk *d, struct conn *c);
/* It asked something. */
void desk_note_active(struct desk *d, struct conn *c);
/* It is over and out of all lists. */
void desk_forget(struct desk *d);

#endif
