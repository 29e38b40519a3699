/* What a shard counts: the keys of its spaces, and bytes.
 *
 * Bytes are counted exactly per shard (used_bytes, by whoever has the lock) and added to the keyspace's total whenever
 * the difference passes a step, so that a write seldom touches a line that other cores write, and a memory limit reads
 * one number. The step is a 1/64 of the limit divided by the number of shards: the total is at most 1/64 of the limit
 * off.
 *
 * Invariants (shard_check): (I1) each space's counts are those of its entries. (I2) An entry with a deadline is
 * scheduled in the calendar, no other is. (I3) used_bytes = entries + indexes + calendar + what eviction keeps, retired
 * ones included. (I4) evict.entry_count is the sum of the entries; nothing but entries is in `slabs`.
 * (I5) No entry is due before next_due_ms. */
#include "base/num.h"
#include "keyspace/shard_priv.h"

void shard_account(struct shard *s, int64_t bytes)
{
    PUBLISH(s->used_bytes, s->used_bytes + (uint64_t)bytes);
    s->unpublished_bytes += bytes;
    int64_t step = keyspace_publish_step(s->keyspace);
    if (s->unpublished_bytes > step || s->unpublished_bytes < -step) {
        shard_publish(s);
    }
}

void shard_publish(struct shard *s)
{
    keyspace_publish_bytes(s->keyspace, s->unpublished_bytes);
    s->unpublished_bytes = 0;
}

void shard_account_calendar(struct shard *s)
{
    size_t bytes = calendar_bytes(&s->calendar);
    if (bytes != s->calendar_bytes) {
        shard_account(s, (int64_t)bytes - (int64_t)s->calendar_bytes);
        s->calendar_bytes = bytes;
    }
}

static int64_t deadline_offset(const struct shard *s, const struct entry *e)
{
    const int64_t most = (int64_t)1 << 40;
    int64_t deadline = num_max_i64(0, num_min_i64(entry_deadline(e), INT64_MAX / 2));
    return num_max_i64(-most, num_min_i64(most, deadline - keyspace_epoch_ms(s->keyspace)));
}

static void count_entry(struct shard *s, struct space *sp, const struct entry *e, int sign)
{
    sp->timed_count += (uint64_t)(int64_t)(e->flags & ENTRY_TIMED ? sign : 0);
    if (entry_negative(e)) {
        sp->negative_count += (uint64_t)(int64_t)sign;
        return;
    }
    PUBLISH(sp->visible_count, sp->visible_count + (uint64_t)(int64_t)sign);
    if (e->flags & ENTRY_TIMED) {
        PUBLISH(sp->expiring_count, sp->expiring_count + (uint64_t)(int64_t)sign);
        PUBLISH(sp->deadline_offset_ms, sp->deadline_offset_ms + sign * deadline_offset(s, e));
    }
}

void shard_wake_at(struct shard *s, int64_t due_ms)
{
    if (due_ms < s->next_due_ms) {
        PUBLISH(s->next_due_ms, due_ms);
    }
}

void shard_unschedule(struct shard *s, size_t count)
{
    calendar_cancel(&s->calendar, count);
    if (calendar_is_untidy(&s->calendar)) {
        shard_wake_at(s, 0);
    }
}

void shard_note_rests(struct shard *s)
{
    bool has_rests = s->retired || s->evict.rests;
    if (has_rests != s->has_rests) {
        PUBLISH(s->has_rests, has_rests);
        keyspace_note_rests(s->keyspace, has_rests ? 1 : -1);
    }
}

void shard_leave(struct shard *s, struct space *sp, struct entry *e)
{
    count_entry(s, sp, e, -1);
    if (e->flags & ENTRY_TIMED) {
        shard_unschedule(s, 1);
    }
    shard_account(s, -(int64_t)entry_bytes(e));
}

void shard_enter(struct shard *s, struct space *sp, struct entry *e)
{
    count_entry(s, sp, e, +1);
    if (e->flags & ENTRY_TIMED) {
        int64_t due_ms = calendar_schedule(&s->calendar, e);
        shard_wake_at(s, calendar_is_untidy(&s->calendar) ? 0 : due_ms);
    }
    shard_account(s, (int64_t)entry_bytes(e));
}

