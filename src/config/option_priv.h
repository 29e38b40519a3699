/* The table of directives in the program's memory, and how one value is read and printed. Pure but for what goes into the caller's arena. */
#ifndef CONFIG_OPTION_PRIV_H
#define CONFIG_OPTION_PRIV_H

#include "config/config.h"

enum option_type {
    TYPE_BOOL,
    TYPE_INT,
    TYPE_OCTAL,
    TYPE_BYTES,
    TYPE_PERCENT,
    TYPE_ENUM,
    TYPE_TEXT,
    TYPE_WORDS,
    TYPE_OUTPUT_LIMITS,
};

enum option_flag {
    OPTION_START = 0,
    OPTION_LIVE = 1 << 0,
    OPTION_REPEATS = 1 << 1,
    OPTION_SECRET = 1 << 2,
    OPTION_HIDDEN = 1 << 3,
    OPTION_IDLE = 1 << 4,
    OPTION_PROTECTED = 1 << 5,
    OPTION_PROMISE = 1 << 6,
    OPTION_WARNS = 1 << 7,
};

/* A further condition on the words of a value. */
struct option_check {
    const char *(*reason)(const slice *words, unsigned count); /* NULL when they are good, else Redis's words */
    const char *expected;                                      /* for the messages about files */
};

struct option_row {
    const char *name;
    enum option_type type;
    size_t offset; /* of the field in struct config */
    unsigned flags;
    const char *standard;
    const char *meaning;
    int64_t min; /* of numbers; of the count of words */
    uint64_t max;
    const char *choices; /* the set of choice.def */
    const struct option_check *check;
};

/* A name as it may be written: of a directive or of an alias. */
struct option_name {
    slice name;
    enum option option;
    bool is_alias;
};

const struct option_row *option_row(enum option o);
const struct option_name *option_names(size_t *ret_count);

/* Whether the value is a list of words; any other is one word that may hold blanks. */
bool option_has_words(const struct option_row *row);
/* The i-th word of the fixed set that an option takes, and its value; NULL past the last. */
const char *option_choice(const struct option_row *row, unsigned i, int *ret_value);

/* Reads a value into the field of `c`; texts are copied into c's arena. On failure the field is as before, and ret_reason has Redis's words
 * for it (ERR_INVALID), or ERR_NOMEM. */
MUST_USE err option_read(struct config *c, const struct option_row *row, const slice *words, unsigned count,
                         struct buf *ret_reason);
/* Appends the value as CONFIG GET answers it. */
void option_print(const struct config *c, const struct option_row *row, struct buf *ret_value);
/* Appends what would be a good value, in words. */
void option_expected(const struct option_row *row, struct buf *ret_text);
/* Copies what the field points to into c's arena, for a config whose fields were copied from another. */
MUST_USE err option_own(struct config *c, const struct option_row *row);

#endif
