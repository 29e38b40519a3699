/* The RESP door: what turns the bytes of a connection into calls and their replies into bytes. */
#ifndef DOOR_RESP_H
#define DOOR_RESP_H

#include "command/reply.h"
#include "door/conn.h"

/* How replies look in each version of the protocol. */
const struct reply_ops *resp_reply_ops(int protocol);

/* Has the key of the request in `input`, if it is the only one there, fetched from memory together with those of other connections that come before or after it. (What is
 * needed by requests behind each other is fetched for all of them when they are prepared.) */
void resp_forecast(struct conn *c, slice input) ON(worker);

/* Serves the requests that `input` begins with, up to the connection's share of a turn. Returns what the connection is
 * now, and how much of the input is done with: the caller keeps the rest and passes it again, with what has come
 * since. */
enum conn_state resp_serve(struct conn *c, slice input, size_t *ret_used) ON(worker);

/* CONN_WAITS, and `rest` is the first part of a request: whether the argument whose bytes come next is large and not there in full. Then it is
 * left out of the input: what is expected behind *ret_begin is what comes after it. */
bool resp_misses_large(struct conn *c, slice rest, unsigned *ret_argument, size_t *ret_begin, size_t *ret_bytes);

/* Drops the parsing of a request that was begun. */
void resp_forget(struct conn *c);

#endif
