/* A queue of records from which any can be taken out at its place: a deque in chunks, addressed by position.
 *
 *      positions     tail ............................................ head
 *      chunks        [ . . a . b ] [ c . . . d ] [ e f g h i ] [ j k     ]       `.` is a hole
 *      directory     a ring of pointers to chunks, a power of two of them
 *
 * Who pushes is told the position and keeps it (21 bits; positions go round in a circle): so removing makes a hole at
 * once, a moved entry is noted in its place, and no record ever names what is gone. A record is a handle of 4 bytes;
 * nothing else is kept for each. Chunks in which there are only holes are given back when the tail has
 * passed them; when more than half of the span and a chunk or two are holes, each push moves a few records towards the
 * tail (queue_compact()), so that pushing and removing for ever grows nothing.
 *
 * Invariants (queue_check): (I1) `live` records are not holes, all in [tail, head). (I2) A slot of the directory has a
 * chunk exactly when the span touches it. (I3) tail <= write <= read <= head while compacting; between write and read
 * are holes only. Under the shard's lock. */
#ifndef KEYSPACE_EVICT_QUEUE_PRIV_H
#define KEYSPACE_EVICT_QUEUE_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QUEUE_POSITION_BITS = 21,
    QUEUE_SPAN_MAX = 1 << QUEUE_POSITION_BITS,
    QUEUE_CHUNK_BITS = 6,
    QUEUE_CHUNK = 1 << QUEUE_CHUNK_BITS,
};

struct queue {
    uint32_t **chunks;    /* the directory: of chunks of records */
    uint32_t chunk_slots; /* in the directory: 0 or a power of two */
    uint32_t tail, head;  /* counted on and on; their difference is the span */
    uint32_t live;
    bool compacting;
    uint32_t write, read; /* where the compaction is */
    size_t bytes;         /* that the queue costs */
};

/* Zeroes are an empty queue. Gives back everything that it has. */
void queue_fini(struct queue *q);
/* The same in steps, for a queue that nobody looks at any more: goes through up to `most` slots of the directory. False when all is given back. */
bool queue_drain(struct queue *q, unsigned most);

/* At the head; `record` is not 0. False when the system refuses memory or the span has no room: then it is not in. */
bool queue_push(struct queue *q, uint32_t record, uint32_t *ret_position);
/* Takes the one at the tail; 0 when there is none. */
uint32_t queue_pop(struct queue *q);
/* The next ones that queue_pop() would give; returns how many were found among the first few places. */
unsigned queue_peek(const struct queue *q, unsigned count, uint32_t *ret_records);
/* The one at a position; 0 when that is a hole or not in the span. */
uint32_t queue_at(const struct queue *q, uint32_t position);
/* Puts another one in the place of one that is in; 0 takes it out. */
void queue_replace(struct queue *q, uint32_t position, uint32_t record);

/* When there are too many holes: moves up to `most` records on, telling each one's new position. */
void queue_compact(struct queue *q, unsigned most, void (*moved)(void *owner, uint32_t record, uint32_t position),
                   void *owner);

/* Asserts the invariants. */
void queue_check(const struct queue *q);

#endif
