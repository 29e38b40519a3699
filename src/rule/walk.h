/* Invalidation: keys by name at once; all keys of a rule or with a prefix by a walk in slices, which whoever ordered it continues between other work.
 *
 * Touched is an entry that was there (a remembered absence and a stale value, too). Soft: an entry of a load rule becomes stale, so that its windows
 * count from now; one that nothing could refresh is removed. Either way loads in flight are voided, also of keys that are absent.
 * These functions lock shards by themselves, one at a time. */
#ifndef RULE_WALK_H
#define RULE_WALK_H

#include "keyspace/keyspace.h"
#include "rule/rules.h"

/* Returns how many were touched. No shard is locked by the caller. */
uint64_t walk_keys(struct rules *rs, unsigned db, size_t count, const slice *keys, bool soft, struct now now);

struct walk_order {
    unsigned db;
    bool soft;
    slice prefix; /* of the key; used when `rule` is empty */
    slice rule;   /* pattern of a rule: the keys that it governs */
};

struct walk;

/* Copies the order. NULL when the system refuses memory. */
struct walk *walk_new(struct rules *rs, const struct walk_order *order);
/* Does one slice: some hundred entries of one shard. True when the walk is over. Every load that was in flight when the walk began has been voided or its
 * fill touched by then;
 * unless the rules were stopped, which ends it early. */
bool walk_step(struct walk *w, struct now now);
uint64_t walk_touched(const struct walk *w);
/* NULL is fine. */
void walk_free(struct walk *w);

#endif
