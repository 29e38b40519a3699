/* One request in flight: its arguments, its keys, the effect it makes, the memory it uses. A verb (handler) gets a call whose keys are resolved, whose
 * shards are locked, whose expired entries are gone, whose missing keys were loaded if a rule says so. It looks with call_entry(), changes with call_put(),
 * call_drop() ..., answers with reply_*(call->reply, ...), and returns OK or an error. It takes no lock, reads no clock (call->now), knows no door,
 * allocates with call_alloc() only, and journals nothing: dispatch does all of that.
 *
 * Order in a verb: checks, then allocations, then changes; a verb that has changed something cannot fail any more.
 *
 * A call that must wait has changed nothing yet: it is parked and later run again from the start of its verb, with the outcomes in its keys. */
#ifndef COMMAND_CALL_H
#define COMMAND_CALL_H

#include "base/arena.h"
#include "base/random.h"
#include "command/reply.h"
#include "command/session.h"
#include "keyspace/keyspace.h"

struct command;
struct engine;

/* Memory for arguments and changes of ordinary calls, in the call itself. (Blocks of their own begin at page boundaries: those of a batch
 * would all compete for the same few lines of the first cache.) */
enum { CALL_MEMORY_BYTES = 256 };

struct call_key {
    struct key key;
    unsigned argument; /* index of the argument that is the key */
    enum key_use use;
    bool timed;              /* this call gave it times of its rule, of which the call's own words say nothing */
    struct sight sight;      /* where it will be looked for */
    struct entry *entry;     /* as found under the lock: not expired; maybe stale or negative; NULL when absent */
    const struct rule *rule; /* that governs it; NULL: none */
    struct outcome
        *outcome; /* what its park ended with, while it still says what the key is; NULL when it did not park */
};

/* An argument that came in a block of its own, which the call holds and an entry may own from then on (call_content()). */
struct call_block {
    unsigned argument;
    size_t bytes; /* that it has */
    struct blob *blob;
};

/* Shorter arguments do not. */
enum { CALL_BLOCK_BYTES_MIN = 32 * 1024 };

struct call_undo; /* how to take back what call_put() has done */
struct park;      /* dispatch's bookkeeping of a parked call */

struct call {
    struct engine *engine;
    struct session *session;
    const struct command *command;
    struct reply *reply;
    unsigned argc;
    slice *
        argv; /* argv[0] is the command's name as sent; lent by the door until the call is done (copied when it parks) */
    struct now now;     /* one time for the whole call */
    struct arena arena; /* reset by the door after the call */
    struct effect effect;
    enum event event; /* what the next change is called; the row's event unless the verb sets another */
    struct call_key *keys;
    unsigned key_count;
    struct call_key only_key; /* where `keys` points when the command has one */
    struct key *locks;        /* the keys whose shards are locked together, when there are several */
    slice error_text;         /* detail that replaces the error row's text */
    err refused;              /* why it will not run: found while it was prepared */
    bool brief;               /* it is timed together with others like it */
    unsigned expired_count;   /* touches of its effect that are expired entries met, not changes of its own */
    struct call_undo *undo;   /* between call_begin_all() and call_end_all(); else NULL */
    bool changed;             /* an entry was changed: with several keys, what was found before is looked up again */
    struct random *random;    /* the worker's */
    struct park *park;
    void (*resumed)(struct call *call); /* set by the door: the park is over, run it again. ON(worker) */
    void *owner;                        /* the door's connection */
    const struct call_block
        *blocks; /* in the order of their arguments; the door's, as argv, and not copied when it parks */
    unsigned block_count;
    ALIGNED(ARENA_ALIGNMENT) char memory[CALL_MEMORY_BYTES]; /* where the arena begins */
};

/* ---- arguments ------------------------------------------------------------------------------------------------------------------------ */
static inline slice call_arg(const struct call *call, unsigned index)
{
    return call->argv[index];
}
/* Whether argument `index` is this word, in any case. */
static inline bool call_arg_is(const struct call *call, unsigned index, slice word)
{
    return slice_equal_nocase(call->argv[index], word);
}
MUST_USE err call_arg_i64(struct call *call, unsigned index, int64_t *ret_value); /* ERR_NOT_INTEGER */

/* The block in which argument `index` came; NULL when it has none. */
COLD struct blob *call_block(const struct call *call, unsigned index);
/* Argument `index` as content: a string without deadline, encoded as Redis would, that is stored without copying it if it came in a block. */
static inline struct content call_content(const struct call *call, unsigned index)
{
    struct content c = content_string(call->argv[index]);
    if (UNLIKELY(c.string.len >= CALL_BLOCK_BYTES_MIN)) {
        c.blob = call_block(call, index);
    }
    return c;
}

/* From the call's arena; NULL when the system refuses (return ERR_NOMEM). */
void *call_alloc(struct call *call, size_t bytes);
/* Sets the detail of an error and returns the error: return call_fail(call, ERR_SYNTAX, "..."). The text is formatted into the arena. */
err call_fail(struct call *call, err e, const char *format, ...) PRINTF_LIKE(3, 4);

