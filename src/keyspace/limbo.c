/* Deferred freeing by epochs; see limbo_priv.h.
 *
 * Why a block of epoch e is safe to free when e + 2 begins: it could not be found any more when e was read (the fence in limbo_put()). Epoch
 * e + 2 begins when every worker has ticked and seen e + 1, which began after that. So each has ticked after the block could be found. A block
 * whose epoch is overtaken while it is put into its bin goes later, with a later epoch that has the same bin.
 *
 * Invariant: bins[(epoch + 1) % 3] is what the next epoch but one will free or what comes late; only who moves the epoch on takes from a bin. */
#include "keyspace/limbo_priv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "os/mem.h"

enum { BINS = 3 };

struct limbo_worker {
    uint64_t seen;               /* atomic: the epoch at its last tick */
    struct limbo_block *leaving; /* what it is to free */
} ALIGNED(CACHE_LINE_BYTES);

err limbo_init(struct limbo *l, unsigned worker_count, struct slab_pool *pool)
{
    *l = (struct limbo){.worker_count = worker_count};
    lock_init(&l->lock, LOCK_LIMBO, 0);
    slabs_init(&l->slabs, pool, SLAB_POOL_INDEXES, l);
    l->workers = aligned_alloc(CACHE_LINE_BYTES, worker_count * sizeof *l->workers);
    if (!l->workers) {
        return ERR_NOMEM;
    }
    memset(l->workers, 0, worker_count * sizeof *l->workers);
    return OK;
}

void *limbo_alloc(struct limbo *l, size_t bytes)
{
    bool slab = bytes <= SLAB_BLOCK_MAX;
    struct limbo_block *block;
    if (slab) {
        lock_acquire(&l->lock);
        block = slab_alloc(&l->slabs, bytes);
        lock_release(&l->lock);
    } else {
        block = mem_alloc(bytes);
    }
    if (block) {
        *block = (struct limbo_block){.slab_bytes = slab ? bytes : 0};
    }
    return block;
}

size_t limbo_good_bytes(size_t bytes)
{
    return bytes <= SLAB_BLOCK_MAX ? slab_good_bytes(bytes) : mem_good_bytes(bytes);
}

static void free_block(struct limbo *l, struct limbo_block *block)
{
    if (block->slab_bytes == 0) {
        mem_free(block);
        return;
    }
    lock_acquire(&l->lock);
    slab_free(&l->slabs, block, block->slab_bytes);
    lock_release(&l->lock);
}

static struct limbo_block *take_bin(struct limbo *l, uint64_t epoch)
{
    return __atomic_exchange_n(&l->bins[epoch % BINS], NULL, __ATOMIC_ACQUIRE);
}

/* Frees up to `most`; returns what is left. */
static struct limbo_block *free_some(struct limbo *l, struct limbo_block *block, size_t most)
{
    for (struct limbo_block *next; block && most > 0; block = next, most--) {
        next = block->next;
        free_block(l, block);
    }
    return block;
}

void limbo_fini(struct limbo *l)
{
    for (unsigned i = 0; i < BINS; i++) {
        free_some(l, take_bin(l, i), SIZE_MAX);
    }
    for (unsigned i = 0; l->workers && i < l->worker_count; i++) {
        free_some(l, l->workers[i].leaving, SIZE_MAX);
    }
    slabs_fini(&l->slabs);
    free(l->workers);
    *l = (struct limbo){0};
}

void limbo_put(struct limbo *l, struct limbo_block *block)
{
    if (!block) {
        return;
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* first it could not be found any more, then the epoch */
    struct limbo_block **bin = &l->bins[__atomic_load_n(&l->epoch, __ATOMIC_SEQ_CST) % BINS];
    block->next = __atomic_load_n(bin, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(bin, &block->next, block, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {}
}

static bool all_have_seen(const struct limbo *l, uint64_t epoch)
{
    for (unsigned i = 0; i < l->worker_count; i++) {
        if (__atomic_load_n(&l->workers[i].seen, __ATOMIC_ACQUIRE) != epoch) {
            return false;
        }
    }
    return true;
}

bool limbo_tick(struct limbo *l, unsigned worker_index)
{
    assert(worker_index < l->worker_count);
    struct limbo_worker *w = &l->workers[worker_index];
    if (!w->leaving) {
        uint64_t epoch = __atomic_load_n(&l->epoch, __ATOMIC_SEQ_CST);
        __atomic_store_n(&w->seen, epoch, __ATOMIC_SEQ_CST);
        if (all_have_seen(l, epoch) &&
            __atomic_compare_exchange_n(&l->epoch, &epoch, epoch + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
            w->leaving = take_bin(l, epoch + BINS - 1); /* what the epoch before this one left */
        }
    }
    w->leaving = free_some(l, w->leaving, LIMBO_PER_TICK);
    return w->leaving;
}

bool limbo_is_sparse(struct limbo *l)
{
    lock_acquire(&l->lock);
    bool sparse = slab_is_sparse(&l->slabs);
    lock_release(&l->lock);
    return sparse;
}

bool limbo_should_move(struct limbo *l, const struct limbo_block *block)
{
    lock_acquire(&l->lock);
    bool should = block->slab_bytes > 0 && slab_should_move(&l->slabs, block);
    lock_release(&l->lock);
    return should;
}
