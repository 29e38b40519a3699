/* Keys that somebody waits for: the place where calls park, and where a load in flight can be voided.
 *
 * A pending belongs to a key of a shard and is found under that shard's lock. While it is *attached*, readers who miss
 * the key join it. A change of the key (shard.h, R2) detaches it: what it waits for will still be given to those who
 * are waiting already, but nobody else joins and its result is not stored. That both happen under the shard's lock is
 * what makes "an invalidation beats every fill that began before it" true without any further protocol.
 *
 * A waiter is one parked call's place in the list. Who resolves the pending hands each waiter the outcome; who gives up
 * (time, hang-up) takes its waiter out. Both under the shard's lock, so exactly one of them happens. wake() must only
 * post to the owner's outbox. */
#ifndef KEYSPACE_PENDING_H
#define KEYSPACE_PENDING_H

#include "base/list.h"
#include "keyspace/entry.h"
#include "keyspace/shard.h"

/* What a parked call gets: a value of its own (kept although it may not have been stored), "not found", or an error.
 * Immutable once published, counted; freed with the last reference. Any thread. */
enum outcome_kind { OUTCOME_VALUE, OUTCOME_NEGATIVE, OUTCOME_ERROR, OUTCOME_TIMEOUT };
struct outcome {
    unsigned references; /* atomic */
    enum outcome_kind kind;
    err error;
    bool voided; /* a change of the key came before the result: not stored, not to be built upon */
    bool stored; /* it was stored under the key: who finds it absent all the same knows that it was removed since */
    slice text;  /* detail of an error, for the caller; owned */
    struct entry *entry; /* OUTCOME_VALUE: a detached entry; owned */
};
/* Copies the content into a detached entry. NULL when the system refuses memory. */
struct outcome *outcome_new_value(slice key, const struct content *c);
struct outcome *outcome_new_negative(void);
struct outcome *outcome_new_error(err e, slice text);
struct outcome *outcome_ref(struct outcome *o);
/* NULL is fine. */
void outcome_unref(struct outcome *o);

struct waiter {
    struct list link; /* in pending->waiters; linked while it waits */
    struct pending *pending;
    struct outcome *outcome; /* own reference, once woken */
    void (*wake)(struct waiter *w);
};

struct pending {
    struct list link; /* in the shard's table, while attached */
    struct list waiters;
    struct shard *shard;
    uint64_t hash;
    unsigned db; /* good while attached: FLUSHDB and SWAPDB detach */
    bool attached;
    uint32_t waiter_count;
    uint32_t *waiter_total; /* where its waiters are counted besides, atomic; NULL. Set before anybody joins */
    void *owner;            /* the load, for whoever opened it */
    slice key;              /* owned copy */
};

/* The attached pending of a key; NULL when there is none. One load when the shard has none at all. */
struct pending *pending_find(struct shard *s, const struct key *k);
/* Opens one for a key that has none attached. NULL when the system refuses memory. */
struct pending *pending_open(struct shard *s, const struct key *k, void *owner);
/* Parks a waiter. */
void pending_join(struct pending *p, struct waiter *w);
/* Takes a waiter out; false when it had been woken (or is about to be) already. */
bool pending_leave(struct waiter *w);
/* Detaches: nobody joins any more, the result will not be stored. Harmless when detached. */
void pending_void(struct pending *p);
/* Wakes every waiter with a reference to the outcome. */
void pending_resolve(struct pending *p, struct outcome *o);
/* Takes it off the table and frees it; no waiter may be left. */
void pending_close(struct pending *p);
/* Voids all attached pendings of a database, or those whose key passes `matches`. Returns how many. */
size_t pending_void_all(struct shard *s, unsigned db, bool (*matches)(void *argument, slice key), void *argument);

#endif
