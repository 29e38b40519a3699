/* How a missing or stale key reaches what stands behind the cache. keyspace/ declares the interface, rule/ implements
 * it, main/ wires it (keyspace_set_loader()); without one every key is a plain key. */
#ifndef KEYSPACE_LOADER_H
#define KEYSPACE_LOADER_H

#include "keyspace/pending.h"
#include "keyspace/shard.h"

/* How a command uses one of its keys (the fine print is in the documentation of reading through). */
enum key_use {
    KEY_PEEKS,    /* looks without disturbing: OBJECT, SCAN ... never loads */
    KEY_READS,    /* loads when absent; may take a stale value */
    KEY_NEEDS,    /* changes what is there: loads when absent, stale or negative */
    KEY_REPLACES, /* the old value does not matter */
    KEY_DROPS,    /* removes it */
};

enum verdict {
    VERDICT_USE,  /* answer from the entry as it is; absent when it is NULL or negative */
    VERDICT_PARK, /* a load is under way (it may just have begun): join *ret_pending and park */
    VERDICT_FAIL, /* answer with the error */
};

struct load_answer {
    enum verdict verdict;
    struct pending *pending;    /* VERDICT_PARK */
    int64_t wait_until_mono_ms; /* VERDICT_PARK: the longest that this rule lets a reader wait */
    err error;                  /* VERDICT_FAIL */
    slice error_text;           /* VERDICT_FAIL: lent until the unlock; may be empty */
};

struct rule; /* opaque here */

struct loader {
    bool has_rules; /* atomic; false: govern() finds none for any key and need not be asked */
    /* The rule that governs a key; NULL: none. Lock-free; good until the calling worker's next loop turn. */
    const struct rule *(*govern)(struct loader *l, unsigned db, slice key);
    /* What a command that uses the key so should do, given the entry as found (NULL when absent or expired). With the
     * shard locked. May start a refresh in the background (never waits). `outcome` is what an earlier park of this call
     * ended with, NULL on its first run. A call that only READS a key is never told to park for it twice; one that NEEDS
     * it is, when the key changed in between, and the time of its first park holds. */
    struct load_answer (*consult)(struct loader *l, const struct rule *r, const struct key *k, struct entry *e,
                                  enum key_use use, struct outcome *outcome, struct now now);
    /* The times of a value that a client writes to a governed key: `deadline` is what the client asked for
     * (NO_DEADLINE: nothing). */
    void (*times)(struct loader *l, const struct rule *r, struct now now, int64_t deadline, int64_t *ret_deadline,
                  int64_t *ret_fresh_until);
};

static inline bool loader_has_rules(const struct loader *l)
{
    return __atomic_load_n(&l->has_rules, __ATOMIC_RELAXED);
}

#endif
