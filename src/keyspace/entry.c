/* Entries: one block of memory each, whose layout is drawn in entry_priv.h.
 *
 * A change that keeps the options and the size class happens in place; anything else builds a new block and leaves the
 * old one to the caller, who has to move index and calendar over. Nothing here knows of shards or accounts. Threads:
 * whoever has the entry's shard locked, or owns it alone. */
#include "keyspace/entry.h"

#include "base/num.h"
#include "keyspace/entry_priv.h"
#include "os/mem.h"

enum { EMBSTR_MAX = 44, SPARE_BYTES_MAX = 1 << 20, SMALL_BYTES = 256 };

slice kind_name(enum kind kind)
{
    static const slice names[KIND_COUNT] = {[KIND_STRING] = {"string", 6}};
    return names[kind];
}

slice encoding_name(enum encoding encoding)
{
    static const slice names[ENCODING_COUNT] = {
        [ENCODING_INT] = {"int", 3}, [ENCODING_EMBSTR] = {"embstr", 6}, [ENCODING_RAW] = {"raw", 3}};
    return names[encoding];
}

enum encoding encoding_of_string(slice bytes)
{
    int64_t number;
    if (bytes.len < NUM_I64_CHARS && num_parse_i64(bytes, &number) == OK) {
        return ENCODING_INT;
    }
    return bytes.len <= EMBSTR_MAX ? ENCODING_EMBSTR : ENCODING_RAW;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

enum kind entry_kind(const struct entry *e)
{
    return e->kind;
}

enum encoding entry_encoding(const struct entry *e)
{
    return e->encoding;
}

slice entry_key(const struct entry *e)
{
    if (UNLIKELY(e->flags & ENTRY_LONG_KEY)) {
        return slice_make(entry_long_key(e)->bytes, entry_long_key(e)->len);
    }
    return slice_make(entry_inline_bytes(e), e->key_bytes);
}

slice entry_string(const struct entry *e)
{
    if (e->flags & ENTRY_EXTERNAL) {
        const struct entry_external *x = entry_external(e);
        return slice_make(x->blob->bytes, x->len);
    }
    return slice_make(entry_inline_bytes(e) + e->key_bytes, e->value_bytes);
}

struct blob *entry_blob(const struct entry *e)
{
    return e->flags & ENTRY_EXTERNAL ? entry_external(e)->blob : NULL;
}

char *entry_value(struct entry *e)
{
    return (char *)entry_string(e).ptr;
}

static int64_t fresh_option(const struct entry *e)
{
    return *(const int64_t *)entry_option(e, ENTRY_FRESH);
}

int64_t entry_deadline(const struct entry *e)
{
    if (!(e->flags & ENTRY_TIMED)) {
        return NO_DEADLINE;
    }
    int64_t deadline = entry_timed(e)->deadline;
    return LIKELY(deadline < ENTRY_DEADLINE_MAX) ? deadline : num_max_i64(deadline, fresh_option(e));
}

int64_t entry_fresh_until(const struct entry *e)
{
    return e->flags & ENTRY_FRESH ? fresh_option(e) : entry_deadline(e);
}

bool entry_negative(const struct entry *e)
{
    return e->flags & ENTRY_NEGATIVE;
}

uint32_t entry_load_ms(const struct entry *e)
{
    return e->flags & ENTRY_LOADED ? ((const struct entry_loaded *)entry_option(e, ENTRY_LOADED))->ms : 0;
}

int64_t entry_loaded_at(const struct entry *e)
{
    return e->flags & ENTRY_LOADED ? ((const struct entry_loaded *)entry_option(e, ENTRY_LOADED))->at : 0;
}

int64_t entry_accessed_at(const struct entry *e, int64_t now_wall_ms)
{
    return now_wall_ms - (int64_t)entry_idle_seconds(e, now_wall_ms) * 1000;
}

/* The counter, less one for each minute since it was written. */
unsigned entry_frequency(const struct entry *e, int64_t now_wall_ms)
{
    uint32_t counter = e->stamp & 0xff, minutes = (entry_lfu_minute(now_wall_ms) - (e->stamp >> 8)) & 0xffff;
    return minutes > counter ? 0 : counter - minutes;
}

/* Of a block; key and value as far as they are inline. */
static size_t size_of(unsigned flags, size_t key_bytes, size_t value_bytes)
{
    return sizeof(struct entry) + entry_options_bytes(flags) + key_bytes + value_bytes;
}

static size_t size_now(const struct entry *e)
{
    return size_of(e->flags, e->key_bytes, e->value_bytes);
}

size_t entry_block_bytes(const struct entry *e)
{
    return slab_good_bytes(size_now(e));
}

size_t entry_bytes(const struct entry *e)
{
    return entry_block_bytes(e) + entry_external_bytes(e) +
           (e->flags & ENTRY_LONG_KEY ? mem_good_bytes(entry_long_key(e)->len) : 0);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static unsigned times_flags(int64_t deadline, int64_t fresh_until)
{
    assert(fresh_until <= deadline);
    bool is_timed = deadline != NO_DEADLINE, is_far = is_timed && deadline >= ENTRY_DEADLINE_MAX;
    return (is_timed ? ENTRY_TIMED : 0) | (is_far || fresh_until != deadline ? ENTRY_FRESH : 0);
}

static void set_times(struct entry *e, int64_t deadline, int64_t fresh_until)
{
    if (e->flags & ENTRY_TIMED) {
        entry_timed(e)->deadline =
            num_min_u64((uint64_t)num_max_i64(0, deadline), ENTRY_DEADLINE_MAX) & ENTRY_DEADLINE_MAX;
    }
    if (e->flags & ENTRY_FRESH) {
        *(int64_t *)entry_option(e, ENTRY_FRESH) = fresh_until;
    }
}

static unsigned content_flags(slice key, const struct content *c)
{
    return times_flags(c->deadline, c->fresh_until) | (c->loaded_at || c->load_ms ? ENTRY_LOADED : 0) |
           (key.len > ENTRY_INLINE_MAX ? ENTRY_LONG_KEY : 0) | (c->string.len > ENTRY_INLINE_MAX ? ENTRY_EXTERNAL : 0) |
           (c->negative ? ENTRY_NEGATIVE : 0);
}

/* A block with its header; options, key and value are the caller's to fill. */
static struct entry *block_new(struct slabs *slabs, unsigned flags, size_t key_bytes, size_t value_bytes)
{
    size_t bytes = size_of(flags, key_bytes, value_bytes);
    struct entry *e = slabs ? slab_alloc(slabs, bytes) : mem_alloc(slab_good_bytes(bytes));
    if (e) {
        *e = (struct entry){.key_bytes = (uint32_t)key_bytes & ENTRY_INLINE_MAX,
                            .value_bytes = (uint32_t)value_bytes & ENTRY_INLINE_MAX,
                            .flags = (uint8_t)flags};
        if (flags & ENTRY_TIMED) {
            *entry_timed(e) = (struct entry_timed){.mark = ENTRY_UNMARKED};
        }
    }
    return e;
}

static bool long_key_new(struct entry_long_key *k, slice key)
{
    k->bytes = mem_alloc(key.len);
    k->len = key.len;
    if (k->bytes) {
        memcpy(k->bytes, key.ptr, key.len);
    }
    return k->bytes;
}

static bool external_new(struct entry_external *x, size_t bytes, size_t capacity_least)
{
    size_t capacity = blob_good_room(capacity_least);
    if (capacity > UINT32_MAX) {
        return false;
    }
    x->blob = blob_new(capacity);
    x->len = (uint32_t)bytes;
    x->capacity = (uint32_t)capacity;
    return x->blob;
}

/* The value of the content as an external one: its blob, when it has one, else a copy. */
static bool external_of(struct entry_external *x, const struct content *c)
{
    size_t bytes = c->string.len;
    if (c->blob && c->blob->room <= UINT32_MAX) {
        assert(c->blob->bytes == c->string.ptr);
        assert(bytes <= c->blob->room);
        blob_own(c->blob);
        *x = (struct entry_external){.blob = c->blob, .len = (uint32_t)bytes, .capacity = (uint32_t)c->blob->room};
        return true;
    }
    if (!external_new(x, bytes, bytes)) {
        return false;
    }
    memcpy(x->blob->bytes, c->string.ptr, bytes);
    return true;
}

/* All but an external value, which is there. */
static void set_content(struct entry *e, const struct content *c)
{
    e->kind = c->kind;
    e->encoding = c->encoding;
    set_times(e, c->deadline, c->fresh_until);
    if (e->flags & ENTRY_LOADED) {
        *(struct entry_loaded *)entry_option(e, ENTRY_LOADED) =
            (struct entry_loaded){.at = c->loaded_at, .ms = c->load_ms};
    }
    if (!(e->flags & ENTRY_EXTERNAL) && c->string.len > 0) {
        memmove(entry_inline_bytes(e) + e->key_bytes, c->string.ptr, c->string.len);
    }
}

struct entry *entry_new(struct slabs *slabs, slice key, const struct content *c)
{
    assert(!c->negative || c->string.len == 0);
    unsigned flags = content_flags(key, c);
    size_t key_bytes = flags & ENTRY_LONG_KEY ? 0 : key.len, value_bytes = flags & ENTRY_EXTERNAL ? 0 : c->string.len;
    struct entry *e = block_new(slabs, flags, key_bytes, value_bytes);
    if (!e) {
        return NULL;
    }
    if (flags & ENTRY_EXTERNAL && !external_of(entry_external(e), c)) {
        entry_free_block(slabs, e);
        return NULL;
    }
    if (flags & ENTRY_LONG_KEY && !long_key_new(entry_long_key(e), key)) {
        blob_disown(entry_take_external(e));
        entry_free_block(slabs, e);
        return NULL;
    }
    memcpy(entry_inline_bytes(e), key.ptr, key_bytes);
    set_content(e, c);
    return e;
}

void entry_free_block(struct slabs *slabs, struct entry *e)
{
    if (slabs) {
        slab_free(slabs, e, size_now(e));
    } else {
        mem_free(e);
    }
}

void entry_free(struct slabs *slabs, struct entry *e)
{
    if (e) {
        blob_disown(entry_take_external(e));
        mem_free(e->flags & ENTRY_LONG_KEY ? entry_long_key(e)->bytes : NULL);
        entry_free_block(slabs, e);
    }
}

struct blob *entry_take_external(struct entry *e)
{
    struct blob *b = entry_blob(e);
    if (b) {
        entry_external(e)->blob = NULL;
    }
    return b;
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

/* Whether an inline value of this length has room where that of an entry is. */
static bool fits(const struct entry *e, size_t value_bytes)
{
    return value_bytes == e->value_bytes ||
           slab_good_bytes(size_of(e->flags, e->key_bytes, value_bytes)) == slab_good_bytes(size_now(e));
}

/* Whether it is a value and nothing else: what nearly all content is. */
static bool is_bare(const struct content *c)
{
    return c->deadline == NO_DEADLINE && c->fresh_until == NO_DEADLINE && !c->negative && !c->load_ms &&
           !c->loaded_at && c->string.len <= ENTRY_INLINE_MAX;
}

static bool assign_bare(struct entry *e, const struct content *c)
{
    if (!fits(e, c->string.len)) {
        return false;
    }
    struct entry header = *e;
    header.kind = c->kind;
    header.encoding = c->encoding;
    header.value_bytes = c->string.len & ENTRY_INLINE_MAX;
    *e = header;
    if (c->string.len > 0) {
        memmove((char *)(e + 1) + e->key_bytes, c->string.ptr, c->string.len);
    }
    return true;
}

NOINLINE static bool assign_all(struct entry *e, const struct content *c)
{
    unsigned flags = content_flags(entry_key(e), c);
    assert(!c->negative || c->string.len == 0);
    if (flags != e->flags) {
        return false;
    }
    if (flags & ENTRY_EXTERNAL) {
        struct entry_external *x = entry_external(e);
        if (c->blob || blob_good_room(c->string.len) != x->capacity || blob_is_held(x->blob)) {
            return false;
        }
        memmove(x->blob->bytes, c->string.ptr, c->string.len);
        x->len = (uint32_t)c->string.len;
    } else if (fits(e, c->string.len)) {
        e->value_bytes = c->string.len & ENTRY_INLINE_MAX;
    } else {
        return false;
    }
    set_content(e, c);
    return true;
}

bool entry_assign(struct entry *e, const struct content *c)
{
    return LIKELY(e->flags == 0 && is_bare(c)) ? assign_bare(e, c) : assign_all(e, c);
}

/* A new block for what an entry has, but for its times and its value. */
static struct entry *block_like(struct slabs *slabs, const struct entry *from, unsigned flags, size_t value_bytes)
{
    struct entry *to = block_new(slabs, flags, from->key_bytes, value_bytes);
    if (!to) {
        return NULL;
    }
    to->stamp = from->stamp;
    to->kind = from->kind;
    to->encoding = from->encoding;
    if (flags & ENTRY_LOADED) {
        *(struct entry_loaded *)entry_option(to, ENTRY_LOADED) =
            *(const struct entry_loaded *)entry_option(from, ENTRY_LOADED);
    }
    if (flags & ENTRY_LONG_KEY) {
        *entry_long_key(to) = *entry_long_key(from);
    }
    memcpy(entry_inline_bytes(to), entry_inline_bytes(from), from->key_bytes);
    return to;
}

struct entry *entry_retimed(struct slabs *slabs, struct entry *e, int64_t deadline, int64_t fresh_until)
{
    unsigned flags = times_flags(deadline, fresh_until) | (e->flags & ~(unsigned)(ENTRY_TIMED | ENTRY_FRESH));
    struct entry *to = e;
    if (flags != e->flags) {
        to = block_like(slabs, e, flags, e->value_bytes);
        if (!to) {
            return NULL;
        }
        if (flags & ENTRY_EXTERNAL) {
            *entry_external(to) = *entry_external(e);
        } else {
            memcpy(entry_value(to), entry_value(e), e->value_bytes);
        }
    }
    set_times(to, deadline, fresh_until);
    return to;
}

/* Half as much again, at most 1 MiB. */
size_t entry_spare_bytes(size_t bytes)
{
    return blob_good_room(bytes + num_min_u64(bytes / 2, SPARE_BYTES_MAX)) - bytes;
}

/* What to allocate for a value that has just outgrown its place. */
static size_t grown_capacity(size_t bytes)
{
    return bytes + entry_spare_bytes(bytes);
}

/* Resizes the external value, to be written from now on; false when the system refuses memory. */
static bool external_resize(struct entry_external *x, size_t bytes)
{
    bool grows = bytes > x->capacity, shrinks = bytes < x->capacity / 4 && x->capacity > SMALL_BYTES;
    size_t written = x->capacity;
    if (grows || shrinks || blob_is_held(x->blob)) {
        size_t capacity = blob_good_room(grows ? grown_capacity(bytes) : bytes);
        struct blob *b = capacity <= UINT32_MAX ? blob_resize(x->blob, num_min_u64(x->len, bytes), capacity) : NULL;
        if (!b) {
            return false;
        }
        x->blob = b;
        x->capacity = (uint32_t)capacity;
    }
    if (bytes > x->len) { /* beyond what it had, a mapped one is zeros */
        size_t end = blob_is_mapped(x->blob) ? num_min_u64(written, bytes) : bytes;
        memset(x->blob->bytes + x->len, 0, end - x->len);
    }
    x->len = (uint32_t)bytes;
    return true;
}

struct entry *entry_resized(struct slabs *slabs, struct entry *e, size_t bytes)
{
    assert(!(e->flags & ENTRY_NEGATIVE));
    if (e->flags & ENTRY_EXTERNAL) {
        if (!external_resize(entry_external(e), bytes)) {
            return NULL;
        }
        e->encoding = ENCODING_RAW;
        return e;
    }

    slice old = entry_string(e);
    size_t kept = num_min_u64(old.len, bytes);
    unsigned flags = e->flags | (bytes > ENTRY_INLINE_MAX ? ENTRY_EXTERNAL : 0);
    size_t value_bytes = flags & ENTRY_EXTERNAL ? 0 : bytes;
    struct entry *to = e;
    if (flags != e->flags ||
        slab_good_bytes(size_of(flags, e->key_bytes, value_bytes)) != slab_good_bytes(size_now(e))) {
        to = block_like(slabs, e, flags, value_bytes);
        if (!to) {
            return NULL;
        }
        if (flags & ENTRY_EXTERNAL && !external_new(entry_external(to), bytes, grown_capacity(bytes))) {
            entry_free_block(slabs, to);
            return NULL;
        }
        set_times(to, entry_deadline(e), entry_fresh_until(e));
        memcpy(entry_value(to), old.ptr, kept);
    }
    to->encoding = ENCODING_RAW;
    to->value_bytes = value_bytes & ENTRY_INLINE_MAX;
    if (!entry_blob(to) || !blob_is_mapped(entry_blob(to))) { /* else it is zeros */
        memset(entry_value(to) + kept, 0, bytes - kept);
    }
    return to;
}

struct entry *entry_moved(struct slabs *slabs, const struct entry *e)
{
    struct entry *to = block_new(slabs, e->flags, e->key_bytes, e->value_bytes);
    if (to) {
        memcpy(to, e, size_now(e));
    }
    return to;
}
