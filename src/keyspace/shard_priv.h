/* A shard from inside: for shard.c, account.c, upkeep.c, glimpse.c, pending.c, evict.c, and those who see all shards (keyspace_priv.h).
 *
 *      shard -- spaces[db] --> space: index of entries, counts
 *            -- slabs          the blocks of the entries of all spaces
 *            -- calendar       the deadlines of all spaces
 *            -- pendings       keys that somebody waits for
 *            -- retired        what flushes left behind, freed in slices
 *
 * Spaces are made at first use and freed with the shard only, so that their counts can be read without the lock; a
 * flush takes a space's index away and leaves it empty. Entries do not know their space: who comes to one without an
 * index, as the calendar does, looks for the index that has it. */
#ifndef KEYSPACE_SHARD_PRIV_H
#define KEYSPACE_SHARD_PRIV_H

#include "base/assert.h"
#include "base/list.h"
#include "keyspace/calendar_priv.h"
#include "keyspace/evict_priv.h"
#include "keyspace/index_priv.h"
#include "keyspace/keyspace.h"
#include "keyspace/limbo_priv.h"
#include "keyspace/pending.h"
#include "keyspace/shard.h"
#include "keyspace/slab_priv.h"
#include "observe/histogram.h"

enum { PENDING_BUCKETS = 16 };

struct space {
    struct index index;
    struct space *next; /* the shard's spaces, in no order */
    unsigned db;
    uint64_t negative_count;
    uint64_t timed_count; /* entries with a deadline, negative ones too */
    /* Read without the lock. */
    uint64_t visible_count;     /* entries that are not negative */
    uint64_t expiring_count;    /* of them with a deadline */
    int64_t deadline_offset_ms; /* sum of their deadlines, each from the keyspace's epoch and cut to +-2^40 */
};

/* An index that is going away with all its entries. */
struct retired {
    struct retired *next;
    struct index index;
};

/* The first line is what a look-up reads and nobody writes while keys come and go; the second begins with the lock and
 * has what a change writes. So workers that prepare calls share the first, and a call that takes the lock has to bring
 * one line from another core, which is asked for ahead (shard_look()). */
struct shard {
    struct space **spaces; /* by database; NULL: never used */
    struct keyspace *keyspace;
    const struct hash_key *hash_key;
    uint32_t db_count;
    uint16_t number;
    ALIGNED(CACHE_LINE_BYTES) struct lock lock;
    uint32_t pending_count;    /* attached */
    int64_t next_due_ms;       /* wall; nothing is due before; read without the lock */
    uint64_t used_bytes;       /* exact; read without the lock */
    int64_t unpublished_bytes; /* part of used_bytes that the keyspace's total does not have yet */
    struct evict evict;
    struct space *all_spaces;
    struct retired *retired;
    bool has_rests; /* retired ones, or what the policy has put aside; read without the lock */
    struct list pendings[PENDING_BUCKETS];
    struct calendar calendar;
    size_t calendar_bytes;         /* what it has in used_bytes */
    bool has_ahead;                /* calendar_has_ahead(); read without the lock */
    struct space *compacted_space; /* where shard_compact_index() goes on; NULL: with the first */
    size_t compacted_place;
    struct slabs slabs; /* of the entries */
} ALIGNED(CACHE_LINE_BYTES);

static_assert(offsetof(struct shard, lock) == CACHE_LINE_BYTES, "what look-ups read is not where changes write");

/* NULL when it was never used. */
static inline struct space *space_of(const struct shard *s, unsigned db)
{
    assert(db < s->db_count);
    return __atomic_load_n(&s->spaces[db], __ATOMIC_ACQUIRE);
}

MUST_USE err shard_init(struct shard *s, struct keyspace *ks, unsigned number, unsigned db_count,
                        const struct hash_key *hash_key, enum eviction eviction);
void shard_fini(struct shard *s);

/* Expires what is due, in the order of deadlines, noting it in the effect. Each step of the calendar costs one of *work,
 * an entry some more. `lags` gets how late each went, in us. Keys are copied to the effect's arena. */
