/* One place composes option.def and choice.def into tables, and one function for each direction knows the types. The words of refusals are
 * Redis's, since clients see them; option_expected() has ours, for people who write files. */
#include "config/option_priv.h"

#include <ctype.h>

#include "base/assert.h"
#include "base/num.h"

/* ---- further conditions ---- */

/* Three numbers with dots between them. */
static const char *version_reason(const slice *words, unsigned count)
{
    (void)count;
    slice rest = words[0];
    for (int i = 0; i < 3; i++) {
        size_t dot = slice_find_byte(rest, '.');
        uint64_t number;
        if (num_parse_u64(slice_sub(rest, 0, dot), &number) != OK || number > 999 || (dot == SIZE_MAX) != (i == 2)) {
            return "argument must be a version like 7.4.0";
        }
        rest = slice_sub(rest, dot == SIZE_MAX ? rest.len : dot + 1, SIZE_MAX);
    }
    return NULL;
}

static const char *save_reason(const slice *words, unsigned count)
{
    if (count % 2 != 0) {
        return "Invalid save parameters";
    }
    for (unsigned i = 0; i < count; i++) {
        int64_t number;
        if (num_parse_i64(words[i], &number) != OK || number < (i % 2 == 0) || number > INT32_MAX) {
            return "Invalid save parameters";
        }
    }
    return NULL;
}

static const char *percentiles_reason(const slice *words, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        double percent;
        if (num_parse_double(words[i], &percent) != OK) {
            return "Invalid latency-tracking-info-percentiles parameters";
        }
        if (percent < 0 || percent > 100) {
            return "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
        }
    }
    return NULL;
}

static const char *events_reason(const slice *words, unsigned count)
{
    (void)count;
    for (size_t i = 0; i < words[0].len; i++) {
        if (words[0].ptr[i] == '\0' || !strchr("Ag$lshzxeKEtmdn", words[0].ptr[i])) {
            return "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
        }
    }
    return NULL;
}

static bool is_address(slice word)
{
    bool good = word.len > 0;
    for (size_t i = 0; i < word.len; i++) {
        good = good && word.ptr[i] != '\0' && !isspace((unsigned char)word.ptr[i]);
    }
    return good;
}

static const char *bind_reason(const slice *words, unsigned count)
{
    enum { ADDRESSES_MAX = 16 };
    for (unsigned i = 0; i < count; i++) {
        if (!is_address(words[i])) {
            return "an address is not empty and has no blanks";
        }
    }
    return count <= ADDRESSES_MAX ? NULL : "wrong number of arguments";
}

static const char *oom_values_reason(const slice *words, unsigned count)
{
    if (count != 3) {
        return "wrong number of arguments";
    }
    for (unsigned i = 0; i < count; i++) {
        int64_t number;
        if (num_parse_i64(words[i], &number) != OK || number < -2000 || number > 2000) {
            return "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
        }
    }
    return NULL;
}

static const char *shutdown_reason(const slice *words, unsigned count)
{
    static const slice known[] = {{"default", 7}, {"save", 4}, {"nosave", 6}, {"now", 3}, {"force", 5}};
    unsigned good = 0;
    for (unsigned i = 0; i < count; i++) {
        for (size_t j = 0; j < countof(known); j++) {
            good += slice_equal_nocase(words[i], known[j]);
        }
    }
    return good == count && count > 0 ? NULL
                                      : "argument(s) must be one of the following: default, save, nosave, now, force";
}

/* Versions before TLS 1.2 are not offered. */
static const char *tls_protocols_reason(const slice *words, unsigned count)
{
    (void)count;
    slice rest = words[0];
    while (rest.len > 0) {
        size_t blank = slice_find_byte(rest, ' ');
        slice word = slice_sub(rest, 0, blank);
        if (word.len > 0 && !slice_equal_nocase(word, S("TLSv1.2")) && !slice_equal_nocase(word, S("TLSv1.3"))) {
            return "argument must be 'TLSv1.2', 'TLSv1.3' or both; older versions are not offered";
        }
        rest = slice_sub(rest, word.len + 1, SIZE_MAX);
    }
    return NULL;
}

