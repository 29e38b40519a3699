/* Words of string commands: a table of what there is, one loop that reads them. Two words of a group exclude each other. Any thread. */
#include "command/string/modifier.h"

static const struct word {
    slice text;
    unsigned modifier;
    unsigned group; /* it excludes the others of these */
    unsigned argument_count;
    struct expiry_form form;
} words[] = {
    {S("NX"), MODIFIER_NX, MODIFIERS_CONDITION, 0, {0}},
    {S("XX"), MODIFIER_XX, MODIFIERS_CONDITION, 0, {0}},
    {S("IFEQ"), MODIFIER_IFEQ, MODIFIERS_CONDITION, 1, {0}},
    {S("IFNE"), MODIFIER_IFNE, MODIFIERS_CONDITION, 1, {0}},
    {S("IFDEQ"), MODIFIER_IFDEQ, MODIFIERS_CONDITION, 1, {0}},
    {S("IFDNE"), MODIFIER_IFDNE, MODIFIERS_CONDITION, 1, {0}},
    {S("GET"), MODIFIER_GET, MODIFIER_GET, 0, {0}},
    {S("KEEPTTL"), MODIFIER_KEEPTTL, MODIFIERS_LIFE, 0, {0}},
    {S("PERSIST"), MODIFIER_PERSIST, MODIFIERS_LIFE, 0, {0}},
    {S("EX"), MODIFIER_EX, MODIFIERS_LIFE, 1, {.in_seconds = true, .absolute = false}},
    {S("PX"), MODIFIER_PX, MODIFIERS_LIFE, 1, {.in_seconds = false, .absolute = false}},
    {S("EXAT"), MODIFIER_EXAT, MODIFIERS_LIFE, 1, {.in_seconds = true, .absolute = true}},
    {S("PXAT"), MODIFIER_PXAT, MODIFIERS_LIFE, 1, {.in_seconds = false, .absolute = true}},
};

static const struct word *find_word(slice text, unsigned allowed)
{
    for (unsigned i = 0; i < countof(words); i++) {
        if ((words[i].modifier & allowed) && slice_equal_nocase(words[i].text, text)) {
            return &words[i];
        }
    }
    return NULL;
}

/* A word may be repeated, but not a comparison: two values to compare with are no condition. */
static bool excludes(const struct word *word, unsigned seen)
{
    unsigned repeated = word->modifier & MODIFIERS_COMPARE ? 0 : word->modifier;
    return seen & word->group & ~repeated;
}

err modifiers_parse(unsigned argc, const slice *argv, unsigned first, unsigned allowed, struct modifiers *ret_modifiers)
{
    struct modifiers m = {0};
    for (unsigned i = first; i < argc; i++) {
        const struct word *word = find_word(argv[i], allowed);
        if (!word || excludes(word, m.seen) || argc - i - 1 < word->argument_count) {
            return ERR_SYNTAX;
        }
        m.seen |= word->modifier;
        i += word->argument_count;
        if (word->modifier & MODIFIERS_COMPARE) {
            m.compare = i;
        } else if (word->modifier & MODIFIERS_TIME) {
            m.time = i;
            m.form = word->form;
        }
    }
    *ret_modifiers = m;
    return OK;
}

err modifiers_deadline(struct call *call, const struct modifiers *m, int64_t *ret_deadline)
{
    if (!m->time) {
        *ret_deadline = NO_DEADLINE;
        return OK;
    }
    return expiry_deadline(call, m->time, m->form, false, ret_deadline);
}
