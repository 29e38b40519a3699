/* Locks with ranks. `struct lock` is four bytes in release builds: test and set, a few pauses, then a few yields (on two cores the holder
 * may be preempted), then a futex. Not recursive. In builds with LARDER_CHECKS each thread keeps the list of what it holds and asserts
 * that ranks ascend and that who releases is who acquired.
 *
 * `struct condition` is for helpers, which may block; workers never wait on one. */
#ifndef OS_LOCK_H
#define OS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum lock_rank {
#define LOCK(name, what) LOCK_##name,
#include "os/lock.def"
#undef LOCK
    LOCK_RANK_COUNT
};

struct LOCK_TYPE("lock") lock {
    uint32_t word; /* 0 free, 1 held, 2 held and somebody sleeps; atomic */
#ifdef LARDER_CHECKS
    uint16_t rank;
    uint16_t order_low;
    uint32_t order;
    uint32_t owner; /* thread_id() of the holder, 0 when free */
#endif
};

/* `order` tells apart locks of one rank; a thread takes them in ascending order. */
void lock_init(struct lock *l, enum lock_rank rank, uint32_t order);
void lock_acquire(struct lock *l) ACQUIRES(*l);
/* Never waits. Exempt from the rank order, since it cannot deadlock. */
bool lock_try(struct lock *l) TRY_ACQUIRES(true, *l);
void lock_release(struct lock *l) RELEASES(*l);
/* Asserts (with LARDER_CHECKS; else that it is held by somebody) that the calling thread holds it. */
void lock_assert_held(const struct lock *l) ASSERTS_HELD(*l);

struct condition {
    uint32_t sequence; /* atomic */
};
void condition_init(struct condition *c);
/* Releases `l`, sleeps until woken or until deadline_mono_ms (INT64_MAX: without end), acquires `l` again. False when the time was up.
 * May wake without reason: test again what you wait for. */
bool condition_wait(struct condition *c, struct lock *l, int64_t deadline_mono_ms) HOLDS(*l);
void condition_wake_one(struct condition *c);
void condition_wake_all(struct condition *c);

#endif
