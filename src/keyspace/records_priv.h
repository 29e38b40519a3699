/* Records of entries, first in first out: lists of 32-bit handles for whoever finds entries by something else than their
 * key. A record is a hint: the entry may be gone, or may have another record that counts; that is for the reader to tell.
 *
 *      last ──► chunk ──► chunk ──► ... ──► chunk         a ring: what follows the last chunk is the first
 *               (oldest)                    (= last)
 *
 * Chunks double from 32 to 512 bytes as a list grows, so that a list of one record costs 32 bytes and a long one 4.13
 * bytes a record; a chunk that has been read to its end is freed. An empty list costs its pointer alone.
 *
 * Only records_reserve() can fail, and nothing else allocates. Not synchronised: under the shard's lock. */
#ifndef KEYSPACE_RECORDS_PRIV_H
#define KEYSPACE_RECORDS_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct records_chunk;

/* Empty when zeroed. */
struct records {
    struct records_chunk *last;
};

/* What several lists hold together; kept by the functions that are given it. */
struct records_sum {
    size_t count;
    size_t bytes;
};

/* Room for one more: the next records_push() will find it. False when the system refuses memory. */
MUST_USE bool records_reserve(struct records *r, struct records_sum *sum);
/* Adds one as the newest; there is room (records_reserve()). */
void records_push(struct records *r, struct records_sum *sum, uint32_t record);
/* The oldest ones, as many as lie side by side; *ret_count is 0 when the list is empty. Good until the next drop. */
const uint32_t *records_front(const struct records *r, size_t *ret_count);
/* Forgets the oldest `count`, of those that records_front() showed; all of them frees their chunk. */
void records_drop(struct records *r, struct records_sum *sum, size_t count);
bool records_empty(const struct records *r);
/* Forgets all, and room that was reserved. */
void records_clear(struct records *r, struct records_sum *sum);

/* A place in a list: zeroed, before the oldest. Good until the list changes. */
struct records_cursor {
    const struct records_chunk *chunk;
    size_t index;
};
/* The next one, oldest first; false at the end. */
bool records_next(const struct records *r, struct records_cursor *cursor, uint32_t *ret_record);
/* Asserts the invariants of one list, and adds what it holds to `sum`. */
void records_check(const struct records *r, struct records_sum *sum);

#endif
