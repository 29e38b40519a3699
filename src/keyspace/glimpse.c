/* Reading one entry without its shard's lock, so that readers of one hot key do not wait for each other and a look-up
 * writes to no line that another core has.
 *
 * The lock counts its releases (lock_look()). What is read between two looks at it is whole when nobody held it at the
 * first and nobody has since. Until the second look it may be anything: half written, or of memory that has become
 * something else. So each step looks again before it relies on what the one before has read. The first look was that of
 * the sight, when the call was prepared:
 *
 *     version, bucket, handle ... still? -> header -> still? (now its lengths are true) -> all of it -> still?
 *
 * Whoever changes a shard holds its lock, so nothing that matters can be missed. What is read stays readable: indexes are
 * in limbo until the worker's next tick, and slabs stay (slab_priv.h). The rest is plain: whoever does not see at once
 * what the key has takes the lock. That is for values and keys outside of the entry's block, negative and expired
 * entries, and shards that were changed meanwhile.
 *
 * A use that the policy wants to note is noted under the lock, if the entry is still the one that was seen: what a
 * policy writes then (struct evict_policy, used()) is its own and the entry's stamp, on which no reader relies, so that
 * to others who read without the lock nothing has happened.
 *
 * Workers only. */
#include "base/assert.h"
#include "keyspace/entry_priv.h"
#include "keyspace/index_priv.h"
#include "keyspace/shard_priv.h"

enum glimpse { GLIMPSE_IT, GLIMPSE_OTHER, GLIMPSE_NOTHING };

/* Two words, read at once. */
typedef uint64_t pair __attribute__((vector_size(16), aligned(8), may_alias));

READS_UNLOCKED static void copy_header(const struct entry *from, struct entry *to)
{
    *(uint64_t *)to = *(volatile const uint64_t *)from;
}

/* The last pair may reach a word beyond the block, but never beyond its slab: what fills a slab consists of pairs. */
READS_UNLOCKED static void copy_block(const struct entry *from, size_t bytes, struct entry *to)
{
    for (size_t i = 0; i * sizeof(pair) < bytes; i++) {
        ((pair *)to)[i] = ((volatile const pair *)from)[i];
    }
}

/* GLIMPSE_IT: `copy` is what stood there. GLIMPSE_OTHER: it is another key's; GLIMPSE_NOTHING: it cannot be said. */
static enum glimpse copy_entry(const struct lock *l, uint32_t version, const struct entry *e, slice key,
                               struct entry *copy)
{
    copy_header(e, copy);
    if (!lock_is_untouched(l, version) || copy->flags & (ENTRY_LONG_KEY | ENTRY_EXTERNAL | ENTRY_NEGATIVE)) {
        return GLIMPSE_NOTHING;
    }
    if (copy->key_bytes != key.len) {
        return GLIMPSE_OTHER;
    }
    const char *key_copy = entry_inline_bytes(copy);
    size_t bytes = (size_t)(key_copy - (const char *)copy) + key.len + copy->value_bytes;
    if (bytes > SHARD_GLIMPSE_BYTES_MAX) {
        return GLIMPSE_NOTHING;
    }
    copy_block(e, bytes, copy);
    if (!lock_is_untouched(l, version)) {
        return GLIMPSE_NOTHING;
    }
    return bytes_equal(key_copy, key.ptr, key.len) ? GLIMPSE_IT : GLIMPSE_OTHER;
}

/* The same of a bucket, GLIMPSE_IT with where it stands: GLIMPSE_OTHER when the key is in none of its slots. */
static enum glimpse copy_from_bucket(const struct shard *s, uint32_t version, const void *bucket, const struct key *k,
                                     struct entry *copy, const struct entry **ret_entry, const void **ret_next)
{
    for (unsigned slots = index_slots_unlocked(bucket, k->hash, ret_next); slots; slots &= slots - 1) {
        handle h = index_handle_unlocked(bucket, (unsigned)__builtin_ctz(slots));
        if (!lock_is_untouched(&s->lock, version)) {
            return GLIMPSE_NOTHING;
        }
        *ret_entry = slab_at(&s->slabs, h);
        enum glimpse g = copy_entry(&s->lock, version, *ret_entry, k->bytes, copy);
        if (LIKELY(g != GLIMPSE_OTHER)) {
            return g;
        }
    }
    return GLIMPSE_OTHER;
}

/* GLIMPSE_OTHER: it is absent. */
NOINLINE static enum glimpse search(const struct shard *s, const struct sight *sight, const struct key *k,
                                    struct entry *copy, const struct entry **ret_entry)
{
    enum glimpse g = GLIMPSE_OTHER;
    for (const void *bucket = sight->bucket, *next; bucket && g == GLIMPSE_OTHER; bucket = next) {
        g = copy_from_bucket(s, sight->version, bucket, k, copy, ret_entry, &next);
        if (!lock_is_untouched(&s->lock, sight->version)) {
            return GLIMPSE_NOTHING;
        }
    }
    return g;
}

/* False when the shard was changed meanwhile. */
static bool note_use(struct shard *s, const struct sight *sight, const struct entry *e, int64_t now_wall_ms)
{
    if (UNLIKELY(!lock_acquire_untouched(&s->lock, sight->version))) {
        return false;
    }
    s->evict.policy->used(s, (struct entry *)e, now_wall_ms);
    lock_release_unchanged(&s->lock);
    return true;
}

bool shard_glimpse(const struct key *k, const struct sight *sight, int64_t now_wall_ms, bool is_use, void *memory,
                   struct entry **ret_entry)
{
    struct shard *s = k->shard;
    if (sight->blind || !lock_is_untouched(&s->lock, sight->version)) {
        return false;
    }
    const struct entry *e = sight->entry;
    struct entry *copy = memory;
    enum glimpse g = LIKELY(e != NULL) ? copy_entry(&s->lock, sight->version, e, k->bytes, copy) : GLIMPSE_OTHER;
    if (UNLIKELY(g == GLIMPSE_OTHER)) {
        const struct entry *found = NULL;
        g = search(s, sight, k, copy, &found);
        e = found;
    }
    if (g != GLIMPSE_IT) {
        *ret_entry = NULL;
        return g == GLIMPSE_OTHER;
    }
    *ret_entry = copy;
    bool has_expired = copy->flags & ENTRY_TIMED && entry_expired(copy, now_wall_ms);
    return !has_expired && (!is_use || !evict_would_note(s, copy, now_wall_ms) || note_use(s, sight, e, now_wall_ms));
}
