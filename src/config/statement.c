/* See statement.h. The scan knows just enough SQL to tell text from code: quotes, where a doubled quote stands for itself, and comments. */
#include "config/statement.h"

#include "base/assert.h"
#include "base/buf.h"

/* The end of what opens at `at` and holds no parameters: behind the closing mark, SIZE_MAX when there is none; `at` when nothing opens. */
static size_t skip_text(slice sql, size_t at, const char **ret_what)
{
    char open = sql.ptr[at];
    char next = at + 1 < sql.len ? sql.ptr[at + 1] : '\0';
    if (open == '-' && next == '-') {
        size_t newline = slice_find_byte(slice_sub(sql, at, SIZE_MAX), '\n');
        return newline == SIZE_MAX ? sql.len : at + newline;
    }
    if (open == '/' && next == '*') {
        *ret_what = "comment";
        const char *close = memmem(sql.ptr + at + 2, sql.len - at - 2, "*/", 2);
        return close ? (size_t)(close - sql.ptr) + 2 : SIZE_MAX;
    }
    if (open != '\'' && open != '"' && open != '`' && open != '[') {
        return at;
    }
    *ret_what = "quote";
    char close = open == '[' ? ']' : open;
    for (size_t i = at + 1; i < sql.len; i++) {
        if (sql.ptr[i] != close) {
            continue;
        }
        if (open == '[' || i + 1 == sql.len || sql.ptr[i + 1] != close) {
            return i + 1;
        }
        i++; /* a doubled quote */
    }
    return SIZE_MAX;
}

struct scan {
    slice sql;
    const struct pattern *pattern;
    struct statement_piece pieces[STATEMENT_PIECE_COUNT_MAX];
    unsigned piece_count;
    unsigned parameter_count;
    struct buf *reason;
};

static err add_piece(struct scan *s, int part, slice text)
{
    if (part == STATEMENT_TEXT && text.len == 0) {
        return OK;
    }
    if (s->piece_count == STATEMENT_PIECE_COUNT_MAX) {
        buf_printf(s->reason, "the statement has more than %d parameters", STATEMENT_PIECE_COUNT_MAX / 2);
        return ERR_LIMIT;
    }
    s->pieces[s->piece_count++] = (struct statement_piece){part, text};
    s->parameter_count += part != STATEMENT_TEXT;
    return OK;
}

/* The parameter whose '{' is at `at`; the place behind its '}' comes back. */
static err scan_parameter(struct scan *s, size_t at, size_t *ret_end)
{
    slice rest = slice_sub(s->sql, at + 1, SIZE_MAX);
    size_t len = slice_find_byte(rest, '}');
    if (len == SIZE_MAX) {
        buf_append(s->reason, S("a { outside of quotes is not closed by }"));
        return ERR_SYNTAX;
    }
    slice name = slice_sub(rest, 0, len);
    int part = pattern_find_part(s->pattern, name);
    if (part < 0) {
        buf_printf(s->reason, "{%.*s} is no part of the pattern %.*s", SLICE_ARG(name), SLICE_ARG(s->pattern->text));
        return ERR_SYNTAX;
    }
    *ret_end = at + len + 2;
    return add_piece(s, part, name);
}

static err scan_pieces(struct scan *s)
{
    size_t from = 0; /* where the current piece of text begins */
    size_t at = 0;
    bool code = false;
    while (at < s->sql.len) {
        if (s->sql.ptr[at] == '{') {
            err e = add_piece(s, STATEMENT_TEXT, slice_sub(s->sql, from, at - from));
            if (e == OK) {
                e = scan_parameter(s, at, &at);
            }
            if (e != OK) {
                return e;
            }
            from = at;
            code = true;
            continue;
        }
        const char *what = "";
        size_t end = skip_text(s->sql, at, &what);
        if (end == SIZE_MAX) {
            buf_printf(s->reason, "a %s in the statement is not closed", what);
            return ERR_SYNTAX;
        }
        code = code || (end == at && (unsigned char)s->sql.ptr[at] > ' ');
        at = end == at ? at + 1 : end;
    }
    if (!code) {
        buf_append(s->reason, S("the statement is empty"));
        return ERR_SYNTAX;
    }
    return add_piece(s, STATEMENT_TEXT, slice_sub(s->sql, from, s->sql.len - from));
}

err statement_parse(slice text, const struct pattern *pattern, struct arena *arena, struct statement *ret_statement,
                    struct buf *ret_reason)
{
    struct scan s = {.sql = text, .pattern = pattern, .reason = ret_reason};
    err e = scan_pieces(&s);
    if (e != OK) {
        return e;
    }
    size_t bytes = s.piece_count * sizeof *s.pieces;
    struct statement_piece *pieces = arena_alloc(arena, bytes);
    if (!pieces) {
        return ERR_NOMEM;
    }
    memcpy(pieces, s.pieces, bytes);
    *ret_statement = (struct statement){text, pieces, s.piece_count, s.parameter_count};
    return OK;
}
