/* How a block is read: all knobs get their defaults first, by the same handlers that read the file; then the lines are read, each once;
 * then what depends on several knobs is settled. Sources are read before rules, so their order in the file does not matter.
 *
 * A handler gets the words behind the knob's name and either sets fields of the block or tells what it expected. It never stops the
 * reading: a block with mistakes is finished with its defaults, so that all mistakes are found. */
#include "config/block.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"

enum block_kind { BLOCK_SOURCE, BLOCK_RULE };

enum { UNSET = -1, WAIT_WITHOUT_LOAD_MS = 500, WAIT_BEYOND_TIMEOUT_MS = 1000, NEGATIVE_WITH_SOURCE_MS = 10 * 1000 };

struct reader {
    struct faults *faults;
    struct config_blocks *blocks;
    unsigned database_count;
    err failed; /* ERR_NOMEM, told at the end */

    struct config_source *source; /* the block in hand: one of these two */
    struct config_rule *rule;
    slice load; /* the rule's, parsed when the block is complete */
    struct place load_place;

    const char *knob; /* the line in hand */
    struct place place;
    const slice *values;
    unsigned value_count;
};

/* ---- values ---- */

static void expected(struct reader *r, slice found, const char *what)
{
    faults_add(r->faults, r->place, "%s: found \"%.*s\", expected %s", r->knob, SLICE_ARG(found), what);
}

static void unsupported(struct reader *r, slice value)
{
    faults_add(r->faults, r->place, "%s %.*s is not supported by this version", r->knob, SLICE_ARG(value));
}

/* The one value of the line, or false. */
static bool one_value(struct reader *r, slice *ret_value)
{
    if (r->value_count != 1) {
        faults_add(r->faults, r->place, "%s: found %u values, expected one", r->knob, r->value_count);
        return false;
    }
    *ret_value = r->values[0];
    return true;
}

static slice keep(struct reader *r, slice bytes)
{
    char *copy = arena_alloc(&r->blocks->arena, bytes.len + 1);
    if (!copy) {
        r->failed = ERR_NOMEM;
        return S("");
    }
    if (bytes.len > 0) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    copy[bytes.len] = '\0';
    return slice_make(copy, bytes.len);
}

/* A time; `none` and 0 are 0 if ms_min is 0. */
static void read_duration(struct reader *r, int64_t ms_min, int64_t *ret_ms)
{
    slice value;
    int64_t ms;
    if (!one_value(r, &value)) {
        return;
    }
    if (ms_min == 0 && slice_equal_nocase(value, S("none"))) {
        *ret_ms = 0;
    } else if (num_parse_duration(value, &ms) != OK || ms < ms_min) {
        expected(r, value,
                 ms_min == 0 ? "a duration like 500ms, 10s, 5m, 24h, 7d, or none" : "a duration like 500ms, 10s, 5m");
    } else {
        *ret_ms = ms;
    }
}

static bool parse_count(slice value, unsigned min, unsigned max, unsigned *ret_count)
{
    uint64_t count;
    if (num_parse_u64(value, &count) != OK || count < min || count > max) {
        return false;
    }
    *ret_count = (unsigned)count;
    return true;
}

static bool parse_percent(slice value, unsigned min, unsigned max, unsigned *ret_percent)
{
    return value.len > 1 && value.ptr[value.len - 1] == '%' &&
           parse_count(slice_sub(value, 0, value.len - 1), min, max, ret_percent);
}

static void read_count(struct reader *r, unsigned min, unsigned max, unsigned *ret_count)
{
    slice value;
    if (one_value(r, &value) && !parse_count(value, min, max, ret_count)) {
        char words[64];
        snprintf(words, sizeof words, "a number from %u to %u", min, max);
        expected(r, value, words);
    }
}

/* The value of NAME=VALUE, if `word` is that. */
static bool named_value(slice word, slice name, slice *ret_value)
{
    if (word.len <= name.len || word.ptr[name.len] != '=' || !slice_starts(word, name)) {
        return false;
    }
    *ret_value = slice_sub(word, name.len + 1, SIZE_MAX);
    return true;
}

/* ---- knobs of a source ---- */

