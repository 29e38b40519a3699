/* A futex lock, its ranks, and a condition.
 *
 * A word says whether it is held, another how many sleep until it is not. Who comes to a held lock pauses a little, for the holder is usually on
 * another core and almost done; then yields, for on few cores the holder may have been preempted; then says that it sleeps, and sleeps. The rest
 * of the first word counts the releases, for those who read without the lock (lock_look()).
 *
 * Nearly always nobody sleeps, so a release is two plain instructions: it writes the word, then reads whether there is a sleeper to wake. A
 * processor may do the second before others see the first, and to forbid it that costs as much as the rest of the pair of acquire and release.
 * Who is about to sleep pays instead: having said so, it has every processor that runs a thread of this process pass a barrier (membarrier(2)).
 * A release before that is seen by who then looks at the word again; one after it sees the sleeper.
 *
 * Locks are not fair: a running thread may take one before a woken one does. They are held for microseconds, so that does not matter.
 *
 * Invariants, with LARDER_CHECKS:
 * (I1) `held` names the locks of this thread, in the order of acquisition; each has owner == thread_id().
 * (I2) A lock that was waited for was above everything its thread held: by rank, then by order.
 * (I3) Who holds the gate is exempt from (I2) among shards.
 *
 * Any thread. Not here: what each lock guards (lock.def), which locks a command needs (keyspace/). */
#include "os/lock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/thread.h"

enum { PAUSES = 64, YIELDS = 8 };

/* ---- futex --------------------------------------------------------------------------------------------------------- */

/* Sleeps while *word == value; wait_ms INT64_MAX: without end. */
static void futex_wait(uint32_t *word, uint32_t value, int64_t wait_ms)
{
    struct timespec timeout = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, wait_ms == INT64_MAX ? NULL : &timeout, NULL, 0);
}

