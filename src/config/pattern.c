/* Why one pass is enough to match: a part takes the shortest run up to the next place where the literal behind it occurs. Taking less is
 * never worse, since what is left over falls to the next part, and no ':' can come in with it: the bytes given over are of this part
 * (which has none) and of the literal, and if that held a ':' it could occur at one place only, as the part before it ends at the first
 * ':'. The last piece is the exception: the end of the key fixes where it lies.
 *
 * Why a common key is found by a search: both patterns are small automata; a breadth-first walk over pairs of their states comes upon a
 * short key that both accept, or finds that there is none. It runs at start only, for rules that tie. */
#include "config/pattern.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/assert.h"

/* ---- parse ---- */

static bool is_name(slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (!(isalpha(byte) || byte == '_' || (i > 0 && isdigit(byte)))) {
            return false;
        }
    }
    return text.len > 0;
}

static void add_piece(struct pattern *p, enum pattern_piece_kind kind, slice text)
{
    assert(p->piece_count < PATTERN_PIECE_COUNT_MAX);
    p->pieces[p->piece_count++] = (struct pattern_piece){kind, text};
}

/* Whether the last piece has an open end, so that literal text must follow. */
static bool is_open(const struct pattern *p)
{
    return p->piece_count > 0 && p->pieces[p->piece_count - 1].kind != PATTERN_LITERAL;
}

/* One part: `at` is its '{'; the place behind its '}' comes back. */
static const char *parse_part(struct pattern *p, size_t at, size_t *ret_at)
{
    size_t end = at + 1;
    while (end < p->text.len && p->text.ptr[end] != '}') {
        end++;
    }
    if (end == p->text.len) {
        return "a part is not closed by }";
    }
    slice name = slice_sub(p->text, at + 1, end - at - 1);
    if (!is_name(name)) {
        return "the name of a part is made of letters, digits and _";
    }
    if (pattern_find_part(p, name) >= 0) {
        return "two parts have the same name";
    }
    if (is_open(p)) {
        return "there is no text between two parts";
    }
    if (p->part_count == PATTERN_PART_COUNT_MAX) {
        return "there are more than 16 parts";
    }
    add_piece(p, PATTERN_PART, name);
    p->part_count++;
    *ret_at = end + 1;
    return NULL;
}

static const char *parse_pieces(struct pattern *p)
{
    size_t at = 0;
    while (at < p->text.len) {
        char byte = p->text.ptr[at];
        if (byte == '{') {
            const char *reason = parse_part(p, at, &at);
            if (reason) {
                return reason;
            }
        } else if (byte == '}') {
            return "a } closes nothing";
        } else if (byte == '*') {
            if (at + 1 < p->text.len) {
                return "a * may only be the last character";
            }
            if (is_open(p)) {
                return "there is no text between a part and the *";
            }
            add_piece(p, PATTERN_REST, (slice){NULL, 0});
            at++;
        } else {
            size_t end = at;
            while (end < p->text.len && !memchr("{}*", p->text.ptr[end], 3)) {
                end++;
            }
            add_piece(p, PATTERN_LITERAL, slice_sub(p->text, at, end - at));
            p->literal_bytes += (unsigned)(end - at);
            at = end;
        }
    }
    return NULL;
}

err pattern_parse(slice text, struct pattern *ret_pattern, const char **ret_reason)
{
    struct pattern p = {.text = text};
    const char *reason = text.len == 0                  ? "the pattern is empty"
                         : text.len > PATTERN_BYTES_MAX ? "the pattern is longer than 512 bytes"
                                                        : parse_pieces(&p);
    if (reason) {
        *ret_reason = reason;
        return ERR_SYNTAX;
    }
    p.prefix_bytes = p.pieces[0].kind == PATTERN_LITERAL ? (unsigned)p.pieces[0].text.len : 0;
    *ret_pattern = p;
    return OK;
}

int pattern_find_part(const struct pattern *p, slice name)
{
    int index = 0;
    for (unsigned i = 0; i < p->piece_count; i++) {
        if (p->pieces[i].kind == PATTERN_PART) {
            if (slice_equal(p->pieces[i].text, name)) {
                return index;
            }
            index++;
        }
    }
    return -1;
}