static void set_target(struct reader *r, enum config_source_kind kind, slice target)
{
    if (r->source->target.ptr) {
        faults_add(r->faults, r->place, "%s: found a second line that says what the source is, expected one", r->knob);
        return;
    }
    r->source->kind = kind;
    r->source->target = keep(r, target);
}

static void knob_sqlite(struct reader *r)
{
    slice file;
    if (!one_value(r, &file)) {
        return;
    }
    if (file.len == 0) {
        expected(r, file, "the path of a database file");
        return;
    }
    set_target(r, SOURCE_KIND_SQLITE, file);
}

/* The URL is not shown: it may hold a password. */
static void knob_postgres(struct reader *r)
{
    slice url;
    if (!one_value(r, &url)) {
        return;
    }
    if (!slice_starts(url, S("postgresql://")) && !slice_starts(url, S("postgres://"))) {
        faults_add(r->faults, r->place,
                   "postgres: found something else, expected a URL like postgresql://app@127.0.0.1/shop");
        return;
    }
    set_target(r, SOURCE_KIND_POSTGRES, url);
}

static void knob_connections(struct reader *r)
{
    read_count(r, 1, 1024, &r->source->connections);
}

static void knob_connect_timeout(struct reader *r)
{
    read_duration(r, 1, &r->source->connect_timeout_ms);
}

static void knob_timeout(struct reader *r)
{
    read_duration(r, 1, &r->source->timeout_ms);
}

static void knob_max_inflight(struct reader *r)
{
    read_count(r, 1, 1000 * 1000, &r->source->max_inflight);
}

static void knob_retries(struct reader *r)
{
    read_count(r, 0, 100, &r->source->retries);
}

static void knob_breaker(struct reader *r)
{
    struct config_breaker breaker = r->source->breaker;
    breaker.enabled = true;
    if (r->value_count == 1 && slice_equal_nocase(r->values[0], S("off"))) {
        r->source->breaker.enabled = false;
        return;
    }
    for (unsigned i = 0; i < r->value_count; i++) {
        slice value;
        bool good = named_value(r->values[i], S("errors"), &value)
                        ? parse_percent(value, 1, 100, &breaker.errors_percent)
                    : named_value(r->values[i], S("window"), &value)
                        ? num_parse_duration(value, &breaker.window_ms) == OK && breaker.window_ms > 0
                    : named_value(r->values[i], S("open"), &value)
                        ? num_parse_duration(value, &breaker.open_ms) == OK && breaker.open_ms > 0
                        : false;
        if (!good) {
            expected(r, r->values[i], "errors=50%, window=10s, open=5s, or off");
            return;
        }
    }
    if (r->value_count == 0) {
        expected(r, S(""), "errors=50%, window=10s, open=5s, or off");
        return;
    }
    r->source->breaker = breaker;
}

/* ---- knobs of a rule ---- */

static void knob_source(struct reader *r)
{
    slice name;
    if (!one_value(r, &name)) {
        return;
    }
    r->rule->source = blocks_find_source(r->blocks, name);
    if (!r->rule->source) {
        slice names[BLOCK_SOURCE_COUNT_MAX];
        unsigned count = 0;
        for (unsigned i = 0; i < r->blocks->source_count; i++) {
            if (r->blocks->sources[i].name.len <= 64) {
                names[count++] = r->blocks->sources[i].name;
            }
        }
        slice nearest = fault_nearest(name, names, count);
        faults_add(r->faults, r->place, "source: found \"%.*s\", expected the name of a source%s%.*s%s",
                   SLICE_ARG(name), nearest.len ? "; the nearest is \"" : "", SLICE_ARG(nearest),
                   nearest.len ? "\"" : "");
    }
}

static void knob_load(struct reader *r)
{
    slice text;
    if (one_value(r, &text)) {
        r->load = keep(r, text);
        r->load_place = r->place;
    }
}

static void knob_value(struct reader *r)
{
    static const slice known[] = {{"string", 6}, {"json", 4}, {"json-array", 10}};
    static const slice others[] = {{"hash", 4}, {"list", 4}, {"set", 3}, {"zset", 4}};
    slice value;
    if (!one_value(r, &value)) {
        return;
    }
    for (size_t i = 0; i < countof(known); i++) {
        if (slice_equal_nocase(value, known[i])) {
            r->rule->value = (enum config_value)i;
            return;
        }
    }
    for (size_t i = 0; i < countof(others); i++) {
        if (slice_equal_nocase(value, others[i])) {
            unsupported(r, value);
            return;
        }
    }
    expected(r, value, "string, json or json-array");
}

