/* See parse.h for the syntax. A text is cut into lines, a line into words; a stack of files guards against circles. Mistakes are told and
 * the line is left out, so that one mistake does not hide the next. Everything that outlives the call is copied into the arena. */
#include "config/parse.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "os/file.h"

/* ---- words ---- */

enum { COMMENTS = true, NO_COMMENTS = false };

/* The words of one line, bytes and all, in one allocation of the arena. */
struct words {
    slice items[PARSE_WORD_COUNT_MAX];
    unsigned count;
};

static int hex_digit(char byte)
{
    return byte >= '0' && byte <= '9'   ? byte - '0'
           : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
           : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
                                        : -1;
}

/* The byte that an escape in double quotes stands for; `text` begins behind the backslash. *ret_len is what it takes of text. */
static char unescape(slice text, size_t *ret_len)
{
    if (text.len >= 3 && text.ptr[0] == 'x' && hex_digit(text.ptr[1]) >= 0 && hex_digit(text.ptr[2]) >= 0) {
        *ret_len = 3;
        return (char)(hex_digit(text.ptr[1]) * 16 + hex_digit(text.ptr[2]));
    }
    *ret_len = 1;
    switch (text.ptr[0]) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'a': return '\a';
    case 'b': return '\b';
    default: return text.ptr[0];
    }
}

/* Reads the word at the start of `text` (not a blank) into `out`, which has room for text.len bytes; returns its length and in *ret_taken
 * what it took of text, or the reason why it is none. */
static const char *read_word(slice text, char *out, size_t *ret_len, size_t *ret_taken)
{
    char quote = text.ptr[0];
    size_t at = 0;
    size_t len = 0;
    if (quote != '"' && quote != '\'') {
        while (at < text.len && !isspace((unsigned char)text.ptr[at])) {
            out[len++] = text.ptr[at++];
        }
        *ret_len = len;
        *ret_taken = at;
        return NULL;
    }
    for (at = 1; at < text.len && text.ptr[at] != quote;) {
        char byte = text.ptr[at++];
        if (byte == '\\' && quote == '"' && at < text.len) {
            size_t taken;
            byte = unescape(slice_sub(text, at, SIZE_MAX), &taken);
            at += taken;
        } else if (byte == '\\' && at < text.len && text.ptr[at] == '\'') {
            byte = text.ptr[at++];
        }
        out[len++] = byte;
    }
    if (at == text.len) {
        return "a quote is not closed";
    }
    at++;
    if (at < text.len && !isspace((unsigned char)text.ptr[at])) {
        return "a closing quote is followed by text without a blank between";
    }
    *ret_len = len;
    *ret_taken = at;
    return NULL;
}

/* Splits `text`. The reason of ERR_SYNTAX and ERR_LIMIT is in *ret_reason. */
static err split(slice text, bool comments, struct arena *arena, struct words *w, const char **ret_reason)
{
    w->count = 0;
    char *out = arena_alloc(arena, text.len + 1); /* the NUL behind each word takes the place of the blank there */
    if (!out) {
        return ERR_NOMEM;
    }
    size_t at = 0;
    for (;;) {
        while (at < text.len && isspace((unsigned char)text.ptr[at])) {
            at++;
        }
        if (at == text.len || (comments && text.ptr[at] == '#')) {
            return OK;
        }
        if (w->count == PARSE_WORD_COUNT_MAX) {
            *ret_reason = "the line has more than 1024 words";
            return ERR_LIMIT;
        }
        size_t len, taken;
        const char *reason = read_word(slice_sub(text, at, SIZE_MAX), out, &len, &taken);
        if (reason) {
            *ret_reason = reason;
            return ERR_SYNTAX;
        }
        w->items[w->count++] = slice_make(out, len);
        out[len] = '\0';
        out += len + 1;
        at += taken;
    }
}

static slice *copy_items(const struct words *w, struct arena *arena)
{
    slice *items = arena_alloc(arena, (w->count + 1) * sizeof *items);
    if (items && w->count > 0) {
        memcpy(items, w->items, w->count * sizeof *items);
    }
    return items;
}

err parse_words(slice text, struct arena *arena, slice **ret_words, unsigned *ret_word_count)
{
    struct words w;
    const char *reason;
    err e = split(text, NO_COMMENTS, arena, &w, &reason);
    if (e != OK) {
        return e;
    }
    slice *items = copy_items(&w, arena);
    if (!items) {
        return ERR_NOMEM;
    }
    *ret_words = items;
    *ret_word_count = w.count;
    return OK;
}

