/* TLS with OpenSSL, as a layer of a stream.
 *
 * OpenSSL never sees a socket: its BIO reads from the bytes that the stream has received and writes to those that it
 * will send.
 *
 *     socket --> take() --> [input] --> BIO --> SSL_read  --> stream_deliver() --> the connection
 *     socket <-- [layer.out] <-------- BIO <-- SSL_write <-- give() <----------- its output
 *
 * So there is one recv() for all records that have come, and one send() for all that have been made. When the
 * connection pauses in the middle of what was received, the rest is kept in `held`, which is at most what one recv()
 * brought.
 *
 * Memory: OpenSSL gives back its record buffers when they are empty (SSL_MODE_RELEASE_BUFFERS), we ours; an idle
 * connection is the SSL object with its keys.
 *
 * A handshake is nothing special here: it is done when SSL_read() comes by it. Its time limit is the desk's. What goes
 * wrong is said in the log once a second for each kind of fault; the peer gets OpenSSL's alert, except when it does not
 * speak TLS at all.
 *
 * Invariants:
 * (I1) held.len > 0 implies layer.unread.
 * (I2) `input` is empty outside take().
 *
 * Contexts: any thread. Layers: their worker. Not here: when a context is made anew (main/settings.c), who may begin a
 * handshake (door.c). */
#include "door/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/num.h"
#include "observe/log.h"
#include "observe/metric.h"
#include "os/sock.h"

enum { PLAIN_BYTES = 16 * 1024, HANDSHAKE_RECORD = 22 };

struct tls {
    struct stream_layer layer;
    SSL *ssl;
    slice input;     /* of the peer, not yet read by OpenSSL */
    struct buf held; /* the same, beyond take() */
    bool began;
    bool established;
};

static struct tls *tls_of(const struct stream_layer *l)
{
    return container_of(l, struct tls, layer);
}

/* ---- contexts: what went wrong ----------------------------------------------------------------------------------- */

/* The oldest error is the cause; the later ones tell who passed it on. */
static const char *openssl_reason(void)
{
    unsigned long e = ERR_get_error();
    const char *reason = ERR_SYSTEM_ERROR(e)                      ? strerror(ERR_GET_REASON(e))
                         : ERR_GET_LIB(e) == ERR_LIB_OSSL_DECODER ? "nothing in it can be read"
                                                                  : ERR_reason_error_string(e);
    ERR_clear_error();
    return reason ? reason : "OpenSSL gives no reason";
}

/* Where the making of a context reports to. */
struct report {
    enum option *ret_option;
    struct buf *why;
};

static err refuse(const struct report *r, enum option o, const char *reason)
{
    *r->ret_option = o;
    buf_append(r->why, slice_of(reason));
    return ERR_CONFIG;
}

/* With the value that OpenSSL did not like, and why. */
static err refuse_value(const struct report *r, enum option o, slice value)
{
    *r->ret_option = o;
    buf_printf(r->why, "%.*s: %s", SLICE_ARG(value), openssl_reason());
    return ERR_CONFIG;
}

/* ---- contexts: the parts ----------------------------------------------------------------------------------------- */

/* OpenSSL would ask at the terminal. */
static int give_password(char *to, int capacity, int writing, void *argument)
{
    (void)writing;
    const slice *password = argument;
    if (password->len > (size_t)capacity) {
        return -1;
    }
    memcpy(to, password->ptr, password->len);
    return (int)password->len;
}

static void warn_of_validity(SSL_CTX *context, slice file)
{
    const X509 *own = SSL_CTX_get0_certificate(context);
    const char *fault = X509_cmp_current_time(X509_get0_notAfter(own)) < 0    ? "has expired"
                        : X509_cmp_current_time(X509_get0_notBefore(own)) > 0 ? "is not valid yet"
                                                                              : NULL;
    if (fault) {
        log_write(LOG_WARNING, "door", "tls-cert-file %.*s: the certificate %s; clients will refuse it",
                  SLICE_ARG(file), fault);
    }
}

static err load_identity(SSL_CTX *context, const struct config *c, const struct report *r)
{
    slice password = c->tls_key_file_pass;
    SSL_CTX_set_default_passwd_cb(context, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, &password);
    err e = OK;
    if (c->tls_cert_file.len == 0) {
        e = refuse(r, OPTION_tls_cert_file, "expected a file, since tls-port is set");
    } else if (SSL_CTX_use_certificate_chain_file(context, c->tls_cert_file.ptr) != 1) {
        e = refuse_value(r, OPTION_tls_cert_file, c->tls_cert_file);
    } else if (c->tls_key_file.len == 0) {
        e = refuse(r, OPTION_tls_key_file, "expected a file, since tls-port is set");
    } else if (SSL_CTX_use_PrivateKey_file(context, c->tls_key_file.ptr, SSL_FILETYPE_PEM) != 1) {
        e = refuse_value(r, OPTION_tls_key_file, c->tls_key_file);
    } else if (SSL_CTX_check_private_key(context) != 1) {
        e = refuse_value(r, OPTION_tls_key_file, c->tls_key_file);
    } else {
        warn_of_validity(context, c->tls_cert_file);
    }
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    return e;
}

