/* Reading through, besides the loader interface: what Larder's own commands ask for. With the key's shard locked; never waits. */
#ifndef RULE_LOAD_H
#define RULE_LOAD_H

#include "keyspace/keyspace.h"
#include "rule/rules.h"

enum { LOAD_VALUE_BYTES_MAX = 512 * 1024 * 1024 };

/* Whether the rule loads: it has a source. */
bool load_governs(const struct rule *r);
/* Has the key loaded in the background, whatever is there now; the old value stays readable. OK also when a load is under way. ERR_SOURCE (the key cannot
 * be bound), ERR_SOURCE_DOWN, ERR_SOURCE_BUSY, ERR_NOMEM. */
MUST_USE err load_refresh(struct rules *rs, const struct rule *r, const struct key *k);

/* What a reader would be told of an entry (NULL: absent), by the knobs of its rule; r NULL: no rule. */
enum freshness {
    FRESHNESS_ABSENT,   /* nothing there, or so old that no window covers it */
    FRESHNESS_NEGATIVE, /* a remembered absence */
    FRESHNESS_FRESH,
    FRESHNESS_STALE,    /* within stale-while-revalidate: served, and refreshed */
    FRESHNESS_FALLBACK, /* within stale-if-error: served when the source fails */
};
enum freshness load_freshness(const struct rule *r, const struct entry *e, int64_t now_wall_ms);

#endif
