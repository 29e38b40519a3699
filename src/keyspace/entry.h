/* One key with its value and its times. One allocation holds header, optional fields, key and a small value; a larger
 * value hangs off it. Whoever has an entry has its shard locked (or owns it alone: a detached entry, see pending.h);
 * the pointer is good until the next change of that entry or the unlock. Only keyspace/ writes to it; everyone else
 * reads through the functions here.
 *
 * Times (wall ms): `deadline` is when the entry goes; `fresh_until` (never later) is when it becomes stale. Without a
 * stale window they are the same and only the deadline is stored. NO_DEADLINE: never. A negative entry remembers that
 * the source has no such row; to plain commands it does not exist. */
#ifndef KEYSPACE_ENTRY_H
#define KEYSPACE_ENTRY_H

#include "base/slice.h"

#define NO_DEADLINE INT64_MAX

/* TYPE's names. More kinds follow with their commands. */
enum kind { KIND_STRING, KIND_COUNT };

/* OBJECT ENCODING's names. A string's bytes are always its text, also when the encoding says int. */
enum encoding { ENCODING_INT, ENCODING_EMBSTR, ENCODING_RAW, ENCODING_COUNT };

slice kind_name(enum kind kind);
slice encoding_name(enum encoding encoding);
/* What Redis would choose for a string that is set whole: int, embstr up to 44 bytes, raw. */
enum encoding encoding_of_string(slice bytes);

struct entry;
struct blob;

enum kind entry_kind(const struct entry *e);
enum encoding entry_encoding(const struct entry *e);
/* Lent until the entry changes or the shard is unlocked. */
slice entry_key(const struct entry *e);
slice entry_string(const struct entry *e);
/* Where its string is when it is large; who needs the bytes for longer may hold it, under the lock (blob_hold()). Else NULL. */
struct blob *entry_blob(const struct entry *e);
int64_t entry_deadline(const struct entry *e);
int64_t entry_fresh_until(const struct entry *e);
bool entry_negative(const struct entry *e);
/* How long the last load of this value took, in ms; 0 when it was not loaded. */
uint32_t entry_load_ms(const struct entry *e);
/* When a source last gave this value, wall ms; 0 when no source did. */
int64_t entry_loaded_at(const struct entry *e);
/* Bytes that the entry costs, all in: its block, its external value; not its share of the index. */
size_t entry_bytes(const struct entry *e);
/* The room that a large string is given beyond its bytes when an edit has made it grow, with what the allocator rounds up. */
size_t entry_spare_bytes(size_t bytes);
/* Wall ms of the last access (coarse: seconds), for OBJECT IDLETIME; access frequency 0..255, for OBJECT FREQ. */
int64_t entry_accessed_at(const struct entry *e, int64_t now_wall_ms);
unsigned entry_frequency(const struct entry *e, int64_t now_wall_ms);

static inline bool entry_expired(const struct entry *e, int64_t now_wall_ms)
{
    return entry_deadline(e) <= now_wall_ms;
}
static inline bool entry_stale(const struct entry *e, int64_t now_wall_ms)
{
    return entry_fresh_until(e) <= now_wall_ms;
}

/* What an entry is to become: given to shard_insert() and shard_replace(). */
struct content {
    enum kind kind;
    enum encoding encoding;
    slice string; /* the bytes of a KIND_STRING; copied */
    struct blob *
        blob; /* it begins with them, and is held by who gives it, or owned by an entry whose shard he has locked: the new
                          * entry owns it, too, instead of a copy. NULL: none */
    int64_t deadline;    /* NO_DEADLINE or wall ms */
    int64_t fresh_until; /* at most deadline */
    bool negative;
    uint32_t load_ms;
    int64_t loaded_at;
};

/* A string without deadline, encoded as Redis would. */
static inline struct content content_string(slice bytes)
{
    return (struct content){.kind = KIND_STRING,
                            .encoding = encoding_of_string(bytes),
                            .string = bytes,
                            .deadline = NO_DEADLINE,
                            .fresh_until = NO_DEADLINE};
}

#endif
