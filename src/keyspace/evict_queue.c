/* See evict_queue_priv.h. */
#include "keyspace/evict_queue_priv.h"

#include <string.h>

#include "base/assert.h"
#include "os/mem.h"

enum {
    CHUNK_MASK = QUEUE_CHUNK - 1,
    POSITION_MASK = QUEUE_SPAN_MAX - 1,
    CHUNK_SLOTS_MIN = 4,
    CHUNK_SLOTS_MAX = QUEUE_SPAN_MAX / QUEUE_CHUNK,
    PEEK_PLACES = 8,
    HOLES_MIN = 1024, /* so few are not worth moving anything */
};

static size_t chunk_bytes(void)
{
    return mem_good_bytes(QUEUE_CHUNK * sizeof(uint32_t));
}

static size_t directory_bytes(uint32_t slots)
{
    return slots > 0 ? mem_good_bytes(slots * sizeof(uint32_t *)) : 0;
}

static uint32_t **chunk_slot(const struct queue *q, uint32_t position)
{
    return &q->chunks[position >> QUEUE_CHUNK_BITS & (q->chunk_slots - 1)];
}

static uint32_t *record_at(const struct queue *q, uint32_t position)
{
    return &(*chunk_slot(q, position))[position & CHUNK_MASK];
}

/* A position as it was kept, in the count that the span is in. */
static uint32_t widen(const struct queue *q, uint32_t position)
{
    return q->tail + ((position - q->tail) & POSITION_MASK);
}

static bool in_span(const struct queue *q, uint32_t wide)
{
    return wide - q->tail < q->head - q->tail;
}

static uint32_t chunk_start(uint32_t position)
{
    return position & ~(uint32_t)CHUNK_MASK;
}

static void free_chunk(struct queue *q, uint32_t position)
{
    uint32_t **slot = chunk_slot(q, position);
    mem_free(*slot);
    *slot = NULL;
    q->bytes -= chunk_bytes();
}

void queue_fini(struct queue *q)
{
    queue_drain(q, CHUNK_SLOTS_MAX);
}

bool queue_drain(struct queue *q, unsigned most)
{
    for (; most > 0 && q->chunk_slots > 0; most--) {
        uint32_t *chunk = q->chunks[--q->chunk_slots];
        q->bytes -= chunk ? chunk_bytes() : 0;
        mem_free(chunk);
    }
    if (q->chunk_slots > 0) {
        return true;
    }
    mem_free(q->chunks);
    *q = (struct queue){0};
    return false;
}

/* ---- growing ----------------------------------------------------------------------------------------------------- */

static bool directory_is_full(const struct queue *q)
{
    return (q->head - chunk_start(q->tail)) / QUEUE_CHUNK >= q->chunk_slots;
}

static bool grow_directory(struct queue *q)
{
    uint32_t slots = q->chunk_slots ? q->chunk_slots * 2 : CHUNK_SLOTS_MIN;
    if (slots > CHUNK_SLOTS_MAX) {
        return false;
    }
    uint32_t **chunks = mem_alloc(slots * sizeof *chunks);
    if (!chunks) {
        return false;
    }
    memset(chunks, 0, slots * sizeof *chunks);
    struct queue to = {.chunks = chunks, .chunk_slots = slots};
    for (uint32_t i = 0; i < q->chunk_slots; i++) {
        uint32_t position = q->tail + i * QUEUE_CHUNK;
        *chunk_slot(&to, position) = *chunk_slot(q, position);
    }
    mem_free(q->chunks);
    q->bytes += directory_bytes(slots) - directory_bytes(q->chunk_slots);
    q->chunks = chunks;
    q->chunk_slots = slots;
    return true;
}

/* Sees to it that the head has a place. */
static bool make_place(struct queue *q)
{
    if (q->head != q->tail && (q->head & CHUNK_MASK) != 0) {
        return true;
    }
    if (directory_is_full(q) && !grow_directory(q)) {
        return false;
    }
    uint32_t **slot = chunk_slot(q, q->head);
    if (!*slot) {
        *slot = mem_alloc(QUEUE_CHUNK * sizeof **slot);
        if (!*slot) {
            return false;
        }
        q->bytes += chunk_bytes();
    }
    return true;
}