/* ---- files and lines ---- */

/* A file that is being read, and who includes it. */
struct open_file {
    const struct open_file *includer;
    struct stat identity; /* not for a text in memory */
    bool is_file;
    unsigned depth;
};

struct parser {
    struct arena *arena;
    struct parse_lines *lines;
    struct faults *faults;
    struct parse_line *block; /* the block that is open */
    struct parse_line **block_last;
    const struct open_file *open;
    unsigned file_count;
    struct words words;
};

static err read_path(struct parser *p, const char *path, struct place place);

err parse_read(const char *path, struct arena *arena, slice *ret_bytes, struct buf *why)
{
    struct buf bytes;
    buf_init(&bytes, PARSE_FILE_BYTES_MAX);
    err e = file_read(path, &bytes, why);
    if (e == OK) {
        slice copy = arena_copy(arena, buf_slice(&bytes));
        e = copy.ptr ? OK : ERR_NOMEM;
        if (e == OK) {
            *ret_bytes = copy;
        }
    }
    buf_fini(&bytes);
    return e;
}

static bool is_glob(slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '*' || path.ptr[i] == '?' || path.ptr[i] == '[') {
            return true;
        }
    }
    return false;
}

/* Reads what one path or glob names. *ret_found tells whether there was anything. */
static err include_glob(struct parser *p, const char *path, struct place place, bool *ret_found)
{
    glob_t found = {0};
    err e = OK;
    int status = glob(path, 0, NULL, &found);
    *ret_found = status == 0;
    if (status == GLOB_NOSPACE) {
        e = ERR_NOMEM;
    }
    for (size_t i = 0; status == 0 && e == OK && i < found.gl_pathc; i++) {
        e = read_path(p, found.gl_pathv[i], place);
    }
    globfree(&found);
    return e;
}

static err include(struct parser *p, slice path, struct place place)
{
    bool found;
    err e = include_glob(p, path.ptr, place, &found);
    if (e != OK || found) {
        return e;
    }
    char beside[PATH_MAX];
    size_t folder = place.source.len;
    while (folder > 0 && place.source.ptr[folder - 1] != '/') {
        folder--;
    }
    if (path.ptr[0] != '/' && folder > 0 && folder + path.len < sizeof beside) {
        snprintf(beside, sizeof beside, "%.*s%.*s", (int)folder, place.source.ptr, SLICE_ARG(path));
        e = include_glob(p, beside, place, &found);
        if (e != OK || found) {
            return e;
        }
    }
    if (!is_glob(path)) {
        faults_add(p->faults, place, "include: found \"%.*s\", expected a file that exists", SLICE_ARG(path));
    }
    return OK;
}

static err take_line(struct parser *p, struct place place)
{
    const struct words *w = &p->words;
    slice first = w->items[0];
    slice last = w->items[w->count - 1];
    if (p->block && w->count == 1 && slice_equal(first, S("}"))) {
        p->block = NULL;
        return OK;
    }
    if (slice_equal(first, S("}"))) {
        faults_add(p->faults, place,
                   p->block ? "found text behind }, expected the end of the line"
                            : "found }, expected a directive: no block is open");
        p->block = NULL;
        return OK;
    }
    bool opens = slice_equal(last, S("{"));
    if (p->block && (opens || slice_equal_nocase(first, S("include")))) {
        faults_add(p->faults, place, "found \"%.*s\" inside of a block, expected a knob or }: blocks do not nest",
                   SLICE_ARG(first));
        return OK;
    }
    if (slice_equal_nocase(first, S("include"))) {
        if (w->count != 2) {
            faults_add(p->faults, place, "include: found %u words, expected one file or glob", w->count - 1);
            return OK;
        }
        return include(p, w->items[1], place);
    }
    if (opens && w->count == 1) {
        faults_add(p->faults, place, "found {, expected the name of a block in front of it");
        return OK;
    }
    struct parse_line *line = arena_alloc(p->arena, sizeof *line);
    if (!line) {
        return ERR_NOMEM;
    }
    *line = (struct parse_line){
        .place = place,
        .words = copy_items(w, p->arena),
        .word_count = w->count - opens,
        .is_block = opens,
    };
    if (!line->words) {
        return ERR_NOMEM;
    }
    if (p->block) {
        *p->block_last = line;
        p->block_last = &line->next;
        return OK;
    }
    *p->lines->last = line;
    p->lines->last = &line->next;
    if (opens) {
        p->block = line;
        p->block_last = &line->inner;
    }
    return OK;
}

