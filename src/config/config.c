/* How a snapshot comes about. Values are applied in layers, each wins over those before: defaults, file, environment, command line. Within
 * a layer the last line of a directive counts, or adds to those before it if the directive REPEATS. When all layers are in, promises are
 * checked, and the blocks are read, as they depend on `databases`.
 *
 * I1: a published snapshot never changes; all its texts lie in its own arena, all its blocks in a counted set.
 * I2: every option has a valid value: reading leaves the field alone when the words are bad. */
#include "config/config.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/assert.h"
#include "config/option_priv.h"
#include "config/parse.h"

enum { VALUE_BYTES_MAX = 1024 * 1024 };

static struct config *published; /* atomic */

/* ---- names ---- */

enum option config_find(slice name)
{
    size_t count;
    const struct option_name *names = option_names(&count);
    for (size_t i = 0; i < count; i++) {
        if (slice_equal_nocase(name, names[i].name)) {
            return names[i].option;
        }
    }
    return OPTION_COUNT;
}

slice config_name(enum option o)
{
    return slice_of(option_row(o)->name);
}

const char *config_choice(enum option o, unsigned i, int *ret_value)
{
    return option_choice(option_row(o), i, ret_value);
}

/* The name nearest to a wrong one among directives, blocks and include; not looked for when the fault is not told anyway. */
static slice nearest_name(const struct faults *faults, slice name)
{
    if (faults->count >= FAULT_COUNT_MAX) {
        return S("");
    }
    size_t count;
    const struct option_name *names = option_names(&count);
    slice candidates[OPTION_COUNT * 2 + 3];
    assert(count + 3 <= countof(candidates));
    for (size_t i = 0; i < count; i++) {
        candidates[i] = names[i].name;
    }
    candidates[count++] = S("include");
    candidates[count++] = S("source");
    candidates[count++] = S("rule");
    return fault_nearest(name, candidates, count);
}

static void unknown_name(struct faults *faults, struct place place, slice name)
{
    slice nearest = nearest_name(faults, name);
    faults_add(faults, place, "found \"%.*s\", expected a directive%s%.*s%s", SLICE_ARG(name),
               nearest.len ? "; the nearest is \"" : "", SLICE_ARG(nearest), nearest.len ? "\"" : "");
}

/* ---- making and freeing ---- */

struct config *config_new(void)
{
    struct config *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    arena_init(&c->arena);
    struct buf reason;
    buf_init(&reason, VALUE_BYTES_MAX);
    err e = OK;
    c->blocks = blocks_new();
    e = c->blocks ? OK : ERR_NOMEM;
    for (enum option o = 0; o < OPTION_COUNT && e == OK; o++) {
        const struct option_row *row = option_row(o);
        slice whole = slice_of(row->standard);
        slice *words = &whole;
        unsigned count = 1;
        if (option_has_words(row)) {
            e = parse_words(whole, &c->arena, &words, &count);
        }
        if (e == OK) {
            e = option_read(c, row, words, count, &reason);
        }
        assert(e == OK || e == ERR_NOMEM); /* a default in the table is a good value */
    }
    buf_fini(&reason);
    if (e != OK) {
        config_free(c);
        return NULL;
    }
    return c;
}

void config_free(struct config *c)
{
    if (!c) {
        return;
    }
    blocks_unref(c->blocks);
    arena_fini(&c->arena);
    free(c);
}

static err own_text(struct config *c, slice *text)
{
    slice copy = arena_copy(&c->arena, *text);
    if (!copy.ptr) {
        return ERR_NOMEM;
    }
    *text = copy;
    return OK;
}

/* A copy that owns its texts and shares the blocks. */
static struct config *config_copy(const struct config *old)
{
    struct config *c = malloc(sizeof *c);
    if (!c) {
        return NULL;
    }
    *c = *old;
    arena_init(&c->arena);
    blocks_ref(c->blocks);
    err e = own_text(c, &c->file);
    for (enum option o = 0; o < OPTION_COUNT && e == OK; o++) {
        e = option_own(c, option_row(o));
        if (e == OK && c->settings[o].place.source.len > 0) {
            e = own_text(c, &c->settings[o].place.source);
        }
    }
    if (e != OK) {
        config_free(c);
        return NULL;
    }
    return c;
}

