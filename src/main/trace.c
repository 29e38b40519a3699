/* Reading a trace: the text is kept, keys are slices of it, numbered through a table of open addressing. */
#include "main/trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/num.h"
#include "os/file.h"

enum { TABLE_SLOTS_MIN = 1024, VALUE_BYTES_MAX = 512 << 20 };

/* Numbers of keys plus one, by hash; at most half full. */
struct table {
    uint32_t *slots;
    size_t slot_count; /* a power of two */
};

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* The slot that has the key or is to have it. */
static uint32_t *find_slot(const struct table *table, const struct trace *t, slice key)
{
    size_t at = hash_plain(key) & (table->slot_count - 1);
    while (table->slots[at] && !slice_equal(t->keys[table->slots[at] - 1], key)) {
        at = (at + 1) & (table->slot_count - 1);
    }
    return &table->slots[at];
}

static err grow_table(struct table *table, struct trace *t)
{
    size_t slot_count = table->slot_count ? 2 * table->slot_count : TABLE_SLOTS_MIN;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    slice *keys = realloc(t->keys, slot_count / 2 * sizeof *keys);
    t->keys = keys ? keys : t->keys;
    if (!slots || !keys) {
        free(slots);
        return ERR_NOMEM;
    }
    free(table->slots);
    *table = (struct table){.slots = slots, .slot_count = slot_count};
    for (uint32_t i = 0; i < t->key_count; i++) {
        *find_slot(table, t, t->keys[i]) = i + 1;
    }
    return OK;
}

static err number_key(struct table *table, struct trace *t, slice key, uint32_t *ret_number)
{
    if (t->key_count >= table->slot_count / 2 && grow_table(table, t)) {
        return ERR_NOMEM;
    }
    uint32_t *slot = find_slot(table, t, key);
    if (!*slot) {
        t->keys[t->key_count] = key;
        *slot = ++t->key_count;
    }
    *ret_number = *slot - 1;
    return OK;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next word off the line; empty at its end. */
static slice take_word(slice *line)
{
    size_t begin = 0;
    while (begin < line->len && is_blank(line->ptr[begin])) {
        begin++;
    }
    size_t end = begin;
    while (end < line->len && !is_blank(line->ptr[end])) {
        end++;
    }
    slice word = slice_sub(*line, begin, end - begin);
    *line = slice_sub(*line, end, SIZE_MAX);
    return word;
}

static err parse_line(slice line, uint32_t value_bytes_default, slice *ret_key, uint32_t *ret_value_bytes,
                      const char **ret_fault)
{
    uint64_t bytes = value_bytes_default;
    *ret_key = take_word(&line);
    slice size = take_word(&line);
    if (ret_key->len == 0) {
        *ret_fault = "there is no key";
    } else if (size.len > 0 && (num_parse_bytes(size, &bytes) || bytes > VALUE_BYTES_MAX)) {
        *ret_fault = "the second word is no size up to 512mb";
    } else if (take_word(&line).len > 0) {
        *ret_fault = "there is more than a key and a size";
    } else {
        *ret_value_bytes = (uint32_t)bytes;
        return OK;
    }
    return ERR_INVALID;
}

static err add_request(struct trace *t, size_t *capacity, struct request request)
{
    if (t->request_count == *capacity) {
        size_t more = *capacity ? 2 * *capacity : TABLE_SLOTS_MIN;
        struct request *requests = realloc(t->requests, more * sizeof *requests);
        if (!requests) {
            return ERR_NOMEM;
        }
        t->requests = requests;
        *capacity = more;
    }
    t->requests[t->request_count++] = request;
    return OK;
}

static err parse_all(struct trace *t, const char *name, uint32_t value_bytes_default, struct buf *why)
{
    struct table table = {0};
    size_t capacity = 0, line_number = 0;
    err e = OK;
    for (slice rest = buf_slice(&t->text); rest.len > 0 && e == OK;) {
        slice line = slice_sub(rest, 0, slice_find_byte(rest, '\n')), key;
        struct request request;
        const char *fault = NULL;
        rest = slice_sub(rest, line.len + 1, SIZE_MAX);
        line_number++;
        e = parse_line(line, value_bytes_default, &key, &request.value_bytes, &fault);
        if (e) {
            buf_printf(why, "%s:%zu: %s", name, line_number, fault);
        } else {
            e = number_key(&table, t, key, &request.key);
            e = e ? e : add_request(t, &capacity, request);
        }
    }
    free(table.slots);
    if (e == OK && t->request_count == 0) {
        buf_printf(why, "%s: there are no requests", name);
        return ERR_INVALID;
    }
    if (e == ERR_NOMEM) {
        buf_printf(why, "%s: out of memory", name);
    }
    return e;
}

/* ---- traces ------------------------------------------------------------------------------------------------------ */

err trace_parse(struct trace *t, struct buf *text, const char *name, uint32_t value_bytes_default, struct buf *why)
{
    *t = (struct trace){.text = *text};
    buf_init(text, 0);
    err e = parse_all(t, name, value_bytes_default, why);
    if (e) {
        trace_fini(t);
    }
    return e;
}

err trace_read(struct trace *t, const char *name, uint32_t value_bytes_default, struct buf *why)
{
    bool is_input = strcmp(name, "-") == 0;
    struct buf text, reason;
    buf_init(&text, SIZE_MAX / 2);
    buf_init(&reason, 1024);
    err e = file_read(is_input ? "/dev/stdin" : name, &text, &reason);
    if (e) {
        buf_printf(why, "%s: %.*s", name, SLICE_ARG(buf_slice(&reason)));
    } else {
        e = trace_parse(t, &text, is_input ? "standard input" : name, value_bytes_default, why);
    }
    buf_fini(&reason);
    buf_fini(&text);
    return e;
}

void trace_fini(struct trace *t)
{
    free(t->requests);
    free(t->keys);
    buf_fini(&t->text);
    *t = (struct trace){0};
}
