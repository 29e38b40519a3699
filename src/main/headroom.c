/* maxmemory-process: a bound for what is resident of the whole process, kept by what its data may take.
 *
 *      resident   | others: program, connections, TLS | data: used | free: held, used by nobody |
 *      bound      |      (whatever they take)         |   data_bytes   |   reserve   | margin   |
 *
 * Evicting while more is resident than allowed would not end: what is evicted is free at first, and resident until the allocator and the slabs
 * have given it back. So free memory is given back first, and the limit of the data comes from what the *others* take, which does not change when
 * data becomes free memory. What they take is what the allocator has handed out and the data has not, besides what the empty process took: the
 * accounts of free memory would not do, since much of that was never touched and is not resident.
 *
 * Of the free memory a part never comes back: pages that are partly in use. That part, the residual, is learnt: what is left after giving back.
 * Entries have to be moved together for that, which takes seconds, so it is believed slowly.
 *
 * The limit falls at once, since what the others took is gone, and rises gently, since they may take it again. Changes too small to matter are left
 * alone: each is told to all shards.
 *
 * Invariants: (I1) The reserve is at most half of what the others leave: memory that is fragmented beyond that exceeds the bound rather than
 * emptying the keyspace. (I2) With a bound data_bytes is never 0, which would be no limit.
 *
 * Thread: the front. */
#include "main/headroom.h"

#include <inttypes.h>

#include "base/num.h"
#include "observe/log.h"
#include "observe/metric.h"
#include "os/lazy.h"
#include "os/mem.h"
#include "os/process.h"

enum {
    MARGIN_PART = 64,        /* of the bound: for what happens between two looks */
    RESIDUAL_PART = 16,      /* of what the others leave: what to expect, besides */
    BEGUN_BYTES = 384 << 10, /* in each shard */
    RESERVE_PART_MAX = 2,    /* (I1) */
    SLACK_PART = 64,         /* beyond the residual, so that giving back is not needed at every look */
    BELIEF_PART = 16,        /* of the residual's way to what is measured, at each look */
    RISE_PART = 8,           /* of the way up, at each look */
    BAND_PART = 128,         /* of the limit: smaller changes are none */
    PRESSED_PART = 32,       /* the data is pressed when it is so near to the limit */
    RELIEVED_PART = 8,       /* and no more when it is so far from it */
    GIVE_BACK_US = 20000,    /* at a time, for moving entries together */
};

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t aim(const struct headroom *h)
{
    return h->bound_bytes - h->bound_bytes / MARGIN_PART;
}

static uint64_t free_of(const struct footprint *f)
{
    return minus(f->resident, f->used + f->others);
}

/* ---- arithmetic --------------------------------------------------------------------------------------------------- */

bool headroom_is_exceeded(const struct headroom *h, const struct footprint *f)
{
    return f->resident > aim(h) && free_of(f) > h->residual_bytes + aim(h) / BAND_PART;
}

/* While there is little data, what is free says nothing of how it will be when there is much. */
static void learn_residual(struct headroom *h, const struct footprint *f, bool given_back)
{
    if (f->used < h->data_bytes - h->data_bytes / PRESSED_PART) {
        return;
    }
    uint64_t measured = free_of(f);
    if (measured < h->residual_bytes) {
        h->residual_bytes -= (h->residual_bytes - measured) / BELIEF_PART;
    } else if (given_back) {
        h->residual_bytes += (measured - h->residual_bytes) / BELIEF_PART;
    }
}

void headroom_step(struct headroom *h, const struct footprint *f, bool given_back)
{
    uint64_t left = minus(aim(h), f->others); /* for data and what is free */
    if (h->data_bytes == 0) {
        h->residual_bytes = left / RESIDUAL_PART + h->begun_bytes;
    } else {
        learn_residual(h, f, given_back);
    }
    uint64_t reserve = num_min_u64(h->residual_bytes + left / SLACK_PART, left / RESERVE_PART_MAX);
    uint64_t target = num_max_u64(left - reserve, 1);
    uint64_t band = h->data_bytes / BAND_PART;
    if (h->data_bytes == 0 || target + band < h->data_bytes) {
        h->data_bytes = target;
    } else if (target > h->data_bytes + band) {
        h->data_bytes += num_max_u64((target - h->data_bytes) / RISE_PART, 1);
    }
}

/* ---- looking ------------------------------------------------------------------------------------------------------ */

/* What the allocator has handed out to others than the data. Both counts move meanwhile. */
static uint64_t handed_to_others(struct keyspace *ks)
{
    uint64_t handed = mem_stats().allocated_bytes + keyspace_slabs(ks).used_bytes;
    return minus(handed, keyspace_used_bytes(ks) + lazy_pending_bytes());
}

void headroom_init(struct headroom *h, struct keyspace *ks)
{
    *h = (struct headroom){.empty_bytes = process_resident_bytes(),
                           .handed_bytes = handed_to_others(ks),
                           .begun_bytes = (uint64_t)keyspace_shard_count(ks) * BEGUN_BYTES};
}

static struct footprint measure(const struct headroom *h, struct keyspace *ks)
{
    return (struct footprint){
        .resident = process_resident_bytes(),
        .used = keyspace_used_bytes(ks),
        .others = h->empty_bytes + minus(handed_to_others(ks), h->handed_bytes),
    };
}

static void give_back(struct keyspace *ks)
{
    (void)keyspace_purge(ks, GIVE_BACK_US); /* what is left is for the next time */
    keyspace_give_back(ks);
    mem_purge();
    metric_add(METRIC_memory_given_back, 1);
}

static void say(struct headroom *h, const struct footprint *f, uint64_t maxmemory_bytes)
{
    static struct log_limit limit;
    bool narrower = h->data_bytes > 0 && (maxmemory_bytes == 0 || h->data_bytes < maxmemory_bytes);
    uint64_t part = h->data_bytes / (h->presses ? RELIEVED_PART : PRESSED_PART);
    bool presses = narrower && f->used + part >= h->data_bytes;
    if (presses && !h->presses) {
        log_write_limited(&limit, LOG_NOTICE, "main",
                          "maxmemory-process limits the data to %" PRIu64
                          " bytes: program and connections take %" PRIu64 " of %" PRIu64 ", and %" PRIu64
                          " are free and not given back",
                          h->data_bytes, f->others, h->bound_bytes, free_of(f));
    } else if (h->presses && !presses) {
        log_write_limited(&limit, LOG_NOTICE, "main",
                          "maxmemory-process limits the data no more: it takes %" PRIu64 " bytes", f->used);
    }
    h->presses = presses;
}

void headroom_look(struct headroom *h, struct keyspace *ks, uint64_t bound_bytes, uint64_t maxmemory_bytes)
{
    if (h->bound_bytes != bound_bytes) {
        h->bound_bytes = bound_bytes;
        h->data_bytes = 0;
    }
    struct footprint f = measure(h, ks);
    if (bound_bytes > 0) {
        bool exceeded = headroom_is_exceeded(h, &f);
        if (exceeded) {
            give_back(ks);
            f = measure(h, ks);
        }
        headroom_step(h, &f, exceeded);
    }
    say(h, &f, maxmemory_bytes);
}