static err load_trust(SSL_CTX *context, const struct config *c, const struct report *r)
{
    if (c->tls_ca_cert_file.len > 0 && SSL_CTX_load_verify_file(context, c->tls_ca_cert_file.ptr) != 1) {
        return refuse_value(r, OPTION_tls_ca_cert_file, c->tls_ca_cert_file);
    }
    if (c->tls_ca_cert_dir.len > 0 && access(c->tls_ca_cert_dir.ptr, R_OK | X_OK) != 0) {
        buf_printf(r->why, "%s: ", c->tls_ca_cert_dir.ptr);
        return refuse(r, OPTION_tls_ca_cert_dir, strerror(errno));
    }
    if (c->tls_ca_cert_dir.len > 0 && SSL_CTX_load_verify_dir(context, c->tls_ca_cert_dir.ptr) != 1) {
        return refuse_value(r, OPTION_tls_ca_cert_dir, c->tls_ca_cert_dir);
    }
    if (c->tls_auth_clients == TLS_AUTH_NO) {
        return OK;
    }
    if (c->tls_ca_cert_file.len == 0 && c->tls_ca_cert_dir.len == 0) {
        return refuse(
            r, OPTION_tls_auth_clients,
            "clients are asked for certificates, but neither tls-ca-cert-file nor tls-ca-cert-dir says whom to trust");
    }
    SSL_CTX_set_verify(
        context, SSL_VERIFY_PEER | (c->tls_auth_clients == TLS_AUTH_YES ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    return OK;
}

/* A certificate file without the certificates that lead to a root: those are looked for among the trusted ones. OpenSSL
 * would do that again in each handshake. */
static void complete_chain(SSL_CTX *context)
{
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(context, &chain);
    if (sk_X509_num(chain) <= 0) {
        (void)SSL_CTX_build_cert_chain(context, SSL_BUILD_CHAIN_FLAG_NO_ROOT | SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR |
                                                    SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR);
    }
    SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
}

static err choose_protocols(SSL_CTX *context, const struct config *c)
{
    bool has_12 = slice_glob(S("*TLSv1.2*"), c->tls_protocols, true);
    bool has_13 = slice_glob(S("*TLSv1.3*"), c->tls_protocols, true);
    if (!has_12 && !has_13) {
        has_12 = has_13 = true;
    }
    bool done = SSL_CTX_set_min_proto_version(context, has_12 ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 &&
                SSL_CTX_set_max_proto_version(context, has_13 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1;
    return done ? OK : ERR_NOMEM;
}

static err load_dh_params(SSL_CTX *context, const struct config *c, const struct report *r)
{
    if (c->tls_dh_params_file.len == 0) {
        SSL_CTX_set_dh_auto(context, 1);
        return OK;
    }
    BIO *file = BIO_new_file(c->tls_dh_params_file.ptr, "r");
    EVP_PKEY *params = file ? PEM_read_bio_Parameters(file, NULL) : NULL;
    BIO_free(file);
    if (!params || SSL_CTX_set0_tmp_dh_pkey(context, params) != 1) {
        EVP_PKEY_free(params);
        return refuse_value(r, OPTION_tls_dh_params_file, c->tls_dh_params_file);
    }
    return OK;
}

static err choose_ciphers(SSL_CTX *context, const struct config *c, const struct report *r)
{
    if (c->tls_ciphers.len > 0 && SSL_CTX_set_cipher_list(context, c->tls_ciphers.ptr) != 1) {
        return refuse_value(r, OPTION_tls_ciphers, c->tls_ciphers);
    }
    if (c->tls_ciphersuites.len > 0 && SSL_CTX_set_ciphersuites(context, c->tls_ciphersuites.ptr) != 1) {
        return refuse_value(r, OPTION_tls_ciphersuites, c->tls_ciphersuites);
    }
    if (c->tls_prefer_server_ciphers) {
        SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    }
    return load_dh_params(context, c, r);
}

static void choose_sessions(SSL_CTX *context, const struct config *c)
{
    static const unsigned char name[] = "larder";
    if (c->tls_session_caching) {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER);
        SSL_CTX_sess_set_cache_size(context, c->tls_session_cache_size);
        SSL_CTX_set_timeout(context, c->tls_session_cache_timeout);
        SSL_CTX_set_session_id_context(context, name, sizeof name - 1);
    } else {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context, 0);
    }
}

/* ---- contexts ---------------------------------------------------------------------------------------------------- */

static err set_up_context(SSL_CTX *context, const struct config *c, const struct report *r)
{
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    choose_sessions(context, c);
    err e = choose_protocols(context, c);
    if (e == OK) {
        e = load_identity(context, c, r);
    }
    if (e == OK) {
        e = load_trust(context, c, r);
    }
    if (e == OK) {
        complete_chain(context);
    }
    if (e == OK) {
        e = choose_ciphers(context, c, r);
    }
    return e;
}

err tls_context_new(const struct config *config, struct ssl_ctx_st **ret_context, enum option *ret_option,
                    struct buf *why)
{
    struct report report = {.ret_option = ret_option, .why = why};
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    err e = context ? set_up_context(context, config, &report) : ERR_NOMEM;
    ERR_clear_error();
    if (e) {
        SSL_CTX_free(context);
        return e;
    }
    *ret_context = context;
    return OK;
}

bool tls_context_depends_on(enum option o)
{
    switch (o) {
    case OPTION_tls_cert_file:
    case OPTION_tls_key_file:
    case OPTION_tls_key_file_pass:
    case OPTION_tls_ca_cert_file:
    case OPTION_tls_ca_cert_dir:
    case OPTION_tls_auth_clients:
    case OPTION_tls_protocols:
    case OPTION_tls_ciphers:
    case OPTION_tls_ciphersuites:
    case OPTION_tls_prefer_server_ciphers:
    case OPTION_tls_dh_params_file:
    case OPTION_tls_session_caching:
    case OPTION_tls_session_cache_size:
    case OPTION_tls_session_cache_timeout: return true;
    default: return false;
    }
}

struct ssl_ctx_st *tls_context_ref(struct ssl_ctx_st *context)
{
    SSL_CTX_up_ref(context);
    return context;
}

void tls_context_unref(struct ssl_ctx_st *context)
{
    SSL_CTX_free(context);
}

/* ---- OpenSSL's way to the bytes ---------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *to, int capacity)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->input.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t count = num_min_u64(t->input.len, (uint64_t)capacity);
    memcpy(to, t->input.ptr, count);
    t->input = slice_sub(t->input, count, SIZE_MAX);
    return (int)count;
}

static int bio_write(BIO *bio, const char *bytes, int count)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buf_append(&t->layer.out, slice_make(bytes, (size_t)count));
    return buf_failed(&t->layer.out) ? -1 : count;
}

static long bio_control(BIO *bio, int what, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method; /* made once, for all connections; NULL when memory was refused */

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "larder stream");
    if (bio_method) {
        BIO_meth_set_read(bio_method, bio_read);
        BIO_meth_set_write(bio_method, bio_write);
        BIO_meth_set_ctrl(bio_method, bio_control);
    }
}