/* ---- layers ---- */

struct loader {
    struct config *config;
    struct faults *faults;
    struct buf *warnings;
    struct arena arena; /* the lines of the file */
    struct parse_lines lines;
    enum config_origin layer;
    bool seen[OPTION_COUNT]; /* in this layer */
};

static void begin_layer(struct loader *l, enum config_origin layer)
{
    l->layer = layer;
    memset(l->seen, 0, sizeof l->seen);
}

/* A value in a message: in its words, unless it is a secret. */
static slice shown(const struct option_row *row, const slice *words, unsigned count, struct buf *text)
{
    if (row->flags & OPTION_SECRET) {
        return S("***");
    }
    for (unsigned i = 0; i < count; i++) {
        buf_append(text, i ? S(" ") : S(""));
        buf_append(text, words[i]);
    }
    return buf_slice(text);
}

static void bad_value(struct loader *l, const struct option_row *row, struct place place, const slice *words,
                      unsigned count)
{
    struct buf found, expected;
    buf_init(&found, VALUE_BYTES_MAX);
    buf_init(&expected, VALUE_BYTES_MAX);
    if (count != 1 && !option_has_words(row)) {
        faults_add(l->faults, place, "%s: found %u values, expected one", row->name, count);
    } else {
        slice value = shown(row, words, count, &found);
        option_expected(row, &expected);
        faults_add(l->faults, place, "%s: found \"%.*s\", expected %.*s", row->name, SLICE_ARG(value),
                   SLICE_ARG(buf_slice(&expected)));
    }
    buf_fini(&found);
    buf_fini(&expected);
}

/* The words of a list that REPEATS behind those of earlier lines of the layer. */
static err join_words(struct loader *l, const struct config_words *before, const slice **words, unsigned *count)
{
    slice *all = arena_alloc(&l->arena, (before->count + *count) * sizeof *all);
    if (!all) {
        return ERR_NOMEM;
    }
    if (before->count > 0) {
        memcpy(all, before->items, before->count * sizeof *all);
    }
    memcpy(all + before->count, *words, *count * sizeof *all);
    *words = all;
    *count += before->count;
    return OK;
}

/* One directive of a layer. */
static err apply(struct loader *l, enum option o, struct place place, const slice *words, unsigned count)
{
    const struct option_row *row = option_row(o);
    if (count == 0) {
        faults_add(l->faults, place, "%s: found no value, expected one", row->name);
        return OK;
    }
    err e = OK;
    if (option_has_words(row) && count == 1 && words[0].len > 0) {
        slice *inner; /* a list in one word, as in --bind "127.0.0.1 ::1" */
        e = parse_words(words[0], &l->arena, &inner, &count);
        words = inner;
        if (e == ERR_NOMEM) {
            return e;
        }
        if (e != OK) {
            faults_add(l->faults, place, "%s: a quote is not closed", row->name);
            return OK;
        }
    }
    const slice *given = words;
    unsigned given_count = count;
    bool empties = count == 1 && words[0].len == 0;
    if (row->type == TYPE_WORDS && (row->flags & OPTION_REPEATS) && l->seen[o] && !empties) {
        const char *field = (const char *)l->config + row->offset;
        e = join_words(l, (const struct config_words *)(const void *)field, &words, &count);
        if (e != OK) {
            return e;
        }
    }
    struct buf reason;
    buf_init(&reason, VALUE_BYTES_MAX);
    e = option_read(l->config, row, words, count, &reason);
    buf_fini(&reason);
    if (e == ERR_NOMEM) {
        return e;
    }
    if (e != OK) {
        bad_value(l, row, place, given, given_count);
        return OK;
    }
    l->seen[o] = true;
    l->config->settings[o] = (struct config_setting){.origin = l->layer, .place = place};
    return own_text(l->config, &l->config->settings[o].place.source);
}

