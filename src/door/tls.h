/* Encryption: what the TLS ports offer (a context, made of the tls-... directives), and the layer that one connection's
 * stream carries. */
#ifndef DOOR_TLS_H
#define DOOR_TLS_H

#include "base/buf.h"
#include "config/config.h"
#include "os/stream.h"

/* OpenSSL's SSL_CTX, which counts its users: certificate, key, trusted certificates, versions, ciphers, ticket keys. */
struct ssl_ctx_st;

/* Makes a context as the configuration says; it reads files. ERR_CONFIG: `why` gets the reason, without the directive's
 * name, and ret_option says which directive; ERR_NOMEM. Warns in the log when the server's own certificate is not valid
 * now. Any thread. */
MUST_USE err tls_context_new(const struct config *config, struct ssl_ctx_st **ret_context, enum option *ret_option,
                             struct buf *why);
/* Whether a directive is part of a context: setting it makes a new one. */
bool tls_context_depends_on(enum option o);
/* One user more. Any thread. */
struct ssl_ctx_st *tls_context_ref(struct ssl_ctx_st *context);
/* One user less; NULL is fine. Any thread. */
void tls_context_unref(struct ssl_ctx_st *context);

/* The server's side of one connection, for stream_put_layer(); it keeps the context for itself. NULL when the system
 * refuses memory. */
struct stream_layer *tls_layer_new(struct ssl_ctx_st *context);
/* Whether the handshake is over. */
bool tls_layer_is_established(const struct stream_layer *l);

#endif