static const struct option_check check_version = {version_reason, "a version like 7.4.0"};
static const struct option_check check_save = {save_reason, "pairs of seconds and changes, or \"\""};
static const struct option_check check_percentiles = {percentiles_reason, "numbers from 0 to 100"};
static const struct option_check check_events = {events_reason, "characters out of Ag$lshzxeKEtmdn"};
static const struct option_check check_bind = {bind_reason, "at most 16 addresses"};
static const struct option_check check_oom_values = {oom_values_reason, "three numbers from -2000 to 2000"};
static const struct option_check check_tls_protocols = {tls_protocols_reason, "TLSv1.2, TLSv1.3 or both"};
static const struct option_check check_shutdown = {shutdown_reason, "words out of default, save, nosave, now, force"};

/* ---- tables ---- */

#define LIVE OPTION_LIVE
#define START OPTION_START
#define REPEATS OPTION_REPEATS
#define SECRET OPTION_SECRET
#define HIDDEN OPTION_HIDDEN
#define IDLE OPTION_IDLE
#define PROTECTED OPTION_PROTECTED
#define PROMISE OPTION_PROMISE
#define WARNS OPTION_WARNS

#define ANY
#define RANGE(low, high) .min = (low), .max = (high)
#define WORD_COUNT(low, high) .min = (low), .max = (high)
#define CHOICES(set) .choices = #set
#define CHECKED(check_name) .check = &check_##check_name

static const struct option_row rows[OPTION_COUNT] = {
#define OPTION(field, name_, type_, accepts, flags_, standard_, meaning_) \
    [OPTION_##field] = {.name = name_,                                    \
                        .type = TYPE_##type_,                             \
                        .offset = offsetof(struct config, field),         \
                        .flags = flags_,                                  \
                        .standard = standard_,                            \
                        .meaning = meaning_,                              \
                        accepts},
#define ALIAS(name, field)
#include "config/option.def"
#undef OPTION
#undef ALIAS
};

static const struct option_name names[] = {
#define OPTION(field, name, type, accepts, flags, standard, meaning) {{name, sizeof(name) - 1}, OPTION_##field, false},
#define ALIAS(name, field) {{name, sizeof(name) - 1}, OPTION_##field, true},
#include "config/option.def"
#undef OPTION
#undef ALIAS
};

static const struct choice {
    const char *set;
    const char *word;
    int value;
} choices[] = {
#define CHOICE(set, word, value) {#set, word, value},
#include "config/choice.def"
#undef CHOICE
};

static const struct {
    slice name;
    enum config_client_class class;
} class_names[] = {
    {{"normal", 6}, CLIENT_CLASS_NORMAL},
    {{"slave", 5}, CLIENT_CLASS_REPLICA},
    {{"pubsub", 6}, CLIENT_CLASS_PUBSUB},
    {{"replica", 7}, CLIENT_CLASS_REPLICA}, /* printed as slave, as Redis does */
};

const struct option_row *option_row(enum option o)
{
    assert(o < OPTION_COUNT);
    return &rows[o];
}

const struct option_name *option_names(size_t *ret_count)
{
    *ret_count = countof(names);
    return names;
}

bool option_has_words(const struct option_row *row)
{
    return row->type == TYPE_WORDS || row->type == TYPE_OUTPUT_LIMITS;
}

const char *option_choice(const struct option_row *row, unsigned i, int *ret_value)
{
    for (size_t at = 0; at < countof(choices); at++) {
        if (strcmp(choices[at].set, row->choices) == 0 && i-- == 0) {
            *ret_value = choices[at].value;
            return choices[at].word;
        }
    }
    return NULL;
}

/* The field as an object of its type. */
#define FIELD(c, row, type) (*(config_type_##type *)(void *)((char *)(c) + (row)->offset))
#define CONST_FIELD(c, row, type) (*(const config_type_##type *)(const void *)((const char *)(c) + (row)->offset))