static err apply_lines(struct loader *l)
{
    begin_layer(l, ORIGIN_FILE);
    for (const struct parse_line *line = l->lines.first; line; line = line->next) {
        slice name = line->words[0];
        if (line->is_block) {
            if (!block_is_name(name)) {
                faults_add(l->faults, line->place, "found a block \"%.*s\", expected source NAME { or rule PATTERN {",
                           SLICE_ARG(name));
            }
            continue;
        }
        if (block_is_name(name)) {
            faults_add(l->faults, line->place, "%.*s: expected { at the end of the line", SLICE_ARG(name));
            continue;
        }
        enum option o = config_find(name);
        if (o == OPTION_COUNT) {
            unknown_name(l->faults, line->place, name);
            continue;
        }
        err e = apply(l, o, line->place, line->words + 1, line->word_count - 1);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* ---- environment ---- */

static bool env_equal(slice env, slice name)
{
    if (env.len != name.len) {
        return false;
    }
    for (size_t i = 0; i < env.len; i++) {
        char wanted = name.ptr[i] == '-' ? '_' : (char)toupper((unsigned char)name.ptr[i]);
        if (env.ptr[i] != wanted) {
            return false;
        }
    }
    return true;
}

static enum option find_env(slice env)
{
    size_t count;
    const struct option_name *names = option_names(&count);
    for (size_t i = 0; i < count; i++) {
        if (env_equal(env, names[i].name)) {
            return names[i].option;
        }
    }
    return OPTION_COUNT;
}

/* Variables that begin with LARDER_ and belong to the tests. */
static bool is_of_tests(slice env)
{
    return slice_equal(env, S("CLOCK_FILE")) || slice_equal(env, S("PAUSE_DIR")) || slice_equal(env, S("SOURCE_LOG")) ||
           slice_equal(env, S("MEMORY_FILE")) || slice_equal(env, S("BINARY")) || slice_starts(env, S("TEST_"));
}

/* For a service called larder Kubernetes sets LARDER_PORT=tcp://10.0.0.7:6379, LARDER_SERVICE_HOST, LARDER_PORT_6379_TCP and more. */
static bool is_of_kubernetes(slice env, slice value)
{
    return slice_starts(env, S("SERVICE_")) || slice_starts(env, S("PORT_")) ||
           (slice_equal(env, S("PORT")) && (slice_starts(value, S("tcp://")) || slice_starts(value, S("udp://"))));
}

/* The content of a file named by LARDER_..._FILE, without its last newline. */
static err read_value_file(struct loader *l, struct place place, slice path, slice *ret_value)
{
    slice bytes;
    struct buf why;
    buf_init(&why, VALUE_BYTES_MAX);
    err e = parse_read(path.ptr, &l->arena, &bytes, &why);
    if (e != OK && e != ERR_NOMEM) {
        faults_add(l->faults, place, "cannot read \"%.*s\": %.*s", SLICE_ARG(path), SLICE_ARG(buf_slice(&why)));
    }
    buf_fini(&why);
    if (e != OK) {
        return e;
    }
    if (bytes.len > 0 && bytes.ptr[bytes.len - 1] == '\n') {
        bytes.len--;
    }
    *ret_value = bytes;
    return OK;
}

static err apply_variable(struct loader *l, slice variable)
{
    size_t equals = slice_find_byte(variable, '=');
    if (!slice_starts(variable, S("LARDER_")) || equals == SIZE_MAX) {
        return OK;
    }
    slice whole = slice_sub(variable, 0, equals);
    slice name = slice_sub(whole, sizeof("LARDER_") - 1, SIZE_MAX);
    slice value = slice_sub(variable, equals + 1, SIZE_MAX);
    struct buf source;
    buf_init(&source, VALUE_BYTES_MAX);
    buf_printf(&source, "environment %.*s", SLICE_ARG(whole));
    struct place place = {buf_slice(&source), 0};
    err e = OK;
    if (is_of_kubernetes(name, value)) {
        if (slice_equal(name, S("PORT"))) {
            buf_printf(l->warnings, "%.*s: of a Kubernetes service called larder; it does nothing\n",
                       SLICE_ARG(place.source));
        }
        goto out;
    }
    enum option o = find_env(name);
    bool from_file = o == OPTION_COUNT && name.len > 5 && slice_equal(slice_sub(name, name.len - 5, 5), S("_FILE"));
    if (from_file) {
        o = find_env(slice_sub(name, 0, name.len - 5));
    }
    if (o == OPTION_COUNT) {
        if (!is_of_tests(name)) { /* not refused: whoever runs many programs sets variables for purposes of their own */
            buf_printf(l->warnings, "%.*s: found no directive of that name; it does nothing\n",
                       SLICE_ARG(place.source));
        }
        goto out;
    }
    if (from_file) {
        e = read_value_file(l, place, value, &value);
        if (e != OK) {
            e = e == ERR_NOMEM ? e : OK;
            goto out;
        }
    }
    e = apply(l, o, place, &value, 1);
out:
    buf_fini(&source);
    return e;
}

static err apply_environment(struct loader *l, char *const *environment)
{
    begin_layer(l, ORIGIN_ENVIRONMENT);
    err e = OK;
    for (size_t i = 0; environment && environment[i] && e == OK; i++) {
        e = apply_variable(l, slice_of(environment[i]));
    }
    return e;
}

/* ---- command line ---- */

static err apply_arguments(struct loader *l, char *const *arguments, unsigned count)
{
    begin_layer(l, ORIGIN_ARGUMENT);
    unsigned at = 0;
    while (at < count) {
        slice flag = slice_of(arguments[at++]);
        struct place place = {S("command line"), 0};
        if (!slice_starts(flag, S("--")) || flag.len == 2) {
            faults_add(l->faults, place, "found \"%.*s\", expected --directive", SLICE_ARG(flag));
            continue;
        }
        slice values[PARSE_WORD_COUNT_MAX];
        unsigned value_count = 0;
        while (at < count && !slice_starts(slice_of(arguments[at]), S("--"))) {
            if (value_count == countof(values)) {
                faults_add(l->faults, place, "%.*s: found more than %d values", SLICE_ARG(flag), PARSE_WORD_COUNT_MAX);
                return OK;
            }
            values[value_count++] = slice_of(arguments[at++]);
        }
        slice name = slice_sub(flag, 2, SIZE_MAX);
        enum option o = config_find(name);
        if (o == OPTION_COUNT) {
            unknown_name(l->faults, place, name);
            continue;
        }
        err e = apply(l, o, place, values, value_count);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* ---- checks of the whole ---- */

/* Whether the option has its default. */
static bool is_standard(const struct config *c, enum option o)
{
    const struct option_row *row = option_row(o);
    struct buf value;
    buf_init(&value, VALUE_BYTES_MAX);
    option_print(c, row, &value);
    bool same = slice_equal(buf_slice(&value), slice_of(row->standard));
    buf_fini(&value);
    return same;
}

static void check_promises(struct loader *l)
{
    for (enum option o = 0; o < OPTION_COUNT; o++) {
        const struct option_row *row = option_row(o);
        struct place place = l->config->settings[o].place;
        if ((row->flags & OPTION_PROMISE) && !is_standard(l->config, o)) {
            struct buf value;
            buf_init(&value, VALUE_BYTES_MAX);
            if (row->flags & OPTION_SECRET) {
                buf_append(&value, S("***"));
            } else {
                option_print(l->config, row, &value);
            }
            faults_add(l->faults, place,
                       "%s: found \"%.*s\", expected %s%s%s: this version cannot keep what it promises (%s)", row->name,
                       SLICE_ARG(buf_slice(&value)), *row->standard ? "\"" : "",
                       *row->standard ? row->standard : "no such line", *row->standard ? "\"" : "", row->meaning);
            buf_fini(&value);
        }
        if ((row->flags & OPTION_WARNS) && !is_standard(l->config, o)) {
            buf_printf(l->warnings, "%.*s", SLICE_ARG(place.source));
            if (place.line) {
                buf_printf(l->warnings, ":%u", place.line);
            }
            buf_printf(l->warnings, ": %s: this version does not do it (%s)\n", row->name, row->meaning);
        }
    }
}

/* ---- the three ways to a snapshot ---- */

static err load_into(struct loader *l, const struct config_input *input)
{
    err e = OK;
    if (input->file) {
        slice file = slice_of(input->file);
        e = parse_file(file, (struct place){file, 0}, &l->arena, &l->lines, l->faults);
        if (e == OK) {
            l->config->file = file;
            e = own_text(l->config, &l->config->file);
        }
    }
    if (e == OK) {
        e = apply_lines(l);
    }
    if (e == OK) {
        e = apply_environment(l, input->environment);
    }
    if (e == OK) {
        e = apply_arguments(l, input->arguments, input->argument_count);
    }
    if (e != OK) {
        return e;
    }
    check_promises(l);
    struct config_blocks *blocks;
    e = blocks_read(l->lines.first, (unsigned)l->config->databases, l->faults, &blocks);
    if (e == OK) {
        blocks_unref(l->config->blocks);
        l->config->blocks = blocks;
    }
    return e == ERR_LIMIT || l->faults->count > 0 ? ERR_CONFIG : e;
}

err config_load(const struct config_input *input, struct faults *faults, struct buf *warnings,
                struct config **ret_config)
{
    struct loader *l = calloc(1, sizeof *l);
    struct config *c = config_new();
    err e = ERR_NOMEM;
    if (l && c) {
        *l = (struct loader){.config = c, .faults = faults, .warnings = warnings};
        arena_init(&l->arena);
        parse_lines_init(&l->lines);
        e = load_into(l, input);
        arena_fini(&l->arena);
    }
    free(l);
    if (e != OK) {
        config_free(c);
        return e;
    }
    *ret_config = c;
    return OK;
}

err config_reload(const struct config *old, const struct config_input *input, struct faults *faults,
                  struct config **ret_config)
{
    struct config *read;
    struct config *c = NULL;
    struct buf warnings;
    buf_init(&warnings, VALUE_BYTES_MAX);
    err e = config_load(input, faults, &warnings, &read);
    buf_fini(&warnings);
    if (e != OK) {
        return e;
    }
    c = config_copy(old);
    if (!c) {
        config_free(read);
        return ERR_NOMEM;
    }
    blocks_unref(c->blocks);
    c->blocks = blocks_ref(read->blocks);
    config_free(read);
    *ret_config = c;
    return OK;
}

void config_set_words(slice name, const char *reason, struct buf *ret_words)
{
    buf_printf(ret_words, "CONFIG SET failed (possibly related to argument '%.*s') - %s", SLICE_ARG(name), reason);
}

/* What is wrong with the names, before any value is looked at. */
static err check_names(const struct config_change *changes, size_t change_count, struct buf *ret_words)
{
    bool named[OPTION_COUNT] = {false};
    for (size_t i = 0; i < change_count; i++) {
        slice name = changes[i].name;
        enum option o = config_find(name);
        if (o == OPTION_COUNT) {
            buf_printf(ret_words, "Unknown option or number of arguments for CONFIG SET - '%.*s'", SLICE_ARG(name));
            return ERR_CONFIG;
        }
        unsigned flags = option_row(o)->flags;
        const char *reason = !(flags & OPTION_LIVE)     ? "can't set immutable config"
                             : flags & OPTION_PROTECTED ? "can't set protected config"
                             : named[o]                 ? "duplicate parameter"
                                                        : NULL;
        if (reason) {
            config_set_words(name, reason, ret_words);
            return ERR_CONFIG;
        }
        named[o] = true;
    }
    return OK;
}

static err change_value(struct config *c, const struct config_change *change, struct buf *ret_reason)
{
    enum option o = config_find(change->name);
    const struct option_row *row = option_row(o);
    slice value = change->value;
    slice *words = &value;
    unsigned count = 1;
    err e = OK;
    if (option_has_words(row) && value.len > 0) {
        e = parse_words(value, &c->arena, &words, &count);
        if (e == ERR_SYNTAX) {
            buf_append(ret_reason, S("wrong number of arguments"));
        }
    }
    if (e == OK) {
        e = option_read(c, row, words, count, ret_reason);
    }
    if (e == OK && (row->flags & OPTION_PROMISE) && !is_standard(c, o)) {
        buf_printf(ret_reason, "this version cannot keep what it promises (%s)", row->meaning);
        e = ERR_INVALID;
    }
    if (e == OK) {
        c->settings[o] = (struct config_setting){.origin = ORIGIN_RUNTIME, .set_count = c->settings[o].set_count + 1};
    }
    return e;
}

err config_set(const struct config *old, const struct config_change *changes, size_t change_count,
               struct buf *ret_words, struct config **ret_config)
{
    err e = check_names(changes, change_count, ret_words);
    if (e != OK) {
        return e;
    }
    struct config *c = config_copy(old);
    if (!c) {
        return ERR_NOMEM;
    }
    struct buf reason;
    buf_init(&reason, VALUE_BYTES_MAX);
    for (size_t i = 0; i < change_count && e == OK; i++) {
        e = change_value(c, &changes[i], &reason);
        if (e != OK && e != ERR_NOMEM) {
            buf_append_byte(&reason, '\0');
            config_set_words(changes[i].name, buf_failed(&reason) ? "out of memory" : reason.bytes, ret_words);
            e = ERR_CONFIG;
        }
    }
    buf_fini(&reason);
    if (e != OK) {
        config_free(c);
        return e;
    }
    *ret_config = c;
    return OK;
}

/* ---- looking ---- */

void config_value(const struct config *c, enum option o, struct buf *ret_value)
{
    option_print(c, option_row(o), ret_value);
}

bool config_is_secret(slice name)
{
    enum option o = config_find(name);
    return o < OPTION_COUNT && option_row(o)->flags & OPTION_SECRET;
}

static bool is_plain(slice glob)
{
    for (size_t i = 0; i < glob.len; i++) {
        if (strchr("*?[\\", glob.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* The name to tell, of ptr NULL when the option is not asked for: a name asked for as such is told as it was asked for. */
static slice wanted_name(const struct option_name *name, const slice *globs, size_t glob_count)
{
    bool hidden = option_row(name->option)->flags & OPTION_HIDDEN;
    for (size_t i = 0; i < glob_count; i++) {
        if (is_plain(globs[i]) && slice_equal_nocase(globs[i], name->name)) {
            return globs[i];
        }
        if (!is_plain(globs[i]) && !hidden && slice_glob(globs[i], name->name, true)) {
            return name->name;
        }
    }
    return (slice){0};
}

err config_get(const struct config *c, const slice *globs, size_t glob_count,
               void (*each)(void *argument, slice name, slice value), void *argument)
{
    size_t count;
    const struct option_name *names = option_names(&count);
    struct buf value;
    buf_init(&value, VALUE_BYTES_MAX);
    err e = OK;
    for (size_t i = 0; i < count && e == OK; i++) {
        slice name = wanted_name(&names[i], globs, glob_count);
        if (name.ptr) {
            buf_truncate(&value, 0);
            config_value(c, names[i].option, &value);
            if (buf_failed(&value)) {
                e = ERR_NOMEM;
            } else {
                each(argument, name, buf_slice(&value));
            }
        }
    }
    buf_fini(&value);
    return e;
}

void config_unused(const struct config *c, void (*each)(void *argument, slice name), void *argument)
{
    for (enum option o = 0; o < OPTION_COUNT; o++) {
        if ((option_row(o)->flags & OPTION_IDLE) && c->settings[o].origin != ORIGIN_DEFAULT) {
            each(argument, config_name(o));
        }
    }
}

const struct config *config_now(void)
{
    return __atomic_load_n(&published, __ATOMIC_ACQUIRE);
}

struct config *config_publish(struct config *next)
{
    assert(next != NULL);
    return __atomic_exchange_n(&published, next, __ATOMIC_ACQ_REL);
}
