/* Inside rule/: what `struct rules` is. */
#ifndef RULE_RULES_PRIV_H
#define RULE_RULES_PRIV_H

#include "rule/rule.h"
#include "rule/rules.h"

struct rules {
    struct loader loader;
    struct keyspace *keyspace;
    struct worker *workers;
    unsigned worker_count;
    const struct driver *(*driver_of)(enum config_source_kind);
    struct rule_set *published; /* atomic; never NULL */
    struct list retired;        /* by the one thread that reloads */
    bool stopping;              /* atomic: walks end early */
};

/* Fills in the functions of the loader. */
void load_init(struct loader *l);

#endif