static BIO *bio_new(struct tls *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bio_method);
    BIO *bio = bio_method ? BIO_new(bio_method) : NULL;
    if (bio) {
        BIO_set_data(bio, t);
        BIO_set_init(bio, 1);
    }
    return bio;
}

/* ---- what is said of peers --------------------------------------------------------------------------------------- */

/* Each kind is said at most once a second. */
enum fault {
    FAULT_PLAIN,
    FAULT_NO_CERTIFICATE,
    FAULT_CERTIFICATE,
    FAULT_ALERT,
    FAULT_HANDSHAKE,
    FAULT_RECORD,
    FAULT_COUNT
};

static const char *const fault_words[FAULT_COUNT] = {
    [FAULT_PLAIN] = "it does not speak TLS, and this is a TLS port",
    [FAULT_NO_CERTIFICATE] = "it shows no certificate, and tls-auth-clients asks for one",
    [FAULT_CERTIFICATE] = "its certificate is refused",
    [FAULT_ALERT] = "it ended TLS",
    [FAULT_HANDSHAKE] = "the TLS handshake failed",
    [FAULT_RECORD] = "what it sends is not what TLS allows",
};

static void say(const struct stream *s, enum fault fault, const char *detail)
{
    static struct log_limit limits[FAULT_COUNT];
    char peer[SOCK_NAME_CHARS];
    sock_peer_name(s->watch.fd, peer);
    metric_add(METRIC_tls_faults, 1);
    log_write_limited(&limits[fault], LOG_WARNING, "door", "client %s closed: %s%s%s", peer, fault_words[fault],
                      detail ? ": " : "", detail ? detail : "");
}