/* ---- reading ---- */

static err refuse(struct buf *ret_reason, const char *words)
{
    buf_append(ret_reason, slice_of(words));
    return ERR_INVALID;
}

static err check_range(const struct option_row *row, bool fits, struct buf *ret_reason)
{
    if (fits) {
        return OK;
    }
    buf_printf(ret_reason, "argument must be between %lld and %llu inclusive", (long long)row->min,
               (unsigned long long)row->max);
    return ERR_INVALID;
}

static err read_int(const struct option_row *row, slice word, int64_t *ret_value, struct buf *ret_reason)
{
    int64_t value;
    if (num_parse_i64(word, &value) != OK) {
        return refuse(ret_reason, "argument couldn't be parsed into an integer");
    }
    err e = check_range(row, value >= row->min && (value < 0 || (uint64_t)value <= row->max), ret_reason);
    if (e == OK) {
        *ret_value = value;
    }
    return e;
}

static err read_octal(const struct option_row *row, slice word, int64_t *ret_value, struct buf *ret_reason)
{
    int64_t value = 0;
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '7' || word.len > 8) {
            return refuse(ret_reason, "argument couldn't be parsed as an octal number");
        }
        value = value * 8 + (word.ptr[i] - '0');
    }
    err e = check_range(row, word.len > 0 && (uint64_t)value <= row->max, ret_reason);
    if (e == OK) {
        *ret_value = value;
    }
    return e;
}

static err read_bytes(const struct option_row *row, slice word, uint64_t *ret_value, struct buf *ret_reason)
{
    uint64_t value;
    if (num_parse_bytes(word, &value) != OK) {
        return refuse(ret_reason, "argument must be a memory value");
    }
    err e = check_range(row, value >= (uint64_t)row->min && value <= row->max, ret_reason);
    if (e == OK) {
        *ret_value = value;
    }
    return e;
}

static err read_percent(slice word, int64_t *ret_value, struct buf *ret_reason)
{
    int64_t percent;
    uint64_t bytes;
    if (word.len > 1 && word.ptr[word.len - 1] == '%' &&
        num_parse_i64(slice_sub(word, 0, word.len - 1), &percent) == OK && percent >= 0 && percent <= 100) {
        *ret_value = -percent;
        return OK;
    }
    if (num_parse_bytes(word, &bytes) == OK && bytes <= INT64_MAX) {
        *ret_value = (int64_t)bytes;
        return OK;
    }
    return refuse(ret_reason, "argument must be a memory or percent value");
}

static void list_choices(const struct option_row *row, struct buf *ret_text)
{
    const char *word;
    int value;
    for (unsigned i = 0; (word = option_choice(row, i, &value)); i++) {
        buf_printf(ret_text, "%s%s", i ? ", " : "", word);
    }
}

static err read_enum(const struct option_row *row, slice word, int *ret_value, struct buf *ret_reason)
{
    const char *known;
    int value;
    for (unsigned i = 0; (known = option_choice(row, i, &value)); i++) {
        if (slice_equal_nocase(word, slice_of(known))) {
            *ret_value = value;
            return OK;
        }
    }
    buf_append(ret_reason, S("argument(s) must be one of the following: "));
    list_choices(row, ret_reason);
    return ERR_INVALID;
}

static err copy_text(struct config *c, slice text, slice *ret_copy)
{
    char *bytes = arena_alloc(&c->arena, text.len + 1);
    if (!bytes) {
        return ERR_NOMEM;
    }
    if (text.len > 0) {
        memcpy(bytes, text.ptr, text.len);
    }
    bytes[text.len] = '\0';
    *ret_copy = slice_make(bytes, text.len);
    return OK;
}

static err copy_words(struct config *c, const slice *words, unsigned count, struct config_words *ret_words)
{
    slice *items = arena_alloc(&c->arena, count * sizeof *items);
    if (!items) {
        return ERR_NOMEM;
    }
    for (unsigned i = 0; i < count; i++) {
        if (copy_text(c, words[i], &items[i]) != OK) {
            return ERR_NOMEM;
        }
    }
    *ret_words = (struct config_words){items, count};
    return OK;
}

