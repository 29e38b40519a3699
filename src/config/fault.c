/* What is quoted from a file may be anything, so a message is cut at 4 KB and control characters are shown as '?'. The nearest
 * name is found by the plain edit distance (insert, delete, replace, swap of neighbours), case ignored. */
#include "config/fault.h"

#include <ctype.h>
#include <stdio.h>

#include "base/assert.h"

enum { FAULT_BYTES_MAX = 4096, FAULT_TEXT_BYTES_MAX = 2 * FAULT_COUNT_MAX * FAULT_BYTES_MAX, NAME_BYTES_MAX = 64 };

void faults_init(struct faults *f)
{
    f->count = 0;
    buf_init(&f->text, FAULT_TEXT_BYTES_MAX);
}

void faults_fini(struct faults *f)
{
    buf_fini(&f->text);
}

void faults_add(struct faults *f, struct place place, const char *format, ...)
{
    f->count++;
    if (f->count > FAULT_COUNT_MAX) {
        return;
    }
    if (place.source.len > 0) {
        buf_append(&f->text, place.source);
        if (place.line > 0) {
            buf_printf(&f->text, ":%u", place.line);
        }
        buf_append(&f->text, S(": "));
    }
    char message[FAULT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    for (char *at = message; *at; at++) {
        if (iscntrl((unsigned char)*at)) {
            *at = '?';
        }
    }
    buf_append(&f->text, slice_of(message));
    buf_append(&f->text, len >= (int)sizeof message ? S("...\n") : S("\n"));
}

slice faults_text(struct faults *f)
{
    size_t len = f->text.len;
    if (f->count > FAULT_COUNT_MAX) {
        buf_printf(&f->text, "and %u more\n", f->count - FAULT_COUNT_MAX);
    }
    slice text = buf_slice(&f->text);
    if (!buf_failed(&f->text)) {
        f->text.len = len; /* the last line is lent, not kept: the count may still grow */
    }
    return text;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned smaller = a < b ? a : b;
    return smaller < c ? smaller : c;
}

/* Both at most NAME_BYTES_MAX. Three rows of the usual table are enough to see a swap. */
static unsigned edit_distance(slice a, slice b)
{
    unsigned rows[3][NAME_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];
        const unsigned *above2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            int x = tolower((unsigned char)a.ptr[i - 1]);
            int y = tolower((unsigned char)b.ptr[j - 1]);
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b.ptr[j - 2]) &&
                y == tolower((unsigned char)a.ptr[i - 2]) && above2[j - 2] + 1 < row[j]) {
                row[j] = above2[j - 2] + 1;
            }
        }
    }
    return rows[a.len % 3][b.len];
}

slice fault_nearest(slice name, const slice *names, size_t count)
{
    slice nearest = {NULL, 0};
    if (name.len > NAME_BYTES_MAX) {
        return nearest;
    }
    unsigned limit = (unsigned)(name.len + 2) / 3;
    unsigned best = limit + 1;
    for (size_t i = 0; i < count; i++) {
        assert(names[i].len <= NAME_BYTES_MAX);
        size_t longer = name.len > names[i].len ? name.len - names[i].len : names[i].len - name.len;
        if (longer > limit) {
            continue; /* the distance is at least that */
        }
        unsigned distance = edit_distance(name, names[i]);
        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}