bool shard_reserve_record(struct shard *s, int64_t deadline, int64_t now_wall_ms)
{
    if (LIKELY(deadline == NO_DEADLINE)) {
        return true;
    }
    bool done = calendar_reserve(&s->calendar, deadline, now_wall_ms);
    shard_account_calendar(s);
    return done;
}

/* ---- counts, without the lock ------------------------------------------------------------------------------------ */

uint64_t shard_key_count(const struct shard *s, unsigned db)
{
    const struct space *sp = space_of(s, db);
    return sp ? PEEK(sp->visible_count) : 0;
}

uint64_t shard_expiring_count(const struct shard *s, unsigned db)
{
    const struct space *sp = space_of(s, db);
    return sp ? PEEK(sp->expiring_count) : 0;
}

int64_t shard_deadline_offset_ms(const struct shard *s, unsigned db)
{
    const struct space *sp = space_of(s, db);
    return sp ? PEEK(sp->deadline_offset_ms) : 0;
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

static size_t check_space(struct shard *s, const struct space *sp, size_t *block_bytes)
{
    struct space found = {0};
    size_t bytes = sp->index.bytes;
    index_check(&sp->index);
    struct entry *entries[INDEX_STEP_MAX];
    uint64_t cursor = 0;
    do {
        size_t met = index_step(&sp->index, &cursor, entries);
        for (size_t i = 0; i < met; i++) {
            const struct entry *e = entries[i];
            assert(keyspace_key(s->keyspace, sp->db, entry_key(e)).shard == s);
            assert(!(e->flags & ENTRY_TIMED) || entry_timed(e)->mark != ENTRY_UNMARKED);
            assert(s->next_due_ms <= num_max_i64(entry_deadline(e), calendar_next_ms(&s->calendar)));
            assert(!entry_negative(e) || entry_string(e).len == 0);
            assert(slab_is_live(&s->slabs, slab_handle(&s->slabs, e)));
            *block_bytes += entry_block_bytes(e);
            bytes += entry_bytes(e);
            count_entry(s, &found, e, +1);
        }
    } while (cursor != 0);
    assert(found.visible_count == sp->visible_count);
    assert(found.negative_count == sp->negative_count);
    assert(found.expiring_count == sp->expiring_count);
    assert(found.deadline_offset_ms == sp->deadline_offset_ms);
    assert(found.visible_count + found.negative_count == sp->index.count);
    assert(found.timed_count == sp->timed_count);
    return bytes;
}

static size_t retired_bytes(const struct retired *r)
{
    size_t bytes = r->index.bytes;
    if (index_is_draining(&r->index)) {
        return SIZE_MAX; /* half freed: not to be walked */
    }
    struct entry *entries[INDEX_STEP_MAX];
    uint64_t cursor = 0;
    do {
        size_t met = index_step(&r->index, &cursor, entries);
        for (size_t i = 0; i < met; i++) {
            bytes += entry_bytes(entries[i]);
        }
    } while (cursor != 0);
    return bytes;
}

void shard_check(struct shard *s)
{
    shard_assert_locked(s);
    size_t bytes = s->evict.bytes + s->calendar_bytes, block_bytes = 0, entries = 0, timed = 0;
    size_t recorded = calendar_check(&s->calendar);
    bool exact = true;
    for (const struct space *sp = s->all_spaces; sp; sp = sp->next) {
        assert(s->spaces[sp->db] == sp);
        bytes += check_space(s, sp, &block_bytes);
        entries += sp->index.count;
        timed += sp->timed_count;
    }
    assert(timed == s->calendar.entry_count);
    assert(timed == recorded || s->retired);
    assert(s->calendar_bytes == calendar_bytes(&s->calendar));
    for (const struct retired *r = s->retired; r; r = r->next) {
        size_t more = retired_bytes(r);
        exact = exact && more != SIZE_MAX;
        bytes += more;
    }
    assert(s->has_rests == (s->retired || s->evict.rests));
    assert(!exact || bytes == s->used_bytes);
    assert(s->retired || block_bytes == slab_used_bytes(&s->slabs));
    slab_check(&s->slabs);
    assert(entries == s->evict.entry_count);
    evict_check(s);
    pending_table_check(s);
}