static err read_words(struct config *c, const struct option_row *row, const slice *words, unsigned count,
                      struct buf *ret_reason)
{
    if (count == 1 && words[0].len == 0) {
        count = 0; /* name "" empties the list */
    }
    const char *reason = row->check ? row->check->reason(words, count) : NULL;
    if (reason) {
        return refuse(ret_reason, reason);
    }
    if (!row->check && (count < (uint64_t)row->min || count > row->max)) {
        return refuse(ret_reason, "wrong number of arguments");
    }
    return copy_words(c, words, count, &FIELD(c, row, WORDS));
}

/* CLASS HARD SOFT SECONDS, any number of times; the other classes keep what they have. */
static err read_limits(struct config_output_limits *limits, const slice *words, unsigned count, struct buf *ret_reason)
{
    struct config_output_limits next = *limits;
    if (count % 4 != 0) {
        return refuse(ret_reason, "Wrong number of arguments in buffer limit configuration.");
    }
    for (unsigned i = 0; i < count; i += 4) {
        struct config_output_limit *limit = NULL;
        for (size_t j = 0; j < countof(class_names); j++) {
            if (slice_equal_nocase(words[i], class_names[j].name)) {
                limit = &next.of[class_names[j].class];
            }
        }
        if (!limit) {
            return refuse(ret_reason, "Invalid client class specified in buffer limit configuration.");
        }
        if (num_parse_bytes(words[i + 1], &limit->hard_bytes) != OK ||
            num_parse_bytes(words[i + 2], &limit->soft_bytes) != OK ||
            num_parse_i64(words[i + 3], &limit->soft_seconds) != OK || limit->soft_seconds < 0) {
            return refuse(ret_reason, "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
        }
    }
    *limits = next;
    return OK;
}

err option_read(struct config *c, const struct option_row *row, const slice *words, unsigned count,
                struct buf *ret_reason)
{
    if (row->type == TYPE_WORDS) {
        return read_words(c, row, words, count, ret_reason);
    }
    if (row->type == TYPE_OUTPUT_LIMITS) {
        return read_limits(&FIELD(c, row, OUTPUT_LIMITS), words, count, ret_reason);
    }
    if (count != 1) {
        return refuse(ret_reason, "wrong number of arguments");
    }
    const char *reason;
    switch (row->type) {
    case TYPE_BOOL:
        if (!slice_equal_nocase(words[0], S("yes")) && !slice_equal_nocase(words[0], S("no"))) {
            return refuse(ret_reason, "argument must be 'yes' or 'no'");
        }
        FIELD(c, row, BOOL) = slice_equal_nocase(words[0], S("yes"));
        return OK;
    case TYPE_INT: return read_int(row, words[0], &FIELD(c, row, INT), ret_reason);
    case TYPE_OCTAL: return read_octal(row, words[0], &FIELD(c, row, OCTAL), ret_reason);
    case TYPE_BYTES: return read_bytes(row, words[0], &FIELD(c, row, BYTES), ret_reason);
    case TYPE_PERCENT: return read_percent(words[0], &FIELD(c, row, PERCENT), ret_reason);
    case TYPE_ENUM: return read_enum(row, words[0], &FIELD(c, row, ENUM), ret_reason);
    case TYPE_TEXT:
        reason = row->check ? row->check->reason(words, 1) : NULL;
        return reason ? refuse(ret_reason, reason) : copy_text(c, words[0], &FIELD(c, row, TEXT));
    default: unreachable();
    }
}

err option_own(struct config *c, const struct option_row *row)
{
    if (row->type == TYPE_TEXT) {
        slice text = FIELD(c, row, TEXT);
        return copy_text(c, text, &FIELD(c, row, TEXT));
    }
    if (row->type == TYPE_WORDS) {
        struct config_words words = FIELD(c, row, WORDS);
        return copy_words(c, words.items, words.count, &FIELD(c, row, WORDS));
    }
    return OK;
}

/* ---- printing ---- */

static void print_limits(const struct config_output_limits *limits, struct buf *ret_value)
{
    for (size_t i = 0; i < CLIENT_CLASS_COUNT; i++) {
        const struct config_output_limit *limit = &limits->of[class_names[i].class];
        buf_printf(ret_value, "%s%.*s %llu %llu %lld", i ? " " : "", SLICE_ARG(class_names[i].name),
                   (unsigned long long)limit->hard_bytes, (unsigned long long)limit->soft_bytes,
                   (long long)limit->soft_seconds);
    }
}

static const char *choice_word(const struct option_row *row, int value)
{
    const char *word;
    int found;
    for (unsigned i = 0; (word = option_choice(row, i, &found)); i++) {
        if (found == value) {
            return word;
        }
    }
    unreachable();
}

void option_print(const struct config *c, const struct option_row *row, struct buf *ret_value)
{
    switch (row->type) {
    case TYPE_BOOL: buf_append(ret_value, CONST_FIELD(c, row, BOOL) ? S("yes") : S("no")); break;
    case TYPE_INT: buf_append_i64(ret_value, CONST_FIELD(c, row, INT)); break;
    case TYPE_OCTAL: buf_printf(ret_value, "%llo", (unsigned long long)CONST_FIELD(c, row, OCTAL)); break;
    case TYPE_BYTES: buf_printf(ret_value, "%llu", (unsigned long long)CONST_FIELD(c, row, BYTES)); break;
    case TYPE_PERCENT: {
        int64_t value = CONST_FIELD(c, row, PERCENT);
        buf_printf(ret_value, "%lld%s", (long long)(value < 0 ? -value : value), value < 0 ? "%" : "");
        break;
    }
    case TYPE_ENUM: buf_append(ret_value, slice_of(choice_word(row, CONST_FIELD(c, row, ENUM)))); break;
    case TYPE_TEXT: buf_append(ret_value, CONST_FIELD(c, row, TEXT)); break;
    case TYPE_WORDS: {
        const struct config_words *words = &CONST_FIELD(c, row, WORDS);
        for (unsigned i = 0; i < words->count; i++) {
            buf_append(ret_value, i ? S(" ") : S(""));
            buf_append(ret_value, words->items[i]);
        }
        break;
    }
    case TYPE_OUTPUT_LIMITS: print_limits(&CONST_FIELD(c, row, OUTPUT_LIMITS), ret_value); break;
    }
}

void option_expected(const struct option_row *row, struct buf *ret_text)
{
    if (row->check) {
        buf_append(ret_text, slice_of(row->check->expected));
        return;
    }
    switch (row->type) {
    case TYPE_BOOL: buf_append(ret_text, S("yes or no")); break;
    case TYPE_INT:
        buf_printf(ret_text, "a number from %lld to %llu", (long long)row->min, (unsigned long long)row->max);
        break;
    case TYPE_OCTAL: buf_printf(ret_text, "an octal number from 0 to %llo", (unsigned long long)row->max); break;
    case TYPE_BYTES:
        buf_append(ret_text, S("a size like 512, 100kb, 64mb or 2gb"));
        if (row->min > 0) {
            buf_printf(ret_text, ", at least %lld", (long long)row->min);
        }
        break;
    case TYPE_PERCENT: buf_append(ret_text, S("a size like 100mb or a percentage like 5%")); break;
    case TYPE_ENUM:
        buf_append(ret_text, S("one of "));
        list_choices(row, ret_text);
        break;
    case TYPE_TEXT: buf_append(ret_text, S("one value")); break;
    case TYPE_WORDS: buf_printf(ret_text, "at most %llu words", (unsigned long long)row->max); break;
    case TYPE_OUTPUT_LIMITS:
        buf_append(ret_text, S("CLASS HARD SOFT SECONDS, where CLASS is normal, replica or pubsub"));
        break;
    }
}