/* ---- match ---- */

/* First place of `literal` in `text` at `from` or behind it; SIZE_MAX. */
static size_t find_from(slice text, size_t from, slice literal)
{
    if (from > text.len) {
        return SIZE_MAX;
    }
    const char *found = memmem(text.ptr + from, text.len - from, literal.ptr, literal.len);
    return found ? (size_t)(found - text.ptr) : SIZE_MAX;
}

bool pattern_match(const struct pattern *p, slice key, slice parts[static PATTERN_PART_COUNT_MAX])
{
    size_t at = 0;
    size_t part_index = 0;
    for (unsigned i = 0; i < p->piece_count; i++) {
        const struct pattern_piece *piece = &p->pieces[i];
        if (piece->kind == PATTERN_REST) {
            return true;
        }
        if (piece->kind == PATTERN_LITERAL) {
            if (!slice_starts(slice_sub(key, at, SIZE_MAX), piece->text)) {
                return false;
            }
            at += piece->text.len;
            continue;
        }
        size_t end = key.len; /* a part at the end takes the rest */
        if (i + 1 < p->piece_count) {
            slice behind = p->pieces[i + 1].text;
            bool last = i + 2 == p->piece_count;
            end = !last ? find_from(key, at + 1, behind) : key.len >= behind.len ? key.len - behind.len : SIZE_MAX;
        }
        if (end == SIZE_MAX || end <= at || memchr(key.ptr + at, ':', end - at)) {
            return false;
        }
        parts[part_index++] = slice_sub(key, at, end - at);
        at = end;
    }
    return at == key.len;
}

/* ---- precedence ---- */

int pattern_precedence(const struct pattern *a, const struct pattern *b)
{
    if (a->prefix_bytes != b->prefix_bytes) {
        return a->prefix_bytes > b->prefix_bytes ? -1 : 1;
    }
    if (a->literal_bytes != b->literal_bytes) {
        return a->literal_bytes > b->literal_bytes ? -1 : 1;
    }
    if (a->part_count != b->part_count) {
        return a->part_count > b->part_count ? -1 : 1;
    }
    return 0;
}

/* ---- a common key ---- */

/* A pattern as an automaton: state i stands before step i, the state behind the last step accepts. EXACT and SOME take one byte and go
 * on; a LOOP takes any number. A part is SOME and LOOP, the `*` is a LOOP that also takes ':'. */
enum step_kind { STEP_EXACT, STEP_SOME, STEP_LOOP };
struct step {
    unsigned char kind;
    char byte;   /* EXACT */
    bool colons; /* LOOP: also ':' */
};
struct steps {
    struct step at[PATTERN_BYTES_MAX + PATTERN_PART_COUNT_MAX + 1];
    unsigned count;
};

static void steps_make(const struct pattern *p, struct steps *s)
{
    s->count = 0;
    for (unsigned i = 0; i < p->piece_count; i++) {
        const struct pattern_piece *piece = &p->pieces[i];
        if (piece->kind == PATTERN_LITERAL) {
            for (size_t j = 0; j < piece->text.len; j++) {
                s->at[s->count++] = (struct step){.kind = STEP_EXACT, .byte = piece->text.ptr[j]};
            }
            continue;
        }
        if (piece->kind == PATTERN_PART) {
            s->at[s->count++] = (struct step){.kind = STEP_SOME};
        }
        s->at[s->count++] = (struct step){.kind = STEP_LOOP, .colons = piece->kind == PATTERN_REST};
    }
    assert(s->count <= countof(s->at));
}

/* One byte that both steps take, if there is one. */
static bool common_byte(struct step a, struct step b, char *ret_byte)
{
    if (a.kind != STEP_EXACT && b.kind != STEP_EXACT) {
        *ret_byte = 'x';
        return true;
    }
    struct step exact = a.kind == STEP_EXACT ? a : b;
    struct step other = a.kind == STEP_EXACT ? b : a;
    *ret_byte = exact.byte;
    return other.kind == STEP_EXACT ? other.byte == exact.byte
                                    : exact.byte != ':' || (other.kind == STEP_LOOP && other.colons);
}

