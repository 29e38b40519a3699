/* A connection of a client: its stream, its session, what it has asked and what it is owed. It lives on one worker, at
 * that worker's desk (desk.h), and everything here runs there. */
#ifndef DOOR_CONN_H
#define DOOR_CONN_H

#include "base/list.h"
#include "command/call.h"
#include "command/session.h"
#include "os/stream.h"

struct desk;
struct intake;
struct resp_parser;

enum {
    CONN_TURN_CALLS = 256,               /* a connection's share of a loop turn: calls, */
    CONN_TURN_REPLY_BYTES = 1024 * 1024, /* or bytes of replies, or a batch of calls once the turn is long */
    CONN_READ_AHEAD_BYTES = 128 * 1024,  /* read while its share of the turn is used up */
    CONN_UNSENT_BYTES_MAX = 8 << 20,     /* while more replies than this wait to be taken, nothing runs ... */
    CONN_UNSERVED_BYTES_MAX =
        64 << 20, /* ... but requests are read up to this, for a client that sends all before it reads */
    CONN_OUTPUT_BYTES_MAX = 1 << 30, /* unsent replies of a connection without a hard limit */
};

enum conn_state {
    CONN_WAITS,  /* for the rest of a request, or for one */
    CONN_READY,  /* has requests, and has had its share of this turn */
    CONN_PARKED, /* a call waits; nothing behind it runs */
    CONN_FULL,   /* the client does not take its replies */
    CONN_ENDS,   /* nothing more runs; closes when the replies have left */
};

struct conn {
    struct stream stream;
    struct session session;
    struct reply reply;
    struct desk *desk;
    struct list place; /* among the desk's connections, by the time of the last request */
    struct list turn;  /* among the desk's ready ones */
    enum conn_state state;
    uint8_t ahead; /* calls that are parsed at a time */
    bool paused;   /* reads nothing */
    bool gone;     /* the stream is over; what had come before still runs */
    struct buf in; /* requests that are not served, from in_at on */
    size_t in_at;
    struct resp_parser *parser; /* of a request that has come in part; else NULL */
    struct intake *intake;      /* the large arguments of that request, or of the call that it has become; else NULL */
    struct call *parked;
    int64_t over_soft_since_mono_ms;           /* more unsent than the soft limit since then; 0: not */
    struct session_figures figures;            /* atomic: as of the last request */
    uint64_t intake_bytes, intake_spare_bytes; /* atomic: they belong to the query's */
};

/* Takes over an accepted fd, and an encryption layer (NULL: none); on failure both are gone. */
void conn_open(struct desk *d, int fd, struct stream_layer *layer) ON(worker);
/* Whether its TLS handshake is still going on. */
bool conn_is_shaking_hands(const struct conn *c);
/* Lets go of the large arguments of a call that is over. */
void conn_forget_intake(struct conn *c) ON(worker);
/* Serves what has come, after a park or a turn that was used up. */
void conn_go_on(struct conn *c) ON(worker);
/* Ends it when what runs is answered: at once, or after its parked call. */
void conn_drain(struct conn *c) ON(worker);
/* Ends it now. */
void conn_close(struct conn *c) ON(worker);
/* The same because the server ends: a parked call is answered with an error. */
void conn_cut(struct conn *c) ON(worker);
/* Gives back the memory that an idle connection does not need, and looks whether its peer is still there. */
void conn_rest(struct conn *c) ON(worker);
/* Closes it when its unsent replies have been over the soft limit for too long. */
void conn_check_output(struct conn *c, struct now now) ON(worker);

#endif
