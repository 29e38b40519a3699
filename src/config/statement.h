/* A statement for a source: SQL text with parameters `{name}` that name parts of the rule's pattern.
 *
 * A parameter is bound, never pasted. Inside quotes ('...' "..." `...` [...]) and comments (-- and / * * /) braces are ordinary text.
 * Parsing splits the statement; a source writes the pieces in its own dialect (?1, $1). Pure; any thread. */
#ifndef CONFIG_STATEMENT_H
#define CONFIG_STATEMENT_H

#include "base/arena.h"
#include "base/err.h"
#include "config/pattern.h"

enum { STATEMENT_PIECE_COUNT_MAX = 256, STATEMENT_TEXT = -1 };

struct statement_piece {
    int part;   /* STATEMENT_TEXT, or the index of the pattern's part whose bytes are bound here */
    slice text; /* the text, or the parameter's name */
};

struct statement {
    slice text; /* as written */
    struct statement_piece *pieces;
    unsigned piece_count;
    unsigned parameter_count; /* pieces that are parameters; one part may be bound at several places */
};

/* Parses `text` against `pattern`; both must outlive the statement, whose pieces live in `arena`. On failure ret_reason tells what is
 * wrong: an unknown part, an open quote, an empty statement (ERR_SYNTAX), or ERR_LIMIT, ERR_NOMEM. */
MUST_USE err statement_parse(slice text, const struct pattern *pattern, struct arena *arena,
                             struct statement *ret_statement, struct buf *ret_reason);

#endif
