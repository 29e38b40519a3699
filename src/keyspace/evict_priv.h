/* Which entry goes when memory is short. A policy sees a shard's entries through five hooks: inserted, read,
 * overwritten, removed, victim. This one is Redis's: nothing is queued, a 24-bit stamp in the entry says when (LRU) or
 * how often (LFU) it was used, and the victim is the worst of a sample from random buckets. Under the shard's lock. */
#ifndef KEYSPACE_EVICT_PRIV_H
#define KEYSPACE_EVICT_PRIV_H

#include "base/random.h"
#include "keyspace/keyspace.h"

struct space;

struct evict {
    struct random random;
    uint64_t entry_count; /* inserted and not removed */
};

void evict_init(struct evict *v, uint64_t seed);
void evict_inserted(struct shard *s, struct entry *e, int64_t now_wall_ms);
/* Writes only when the stamp changes. */
void evict_read(struct shard *s, struct entry *e, int64_t now_wall_ms);
/* `e` has the stamp of what it replaces. */
void evict_overwritten(struct shard *s, struct entry *e, int64_t now_wall_ms);
/* It, or all of a database's entries, are gone. */
void evict_removed(struct shard *s, uint64_t count);
/* The entry that should go, and its space, NULL for one from the calendar; NULL when the policy allows none. An expired one is taken
 * first. */
struct entry *evict_victim(struct shard *s, int64_t now_wall_ms, struct space **ret_space);

#endif
