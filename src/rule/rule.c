/* The index of a database: the distinct literal prefixes of its rules, sorted bytewise. Each knows the longest other prefix that it begins
 * with (its parent), and its rules in order of precedence.
 *
 *     0 ""              (patterns that begin with a part)
 *     1 "order:"        parent 0
 *     2 "order:open:"   parent 1
 *     3 "product:"      parent 0
 *
 * The prefixes that a key begins with are the last one that is not behind the key in the order, as far as the key begins with it, and that one's
 * parents: if Q is a prefix of the key and Q <= P <= key, then P begins with Q, too. So one binary search, among the prefixes that share the
 * key's first byte, and a short walk up the parents visit the candidates from longest to shortest prefix, which is the order of precedence.
 *
 * Invariants
 * I1: prefixes ascend strictly; a parent's place is lower than its child's.
 * I2: prefixes with first byte b are places first[b] .. first[b + 1] - 1; the empty prefix, if there is one, is place 0.
 * I3: references of accounts and shared sources are changed only by the thread that makes and frees sets. */
#include "rule/rule.h"

#include <stdlib.h>

#include "base/assert.h"

enum { NO_PARENT = UINT32_MAX };

struct prefix {
    slice text;
    uint32_t parent;
    const struct rule **rules;
    unsigned rule_count;
};

struct rule_index {
    struct prefix *prefixes;
    uint32_t count;
    uint32_t first[257]; /* by first byte */
};