/* All lines of a text that stays where it is while it is read; `source` is in the arena. */
static err read_lines(struct parser *p, slice text, slice source)
{
    unsigned number = 0;
    while (text.len > 0) {
        size_t newline = slice_find_byte(text, '\n');
        slice line = slice_sub(text, 0, newline);
        text = slice_sub(text, newline == SIZE_MAX ? text.len : newline + 1, SIZE_MAX);
        number++;
        struct place place = {source, number};
        const char *reason = NULL;
        err e = memchr(line.ptr, '\0', line.len) ? ERR_SYNTAX : split(line, COMMENTS, p->arena, &p->words, &reason);
        if (e == ERR_SYNTAX || e == ERR_LIMIT) {
            faults_add(p->faults, place, "%s", reason ? reason : "found a NUL byte, expected text");
            continue;
        }
        if (e == OK && p->words.count > 0) {
            e = take_line(p, place);
        }
        if (e != OK) {
            return e;
        }
    }
    if (p->block) {
        faults_add(p->faults, p->block->place, "the block %.*s { is not closed by a line }",
                   SLICE_ARG(p->block->words[0]));
        p->block = NULL;
    }
    return OK;
}

static bool is_open_already(const struct open_file *open, const struct stat *identity)
{
    for (; open; open = open->includer) {
        if (open->is_file && open->identity.st_dev == identity->st_dev && open->identity.st_ino == identity->st_ino) {
            return true;
        }
    }
    return false;
}

/* Reads one file; `place` is where it was named. */
static err read_path(struct parser *p, const char *path, struct place place)
{
    struct open_file file = {.includer = p->open, .is_file = true, .depth = p->open ? p->open->depth + 1 : 0};
    slice source = arena_copy(p->arena, slice_make(path, strlen(path) + 1));
    if (!source.ptr) {
        return ERR_NOMEM;
    }
    source.len--;
    if (file.depth > PARSE_INCLUDE_DEPTH_MAX) {
        faults_add(p->faults, place, "include: \"%s\" is more than %d files deep", path, PARSE_INCLUDE_DEPTH_MAX);
        return OK;
    }
    if (++p->file_count > PARSE_FILE_COUNT_MAX) {
        faults_add(p->faults, place, "include: more than %d files are included", PARSE_FILE_COUNT_MAX);
        return OK;
    }
    slice text;
    struct buf why;
    buf_init(&why, PATH_MAX);
    err e = parse_read(path, p->arena, &text, &why);
    if (e == OK && stat(path, &file.identity) != 0) {
        buf_append(&why, slice_of(strerror(errno)));
        e = ERR_SYSTEM;
    }
    if (e != OK && e != ERR_NOMEM) {
        faults_add(p->faults, place, "cannot read \"%s\": %.*s", path, SLICE_ARG(buf_slice(&why)));
    }
    buf_fini(&why);
    if (e != OK) {
        return e == ERR_NOMEM ? e : OK;
    }
    if (is_open_already(p->open, &file.identity)) {
        faults_add(p->faults, place, "include: \"%s\" includes itself", path);
        return OK;
    }
    p->open = &file;
    e = read_lines(p, text, source);
    p->open = file.includer;
    return e;
}

err parse_text(slice text, slice source, struct arena *arena, struct parse_lines *lines, struct faults *faults)
{
    struct open_file memory = {.is_file = false};
    struct parser *p = calloc(1, sizeof *p);
    if (!p) {
        return ERR_NOMEM;
    }
    *p = (struct parser){.arena = arena, .lines = lines, .faults = faults, .open = &memory};
    slice name = arena_copy(arena, source);
    err e = name.ptr ? read_lines(p, text, name) : ERR_NOMEM;
    free(p);
    return e;
}

err parse_file(slice path, struct place place, struct arena *arena, struct parse_lines *lines, struct faults *faults)
{
    struct parser *p = calloc(1, sizeof *p);
    char *name = strndup(path.ptr, path.len);
    err e = ERR_NOMEM;
    if (p && name) {
        *p = (struct parser){.arena = arena, .lines = lines, .faults = faults};
        e = read_path(p, name, place);
    }
    free(name);
    free(p);
    return e;
}
