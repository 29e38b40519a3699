/* The doors of the server: listeners, and the connections that came in by them, spread over the workers. */
#ifndef DOOR_DOOR_H
#define DOOR_DOOR_H

#include "command/engine.h"
#include "config/config.h"
#include "door/desk.h"
#include "os/worker.h"

struct door;
struct ssl_ctx_st; /* door/tls.h */

/* `front` is a worker whose loop runs on the thread that calls every function here; it accepts connections and hands
 * them to engine->workers, which do not run yet. All must outlive the door. ERR_NOMEM. */
MUST_USE err door_new(struct engine *engine, struct worker *front, struct door **ret_door);
/* The workers have stopped. Accepts NULL. */
void door_free(struct door *d);

/* Listens on what the configuration says, and on nothing else any more. On failure it listens on a part of it (calling
 * again with the former configuration brings the former state back) and `why` gets the reason in words. */
MUST_USE err door_listen(struct door *d, const struct config *config, struct buf *why);
/* What TLS ports offer from now on; takes the context over. Connections that exist keep what they have. Any thread. */
void door_set_tls(struct door *d, struct ssl_ctx_st *context);
/* Stops listening, and removes the unix socket. Who still waits for a handshake is turned away. */
void door_unlisten(struct door *d);
/* How many listeners there are. */
unsigned door_listener_count(const struct door *d);

/* Has every connection closed when what runs for it is answered; `emptied` is called, on the front's loop, when none
 * is left. After door_unlisten(). */
void door_drain(struct door *d, void (*emptied)(void *argument), void *argument);
/* While draining: closes at once who is still there. */
void door_close_all(struct door *d);

/* Open connections, from accept to close. Any thread. */
unsigned door_conn_count(const struct door *d);
/* One connection less. Any worker. */
void door_note_closed(struct door *d);
/* A desk has drained: on the front's loop. */
void door_note_emptied(struct door *d);
struct worker *door_front(struct door *d);

#endif
