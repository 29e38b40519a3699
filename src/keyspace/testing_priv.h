/* What the unit tests of keyspace/ share: a keyspace with fixed seeds, an effect to note in, keys and contents in a
 * line. */
#ifndef KEYSPACE_TESTING_PRIV_H
#define KEYSPACE_TESTING_PRIV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/random.h"
#include "keyspace/keyspace.h"
#include "keyspace/limbo_priv.h"
#include "keyspace/slab_priv.h"

enum { NOW_MS = 1700000000, TICK_US = 100 };
#define NOW ((int64_t)NOW_MS * 1000)

struct bench {
    struct keyspace *ks;
    struct arena arena;
    struct effect fx;
    char key_text[32];
};

static inline void bench_init(struct bench *b, unsigned workers, uint64_t maxmemory_bytes, enum eviction eviction)
{
    struct keyspace_options o = {.worker_count = workers,
                                 .db_count = 16,
                                 .maxmemory_bytes = maxmemory_bytes,
                                 .eviction = eviction,
                                 .seed = {1, 2, 3}};
    assert_int_equal(keyspace_new(&o, &b->ks), OK);
    arena_init(&b->arena);
    effect_init(&b->fx, &b->arena, (struct now){.wall_ms = NOW, .mono_ms = 1000}, true);
}

static inline void bench_fini(struct bench *b)
{
    arena_fini(&b->arena);
    keyspace_free(b->ks);
}

/* Forgets what was noted. */
static inline void bench_reset(struct bench *b)
{
    struct now now = b->fx.now;
    arena_reset(&b->arena);
    effect_init(&b->fx, &b->arena, now, true);
}

/* "key:000042"; the text is good until the next one. */
static inline struct key bench_key(struct bench *b, unsigned db, unsigned number)
{
    int len = snprintf(b->key_text, sizeof b->key_text, "key:%06u", number);
    return keyspace_key(b->ks, db, slice_make(b->key_text, (size_t)len));
}

/* Sets a key as SET would, with the lock taken for it. */
static inline void bench_set(struct bench *b, unsigned db, unsigned number, slice value, int64_t deadline)
{
    struct key k = bench_key(b, db, number);
    struct content c = content_string(value);
    struct entry *e;
    c.deadline = c.fresh_until = deadline;
    shard_lock(k.shard);
    e = shard_find(k.shard, &k);
    assert_int_equal(e ? shard_replace(k.shard, &k, e, &c, &b->fx, EVENT_set, &e)
                       : shard_insert(k.shard, &k, &c, &b->fx, EVENT_set, &e),
                     OK);
    shard_unlock(k.shard);
    bench_reset(b);
}

/* Whether it is there; removes it. */
static inline bool bench_remove(struct bench *b, unsigned db, unsigned number)
{
    struct key k = bench_key(b, db, number);
    shard_lock(k.shard);
    struct entry *e = shard_find(k.shard, &k);
    if (e) {
        shard_remove(k.shard, &k, e, &b->fx, CHANGE_DELETED, EVENT_del);
    }
    shard_unlock(k.shard);
    bench_reset(b);
    return e;
}

static inline bool bench_has(struct bench *b, unsigned db, unsigned number)
{
    struct key k = bench_key(b, db, number);
    shard_lock(k.shard);
    struct entry *e = shard_find(k.shard, &k);
    shard_unlock(k.shard);
    return e;
}

/* The slabs of one shard without the shard. */
struct slab_bench {
    struct slab_pool pool;
    struct limbo limbo;
    struct slabs slabs;
};

static inline void slab_bench_init(struct slab_bench *b)
{
    assert_int_equal(slab_pool_init(&b->pool, 1 << 30), OK);
    assert_int_equal(limbo_init(&b->limbo, 1, &b->pool), OK);
    slabs_init(&b->slabs, &b->pool, SLAB_POOL_ENTRIES, &b->limbo);
}

static inline void slab_bench_fini(struct slab_bench *b)
{
    slabs_fini(&b->slabs);
    limbo_fini(&b->limbo);
    slab_pool_fini(&b->pool);
}

#endif
