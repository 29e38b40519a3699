/* Which entry goes when memory is short. shard.c tells of every entry's coming, use, moving and going; a policy is a
 * file with a row of hooks (struct evict_policy), chosen by maxmemory-policy:
 *
 *      evict_sampled.c    Redis's eight: nothing is queued, the worst of a sample goes
 *      evict_adaptive.c   `adaptive`: two queues and ghosts
 *
 * Both keep what they know of an entry in the 24 bits of its stamp, each in its own way. So when the policy changes to
 * one of another way, it adopts the entries that are there: a walk over the shard in slices, by ticks, and by who looks for
 * a victim only when there is nothing else to choose from (evict_adopt()). Until it has passed an entry, that one has a stamp of the former policy, which harms nothing but the
 * choice. A policy that lost track of entries (no memory for its queue, a flush) has them adopted in the same way.
 *
 * What a policy allocates is in the shard's account. Under the shard's lock unless it says otherwise. */
#ifndef KEYSPACE_EVICT_PRIV_H
#define KEYSPACE_EVICT_PRIV_H

#include "base/random.h"
#include "keyspace/evict_ghosts_priv.h"
#include "keyspace/evict_queue_priv.h"
#include "keyspace/keyspace.h"

struct space;

struct evict_policy {
    /* `hash` is that of its key. */
    void (*inserted)(struct shard *s, struct entry *e, uint64_t hash, int64_t now_wall_ms);
    /* Read or written. Writes only what changes. */
    void (*used)(struct shard *s, struct entry *e, int64_t now_wall_ms);
    /* `to`, with the same stamp, takes the place of `from`, which is about to be freed. NULL: of no interest. */
    void (*moved)(struct shard *s, struct entry *from, struct entry *to);
    /* It is about to be freed; `evicted`: as victim. NULL: of no interest. */
    void (*removed)(struct shard *s, struct entry *e, uint64_t hash, bool evicted);
    /* An entry that the policy has not seen coming, or perhaps lost, or has already. */
    void (*adopted)(struct shard *s, struct entry *e, int64_t now_wall_ms);
    /* The one that should go, and its space, NULL when the policy does not know it; NULL when there is none that it allows. */
    struct entry *(*victim)(struct shard *s, int64_t now_wall_ms, struct space **ret_space);
    /* Drops and frees what it knows of all entries. NULL: it knows nothing but the stamps. */
    void (*forget)(struct shard *s);
    /* Asserts its invariants. NULL: there are none. */
    void (*check)(const struct shard *s);
};

extern const struct evict_policy evict_sampled;
extern const struct evict_policy evict_adaptive;

/* Whether used() would write anything, given a copy of the entry, without the lock. By name, since each GET asks: so it is compiled in there. */
bool evict_sampled_would_note(const struct shard *s, const struct entry *e, int64_t now_wall_ms);
bool evict_adaptive_would_note(const struct entry *e);

/* What evict_adaptive.c knows of a shard. */
struct adaptive {
    struct queue small, main;
    struct ghosts ghosts;
    double small_share; /* of all entries: how many the small queue should have */
    double credit;      /* ghosts that may go to the main queue now */
};

/* What a policy has dropped all at once, to be freed in steps. */
struct evict_rest {
    struct evict_rest *next;
    struct queue small, main;
    struct ghosts ghosts;
};

struct evict {
    enum eviction kind; /* it and its policy are read without the lock, too */
    const struct evict_policy *policy;
    struct random random;
    uint64_t entry_count;     /* inserted and not removed; read without the lock */
    bool adopting;            /* a walk is going on; read without the lock */
    struct space *walk_space; /* where it is */
    uint64_t walk_cursor;
    struct adaptive adaptive;
    struct evict_rest *rests; /* read without the lock */
    size_t rest_bytes;        /* of them */
    size_t bytes;             /* of queues and ghosts, rests too, as far as they are in the shard's account */
};

void evict_init(struct shard *s, enum eviction kind, uint64_t seed);
void evict_fini(struct shard *s);
void evict_set_policy(struct shard *s, enum eviction kind);

void evict_inserted(struct shard *s, struct entry *e, uint64_t hash, int64_t now_wall_ms);
void evict_moved(struct shard *s, struct entry *from, struct entry *to);
void evict_removed(struct shard *s, struct entry *e, uint64_t hash, bool evicted);
/* `count` entries, all of one database, are gone together. */
void evict_flushed(struct shard *s, uint64_t count);

/* What the policy will look at when a key with this hash comes, for who wants to fetch it from memory ahead; NULL: nothing. Without the lock, so that it may be any
 * address. */
const void *evict_place_unlocked(const struct shard *s, uint64_t hash);

/* Whether the policy would write something if this entry, of which `e` is a copy, were used. Without the lock. */
bool evict_would_note(const struct shard *s, const struct entry *e, int64_t now_wall_ms);

/* The entry that should go, and its space, NULL when the policy did not come to it by an index; NULL when the policy
 * allows none. It may be an expired one. */
struct entry *evict_victim(struct shard *s, int64_t now_wall_ms, struct space **ret_space);

/* Lets the policy adopt the entries of some buckets. */
void evict_adopt(struct shard *s, unsigned bucket_count, int64_t now_wall_ms);
/* Whether there is anything to adopt; without the lock. */
bool evict_is_adopting(const struct shard *s);
/* Adopts all entries from now on: some may be unknown to the policy. */
void evict_begin_adopting(struct shard *s);

/* Frees a part of what was dropped; false when there was nothing. */
bool evict_reap(struct shard *s);
uint64_t evict_entry_count_unlocked(const struct shard *s);

void evict_check(const struct shard *s);

#endif
