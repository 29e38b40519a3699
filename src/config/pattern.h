/* The patterns of rules: literal text and parts in braces, perhaps a last `*`.
 *
 *     product:{id}        order:{customer}:{number}        session:*
 *
 * A part matches one or more bytes other than ':'; the `*` matches whatever is left, also nothing. Between two parts (and between a part
 * and the `*`) stands literal text, so a match is found in one pass: each part ends at the first place where the literal behind it
 * occurs. A literal cannot hold braces or '*'. Pure; any thread. */
#ifndef CONFIG_PATTERN_H
#define CONFIG_PATTERN_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum {
    PATTERN_BYTES_MAX = 512,
    PATTERN_PART_COUNT_MAX = 16,
    PATTERN_PIECE_COUNT_MAX = 2 * PATTERN_PART_COUNT_MAX + 2,
};

enum pattern_piece_kind { PATTERN_LITERAL, PATTERN_PART, PATTERN_REST };

struct pattern_piece {
    enum pattern_piece_kind kind;
    slice text; /* the literal, or the part's name; empty for the rest */
};

struct pattern {
    slice text; /* as written */
    struct pattern_piece pieces[PATTERN_PIECE_COUNT_MAX];
    unsigned piece_count;
    unsigned part_count;
    unsigned prefix_bytes;  /* literal text before the first part */
    unsigned literal_bytes; /* literal text in all */
};

/* Parses `text`, which must outlive the pattern. ERR_SYNTAX with the reason in words in *ret_reason. */
MUST_USE err pattern_parse(slice text, struct pattern *ret_pattern, const char **ret_reason);

/* Whether the key matches; then parts[i] lends the bytes of part i (of the key, as long as the key lives). On false `parts` is arbitrary. */
bool pattern_match(const struct pattern *p, slice key, slice parts[static PATTERN_PART_COUNT_MAX]);

/* Index of the part with this name, -1 when there is none. */
int pattern_find_part(const struct pattern *p, slice name);

/* Which governs a key that both match: negative a, positive b, 0 when they tie. The longer literal prefix, then more literal bytes, then
 * more parts. */
int pattern_precedence(const struct pattern *a, const struct pattern *b);

/* Whether some key matches both; then a short one is appended to ret_key. ERR_NOT_FOUND when there is none, ERR_NOMEM. */
MUST_USE err pattern_common_key(const struct pattern *a, const struct pattern *b, struct buf *ret_key);

#endif