/* ---- answers -------------------------------------------------------------------------------------------------------------------------- */
enum { CALL_COPY_BYTES_MAX = 16 * 1024 };
COLD void call_reply_large(struct call *call, const struct entry *e, slice part);
/* Answers with the string of an entry, or a part of it. More than CALL_COPY_BYTES_MAX are held instead of copied, unless much else would be held with them. */
static inline void call_reply_string(struct call *call, const struct entry *e, slice part)
{
    if (UNLIKELY(part.len > CALL_COPY_BYTES_MAX)) {
        call_reply_large(call, e, part);
    } else {
        reply_bytes(call->reply, part);
    }
}

/* ---- entries -------------------------------------------------------------------------------------------------------------------------- */
/* The entry that plain commands see under key k: NULL when absent, expired or negative. It may be a detached one that a load brought and nobody stored. */
struct entry *call_entry(struct call *call, unsigned k);
/* The same, refusing other kinds: ERR_WRONGKIND. *ret_entry is NULL when absent. */
MUST_USE err call_entry_of_kind(struct call *call, unsigned k, enum kind kind, struct entry **ret_entry);
/* Counts a look at key k as one that found something or did not: where Redis does, but the row is a WRITE or its key is PEEKS. (For others dispatch counts.) */
void call_count_look(const struct call *call, unsigned k);
/* Gives key k this content, whether or not it is there. A governed key gets its rule's times (default ttl, max-ttl, jitter), made from fresh_until; any
 * other the content's, so that a stale value stays stale when it moves (RENAME, COPY). ERR_NOMEM. */
MUST_USE err call_put(struct call *call, unsigned k, const struct content *c);
/* The same, keeping the times that the entry has (KEEPTTL, INCR). */
MUST_USE err call_put_keep_times(struct call *call, unsigned k, const struct content *c);
/* For verbs that put several keys: all are put, or none. What call_put() and call_put_keep_times() do between the two can be taken back, and is when the
 * verb ends with an error: return call_end_all(call, e). The begin may be refused memory, with nothing begun. */
MUST_USE err call_begin_all(struct call *call);
MUST_USE err call_end_all(struct call *call, err e);
/* Resizes the string of an existing entry in place and lends its bytes for writing (APPEND, SETRANGE, SETBIT). */
MUST_USE err call_edit_string(struct call *call, unsigned k, size_t bytes, char **ret_value);
/* Sets the deadline (NO_DEADLINE: persist) of an existing entry; a governed key's max-ttl applies. */
MUST_USE err call_set_deadline(struct call *call, unsigned k, int64_t deadline);
/* Removes the entry; harmless when absent. */
void call_drop(struct call *call, unsigned k);
/* A further event of key k besides that of the change ("set" then "expire"). */
void call_event(struct call *call, unsigned k, enum event event);
/* Key k of this call in another database (not loaded: what is not there counts as absent), as a further key of the call (MOVE, COPY ... DB n): same shard, so it is locked. Returns its index; ERR_NOMEM. */
MUST_USE err call_key_in_db(struct call *call, unsigned k, unsigned db, enum key_use use, unsigned *ret_k);

/* ---- waiting for work ----------------------------------------------------------------------------------------------------------------- */
/* Work that a verb has begun and that goes on between turns of its worker's loop (a walk over all keys). Embedded in what the verb keeps of it, on the heap,
 * since it may outlive the call. */
struct errand {
    struct call *call; /* NULL: the call is gone, its client hung up; the work may go on */
    bool ended;
    void (*drop)(struct errand *errand); /* frees it: called once, when it has ended and the call is over or gone */
};
/* Parks the call until errand_end(): the verb returns what this returns, ERR_AGAIN, and runs again from its start then. Or ERR_NOMEM: then the errand is still
 * the verb's. */
MUST_USE err call_await(struct call *call, struct errand *errand);
/* The errand that this call has waited for; NULL on its first run. Good until the call is over. */
struct errand *call_errand(const struct call *call);
/* On the call's worker: the work is done. Runs the call again if it is still there; the errand may be gone on return. */
void errand_end(struct errand *errand);

/* For a verb that is about to store more than its arguments say, `bytes` in all, before it changes anything: OK when there is room for them in memory, or
 * they are few. ERR_AGAIN: the verb returns it and runs again from its start when room has been made. ERR_OOM, ERR_NOMEM. */
MUST_USE err call_need_room(struct call *call, uint64_t bytes);

/* ---- the record ----------------------------------------------------------------------------------------------------------------------- */
/* Replaces the call as its own record (absolute times, final values); slices must outlive the call's run. Costs nothing when nobody wants records. */
void call_record(struct call *call, unsigned argc, const slice *argv);
/* Text of an integer in the arena, for records. */
slice call_text_i64(struct call *call, int64_t value);

#endif
