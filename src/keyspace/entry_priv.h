/* The layout of an entry, and how one is made, changed and freed. For index, calendar, eviction and shard alone.
 *
 *      0        3          4                       7       8
 *      | stamp  | kind,    | key bytes, value bytes | flags | options ...          | key ... | value ...  |
 *      | 24 bit | encoding | 12 bit each            |       | 8-byte fields, below |         |            |
 *
 *      option       bytes  present when
 *      timed         8     it has a deadline: that, and the mark of its record in the calendar (always first)
 *      fresh_until   8     it becomes stale before its deadline
 *      loaded       16     a source gave the value: when, and how long that took
 *      long key     16     the key is longer than ENTRY_INLINE_MAX: a block of its own
 *      external     16     the value is, or has been, longer than ENTRY_INLINE_MAX: a blob of its own, with spare
 *                          capacity, below 4 GiB
 *
 * 16 bytes of key and 32 of value: 8 + 48 = 56 bytes, 64 with a deadline.
 *
 * A deadline has 54 bits of milliseconds. One that needs more (after the year 572,000) is kept exactly in fresh_until,
 * which it then equals; in the rare case that such an entry becomes stale before, the deadline is cut to 54 bits.
 *
 * The block comes from a shard's slabs, or from the general allocator for an entry that is in no shard (`slabs` is NULL
 * in what follows). A value stays inline up to 2 KB: in a slab it costs what it has, exactly, and can be moved; outside
 * it would cost 16 bytes more and the general allocator's rounding.
 *
 * Invariants: (I1) the block has slab_good_bytes() of what is in it: what shrinks or grows out of its size class gets
 * a new block, so that what an entry costs is computed and not asked. (I2) The blob of an external value has room for
 * `capacity` bytes, which blob_good_room() gave, and is changed only while this entry has it alone (blob_is_held()). (I3) An option is there
 * exactly when it says something. (I4) A negative entry has no value.
 *
 * The stamp is the eviction policy's. Of Redis's policies it is Redis's 24 bits: under LRU the wall clock in seconds,
 * under LFU 16 bits of minutes and an 8 bit logarithmic counter. */
#ifndef KEYSPACE_ENTRY_PRIV_H
#define KEYSPACE_ENTRY_PRIV_H

#include "base/assert.h"
#include "base/attr.h"
#include "base/err.h"
#include "keyspace/entry.h"
#include "keyspace/slab_priv.h"
#include "os/blob.h"

enum {
    ENTRY_LENGTH_BITS = 12,
    ENTRY_INLINE_MAX = 2047, /* of a key, of a value */
    ENTRY_STAMP_BITS = 24,
    ENTRY_STAMP_MASK = (1 << ENTRY_STAMP_BITS) - 1,
    ENTRY_DEADLINE_BITS = 54,
    ENTRY_MARK_BITS = 10,
    ENTRY_UNMARKED = (1 << ENTRY_MARK_BITS) - 1,
};

/* What is here or after is somewhere else, see above. */
#define ENTRY_DEADLINE_MAX (((int64_t)1 << ENTRY_DEADLINE_BITS) - 1)

enum entry_flag {
    ENTRY_TIMED = 1,
    ENTRY_FRESH = 2,
    ENTRY_LOADED = 4,
    ENTRY_LONG_KEY = 8,
    ENTRY_EXTERNAL = 16,
    ENTRY_NEGATIVE = 32, /* no option: a mark */
};

struct entry {
    uint32_t stamp : ENTRY_STAMP_BITS;
    uint32_t kind : 4;
    uint32_t encoding : 4;
    uint32_t key_bytes : ENTRY_LENGTH_BITS;   /* of an inline key; 0 with ENTRY_LONG_KEY */
    uint32_t value_bytes : ENTRY_LENGTH_BITS; /* of an inline value; 0 with ENTRY_EXTERNAL */
    uint32_t flags : 8;
};

struct entry_timed {
    uint64_t mark : ENTRY_MARK_BITS; /* which slot of the calendar has the record that counts; ENTRY_UNMARKED: none */
    uint64_t deadline : ENTRY_DEADLINE_BITS;
};

struct entry_loaded {
    int64_t at;
    uint32_t ms;
    uint32_t unused;
};

struct entry_long_key {
    char *bytes;
    size_t len;
};

struct entry_external {
    struct blob *blob; /* owned; maybe by other entries, too */
    uint32_t len;
    uint32_t capacity;
};

static_assert(sizeof(struct entry) == 8, "the header is one word");
static_assert(sizeof(struct entry_timed) == 8, "a deadline costs a word");
static_assert(sizeof(struct entry_loaded) == 16 && sizeof(struct entry_external) == 16, "options are words");
static_assert(ENTRY_INLINE_MAX < 1 << ENTRY_LENGTH_BITS, "the header holds the lengths");