/* ---- finding ----------------------------------------------------------------------------------------------------------------------------- */
/* The last of places from .. to-1 whose text is not behind the key; NO_PARENT when all are. */
static uint32_t last_not_behind(const struct rule_index *index, uint32_t from, uint32_t to, slice key)
{
    uint32_t begin = from;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (slice_compare(index->prefixes[middle].text, key) <= 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from == begin ? NO_PARENT : from - 1;
}

static const struct rule *find_among(const struct prefix *p, slice key)
{
    slice parts[PATTERN_PART_COUNT_MAX];
    for (unsigned i = 0; i < p->rule_count; i++) {
        if (pattern_match(&p->rules[i]->config->pattern, key, parts)) {
            return p->rules[i];
        }
    }
    return NULL;
}

NOINLINE static const struct rule *find_in(const struct rule_index *index, slice key)
{
    uint32_t place = NO_PARENT;
    if (key.len > 0) {
        unsigned char byte = (unsigned char)key.ptr[0];
        place = last_not_behind(index, index->first[byte], index->first[byte + 1], key);
    }
    if (place == NO_PARENT && index->first[0] > 0) {
        place = 0; /* the empty prefix */
    }
    while (place != NO_PARENT) {
        const struct prefix *p = &index->prefixes[place];
        const struct rule *r = slice_starts(key, p->text) ? find_among(p, key) : NULL;
        if (r) {
            return r;
        }
        place = p->parent;
    }
    return NULL;
}

const struct rule *rule_set_find(const struct rule_set *set, unsigned db, slice key)
{
    const struct rule_index *index = db < set->database_count ? set->indexes[db] : NULL;
    return index ? find_in(index, key) : NULL;
}

const struct rule *rule_set_named(const struct rule_set *set, unsigned db, slice pattern)
{
    for (unsigned i = 0; i < set->rule_count; i++) {
        const struct config_rule *c = set->rules[i].config;
        if (c->database == db && slice_equal(c->pattern.text, pattern)) {
            return &set->rules[i];
        }
    }
    return NULL;
}

/* ---- compiling the index ----------------------------------------------------------------------------------------------------------------- */
static slice prefix_of(const struct rule *r)
{
    const struct pattern *p = &r->config->pattern;
    return p->prefix_bytes > 0 ? slice_sub(p->pieces[0].text, 0, p->prefix_bytes) : slice_make("", 0);
}

static int compare_rules(const void *a, const void *b)
{
    const struct rule *x = *(const struct rule *const *)a;
    const struct rule *y = *(const struct rule *const *)b;
    int order = slice_compare(prefix_of(x), prefix_of(y));
    return order != 0 ? order : pattern_precedence(&x->config->pattern, &y->config->pattern);
}

/* Of a prefix that comes behind all others: the one before it, or of that one's parents the first that it begins with. */
static uint32_t parent_of(const struct rule_index *index, slice text)
{
    uint32_t parent = index->count > 0 ? index->count - 1 : NO_PARENT;
    while (parent != NO_PARENT && !slice_starts(text, index->prefixes[parent].text)) {
        parent = index->prefixes[parent].parent;
    }
    return parent;
}

/* Groups sorted rules by their prefix and links the groups. */
static err fill_index(struct rule_index *index, const struct rule **sorted, unsigned count, struct arena *arena)
{
    index->prefixes = arena_alloc(arena, count * sizeof index->prefixes[0]);
    if (!index->prefixes) {
        return ERR_NOMEM;
    }
    for (unsigned i = 0; i < count; i++) {
        slice text = prefix_of(sorted[i]);
        if (i == 0 || !slice_equal(text, index->prefixes[index->count - 1].text)) {
            index->prefixes[index->count] =
                (struct prefix){.text = text, .parent = parent_of(index, text), .rules = &sorted[i]};
            index->count++;
        }
        index->prefixes[index->count - 1].rule_count++;
    }
    uint32_t place = index->prefixes[0].text.len == 0;
    for (unsigned byte = 0; byte <= 256; byte++) {
        while (place < index->count && (unsigned char)index->prefixes[place].text.ptr[0] < byte) {
            place++;
        }
        index->first[byte] = place;
    }
    return OK;
}

static err make_index(struct rule_set *set, unsigned db)
{
    const struct rule **sorted = arena_alloc(&set->arena, set->rule_count * sizeof sorted[0]);
    struct rule_index *index = arena_alloc(&set->arena, sizeof *index);
    if (!sorted || !index) {
        return ERR_NOMEM;
    }
    unsigned count = 0;
    for (unsigned i = 0; i < set->rule_count; i++) {
        if (set->rules[i].config->database == db) {
            sorted[count++] = &set->rules[i];
        }
    }
    if (count == 0) {
        set->indexes[db] = NULL;
        return OK;
    }
    qsort(sorted, count, sizeof sorted[0], compare_rules);
    *index = (struct rule_index){.count = 0};
    set->indexes[db] = index;
    return fill_index(index, sorted, count, &set->arena);
}

static err make_indexes(struct rule_set *set)
{
    for (unsigned i = 0; i < set->rule_count; i++) {
        unsigned needed = set->rules[i].config->database + 1;
        set->database_count = needed > set->database_count ? needed : set->database_count;
    }
    set->indexes = arena_alloc(&set->arena, set->database_count * sizeof set->indexes[0]);
    err e = set->indexes ? OK : ERR_NOMEM;
    for (unsigned db = 0; db < set->database_count && e == OK; db++) {
        e = make_index(set, db);
    }
    return e;
}

/* ---- accounts ---------------------------------------------------------------------------------------------------------------------------- */
const char *figure_name(enum figure f)
{
    static const char *const names[] = {
#define FIGURE(name, meaning) #name,
#include "rule/figure.def"
#undef FIGURE
    };
    assert(f < FIGURE_COUNT);
    return names[f];
}

static err get_account(struct rule *r, const struct rule_set *before, unsigned worker_count)
{
    const struct rule *old = before ? rule_set_named(before, r->config->database, r->config->pattern.text) : NULL;
    if (old) {
        r->account = old->account;
    } else {
        size_t bytes = sizeof(struct account) + (worker_count + 1) * sizeof(struct account_cell);
        r->account = aligned_alloc(CACHE_LINE_BYTES, bytes);
        if (!r->account) {
            return ERR_NOMEM;
        }
        memset(r->account, 0, bytes);
        r->account->cell_count = worker_count + 1;
    }
    r->account->references++;
    return OK;
}

static void put_account(struct account *a)
{
    if (a && --a->references == 0) {
        free(a);
    }
}

void rule_count(const struct rule *r, enum figure f)
{
    const struct worker *w = worker_self();
    struct account *a = r->account;
    if (w && w->index + 1 < a->cell_count) {
        uint64_t *own = &a->cells[w->index].figures[f];
        __atomic_store_n(own, __atomic_load_n(own, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
    } else {
        __atomic_fetch_add(&a->cells[a->cell_count - 1].figures[f], 1, __ATOMIC_RELAXED);
    }
}

uint64_t rule_figure(const struct rule *r, enum figure f)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < r->account->cell_count; i++) {
        sum += __atomic_load_n(&r->account->cells[i].figures[f], __ATOMIC_RELAXED);
    }
    return sum;
}

/* ---- sources ----------------------------------------------------------------------------------------------------------------------------- */
static bool is_same_source(const struct config_source *a, const struct config_source *b)
{
    return slice_equal(a->name, b->name) && a->kind == b->kind && slice_equal(a->target, b->target) &&
           a->connections == b->connections && a->connect_timeout_ms == b->connect_timeout_ms &&
           a->timeout_ms == b->timeout_ms && a->max_inflight == b->max_inflight && a->retries == b->retries &&
           a->breaker.enabled == b->breaker.enabled && a->breaker.errors_percent == b->breaker.errors_percent &&
           a->breaker.window_ms == b->breaker.window_ms && a->breaker.open_ms == b->breaker.open_ms;
}

static struct shared_source *find_source(const struct rule_set *before, const struct config_source *config)
{
    for (unsigned i = 0; before && i < before->source_count; i++) {
        if (is_same_source(source_config(before->sources[i]->source), config)) {
            return before->sources[i];
        }
    }
    return NULL;
}

static err open_shared(struct config_blocks *blocks, const struct config_source *config, const struct driver *driver,
                       struct shared_source **ret_source)
{
    struct shared_source *shared = calloc(1, sizeof *shared);
    if (!shared) {
        return ERR_NOMEM;
    }
    shared->driver = driver;
    err e = source_open(config, driver, &shared->source);
    if (e != OK) {
        free(shared);
        return e;
    }
    shared->blocks = blocks_ref(blocks);
    *ret_source = shared;
    return OK;
}

static void put_source(struct shared_source *shared)
{
    if (--shared->references == 0) {
        source_close(shared->source);
        blocks_unref(shared->blocks);
        free(shared);
    }
}

static err get_sources(struct rule_set *set, const struct rule_set *before,
                       const struct driver *(*driver_of)(enum config_source_kind))
{
    const struct config_blocks *blocks = set->blocks;
    set->sources = arena_alloc(&set->arena, blocks->source_count * sizeof set->sources[0]);
    if (!set->sources) {
        return ERR_NOMEM;
    }
    for (unsigned i = 0; i < blocks->source_count; i++) {
        const struct config_source *config = &blocks->sources[i];
        struct shared_source *shared = find_source(before, config);
        err e = shared ? OK : open_shared(set->blocks, config, driver_of(config->kind), &shared);
        if (e != OK) {
            return e;
        }
        shared->references++;
        set->sources[set->source_count++] = shared;
    }
    return OK;
}

/* ---- sets -------------------------------------------------------------------------------------------------------------------------------- */
static err get_rules(struct rule_set *set, const struct rule_set *before, unsigned worker_count)
{
    const struct config_blocks *blocks = set->blocks;
    set->rules = arena_alloc(&set->arena, blocks->rule_count * sizeof set->rules[0]);
    err e = set->rules ? OK : ERR_NOMEM;
    for (; set->rule_count < blocks->rule_count && e == OK; set->rule_count++) {
        const struct config_rule *config = &blocks->rules[set->rule_count];
        struct rule *r = &set->rules[set->rule_count];
        *r = (struct rule){
            .config = config, .set = set, .source = config->source ? set->sources[config->source->index] : NULL};
        e = get_account(r, before, worker_count);
        if (e == OK && r->source) {
            e = source_statement_make(&config->load, r->source->driver, &set->arena, &r->load);
        }
    }
    return e;
}

err rule_set_new(struct config_blocks *blocks, const struct rule_set *before, unsigned worker_count,
                 const struct driver *(*driver_of)(enum config_source_kind), struct rule_set **ret_set)
{
    struct rule_set *set = calloc(1, sizeof *set);
    if (!set) {
        return ERR_NOMEM;
    }
    list_init(&set->link);
    arena_init(&set->arena);
    set->blocks = blocks_ref(blocks);
    set->passes = arena_alloc(&set->arena, worker_count * sizeof set->passes[0]);
    err e = set->passes ? get_sources(set, before, driver_of) : ERR_NOMEM;
    if (e == OK) {
        e = get_rules(set, before, worker_count);
    }
    if (e == OK) {
        e = make_indexes(set);
    }
    if (e != OK) {
        rule_set_free(set);
        return e;
    }
    *ret_set = set;
    return OK;
}

void rule_set_free(struct rule_set *set)
{
    if (!set) {
        return;
    }
    assert(set->references == 0);
    for (unsigned i = 0; i < set->source_count; i++) {
        put_source(set->sources[i]);
    }
    for (unsigned i = 0; i < set->rule_count; i++) {
        put_account(set->rules[i].account);
    }
    blocks_unref(set->blocks);
    arena_fini(&set->arena);
    free(set);
}