/* The walk over pairs of states; pair (i, j) has the number i * width + j. */
struct walk {
    struct steps a, b;
    uint32_t width;
    uint32_t *from; /* the pair before, UINT32_MAX when not reached */
    bool *took;     /* whether a byte was taken to get here, and which */
    char *bytes;
    uint32_t *queue;
    uint32_t head, tail;
};

static void walk_reach(struct walk *w, uint32_t from, unsigned i, unsigned j, bool took, char byte)
{
    uint32_t to = i * w->width + j;
    if (w->from[to] != UINT32_MAX) {
        return;
    }
    w->from[to] = from;
    w->took[to] = took;
    w->bytes[to] = byte;
    w->queue[w->tail++] = to;
}

static void walk_visit(struct walk *w, uint32_t pair)
{
    unsigned i = pair / w->width;
    unsigned j = pair % w->width;
    bool a_loops = i < w->a.count && w->a.at[i].kind == STEP_LOOP;
    bool b_loops = j < w->b.count && w->b.at[j].kind == STEP_LOOP;
    if (a_loops) {
        walk_reach(w, pair, i + 1, j, false, 0);
    }
    if (b_loops) {
        walk_reach(w, pair, i, j + 1, false, 0);
    }
    char byte;
    if (i < w->a.count && j < w->b.count && common_byte(w->a.at[i], w->b.at[j], &byte)) {
        walk_reach(w, pair, i + !a_loops, j + !b_loops, true, byte);
    }
}

/* Appends the bytes on the way to `pair`, found backwards. */
static err walk_key(const struct walk *w, uint32_t pair, struct buf *ret_key)
{
    size_t start = ret_key->len;
    for (; pair != 0; pair = w->from[pair]) {
        if (w->took[pair]) {
            buf_append_byte(ret_key, w->bytes[pair]);
        }
    }
    if (buf_failed(ret_key)) {
        return ERR_NOMEM;
    }
    for (size_t low = start, high = ret_key->len; low + 1 < high; low++, high--) {
        char byte = ret_key->bytes[low];
        ret_key->bytes[low] = ret_key->bytes[high - 1];
        ret_key->bytes[high - 1] = byte;
    }
    return OK;
}

err pattern_common_key(const struct pattern *a, const struct pattern *b, struct buf *ret_key)
{
    size_t common = a->prefix_bytes < b->prefix_bytes ? a->prefix_bytes : b->prefix_bytes;
    if (common > 0 && memcmp(a->text.ptr, b->text.ptr, common) != 0) {
        return ERR_NOT_FOUND; /* most pairs part here */
    }
    err e = ERR_NOMEM;
    struct walk *w = calloc(1, sizeof *w);
    size_t pair_count = 0;
    if (!w) {
        goto out;
    }
    steps_make(a, &w->a);
    steps_make(b, &w->b);
    w->width = w->b.count + 1;
    pair_count = (size_t)(w->a.count + 1) * w->width;
    w->from = malloc(pair_count * sizeof *w->from);
    w->bytes = malloc(pair_count);
    w->took = malloc(pair_count * sizeof *w->took);
    w->queue = malloc(pair_count * sizeof *w->queue);
    if (!w->from || !w->bytes || !w->took || !w->queue) {
        goto out;
    }
    memset(w->from, 0xff, pair_count * sizeof *w->from);
    walk_reach(w, 0, 0, 0, false, 0);
    e = ERR_NOT_FOUND;
    while (w->head < w->tail) {
        uint32_t pair = w->queue[w->head++];
        if (pair == pair_count - 1) {
            e = walk_key(w, pair, ret_key);
            break;
        }
        walk_visit(w, pair);
    }
out:
    if (w) {
        free(w->from);
        free(w->bytes);
        free(w->took);
        free(w->queue);
        free(w);
    }
    return e;
}
