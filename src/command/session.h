/* What the verbs know of the connection that a call came by: who it is, which database, what was said about replies. The door embeds one in each
 * of its connections and supplies `ops`; no verb knows which door.
 *
 * A session belongs to one worker. Other threads see it only in sessions_each() (CLIENT LIST), under that worker's sessions lock: the texts change
 * only under the lock (session_set_text()), the plain numbers are relaxed atomics and may be a moment old. */
#ifndef COMMAND_SESSION_H
#define COMMAND_SESSION_H

#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"
#include "os/worker.h"

struct session;
struct command;

/* Memory and traffic as CLIENT LIST shows them, in bytes. */
struct session_figures {
    uint64_t query_bytes, query_free_bytes, argv_bytes;
    uint64_t out_fixed_bytes, out_fixed_peak_bytes, out_list_count, out_list_bytes, total_bytes;
    int fd;
};

struct session_ops {
    /* Of the session's own worker, or under the sessions lock from another: approximate then. */
    void (*figures)(const struct session *s, struct session_figures *ret_figures);
    /* Switches the rendering of replies (2 or 3), from the next reply on. */
    void (*set_protocol)(struct session *s, int protocol);
    /* Sends a status that nobody asked for (MONITOR). ON(worker), between two calls. */
    void (*tell)(struct session *s, slice line);
    /* Closes the connection, at the end of the turn at the latest. ON(worker), between two calls. */
    void (*kill)(struct session *s);
    /* Ends the wait of its call (call_unblock()). ON(worker), between two calls. */
    bool (*unblock)(struct session *s, bool with_error);
};

/* After how long without a request a connection gives back its buffers, unless somebody says otherwise (DEBUG REPLYBUFFER). */
enum { SESSION_REST_AFTER_MS = 1000 };
int64_t session_rest_after_ms(void);
/* INT64_MAX: never. Any thread. */
void session_set_rest_after(int64_t ms);

enum session_reply { SESSION_REPLY_ON, SESSION_REPLY_OFF, SESSION_REPLY_SKIP };
enum session_text { SESSION_NAME, SESSION_LIB_NAME, SESSION_LIB_VERSION, SESSION_TEXT_COUNT };

struct session {
    struct list link; /* in the worker's list */
    const struct session_ops *ops;
    struct worker *worker;
    uint64_t id; /* unique, ascending, from 1 */
    unsigned db;
    int protocol; /* 2 or 3 */
    bool authenticated;
    bool no_evict, no_touch;
    bool unix_socket;
    bool blocked;                  /* its call waits */
    bool monitors;                 /* is shown all commands */
    struct list monitor_link;      /* among its worker's monitors */
    bool close_after_reply;        /* QUIT and fatal errors: the door closes when the reply has left */
    enum session_reply reply_mode; /* CLIENT REPLY; the door drops what is not wanted */
    bool skip_next;                /* CLIENT REPLY SKIP was said: the next reply is dropped */
    int64_t created_mono_ms;
    int64_t last_mono_ms; /* last interaction */
    uint64_t bytes_in, bytes_out;
    uint64_t command_count;
    const struct command *last_command;
    char peer[108 + 8]; /* "127.0.0.1:50000", "[::1]:50000", "/path:0" */
    char local[108 + 8];
    slice texts[SESSION_TEXT_COUNT]; /* owned; ptr NULL: none */
};

/* Enters the session, zeroed but for peer, local and unix_socket, into its worker's list and gives it its id. It is authenticated at once when no
 * password is set. ON(worker). */
void session_open(struct session *s, struct worker *w, const struct session_ops *ops, struct now now);
/* Takes it out and frees the texts. ON(worker). */
void session_close(struct session *s);
/* Puts back what RESET puts back: database 0, RESP2, no name, replies on, not authenticated when a password is set. */
void session_reset(struct session *s);
/* Whether it has to authenticate before it may ask for more than AUTH and HELLO. */
bool session_needs_auth(const struct session *s);
/* Copies the text; an empty one is none. ERR_NOMEM. ON(worker). */
MUST_USE err session_set_text(struct session *s, enum session_text which, slice text);

/* So many more commands of it have run. ON(worker). */
static inline void session_count_commands(struct session *s, unsigned count)
{
    __atomic_store_n(&s->command_count, s->command_count + count, __ATOMIC_RELAXED);
}

/* Calls `visit` for every session of every worker, each worker's under its lock: short, must not call back into sessions. Any thread. */
void sessions_each(void (*visit)(void *argument, const struct session *s), void *argument);
/* The same for those of one worker, on that worker; `visit` may close the session. */
void sessions_each_own(struct worker *w, void (*visit)(void *argument, struct session *s), void *argument);
uint64_t sessions_count(void);

#endif
