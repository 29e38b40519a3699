/* Locks with ranks. `struct lock` is eight bytes in release builds: test and set, a few pauses, then a few yields (on two cores the holder
 * may be preempted), then a futex. Not recursive. In builds with LARDER_CHECKS each thread keeps the list of what it holds and asserts
 * that ranks ascend and that who releases is who acquired. One exemption: who holds the gate takes shards in any order, since whoever
 * does not hold it waits for one shard only and merely tries the others.
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

enum { LOCK_HELD = 1 };

struct LOCK_TYPE("lock") lock {
    uint32_t word;     /* LOCK_HELD, and above it how often it was released; atomic */
    uint32_t sleepers; /* threads that sleep until it is free, or are about to; atomic */
#ifdef LARDER_CHECKS
    uint32_t rank;  /* of enum lock_rank */
    uint32_t order; /* among those of its rank */
    uint32_t owner; /* thread_id() of the holder, 0 when free */
#endif
};

/* `order` tells apart locks of one rank; a thread takes them in ascending order. */
void lock_init(struct lock *l, enum lock_rank rank, uint32_t order);
void lock_acquire(struct lock *l) ACQUIRES(*l);
/* Never waits. Exempt from the rank order, since it cannot deadlock. */
bool lock_try(struct lock *l) TRY_ACQUIRES(true, *l);
/* For who has looked (lock_look()): acquires it if nobody has had it since; waits for who has it now. Else false, and it is not held. */
bool lock_acquire_untouched(struct lock *l, uint32_t version) TRY_ACQUIRES(true, *l);
void lock_release(struct lock *l) RELEASES(*l);
/* The same for who has changed nothing that readers without the lock rely on: to lock_is_untouched() it was never held. */
void lock_release_unchanged(struct lock *l) RELEASES(*l);
/* Asserts (with LARDER_CHECKS; else that it is held by somebody) that the calling thread holds it. */
void lock_assert_held(const struct lock *l) ASSERTS_HELD(*l);

/* For who reads what the lock guards without taking it. What was read between the two is whole if the first said true, nobody
 * held it then, and the second says true, nobody has since. Until then it may be anything. (2^31 releases in between would not be
 * noticed.) */
static inline bool lock_look(const struct lock *l, uint32_t *ret_version)
{
    *ret_version = __atomic_load_n(&l->word, __ATOMIC_ACQUIRE);
    return !(*ret_version & LOCK_HELD);
}
static inline bool lock_is_untouched(const struct lock *l, uint32_t version)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&l->word, __ATOMIC_RELAXED) == version;
}
/* The second look of who has taken the lock since. */
static inline bool lock_was_untouched(const struct lock *l, uint32_t version)
{
    return (__atomic_load_n(&l->word, __ATOMIC_RELAXED) & ~(uint32_t)LOCK_HELD) == version;
}

/* What is waited for is changed under the lock that the waiters hold; the wake-up may come after its release. */
struct condition {
    uint32_t sequence; /* atomic; moves with every wake-up */
    uint32_t waiters;  /* atomic; 0 saves the system call */
};
void condition_init(struct condition *c);
/* Releases `l`, sleeps until woken or until deadline_mono_ms (INT64_MAX: without end), acquires `l` again. False when the time was up.
 * May wake without reason: test again what you wait for. */
bool condition_wait(struct condition *c, struct lock *l, int64_t deadline_mono_ms) HOLDS(*l);
void condition_wake_one(struct condition *c);
void condition_wake_all(struct condition *c);

#endif