bool queue_push(struct queue *q, uint32_t record, uint32_t *ret_position)
{
    if (!make_place(q)) {
        return false;
    }
    *record_at(q, q->head) = record;
    *ret_position = q->head & POSITION_MASK;
    q->head++;
    q->live++;
    return true;
}

/* ---- taking out -------------------------------------------------------------------------------------------------- */

/* The tail goes on by one; a chunk that it leaves behind goes. */
static void advance_tail(struct queue *q)
{
    uint32_t left = q->tail++;
    if ((q->tail & CHUNK_MASK) == 0 || q->tail == q->head) {
        free_chunk(q, left);
    }
    q->write = q->write == left ? q->tail : q->write;
    q->read = q->read == left ? q->tail : q->read;
}

/* All that is not before `end` is holes: the head comes back to there. */
static void cut_head(struct queue *q, uint32_t end)
{
    if (q->head != q->tail) {
        uint32_t past = chunk_start(q->head - 1) + QUEUE_CHUNK;
        uint32_t at = end == q->tail ? chunk_start(end) : chunk_start(end - 1) + QUEUE_CHUNK;
        for (; at != past; at += QUEUE_CHUNK) {
            free_chunk(q, at);
        }
    }
    q->head = end;
    q->compacting = false;
}

/* One is out; with the last one goes everything. */
static void count_out(struct queue *q)
{
    if (--q->live == 0) {
        queue_fini(q);
    }
}

static void trim_tail(struct queue *q)
{
    while (q->tail != q->head && !*record_at(q, q->tail)) {
        advance_tail(q);
    }
}

uint32_t queue_pop(struct queue *q)
{
    if (q->live == 0) {
        return 0;
    }
    trim_tail(q);
    uint32_t record = *record_at(q, q->tail);
    advance_tail(q);
    count_out(q);
    return record;
}

unsigned queue_peek(const struct queue *q, unsigned count, uint32_t *ret_records)
{
    unsigned found = 0;
    for (uint32_t at = q->tail; found < count && at != q->head && at - q->tail < PEEK_PLACES; at++) {
        uint32_t record = *record_at(q, at);
        ret_records[found] = record;
        found += record != 0;
    }
    return found;
}

uint32_t queue_at(const struct queue *q, uint32_t position)
{
    uint32_t wide = widen(q, position);
    return in_span(q, wide) ? *record_at(q, wide) : 0;
}

void queue_replace(struct queue *q, uint32_t position, uint32_t record)
{
    uint32_t *place = record_at(q, widen(q, position));
    assert(*place != 0);
    *place = record;
    if (!record) {
        count_out(q);
    }
}

/* ---- compaction -------------------------------------------------------------------------------------------------- */

static bool has_many_holes(const struct queue *q)
{
    return q->head - q->tail > 2 * q->live + HOLES_MIN;
}

void queue_compact(struct queue *q, unsigned most, void (*moved)(void *owner, uint32_t record, uint32_t position),
                   void *owner)
{
    if (!q->compacting) {
        if (!has_many_holes(q)) {
            return;
        }
        q->compacting = true;
        q->read = q->write = q->tail;
    }
    for (; most > 0 && q->read != q->head; q->read++, most--) {
        uint32_t record = *record_at(q, q->read);
        if (record) {
            *record_at(q, q->read) = 0;
            *record_at(q, q->write) = record;
            moved(owner, record, q->write & POSITION_MASK);
            q->write++;
        }
    }
    if (q->read == q->head) {
        cut_head(q, q->write);
    }
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

void queue_check(const struct queue *q)
{
    uint32_t live = 0, chunks = 0;
    for (uint32_t at = q->tail; at != q->head; at++) {
        bool is_live = *record_at(q, at);
        assert(!is_live || !q->compacting || at - q->write >= q->read - q->write);
        live += is_live;
    }
    assert(live == q->live);
    assert(live > 0 || q->head == q->tail);
    for (uint32_t i = 0; i < q->chunk_slots; i++) {
        chunks += q->chunks[i] != NULL;
    }
    uint32_t touched = q->head == q->tail ? 0 : (q->head - 1 - chunk_start(q->tail)) / QUEUE_CHUNK + 1;
    assert(chunks == touched);
    assert(q->bytes == touched * chunk_bytes() + directory_bytes(q->chunk_slots));
    if (q->compacting) {
        assert(q->write - q->tail <= q->read - q->tail);
        assert(q->read - q->tail <= q->head - q->tail);
    }
}
