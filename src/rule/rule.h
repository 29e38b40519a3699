/* Rules in the form that calls use: an immutable set, compiled from the blocks of a configuration, with an index that finds the rule of a key.
 *
 * A set is published by rules.h, read without locks by every worker, and counted: being published holds one reference, each load in flight
 * another. Its sources and its rules' accounts are shared with the sets before and after it, so a reload neither cuts connections nor forgets
 * what was counted, unless the source's or the rule's own head line changed. */
#ifndef RULE_RULE_H
#define RULE_RULE_H

#include "base/arena.h"
#include "base/list.h"
#include "config/block.h"
#include "keyspace/loader.h"
#include "os/worker.h"
#include "source/source.h"

enum figure {
#define FIGURE(name, meaning) FIGURE_##name,
#include "rule/figure.def"
#undef FIGURE
    FIGURE_COUNT
};
const char *figure_name(enum figure f);

struct account_cell {
    uint64_t figures[FIGURE_COUNT]; /* atomic; written by one worker, the last cell by any helper */
} ALIGNED(CACHE_LINE_BYTES);

/* What is counted for a pattern, over all sets that have it. */
struct account {
    unsigned references; /* by sets; only the thread that makes and frees sets */
    uint32_t waiters;    /* atomic: calls parked on loads of the rule */
    unsigned cell_count; /* workers, and one for all others */
    struct account_cell cells[];
};

/* A source shared by the sets whose configuration of it is the same. */
struct shared_source {
    unsigned references; /* as above */
    struct source *source;
    const struct driver *driver;
    struct config_blocks *blocks; /* what source->config points into */
};

struct rule {
    const struct config_rule *config;
    struct rule_set *set;
    struct shared_source *source; /* NULL: the rule only governs keys that clients set */
    struct source_statement load;
    struct account *account;
};

struct rule_index;

struct rule_pass {
    struct message message;
    struct rule_set *set;
};

struct rule_set {
    struct list link;         /* among the retired */
    unsigned references;      /* atomic */
    unsigned passes_missing;  /* atomic: workers that may still look at it after it was retired */
    struct rule_pass *passes; /* one a worker */
    struct config_blocks *blocks;
    struct arena arena;
    struct rule *rules; /* in the order of the file */
    unsigned rule_count;
    struct shared_source **sources;
    unsigned source_count;
    struct rule_index **indexes; /* by database; NULL: no rule there */
    unsigned database_count;
};

/* Compiles. Takes a reference of `blocks`. `before` (may be NULL) lends sources and accounts. Opens sources that are new. ERR_NOMEM, ERR_SYSTEM; then
 * nothing happened. By one thread at a time. */
MUST_USE err rule_set_new(struct config_blocks *blocks, const struct rule_set *before, unsigned worker_count,
                          const struct driver *(*driver_of)(enum config_source_kind), struct rule_set **ret_set);
/* Frees a set that nobody refers to; closes sources that were its own (waits for their helpers). NULL is fine. */
void rule_set_free(struct rule_set *set);
static inline void rule_set_ref(struct rule_set *set)
{
    __atomic_add_fetch(&set->references, 1, __ATOMIC_RELAXED);
}
static inline void rule_set_unref(struct rule_set *set)
{
    __atomic_sub_fetch(&set->references, 1, __ATOMIC_RELEASE);
}

/* The rule that governs a key: of those that match, the one with the longest literal prefix, then more literal bytes, then more parts. NULL when none
 * does. Allocates nothing; a key whose first byte begins no rule costs one look. */
const struct rule *rule_set_find(const struct rule_set *set, unsigned db, slice key);
/* By the pattern's text, in one database; NULL when there is none. */
const struct rule *rule_set_named(const struct rule_set *set, unsigned db, slice pattern);

/* Any thread. */
void rule_count(const struct rule *r, enum figure f);
uint64_t rule_figure(const struct rule *r, enum figure f);

#endif
