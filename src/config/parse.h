/* The syntax of larder.conf, without meaning: lines of words, blocks of lines, includes.
 *
 *     name word "a word with blanks\n" 'another'      # comment
 *     include rules/<star>.conf
 *     source shop {
 *         name word
 *     }
 *
 * Words are separated by blanks. A word may begin with a quote and then ends with it, before a blank or the end of the line; in double
 * quotes \n \r \t \a \b \" \\ and \xhh are known, in single quotes only \'. A '#' that begins a word begins a comment; inside of a word or quotes it is
 * text. A block opens with a last word `{` and closes with a line `}`; blocks do not nest.
 * `include` takes globs, first as given, then relative to the folder of the including file; a glob that matches nothing is no mistake, a
 * name that is not there is one; including a file that is being included is refused. */
#ifndef CONFIG_PARSE_H
#define CONFIG_PARSE_H

#include "base/arena.h"
#include "base/err.h"
#include "config/fault.h"

enum {
    PARSE_FILE_BYTES_MAX = 16 * 1024 * 1024,
    PARSE_WORD_COUNT_MAX = 1024, /* in one line */
    PARSE_INCLUDE_DEPTH_MAX = 16,
    PARSE_FILE_COUNT_MAX = 1000, /* included in all, so that a few files that include each other widely have an end */
};

/* One directive: a line, or a block with its inner lines. */
struct parse_line {
    struct parse_line *next;
    struct place place;
    slice *words; /* words[0] is the name as written; each is followed by a NUL byte */
    unsigned word_count;
    bool is_block;
    struct parse_line *inner; /* of a block, in order */
};

struct parse_lines {
    struct parse_line *first;
    struct parse_line **last;
};
static inline void parse_lines_init(struct parse_lines *lines)
{
    *lines = (struct parse_lines){.last = &lines->first};
}

/* Parses text that is already in memory and appends to `lines`; `source` names it in messages, and includes are found beside it when it is a path. Everything is copied into `arena`.
 * Mistakes go to `faults`; the rest is parsed all the same. ERR_NOMEM only. */
MUST_USE err parse_text(slice text, slice source, struct arena *arena, struct parse_lines *lines,
                        struct faults *faults);

/* The same for a file; one that cannot be read is a mistake like others, told at `place`. */
MUST_USE err parse_file(slice path, struct place place, struct arena *arena, struct parse_lines *lines,
                        struct faults *faults);

/* Splits one value into words as a line is split, without comments: what CONFIG SET and the environment give. ERR_SYNTAX: unbalanced quotes. */
MUST_USE err parse_words(slice text, struct arena *arena, slice **ret_words, unsigned *ret_word_count);

/* The bytes of a file of at most PARSE_FILE_BYTES_MAX, in `arena`; errors as file_read(). */
MUST_USE err parse_read(const char *path, struct arena *arena, slice *ret_bytes, struct buf *why);

#endif
