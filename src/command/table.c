/* The command table: rows from the families' .def files, composed here; names to rows; arguments to keys.
 *
 * The rows are constants of the program, once a constructor has added what follows from them. Names are found in an open-addressed table of row numbers, filled by a constructor before
 * main() (so that no thread can look before it is there), with room enough that a probe rarely goes past its first place. A
 * subcommand's name is hashed as "container|sub", but taken from the two arguments as they stand, without joining them: a look-up
 * allocates nothing. A name that holds a '|' itself never names a subcommand when it is called.
 *
 * Names of at most eight letters, which is nearly all that is called, stand in a table of their own as one word each: looking
 * one up is a multiplication and a compare.
 *
 * Invariants: (I1) row numbers are places in `rows`; (I2) each name is there once; (I3) the container of a row stands in the table
 * and is not a subcommand itself.
 *
 * Not here: what the verbs do (their own files), how they run (dispatch.c), the answers of COMMAND (server/command.c). */
#include "command/command.h"

#include "base/assert.h"
#include "base/num.h"
#include "command/use.h"
#include "command/verb.h"

/* The words of the .def files. Effects, events and uses of keys are pasted; traits are combined with |, so they are names here. */
enum {
    FAST = TRAIT_FAST,
    DENYOOM = TRAIT_DENYOOM,
    ADMIN = TRAIT_ADMIN,
    NOAUTH = TRAIT_NOAUTH,
    LOADING = TRAIT_LOADING,
    STALE = TRAIT_STALE,
    NOSCRIPT = TRAIT_NOSCRIPT,
    ALL_SHARDS = TRAIT_ALL_SHARDS,
    NO_MULTI = TRAIT_NO_MULTI,
    SKIP_MONITOR = TRAIT_SKIP_MONITOR,
    ALLOW_BUSY = TRAIT_ALLOW_BUSY,
    PUBSUB = TRAIT_PUBSUB,
    QUIET = TRAIT_QUIET,
    TOUCHES = TRAIT_TOUCHES,
    GLIMPSE = TRAIT_GLIMPSE,
    BRIEF = TRAIT_BRIEF,
};

#define NO_KEYS                 \
    {                           \
        {                       \
            .range = RANGE_NONE \
        }                       \
    }
#define KEYS(use, flags, first, last, step)                  \
    {                                                        \
        {                                                    \
            RANGE_FIXED, KEY_##use, flags, first, last, step \
        }                                                    \
    }