/* After SSL_read() has failed. */
static void say_error(const struct tls *t, const struct stream *s)
{
    int reason = ERR_GET_REASON(ERR_peek_error());
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        say(s, FAULT_NO_CERTIFICATE, NULL);
    } else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        say(s, FAULT_CERTIFICATE, X509_verify_cert_error_string(SSL_get_verify_result(t->ssl)));
    } else if (reason > SSL_AD_REASON_OFFSET) {
        say(s, FAULT_ALERT, openssl_reason());
    } else {
        say(s, t->established ? FAULT_RECORD : FAULT_HANDSHAKE, openssl_reason());
    }
    ERR_clear_error();
}

/* ---- the layer --------------------------------------------------------------------------------------------------- */

static void note_established(struct tls *t)
{
    if (!t->established && SSL_is_init_finished(t->ssl)) {
        t->established = true;
        metric_add(METRIC_tls_handshakes, 1);
    }
}

/* Fills `plain` with what `input` yields. OK: it is full; ERR_AGAIN: there is no more for now; ERR_CLOSED;
 * ERR_PROTOCOL. */
static err read_plain(struct tls *t, char plain[static PLAIN_BYTES], size_t *ret_len)
{
    *ret_len = 0;
    while (*ret_len < PLAIN_BYTES) {
        size_t count;
        if (t->input.len == 0 && SSL_pending(t->ssl) == 0) {
            return ERR_AGAIN;
        }
        int result = SSL_read_ex(t->ssl, plain + *ret_len, PLAIN_BYTES - *ret_len, &count);
        if (result != 1) {
            int reason = SSL_get_error(t->ssl, result);
            return reason == SSL_ERROR_WANT_READ     ? ERR_AGAIN
                   : reason == SSL_ERROR_ZERO_RETURN ? ERR_CLOSED
                                                     : ERR_PROTOCOL;
        }
        *ret_len += count;
    }
    return OK;
}

static err read_and_deliver(struct tls *t, struct stream *s)
{
    char plain[PLAIN_BYTES];
    bool wanted = true;
    err e = OK;
    ERR_clear_error();
    while (e == OK && wanted) {
        size_t len;
        e = read_plain(t, plain, &len);
        note_established(t);
        if (e == ERR_PROTOCOL) {
            say_error(t, s);
        }
        if (len > 0) {
            wanted = stream_deliver(s, slice_make(plain, len));
        }
    }
    t->layer.unread = e == OK;
    return e == ERR_AGAIN ? OK : e;
}

/* What `input` still has is kept when the owner will come back for it. */
static void keep_unread(struct tls *t)
{
    if (!t->layer.unread) {
        buf_fini(&t->held);
    } else if (t->held.len > 0) {
        buf_consume(&t->held, t->held.len - t->input.len);
    } else {
        buf_append(&t->held, t->input);
    }
    t->input = S("");
}

static err take(struct stream_layer *l, struct stream *s, slice bytes)
{
    struct tls *t = tls_of(l);
    assert(bytes.len == 0 || !l->unread);
    if (!t->began && bytes.len > 0) {
        t->began = true;
        if (bytes.ptr[0] != HANDSHAKE_RECORD) {
            say(s, FAULT_PLAIN, NULL);
            return ERR_PROTOCOL;
        }
    }
    t->input = t->held.len > 0 ? buf_slice(&t->held) : bytes;
    err e = read_and_deliver(t, s);
    keep_unread(t);
    return e == OK && buf_failed(&t->held) ? ERR_NOMEM : e;
}

static err give(struct stream_layer *l, slice plain, size_t *ret_taken)
{
    struct tls *t = tls_of(l);
    *ret_taken = 0;
    if (!t->established) {
        return OK;
    }
    ERR_clear_error();
    return SSL_write_ex(t->ssl, plain.ptr, plain.len, ret_taken) == 1 ? OK : ERR_PROTOCOL;
}

static void end(struct stream_layer *l)
{
    struct tls *t = tls_of(l);
    if (t->established) {
        ERR_clear_error();
        (void)SSL_shutdown(t->ssl); /* says close_notify; the peer's is not waited for */
    }
}

static void layer_free(struct stream_layer *l)
{
    struct tls *t = tls_of(l);
    SSL_free(t->ssl);
    buf_fini(&t->held);
    free(t);
}

static const struct stream_layer_ops layer_ops = {.take = take, .give = give, .end = end, .free = layer_free};

struct stream_layer *tls_layer_new(struct ssl_ctx_st *context)
{
    struct tls *t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    t->layer.ops = &layer_ops;
    buf_init(&t->held, STREAM_READ_BYTES);
    BIO *bio = bio_new(t);
    t->ssl = bio ? SSL_new(context) : NULL;
    if (!t->ssl) {
        BIO_free(bio);
        free(t);
        return NULL;
    }
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_accept_state(t->ssl);
    return &t->layer;
}

bool tls_layer_is_established(const struct stream_layer *l)
{
    return tls_of(l)->established;
}