static void knob_database(struct reader *r)
{
    read_count(r, 0, r->database_count - 1, &r->rule->database);
}

static void knob_ttl(struct reader *r)
{
    read_duration(r, 0, &r->rule->ttl_ms);
}

static void knob_max_ttl(struct reader *r)
{
    read_duration(r, 0, &r->rule->max_ttl_ms);
}

static void knob_ttl_jitter(struct reader *r)
{
    slice value;
    if (one_value(r, &value) && !parse_percent(value, 0, 100, &r->rule->ttl_jitter_percent)) {
        expected(r, value, "a percentage from 0% to 100%");
    }
}

static void knob_stale_revalidate(struct reader *r)
{
    read_duration(r, 0, &r->rule->stale_while_revalidate_ms);
}

static void knob_stale_if_error(struct reader *r)
{
    read_duration(r, 0, &r->rule->stale_if_error_ms);
}

/* Returns whether the words made sense. */
static bool read_refresh(struct reader *r)
{
    const slice *words = r->values;
    slice value;
    if (r->value_count == 1 && slice_equal_nocase(words[0], S("off"))) {
        r->rule->refresh = CONFIG_REFRESH_OFF;
        return true;
    }
    if (r->value_count >= 1 && r->value_count <= 2 && slice_equal_nocase(words[0], S("early"))) {
        double beta = 1;
        if (r->value_count == 2 &&
            (!named_value(words[1], S("beta"), &value) || num_parse_double(value, &beta) != OK)) {
            return false;
        }
        r->rule->refresh = CONFIG_REFRESH_EARLY;
        r->rule->refresh_beta = beta;
        return beta > 0 && beta <= 1000;
    }
    if (r->value_count == 2 && slice_equal_nocase(words[0], S("ahead"))) {
        r->rule->refresh = CONFIG_REFRESH_AHEAD;
        return parse_percent(words[1], 1, 99, &r->rule->refresh_ahead_percent);
    }
    return false;
}

static void knob_refresh(struct reader *r)
{
    if (!read_refresh(r)) {
        slice found = r->value_count ? r->values[r->value_count - 1] : S("");
        expected(r, found, "off, early beta=1.0 (over 0, at most 1000), or ahead 90% (1% to 99%)");
    }
}

static void knob_negative_ttl(struct reader *r)
{
    read_duration(r, 0, &r->rule->negative_ttl_ms);
}

static void knob_on_miss(struct reader *r)
{
    slice value;
    if (!one_value(r, &value)) {
        return;
    }
    if (slice_equal_nocase(value, S("return"))) {
        r->rule->on_miss = CONFIG_ON_MISS_RETURN;
    } else if (slice_equal_nocase(value, S("load"))) {
        r->rule->on_miss = CONFIG_ON_MISS_LOAD;
    } else if (slice_equal_nocase(value, S("lease")) || slice_equal_nocase(value, S("wait"))) {
        unsupported(r, value);
    } else {
        expected(r, value, "load or return");
    }
}

static void knob_wait_timeout(struct reader *r)
{
    read_duration(r, 1, &r->rule->wait_timeout_ms);
}

static void knob_max_waiters(struct reader *r)
{
    read_count(r, 1, 100 * 1000 * 1000, &r->rule->max_waiters);
}

/* ---- the table of knobs ---- */

#define knob_UNSUPPORTED NULL
struct knob {
    enum block_kind block;
    const char *name;
    void (*read)(struct reader *r);
    const char *standard;
};
static const struct knob knobs[] = {
#define KNOB(block, name, handler, standard, meaning) {BLOCK_##block, name, knob_##handler, standard},
#include "config/knob.def"
#undef KNOB
};
static const char *const block_names[] = {[BLOCK_SOURCE] = "source", [BLOCK_RULE] = "rule"};

static const struct knob *find_knob(enum block_kind kind, slice name)
{
    for (size_t i = 0; i < countof(knobs); i++) {
        if (knobs[i].block == kind && slice_equal_nocase(name, slice_of(knobs[i].name))) {
            return &knobs[i];
        }
    }
    return NULL;
}

