/* Chunked lists of handles; see records_priv.h. Invariant: no chunk but the last one is empty; that one is between
 * records_reserve() and the push that follows. */
#include "keyspace/records_priv.h"

#include "base/assert.h"
#include "base/num.h"
#include "os/mem.h"

enum { CHUNK_BYTES_MIN = 32, CHUNK_BYTES_MAX = 512 };

struct records_chunk {
    struct records_chunk *next;
    uint16_t begin, end; /* of what is in it, in `records` */
    uint16_t capacity;
    uint16_t unused;
    uint32_t records[];
};

static size_t chunk_bytes(const struct records_chunk *c)
{
    return mem_good_bytes(sizeof *c + c->capacity * sizeof *c->records);
}

bool records_reserve(struct records *r, struct records_sum *sum)
{
    struct records_chunk *last = r->last;
    if (last && last->end < last->capacity) {
        return true;
    }
    size_t wanted = last ? num_min_u64(2 * chunk_bytes(last), CHUNK_BYTES_MAX) : CHUNK_BYTES_MIN;
    size_t bytes = mem_good_bytes(wanted);
    struct records_chunk *c = mem_alloc(bytes);
    if (!c) {
        return false;
    }
    *c = (struct records_chunk){.capacity = (uint16_t)((bytes - sizeof *c) / sizeof *c->records)};
    c->next = last ? last->next : c;
    if (last) {
        last->next = c;
    }
    r->last = c;
    sum->bytes += bytes;
    return true;
}

void records_push(struct records *r, struct records_sum *sum, uint32_t record)
{
    struct records_chunk *last = r->last;
    assert(last != NULL);
    assert(last->end < last->capacity);
    last->records[last->end++] = record;
    sum->count++;
}

const uint32_t *records_front(const struct records *r, size_t *ret_count)
{
    if (!r->last) {
        *ret_count = 0;
        return NULL;
    }
    const struct records_chunk *first = r->last->next;
    *ret_count = (size_t)(first->end - first->begin);
    return first->records + first->begin;
}

void records_drop(struct records *r, struct records_sum *sum, size_t count)
{
    struct records_chunk *first = r->last->next;
    assert(count <= (size_t)(first->end - first->begin));
    first->begin = (uint16_t)(first->begin + count);
    sum->count -= count;
    if (first->begin == first->end) {
        r->last->next = first->next;
        if (first == r->last) {
            r->last = NULL;
        }
        sum->bytes -= chunk_bytes(first);
        mem_free(first);
    }
}

bool records_empty(const struct records *r)
{
    size_t count;
    records_front(r, &count);
    return count == 0;
}

void records_clear(struct records *r, struct records_sum *sum)
{
    for (size_t count; r->last; records_drop(r, sum, count)) {
        records_front(r, &count);
    }
}

bool records_next(const struct records *r, struct records_cursor *cursor, uint32_t *ret_record)
{
    const struct records_chunk *c = cursor->chunk;
    if (c ? cursor->index == c->end && c != r->last : r->last != NULL) {
        c = c ? c->next : r->last->next;
        *cursor = (struct records_cursor){.chunk = c, .index = c->begin};
    }
    if (!c || cursor->index == c->end) {
        return false;
    }
    *ret_record = c->records[cursor->index++];
    return true;
}

void records_check(const struct records *r, struct records_sum *sum)
{
    for (const struct records_chunk *c = r->last; c;) {
        c = c->next;
        assert(c->begin <= c->end);
        assert(c->end <= c->capacity);
        assert(c->begin < c->end || c == r->last);
        sum->count += (size_t)(c->end - c->begin);
        sum->bytes += chunk_bytes(c);
        c = c == r->last ? NULL : c;
    }
}