#define KEYS_TWO(use_a, flags_a, a, use_b, flags_b, b) \
    {                                                  \
        {RANGE_FIXED, KEY_##use_a, flags_a, a, a, 1},  \
        {                                              \
            RANGE_FIXED, KEY_##use_b, flags_b, b, b, 1 \
        }                                              \
    }
#define KEYS_COUNTED(use, flags, count_index, step)               \
    {                                                             \
        {                                                         \
            RANGE_COUNTED, KEY_##use, flags, count_index, 0, step \
        }                                                         \
    }

enum {
#define CMD(name, ...) NUMBER_##name,
#define CONTAINER(name, ...) NUMBER_##name,
#define SUB(container, name, ...) NUMBER_##container##_##name,
#include "command/family.def"
#undef CMD
#undef CONTAINER
#undef SUB
    ROW_COUNT
};

static_assert((int)ROW_COUNT <= (int)COMMAND_COUNT_MAX, "COMMAND_COUNT_MAX is the size of the counters' arrays");

/* complete_rows() adds what follows from the rest. */
static struct command rows[ROW_COUNT] = {
#define CMD(id, text, arity_, keys, effect_, event_, traits_, since_, acl_) \
    [NUMBER_##id] = {.name = text,                                          \
                     .arity = arity_,                                       \
                     .specs = keys,                                         \
                     .effect = EFFECT_##effect_,                            \
                     .event = EVENT_##event_,                               \
                     .traits = traits_,                                     \
                     .since = since_,                                       \
                     .acl = acl_,                                           \
                     .group = COMMAND_GROUP,                                \
                     .handler = cmd_##id,                                   \
                     .number = NUMBER_##id},
#define CONTAINER(id, text, arity_, traits_, since_, acl_) \
    [NUMBER_##id] = {.name = text,                         \
                     .arity = arity_,                      \
                     .traits = traits_,                    \
                     .since = since_,                      \
                     .acl = acl_,                          \
                     .group = COMMAND_GROUP,               \
                     .number = NUMBER_##id},
#define SUB(container_, id, text, arity_, keys, effect_, event_, traits_, since_, acl_) \
    [NUMBER_##container_##_##id] = {.name = #container_ "|" text,                       \
                                    .arity = arity_,                                    \
                                    .specs = keys,                                      \
                                    .effect = EFFECT_##effect_,                         \
                                    .event = EVENT_##event_,                            \
                                    .traits = traits_,                                  \
                                    .since = since_,                                    \
                                    .acl = acl_,                                        \
                                    .group = COMMAND_GROUP,                             \
                                    .handler = cmd_##container_##_##id,                 \
                                    .container = &rows[NUMBER_##container_],            \
                                    .number = NUMBER_##container_##_##id},
#include "command/family.def"
#undef CMD
#undef CONTAINER
#undef SUB
};

static const struct {
    const char *command;
    const char *text;
} tips[] = {
#define TIP(command, text) {command, text},
#include "command/tip.def"
#undef TIP
};

/* ---- names --------------------------------------------------------------------------------------------------------- */
enum { PLACE_COUNT = 4 * COMMAND_COUNT_MAX };
static_assert((PLACE_COUNT & (PLACE_COUNT - 1)) == 0, "the hash is masked");

static uint16_t places[PLACE_COUNT]; /* row number + 1; 0: empty */
static uint16_t subcommand_counts[ROW_COUNT];
static const char *row_tips[ROW_COUNT];

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* FNV-1a over the lower-cased bytes; names are short. */
static uint64_t hash_more(uint64_t hash, slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ (unsigned char)lower(text.ptr[i])) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static unsigned hash_name(slice container, slice name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    if (container.len > 0) {
        hash = hash_more(hash_more(hash, container), S("|"));
    }
    hash = hash_more(hash, name);
    return (unsigned)(hash ^ hash >> 32) & (PLACE_COUNT - 1);
}

/* Whether the row is called `name`, in `container` unless that is empty. */
static bool row_is(const struct command *row, slice container, slice name)
{
    slice text = slice_of(row->name);
    if (!row->container) {
        return container.len == 0 && slice_equal_nocase(text, name);
    }
    size_t prefix = strlen(row->container->name);
    return slice_equal_nocase(slice_sub(text, 0, prefix), container) &&
           slice_equal_nocase(slice_sub(text, prefix + 1, SIZE_MAX), name);
}

static const struct command *find(slice container, slice name)
{
    for (unsigned at = hash_name(container, name); places[at] != 0; at = (at + 1) & (PLACE_COUNT - 1)) {
        const struct command *row = &rows[places[at] - 1];
        if (row_is(row, container, name)) {
            return row;
        }
    }
    return NULL;
}

/* ---- names of one word --------------------------------------------------------------------------------------------- */
enum { WORD_PLACE_BITS = 11 };
static_assert(1 << WORD_PLACE_BITS >= 4 * COMMAND_COUNT_MAX, "a probe finds a free place soon");

static struct short_name {
    uint64_t word;    /* lower case, zeros behind it */
    uint64_t letters; /* CASE_BIT in each byte that is one: only there it may be missing */
    uint16_t len;
    int16_t arity;             /* as the row has it; 0: it has subcommands */
    const struct command *row; /* NULL: nothing stands here */
} short_names[1 << WORD_PLACE_BITS];

/* What tells a lower case letter from the upper case one. */
#define CASE_BIT 0x20
#define CASE_BITS (UINT64_C(0x0101010101010101) * CASE_BIT)

static bool is_short(slice name)
{
    return name.len - 1 < sizeof(uint64_t);
}

/* The bytes of a short name as a word. */
static inline uint64_t word_of(slice name)
{
    if (name.len >= 4) {
        uint32_t first, last;
        memcpy(&first, name.ptr, 4);
        memcpy(&last, name.ptr + name.len - 4, 4); /* overlaps the first where the name is shorter than eight */
        return first | (uint64_t)last << (8 * (name.len - 4));
    }
    const unsigned char *c = (const unsigned char *)name.ptr;
    return c[0] | (uint64_t)c[name.len / 2] << (name.len / 2 * 8) | (uint64_t)c[name.len - 1] << (name.len - 1) * 8;
}

static uint64_t letters_of(slice name)
{
    uint64_t letters = 0;
    for (size_t i = 0; i < name.len; i++) {
        letters |= (uint64_t)(name.ptr[i] >= 'a' && name.ptr[i] <= 'z' ? CASE_BIT : 0) << (8 * i);
    }
    return letters;
}

/* Where this name stands in any case, or the empty place where it would. */
static inline struct short_name *place_of_short(uint64_t word, size_t len)
{
    struct short_name *n = short_names + ((word | CASE_BITS) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - WORD_PLACE_BITS));
    while (((word | n->letters) != n->word || n->len != len) && n->row) {
        n = n + 1 < short_names + countof(short_names) ? n + 1 : short_names;
    }
    return n;
}

static void complete_rows(void)
{
    for (unsigned number = 0; number < ROW_COUNT; number++) {
        struct command *row = &rows[number];
        const struct key_spec *spec = row->specs;
        bool one = spec[0].range == RANGE_FIXED && spec[0].first == spec[0].last && spec[1].range == RANGE_NONE;
        row->only_key = one ? (unsigned)spec[0].first : 0;
        assert(row->only_key > 0 || !(row->traits & (TRAIT_GLIMPSE | TRAIT_BRIEF)));
    }
#define USE(id) rows[NUMBER_##id].use = use_##id;
#include "command/use.def"
#undef USE
}

__attribute__((constructor)) static void fill_places(void)
{
    complete_rows();
    for (unsigned number = 0; number < ROW_COUNT; number++) {
        const struct command *row = &rows[number];
        slice name = slice_of(row->name), container = S("");
        if (row->container) {
            container = slice_of(row->container->name);
            name = slice_sub(name, container.len + 1, SIZE_MAX);
            subcommand_counts[row->container->number]++;
        }
        assert(find(container, name) == NULL);
        unsigned at = hash_name(container, name);
        while (places[at] != 0) {
            at = (at + 1) & (PLACE_COUNT - 1);
        }
        places[at] = (uint16_t)(number + 1);
    }
    for (unsigned number = 0; number < ROW_COUNT; number++) {
        const struct command *row = &rows[number];
        slice name = slice_of(row->name);
        if (!row->container && is_short(name)) {
            uint64_t word = word_of(name);
            int16_t arity = subcommand_counts[number] > 0 ? 0 : (int16_t)row->arity;
            *place_of_short(word, name.len) =
                (struct short_name){word, letters_of(name), (uint16_t)name.len, arity, row};
        }
    }
    for (unsigned i = 0; i < countof(tips); i++) {
        const struct command *row = command_find(slice_of(tips[i].command));
        assert(row != NULL);
        row_tips[row->number] = tips[i].text;
    }
}

unsigned command_count(void)
{
    return ROW_COUNT;
}

const struct command *command_at(unsigned number)
{
    assert(number < ROW_COUNT);
    return &rows[number];
}

const struct command *command_find(slice name)
{
    size_t bar = slice_find_byte(name, '|');
    if (bar == SIZE_MAX) {
        return find(S(""), name);
    }
    slice container = slice_sub(name, 0, bar);
    return container.len == 0 ? NULL : find(container, slice_sub(name, bar + 1, SIZE_MAX));
}

unsigned command_subcommand_count(const struct command *c)
{
    return subcommand_counts[c->number];
}

const char *command_tips(const struct command *c)
{
    return row_tips[c->number] ? row_tips[c->number] : "";
}

static bool fits_arity(int arity, unsigned argc)
{
    return arity >= 0 ? argc == (unsigned)arity : argc >= (unsigned)-arity;
}

/* All but a command by its short name, with the right number of arguments. */
NOINLINE static err resolve_otherwise(unsigned argc, const slice *argv, const struct command **ret_command)
{
    const struct command *c = *ret_command = find(S(""), argv[0]);
    if (!c) {
        return ERR_UNKNOWN_COMMAND;
    }
    if (argc > 1 && subcommand_counts[c->number] > 0) {
        c = find(argv[0], argv[1]);
        if (!c) {
            return ERR_UNKNOWN_SUBCOMMAND;
        }
        *ret_command = c;
    }
    return fits_arity(c->arity, argc) ? OK : ERR_ARITY;
}

err command_resolve(unsigned argc, const slice *argv, const struct command **ret_command)
{
    if (LIKELY(is_short(argv[0]))) {
        const struct short_name *name = place_of_short(word_of(argv[0]), argv[0].len);
        if (LIKELY(name->arity != 0 && fits_arity(name->arity, argc))) {
            *ret_command = name->row;
            return OK;
        }
    }
    return resolve_otherwise(argc, argv, ret_command);
}

/* ---- keys ---------------------------------------------------------------------------------------------------------- */
/* Where the keys of one spec lie: ret_first, and how many, `step` apart. False when the arguments make no sense. */
static bool spec_extent(const struct key_spec *spec, unsigned argc, const slice *argv, unsigned *ret_first,
                        unsigned *ret_count)
{
    *ret_first = (unsigned)spec->first;
    *ret_count = 0;
    if (spec->range == RANGE_COUNTED) {
        int64_t count;
        if (*ret_first >= argc || num_parse_i64(argv[*ret_first], &count) != OK) {
            return false;
        }
        *ret_first += 1;
        if (count <= 0 || (uint64_t)count > (argc - *ret_first) / (unsigned)spec->step) {
            return false;
        }
        *ret_count = (unsigned)count;
    } else if (spec->range == RANGE_FIXED) {
        int64_t last = spec->last >= 0 ? spec->last : (int64_t)argc + spec->last;
        if (last >= spec->first && last < (int64_t)argc) {
            *ret_count = (unsigned)(last - spec->first) / (unsigned)spec->step + 1;
        }
    }
    return true;
}

enum key_use command_key_use(const struct command *c, unsigned i, unsigned argc, const slice *argv)
{
    return c->use ? c->use(i, argc, argv) : c->specs[i].use;
}

int command_keys(const struct command *c, unsigned argc, const slice *argv, unsigned max, struct key_place *ret_places)
{
    unsigned total = 0;
    for (unsigned i = 0; i < COMMAND_KEY_SPECS_MAX && c->specs[i].range != RANGE_NONE; i++) {
        const struct key_spec *spec = &c->specs[i];
        unsigned first, count;
        if (!spec_extent(spec, argc, argv, &first, &count)) {
            return -1;
        }
        enum key_use use = command_key_use(c, i, argc, argv);
        for (unsigned k = 0; k < count && total + k < max; k++) {
            ret_places[total + k] =
                (struct key_place){.argument = first + k * (unsigned)spec->step, .use = use, .spec = spec};
        }
        total += count;
    }
    return (int)total;
}

/* ---- as COMMAND shows them ----------------------------------------------------------------------------------------- */
static bool has_movable_keys(const struct command *c)
{
    for (unsigned i = 0; i < COMMAND_KEY_SPECS_MAX; i++) {
        if (c->specs[i].range == RANGE_COUNTED) {
            return true;
        }
    }
    return false;
}

unsigned command_flags(const struct command *c, const char *ret_flags[static COMMAND_FLAGS_MAX])
{
    static const struct {
        unsigned trait;
        const char *text;
    } names[] = {
        {TRAIT_DENYOOM, "denyoom"},
        {TRAIT_ADMIN, "admin"},
        {TRAIT_PUBSUB, "pubsub"},
        {TRAIT_NOSCRIPT, "noscript"},
        {TRAIT_LOADING, "loading"},
        {TRAIT_STALE, "stale"},
        {TRAIT_SKIP_MONITOR, "skip_monitor"},
        {TRAIT_FAST, "fast"},
        {TRAIT_NOAUTH, "no_auth"},
        {TRAIT_NO_MULTI, "no_multi"},
        {TRAIT_ALLOW_BUSY, "allow_busy"},
    };
    unsigned count = 0;
    if (c->effect != EFFECT_NONE) {
        ret_flags[count++] = c->effect == EFFECT_WRITE ? "write" : "readonly";
    }
    for (unsigned i = 0; i < countof(names); i++) {
        if (c->traits & names[i].trait) {
            ret_flags[count++] = names[i].text;
        }
    }
    if (has_movable_keys(c)) {
        ret_flags[count++] = "movablekeys";
    }
    assert(count <= COMMAND_FLAGS_MAX);
    return count;
}

void command_legacy_range(const struct command *c, int *ret_first, int *ret_last, int *ret_step)
{
    *ret_first = *ret_last = *ret_step = 0;
    for (unsigned i = 0; i < COMMAND_KEY_SPECS_MAX && c->specs[i].range == RANGE_FIXED; i++) {
        const struct key_spec *spec = &c->specs[i];
        if (i == 0) {
            *ret_first = spec->first;
            *ret_step = spec->step;
        } else if (*ret_last != spec->first - 1 || *ret_step != spec->step) {
            return;
        }
        *ret_last = spec->last;
    }
}

/* The next of the words in `text`, which loses it; empty at the end. */
slice command_next_word(const char **text)
{
    const char *at = *text + strspn(*text, " ");
    size_t len = strcspn(at, " ");
    *text = at + len;
    return slice_make(at, len);
}