static void unknown_knob(struct reader *r, enum block_kind kind, const struct parse_line *line)
{
    slice names[countof(knobs)];
    size_t count = 0;
    for (size_t i = 0; i < countof(knobs); i++) {
        if (knobs[i].block == kind) {
            names[count++] = slice_of(knobs[i].name);
        }
    }
    slice nearest = fault_nearest(line->words[0], names, count);
    faults_add(r->faults, line->place, "found \"%.*s\", expected a knob of a %s%s%.*s%s", SLICE_ARG(line->words[0]),
               block_names[kind], nearest.len ? "; the nearest is \"" : "", SLICE_ARG(nearest),
               nearest.len ? "\"" : "");
}

static void read_line(struct reader *r, const struct knob *knob, struct place place, const slice *values,
                      unsigned value_count)
{
    r->knob = knob->name;
    r->place = place;
    r->values = values;
    r->value_count = value_count;
    knob->read(r);
}

/* The defaults, then the lines. */
static void read_block(struct reader *r, enum block_kind kind, const struct parse_line *block)
{
    for (size_t i = 0; i < countof(knobs); i++) {
        if (knobs[i].block != kind || !knobs[i].read || !*knobs[i].standard) {
            continue;
        }
        slice *values;
        unsigned count;
        if (parse_words(slice_of(knobs[i].standard), &r->blocks->arena, &values, &count) != OK) {
            r->failed = ERR_NOMEM;
            return;
        }
        read_line(r, &knobs[i], block->place, values, count);
    }
    bool given[countof(knobs)] = {false};
    for (const struct parse_line *line = block->inner; line; line = line->next) {
        const struct knob *knob = find_knob(kind, line->words[0]);
        if (!knob) {
            unknown_knob(r, kind, line);
        } else if (!knob->read) {
            faults_add(r->faults, line->place, "%s is not supported by this version", knob->name);
        } else if (given[knob - knobs]) {
            faults_add(r->faults, line->place, "%s is given twice in this %s", knob->name, block_names[kind]);
        } else {
            given[knob - knobs] = true;
            read_line(r, knob, line->place, line->words + 1, line->word_count - 1);
        }
    }
}

/* ---- blocks ---- */

bool block_is_name(slice name)
{
    return slice_equal_nocase(name, S("source")) || slice_equal_nocase(name, S("rule"));
}

static bool is_block_of(const struct parse_line *line, enum block_kind kind)
{
    return line->is_block && slice_equal_nocase(line->words[0], slice_of(block_names[kind]));
}

static struct place keep_place(struct reader *r, struct place place)
{
    return (struct place){keep(r, place.source), place.line};
}

static bool has_line(const struct parse_line *block, slice name)
{
    for (const struct parse_line *line = block->inner; line; line = line->next) {
        if (slice_equal_nocase(line->words[0], name)) {
            return true;
        }
    }
    return false;
}

static void read_source(struct reader *r, const struct parse_line *block)
{
    if (block->word_count != 2) {
        faults_add(r->faults, block->place, "source: found %u words before {, expected one name",
                   block->word_count - 1);
        return;
    }
    slice name = block->words[1];
    if (name.len == 0) {
        faults_add(r->faults, block->place, "source: found \"\" before {, expected a name");
        return;
    }
    const struct config_source *twin = blocks_find_source(r->blocks, name);
    if (twin) {
        faults_add(r->faults, block->place, "source %.*s is defined twice, first at %.*s:%u", SLICE_ARG(name),
                   SLICE_ARG(twin->place.source), twin->place.line);
        return;
    }
    unsigned index = r->blocks->source_count++;
    struct config_source *s = &r->blocks->sources[index];
    *s = (struct config_source){.place = keep_place(r, block->place), .name = keep(r, name), .index = index};
    r->source = s;
    read_block(r, BLOCK_SOURCE, block);
    r->source = NULL;
    if (!has_line(block, S("sqlite")) && !has_line(block, S("postgres")) && !has_line(block, S("http"))) {
        faults_add(r->faults, block->place,
                   "source %.*s: found no line that says what it is, expected sqlite \"FILE\" or postgres \"URL\"",
                   SLICE_ARG(name));
    }
}