void shard_expire(struct shard *s, struct effect *fx, unsigned *work, struct histogram *lags);
/* Deals out up to `work` records of the calendar ahead of time; whether there is something, without the lock. */
void shard_deal_ahead(struct shard *s, unsigned work);
bool shard_has_ahead(const struct shard *s);
/* Evicts one entry, or removes an expired one that it met; false when the policy finds none. */
bool shard_evict(struct shard *s, struct effect *fx);
/* Empties a database, for shard_reap() to free. Returns the visible keys that were there. */
uint64_t shard_flush(struct shard *s, unsigned db);
void shard_swap(struct shard *s, unsigned a, unsigned b);
/* Frees a part of what was retired, a few entries, taking the lock itself. False when there was nothing. */
bool shard_reap(struct shard *s);
/* Moves up to `most` entries out of sparse slabs, so that they can be given back; returns how many: 0 when there is nothing (more) to gain. `thorough`: as
 * slab_sparse_block() says. */
unsigned shard_compact(struct shard *s, unsigned most, bool thorough, int64_t now_wall_ms);
/* Moves what should move of its indexes, a few segments; false when it has come through them. */
bool shard_compact_index(struct shard *s);
/* Whether there is something to reap; without the lock. */
static inline bool shard_has_rests(const struct shard *s)
{
    return PEEK(s->has_rests);
}
/* Has the bucket of a hash brought to the cache, where the shard has one space. */
static inline void shard_fetch_bucket(const struct shard *s, uint64_t hash)
{
    const struct space *sp = s->all_spaces;
    __builtin_prefetch(sp->next ? NULL : index_bucket_unlocked(&sp->index, hash), 1);
}
/* Sum of the offsets of the deadlines from the keyspace's epoch; without the lock. */
int64_t shard_deadline_offset_ms(const struct shard *s, unsigned db);

/* account.c */
/* Adds to what the shard's memory costs. */
void shard_account(struct shard *s, int64_t bytes);
/* Adds to the keyspace's total what it does not have yet. */
void shard_publish(struct shard *s);
/* Brings the account of the calendar up to date, which also changes when nothing is scheduled or cancelled. */
void shard_account_calendar(struct shard *s);
/* The next tick is not to pass the shard by at that time (wall ms). */
void shard_wake_at(struct shard *s, int64_t due_ms);
/* So many entries are in the calendar no more. */
void shard_unschedule(struct shard *s, size_t count);
/* Something to reap was put aside or is gone: lets those know who look for it. */
void shard_note_rests(struct shard *s);
/* Takes an entry out of counts, calendar and account, before it is changed or freed. */
void shard_leave(struct shard *s, struct space *sp, struct entry *e);
/* Puts it in. There is room for its record if it has a deadline: */
void shard_enter(struct shard *s, struct space *sp, struct entry *e);
/* sees to that. False when the system refuses memory. */
MUST_USE bool shard_reserve_record(struct shard *s, int64_t deadline, int64_t now_wall_ms);

/* upkeep.c: frees some entries of an index that is going away; returns what that gave back, 0 when the index is empty. */
size_t shard_drain(struct shard *s, struct index *ix);

/* room.c: adds to the total of all shards, called for every so many bytes. */
void keyspace_publish_bytes(struct keyspace *ks, int64_t bytes);
/* One shard more (1) or fewer (-1) has something to reap. */
void keyspace_note_rests(struct keyspace *ks, int change);
/* How many bytes a shard may keep to itself. */
int64_t keyspace_publish_step(const struct keyspace *ks);
/* Where the indexes of all shards have their directories and segments. */
struct limbo *keyspace_limbo(struct keyspace *ks);
/* Where the slabs of all shards come from. */
struct slab_pool *keyspace_slab_pool(struct keyspace *ks);
int64_t keyspace_epoch_ms(const struct keyspace *ks);

/* pending.c */
void pending_table_init(struct shard *s);
void pending_table_check(const struct shard *s);

#endif