static inline size_t entry_options_bytes(unsigned flags)
{
    if (LIKELY(!(flags & (ENTRY_FRESH | ENTRY_LOADED | ENTRY_LONG_KEY | ENTRY_EXTERNAL)))) {
        return flags & ENTRY_TIMED ? sizeof(struct entry_timed) : 0;
    }
    return (flags & ENTRY_TIMED ? sizeof(struct entry_timed) : 0) + (flags & ENTRY_FRESH ? sizeof(int64_t) : 0) +
           (flags & ENTRY_LOADED ? sizeof(struct entry_loaded) : 0) +
           (flags & ENTRY_LONG_KEY ? sizeof(struct entry_long_key) : 0) +
           (flags & ENTRY_EXTERNAL ? sizeof(struct entry_external) : 0);
}

/* Where an option stands: behind those of lower flags. */
static inline void *entry_option(const struct entry *e, enum entry_flag flag)
{
    return (char *)(e + 1) + entry_options_bytes(e->flags & ((unsigned)flag - 1));
}

static inline struct entry_timed *entry_timed(const struct entry *e)
{
    return (struct entry_timed *)(e + 1);
}

static inline struct entry_external *entry_external(const struct entry *e)
{
    return entry_option(e, ENTRY_EXTERNAL);
}

static inline struct entry_long_key *entry_long_key(const struct entry *e)
{
    return entry_option(e, ENTRY_LONG_KEY);
}

/* What its value costs outside of its block. */
static inline size_t entry_external_bytes(const struct entry *e)
{
    return e->flags & ENTRY_EXTERNAL ? blob_cost(entry_external(e)->capacity) : 0;
}

/* Where key and value stand that are inline. */
static inline char *entry_inline_bytes(const struct entry *e)
{
    return (char *)(e + 1) + entry_options_bytes(e->flags);
}

static inline bool entry_has_key(const struct entry *e, slice key)
{
    if (UNLIKELY(e->flags & ENTRY_LONG_KEY)) {
        return slice_equal(entry_key(e), key);
    }
    return e->key_bytes == key.len && bytes_equal(entry_inline_bytes(e), key.ptr, key.len);
}

/* The stamp of an access under LRU: seconds, in a circle of 194 days. */
static inline uint32_t entry_lru_stamp(int64_t now_wall_ms)
{
    return (uint32_t)(now_wall_ms / 1000) & ENTRY_STAMP_MASK;
}

/* The upper 16 bits of the stamp under LFU. */
static inline uint32_t entry_lfu_minute(int64_t now_wall_ms)
{
    return (uint32_t)(now_wall_ms / 60000) & 0xffff;
}

/* Seconds since the last access under LRU. A time in the second half of the circle is taken for a clock that was set
 * back. */
static inline uint32_t entry_idle_seconds(const struct entry *e, int64_t now_wall_ms)
{
    uint32_t idle = (entry_lru_stamp(now_wall_ms) - e->stamp) & ENTRY_STAMP_MASK;
    return idle > ENTRY_STAMP_MASK / 2 ? 0 : idle;
}

/* A new entry with a copy of key and content, unmarked. NULL when the system refuses memory. */
struct entry *entry_new(struct slabs *slabs, slice key, const struct content *c);
/* With what hangs off it; NULL is fine. */
void entry_free(struct slabs *slabs, struct entry *e);
/* The block alone, after entry_retimed() or entry_resized() have moved what hung off it. */
void entry_free_block(struct slabs *slabs, struct entry *e);

/* Gives it new content without moving it or its mark; false, with nothing changed, when its shape does not allow that.
 * Not while it is scheduled in a calendar. */
bool entry_assign(struct entry *e, const struct content *c);
/* The entry with other times: itself, or a new block that owns the value from now on. NULL when the system refuses
 * memory. Not while it is scheduled in a calendar. A new block is unmarked. */
struct entry *entry_retimed(struct slabs *slabs, struct entry *e, int64_t deadline, int64_t fresh_until);
/* The entry with a value of another length, raw, old bytes kept, new ones zeroed: itself, or a new block that owns the
 * value from now on. NULL when the system refuses memory. A new block is unmarked. */
struct entry *entry_resized(struct slabs *slabs, struct entry *e, size_t bytes);
char *entry_value(struct entry *e);
/* The same entry in another block, which owns the value from now on. NULL when the system refuses memory. */
struct entry *entry_moved(struct slabs *slabs, const struct entry *e);
/* What its block costs, without what hangs off it. */
size_t entry_block_bytes(const struct entry *e);

/* Takes the external value out, to be disowned by somebody else; NULL when it has none. Only entry_free() may follow. */
struct blob *entry_take_external(struct entry *e);

#endif