/* The parts of the pattern that no parameter names. */
static void check_parts_used(struct reader *r, const struct config_rule *rule)
{
    bool used[PATTERN_PART_COUNT_MAX] = {false};
    for (unsigned i = 0; i < rule->load.piece_count; i++) {
        if (rule->load.pieces[i].part != STATEMENT_TEXT) {
            used[rule->load.pieces[i].part] = true;
        }
    }
    unsigned part = 0;
    for (unsigned i = 0; i < rule->pattern.piece_count; i++) {
        if (rule->pattern.pieces[i].kind == PATTERN_PART && !used[part++]) {
            faults_add(r->faults, rule->place, "rule %.*s: the part {%.*s} is never used in load",
                       SLICE_ARG(rule->pattern.text), SLICE_ARG(rule->pattern.pieces[i].text));
        }
    }
}

static void finish_load(struct reader *r, struct config_rule *rule)
{
    struct buf reason;
    buf_init(&reason, 4096);
    err e = statement_parse(r->load, &rule->pattern, &r->blocks->arena, &rule->load, &reason);
    if (e == ERR_NOMEM) {
        r->failed = e;
    } else if (e != OK) {
        faults_add(r->faults, r->load_place, "load: %.*s", (int)reason.len, reason.bytes);
    } else if (rule->pattern.pieces[rule->pattern.piece_count - 1].kind == PATTERN_REST) {
        faults_add(r->faults, rule->place,
                   "rule %.*s: a rule that loads cannot end in *, as no parameter can name what it matches",
                   SLICE_ARG(rule->pattern.text));
    } else {
        check_parts_used(r, rule);
    }
    buf_fini(&reason);
}

/* What depends on several knobs. */
static void finish_rule(struct reader *r, struct config_rule *rule, const struct parse_line *block)
{
    bool has_source = has_line(block, S("source")); /* though its name may be unknown */
    bool has_load = has_line(block, S("load"));
    if (has_source && !has_load) {
        faults_add(r->faults, rule->place, "rule %.*s: found source without load, expected both or none",
                   SLICE_ARG(rule->pattern.text));
    } else if (has_load && !has_source) {
        faults_add(r->faults, rule->place, "rule %.*s: found load without source, expected both or none",
                   SLICE_ARG(rule->pattern.text));
    } else if (has_load && r->load.ptr) {
        finish_load(r, rule);
    }
    if ((int)rule->on_miss == UNSET) {
        rule->on_miss = has_source ? CONFIG_ON_MISS_LOAD : CONFIG_ON_MISS_RETURN;
    } else if (rule->on_miss == CONFIG_ON_MISS_LOAD && !has_source) {
        faults_add(r->faults, rule->place, "rule %.*s: found on-miss load, expected a source to load from",
                   SLICE_ARG(rule->pattern.text));
    }
    if (rule->negative_ttl_ms == UNSET) {
        rule->negative_ttl_ms = has_source ? NEGATIVE_WITH_SOURCE_MS : 0;
    }
    if (rule->wait_timeout_ms == UNSET) {
        bool loads = rule->source && rule->on_miss == CONFIG_ON_MISS_LOAD;
        rule->wait_timeout_ms = loads ? rule->source->timeout_ms + WAIT_BEYOND_TIMEOUT_MS : WAIT_WITHOUT_LOAD_MS;
    }
}

static void read_rule(struct reader *r, const struct parse_line *block)
{
    if (block->word_count != 2) {
        faults_add(r->faults, block->place, "rule: found %u words before {, expected one pattern",
                   block->word_count - 1);
        return;
    }
    unsigned index = r->blocks->rule_count;
    struct config_rule *rule = &r->blocks->rules[index];
    *rule = (struct config_rule){
        .place = keep_place(r, block->place),
        .index = index,
        .on_miss = (enum config_on_miss)UNSET,
        .negative_ttl_ms = UNSET,
        .wait_timeout_ms = UNSET,
    };
    const char *reason;
    if (pattern_parse(keep(r, block->words[1]), &rule->pattern, &reason) != OK) {
        faults_add(r->faults, block->place, "rule: found \"%.*s\", expected a pattern like product:{id}: %s",
                   SLICE_ARG(block->words[1]), reason);
        return;
    }
    r->blocks->rule_count++;
    r->rule = rule;
    r->load = slice_make(NULL, 0);
    read_block(r, BLOCK_RULE, block);
    r->rule = NULL;
    finish_rule(r, rule, block);
}

