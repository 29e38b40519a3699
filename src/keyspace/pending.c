/* Pending keys of a shard, in a small table of lists by hash, and the outcomes that parked calls get; see pending.h.
 *
 * Invariants: (I1) exactly the attached pendings are in the table, in the list of their hash, and pending_count counts
 * them. (I2) At most one of them has a given key and database. (I3) A waiter is linked exactly while `pending` is set.
 * Threads: who has the shard locked; outcomes: any. */
#include "keyspace/pending.h"

#include "base/assert.h"
#include "keyspace/entry_priv.h"
#include "keyspace/shard_priv.h"
#include "os/mem.h"

/* ---- outcomes ---------------------------------------------------------------------------------------------------- */

static struct outcome *outcome_new(enum outcome_kind kind)
{
    struct outcome *o = mem_alloc(sizeof *o);
    if (o) {
        *o = (struct outcome){.references = 1, .kind = kind};
    }
    return o;
}

struct outcome *outcome_new_value(slice key, const struct content *c)
{
    struct outcome *o = outcome_new(OUTCOME_VALUE);
    if (!o) {
        return NULL;
    }
    o->entry = entry_new(NULL, key, c);
    if (!o->entry) {
        mem_free(o);
        return NULL;
    }
    return o;
}

struct outcome *outcome_new_negative(void)
{
    return outcome_new(OUTCOME_NEGATIVE);
}

struct outcome *outcome_new_error(err e, slice text)
{
    struct outcome *o = outcome_new(OUTCOME_ERROR);
    if (!o) {
        return NULL;
    }
    o->error = e;
    if (text.len > 0) {
        char *copy = mem_alloc(text.len);
        if (!copy) {
            mem_free(o);
            return NULL;
        }
        memcpy(copy, text.ptr, text.len);
        o->text = slice_make(copy, text.len);
    }
    return o;
}

struct outcome *outcome_ref(struct outcome *o)
{
    __atomic_add_fetch(&o->references, 1, __ATOMIC_RELAXED);
    return o;
}

void outcome_unref(struct outcome *o)
{
    if (o && __atomic_sub_fetch(&o->references, 1, __ATOMIC_ACQ_REL) == 0) {
        entry_free(NULL, o->entry);
        mem_free((char *)o->text.ptr);
        mem_free(o);
    }
}

/* ---- pendings ---------------------------------------------------------------------------------------------------- */

static struct list *bucket_of(const struct shard *s, uint64_t hash)
{
    return (struct list *)&s->pendings[(hash >> 32) % PENDING_BUCKETS];
}

struct pending *pending_find(struct shard *s, const struct key *k)
{
    shard_assert_locked(s);
    if (LIKELY(s->pending_count == 0)) {
        return NULL;
    }
    LIST_EACH (node, bucket_of(s, k->hash)) {
        struct pending *p = container_of(node, struct pending, link);
        if (p->hash == k->hash && p->db == k->db && slice_equal(p->key, k->bytes)) {
            return p;
        }
    }
    return NULL;
}

struct pending *pending_open(struct shard *s, const struct key *k, void *owner)
{
    assert(!pending_find(s, k));
    struct pending *p = mem_alloc(sizeof *p + k->bytes.len);
    if (!p) {
        return NULL;
    }
    memcpy(p + 1, k->bytes.ptr, k->bytes.len);
    *p = (struct pending){.shard = s,
                          .hash = k->hash,
                          .db = k->db,
                          .attached = true,
                          .owner = owner,
                          .key = slice_make(p + 1, k->bytes.len)};
    list_init(&p->waiters);
    list_push_back(bucket_of(s, k->hash), &p->link);
    s->pending_count++;
    return p;
}

void pending_join(struct pending *p, struct waiter *w)
{
    shard_assert_locked(p->shard);
    assert(p->attached);
    w->pending = p;
    w->outcome = NULL;
    list_push_back(&p->waiters, &w->link);
    p->waiter_count++;
    if (p->waiter_total) {
        __atomic_add_fetch(p->waiter_total, 1, __ATOMIC_RELAXED);
    }
}

static void take_out(struct waiter *w)
{
    list_remove(&w->link);
    w->pending->waiter_count--;
    if (w->pending->waiter_total) {
        __atomic_sub_fetch(w->pending->waiter_total, 1, __ATOMIC_RELAXED);
    }
    w->pending = NULL;
}

bool pending_leave(struct waiter *w)
{
    if (!w->pending) {
        return false;
    }
    shard_assert_locked(w->pending->shard);
    take_out(w);
    return true;
}

void pending_void(struct pending *p)
{
    shard_assert_locked(p->shard);
    if (p->attached) {
        p->attached = false;
        list_remove(&p->link);
        p->shard->pending_count--;
    }
}

void pending_resolve(struct pending *p, struct outcome *o)
{
    shard_assert_locked(p->shard);
    while (!list_empty(&p->waiters)) {
        struct waiter *w = container_of(p->waiters.next, struct waiter, link);
        take_out(w);
        w->outcome = outcome_ref(o);
        w->wake(w);
    }
}

void pending_close(struct pending *p)
{
    assert(list_empty(&p->waiters));
    pending_void(p);
    mem_free(p);
}

size_t pending_void_all(struct shard *s, unsigned db, bool (*matches)(void *argument, slice key), void *argument)
{
    shard_assert_locked(s);
    size_t count = 0;
    for (unsigned i = 0; i < PENDING_BUCKETS && s->pending_count > 0; i++) {
        LIST_EACH (node, &s->pendings[i]) {
            struct pending *p = container_of(node, struct pending, link);
            if (p->db == db && (!matches || matches(argument, p->key))) {
                pending_void(p);
                count++;
            }
        }
    }
    return count;
}

void pending_table_init(struct shard *s)
{
    for (unsigned i = 0; i < PENDING_BUCKETS; i++) {
        list_init(&s->pendings[i]);
    }
}

void pending_table_check(const struct shard *s)
{
    size_t count = 0;
    for (unsigned i = 0; i < PENDING_BUCKETS; i++) {
        LIST_EACH (node, &s->pendings[i]) {
            const struct pending *p = container_of(node, struct pending, link);
            assert(p->attached);
            assert(p->shard == s);
            assert(bucket_of(s, p->hash) == &s->pendings[i]);
            size_t waiters = 0;
            LIST_EACH (link, &p->waiters) {
                assert(container_of(link, struct waiter, link)->pending == p);
                waiters++;
            }
            assert(waiters == p->waiter_count);
            count++;
        }
    }
    assert(count == s->pending_count);
}