static void futex_wake(uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- ranks --------------------------------------------------------------------------------------------------------- */

#ifdef LARDER_CHECKS

enum { HELD_COUNT_MAX = 4096 }; /* every shard, and a few */

static _Thread_local const struct lock *held[HELD_COUNT_MAX];
static _Thread_local unsigned held_count;

static bool is_below(const struct lock *a, const struct lock *b)
{
    return a->rank < b->rank || (a->rank == b->rank && a->order < b->order);
}

static void check_order(const struct lock *l)
{
    bool gate_held = false;
    for (unsigned i = 0; i < held_count; i++) {
        gate_held |= held[i]->rank == LOCK_GATE;
    }
    for (unsigned i = 0; i < held_count; i++) {
        bool both_shards = held[i]->rank == LOCK_SHARD && l->rank == LOCK_SHARD;
        bool lock_ranks_ascend = is_below(held[i], l) || (gate_held && both_shards && held[i] != l);
        assert(lock_ranks_ascend);
    }
}

static void note_acquired(struct lock *l)
{
    assert(held_count < HELD_COUNT_MAX);
    held[held_count++] = l;
    __atomic_store_n(&l->owner, thread_id(), __ATOMIC_RELAXED);
}

static void note_released(struct lock *l)
{
    lock_assert_held(l);
    __atomic_store_n(&l->owner, 0, __ATOMIC_RELAXED);
    unsigned place = held_count;
    do {
        assert(place > 0);
    } while (held[--place] != l);
    held_count--;
    for (; place < held_count; place++) {
        held[place] = held[place + 1];
    }
}

void lock_init(struct lock *l, enum lock_rank rank, uint32_t order)
{
    *l = (struct lock){.rank = rank, .order = order};
}

void lock_assert_held(const struct lock *l) UNCHECKED_LOCKS
{
    bool lock_is_held_by_this_thread = __atomic_load_n(&l->owner, __ATOMIC_RELAXED) == thread_id();
    assert(lock_is_held_by_this_thread);
}

#else

static void check_order(const struct lock *l)
{
    (void)l;
}

static void note_acquired(struct lock *l)
{
    (void)l;
}

static void note_released(struct lock *l)
{
    (void)l;
}

void lock_init(struct lock *l, enum lock_rank rank, uint32_t order)
{
    assert(rank < LOCK_RANK_COUNT);
    (void)order;
    *l = (struct lock){0};
}

void lock_assert_held(const struct lock *l) UNCHECKED_LOCKS
{
    assert(__atomic_load_n(&l->word, __ATOMIC_RELAXED) & LOCK_HELD);
}

#endif

/* ---- lock ---------------------------------------------------------------------------------------------------------- */

/* The kernel has barriers for who sleeps; else who releases has its own. */
static bool sleepers_pay;

__attribute__((constructor)) static void ask_for_barriers(void)
{
    sleepers_pay = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

static inline bool take_free(struct lock *l)
{
    uint32_t word = __atomic_load_n(&l->word, __ATOMIC_RELAXED);
    return !(word & LOCK_HELD) &&
           __atomic_compare_exchange_n(&l->word, &word, word | LOCK_HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Sleeps while it is held, but for wake-ups without reason. */
static void sleep_for(struct lock *l)
{
    __atomic_add_fetch(&l->sleepers, 1, __ATOMIC_SEQ_CST);
    if (sleepers_pay) {
        long failure = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
        assert(failure == 0);
    }
    uint32_t word = __atomic_load_n(&l->word, __ATOMIC_SEQ_CST);
    if (word & LOCK_HELD) {
        futex_wait(&l->word, word, INT64_MAX);
    }
    __atomic_sub_fetch(&l->sleepers, 1, __ATOMIC_RELAXED);
}

NOINLINE static void take_held(struct lock *l)
{
    for (int i = 0; i < PAUSES; i++) {
        pause_cpu();
        if (take_free(l)) {
            return;
        }
    }
    for (int i = 0; i < YIELDS; i++) {
        sched_yield();
        if (take_free(l)) {
            return;
        }
    }
    while (!take_free(l)) {
        sleep_for(l);
    }
}

void lock_acquire(struct lock *l) UNCHECKED_LOCKS
{
    check_order(l);
    if (UNLIKELY(!take_free(l))) {
        take_held(l);
    }
    __atomic_thread_fence(__ATOMIC_RELEASE); /* that it is held is seen before any change: for lock_is_untouched() */
    note_acquired(l);
}

bool lock_try(struct lock *l) UNCHECKED_LOCKS
{
    if (!take_free(l)) {
        return false;
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    note_acquired(l);
    return true;
}

/* In one step where it is free, which spares nearly every glimpse that notes a use the waiting for what it has just read. */
bool lock_acquire_untouched(struct lock *l, uint32_t version) UNCHECKED_LOCKS
{
    check_order(l);
    uint32_t word = version;
    bool at_once =
        __atomic_compare_exchange_n(&l->word, &word, version | LOCK_HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    if (UNLIKELY(!at_once)) {
        if (!lock_was_untouched(l, version)) {
            return false;
        }
        take_held(l);
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    note_acquired(l);
    if (LIKELY(at_once || lock_was_untouched(l, version))) {
        return true;
    }
    lock_release_unchanged(l);
    return false;
}

static inline void give_back(struct lock *l, uint32_t released)
{
    note_released(l);
    __atomic_store_n(&l->word, released, __ATOMIC_RELEASE);
    if (LIKELY(sleepers_pay)) {
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } else {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    if (UNLIKELY(__atomic_load_n(&l->sleepers, __ATOMIC_RELAXED) > 0)) {
        futex_wake(&l->word, 1);
    }
}

void lock_release(struct lock *l) UNCHECKED_LOCKS
{
    uint32_t word = __atomic_load_n(&l->word, __ATOMIC_RELAXED);
    assert(word & LOCK_HELD);
    give_back(l, word + 1); /* it is free, and the count above is one more */
}

void lock_release_unchanged(struct lock *l) UNCHECKED_LOCKS
{
    uint32_t word = __atomic_load_n(&l->word, __ATOMIC_RELAXED);
    assert(word & LOCK_HELD);
    give_back(l, word - LOCK_HELD);
}

/* ---- condition ----------------------------------------------------------------------------------------------------- */

void condition_init(struct condition *c)
{
    *c = (struct condition){0};
}

bool condition_wait(struct condition *c, struct lock *l, int64_t deadline_mono_ms) UNCHECKED_LOCKS
{
    int64_t now_ms = clock_mono_ms();
    if (deadline_mono_ms <= now_ms) {
        return false;
    }
    int64_t wait_ms = deadline_mono_ms == INT64_MAX ? INT64_MAX : deadline_mono_ms - now_ms;
    __atomic_add_fetch(&c->waiters, 1, __ATOMIC_RELAXED);
    uint32_t sequence = __atomic_load_n(&c->sequence, __ATOMIC_RELAXED);
    lock_release(l);
    futex_wait(&c->sequence, sequence, clock_sleep_ms(wait_ms));
    lock_acquire(l);
    __atomic_sub_fetch(&c->waiters, 1, __ATOMIC_RELAXED);
    return clock_mono_ms() < deadline_mono_ms;
}

/* Who waits was counted under the lock before the waker changed, under the same lock, what it waits for: so 0 means that nobody waits for
 * this change. */
static void wake(struct condition *c, int count)
{
    if (__atomic_load_n(&c->waiters, __ATOMIC_RELAXED) == 0) {
        return;
    }
    __atomic_add_fetch(&c->sequence, 1, __ATOMIC_RELAXED);
    futex_wake(&c->sequence, count);
}

void condition_wake_one(struct condition *c)
{
    wake(c, 1);
}

void condition_wake_all(struct condition *c)
{
    wake(c, INT_MAX);
}