/* I3. Ends when there are more mistakes than are told. */
static void check_ties(struct reader *r)
{
    const struct config_blocks *b = r->blocks;
    for (unsigned i = 0; i < b->rule_count && r->faults->count <= FAULT_COUNT_MAX; i++) {
        for (unsigned j = 0; j < i; j++) {
            const struct config_rule *late = &b->rules[i];
            const struct config_rule *early = &b->rules[j];
            if (late->database != early->database || pattern_precedence(&late->pattern, &early->pattern) != 0) {
                continue;
            }
            struct buf key;
            buf_init(&key, 4 * PATTERN_BYTES_MAX);
            err e = pattern_common_key(&late->pattern, &early->pattern, &key);
            if (e == OK) {
                struct buf quoted;
                buf_init(&quoted, 16 * PATTERN_BYTES_MAX);
                buf_append_quoted(&quoted, buf_slice(&key));
                faults_add(r->faults, late->place,
                           "rule %.*s ties with rule %.*s at %.*s:%u: both match the key %.*s and neither goes first",
                           SLICE_ARG(late->pattern.text), SLICE_ARG(early->pattern.text),
                           SLICE_ARG(early->place.source), early->place.line, (int)quoted.len, quoted.bytes);
                buf_fini(&quoted);
            } else if (e == ERR_NOMEM) {
                r->failed = e;
            }
            buf_fini(&key);
        }
    }
}

err blocks_read(const struct parse_line *lines, unsigned database_count, struct faults *faults,
                struct config_blocks **ret_blocks)
{
    assert(database_count > 0);
    struct config_blocks *blocks = blocks_new();
    if (!blocks) {
        return ERR_NOMEM;
    }
    struct reader r = {.faults = faults, .blocks = blocks, .database_count = database_count};
    unsigned source_count = 0;
    unsigned rule_count = 0;
    for (const struct parse_line *line = lines; line; line = line->next) {
        source_count += is_block_of(line, BLOCK_SOURCE);
        rule_count += is_block_of(line, BLOCK_RULE);
        if (source_count > BLOCK_SOURCE_COUNT_MAX || rule_count > BLOCK_RULE_COUNT_MAX) {
            faults_add(faults, line->place, "found more than %d sources or %d rules", BLOCK_SOURCE_COUNT_MAX,
                       BLOCK_RULE_COUNT_MAX);
            blocks_unref(blocks);
            return ERR_LIMIT;
        }
    }
    blocks->sources = arena_alloc(&blocks->arena, source_count * sizeof *blocks->sources);
    blocks->rules = arena_alloc(&blocks->arena, rule_count * sizeof *blocks->rules);
    if (!blocks->sources || !blocks->rules) {
        blocks_unref(blocks);
        return ERR_NOMEM;
    }
    for (const struct parse_line *line = lines; line; line = line->next) {
        if (is_block_of(line, BLOCK_SOURCE)) {
            read_source(&r, line);
        }
    }
    for (const struct parse_line *line = lines; line; line = line->next) {
        if (is_block_of(line, BLOCK_RULE)) {
            read_rule(&r, line);
        }
    }
    check_ties(&r);
    if (r.failed != OK) {
        blocks_unref(blocks);
        return r.failed;
    }
    *ret_blocks = blocks;
    return OK;
}

struct config_blocks *blocks_new(void)
{
    struct config_blocks *b = calloc(1, sizeof *b);
    if (b) {
        b->ref_count = 1;
        arena_init(&b->arena);
    }
    return b;
}

struct config_blocks *blocks_ref(struct config_blocks *b)
{
    __atomic_fetch_add(&b->ref_count, 1, __ATOMIC_RELAXED);
    return b;
}

void blocks_unref(struct config_blocks *b)
{
    if (!b) {
        return;
    }
    unsigned before = __atomic_fetch_sub(&b->ref_count, 1, __ATOMIC_ACQ_REL);
    assert(before > 0);
    if (before == 1) {
        arena_fini(&b->arena);
        free(b);
    }
}

const struct config_source *blocks_find_source(const struct config_blocks *b, slice name)
{
    for (unsigned i = 0; i < b->source_count; i++) {
        if (slice_equal(b->sources[i].name, name)) {
            return &b->sources[i];
        }
    }
    return NULL;
}
