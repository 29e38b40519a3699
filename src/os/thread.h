/* Threads: start with a name (seen in top and in crash reports), join. Signals are blocked in every thread that is started here; the main
 * loop receives them (os/signal.h). */
#ifndef OS_THREAD_H
#define OS_THREAD_H

#include <pthread.h>
#include <stdint.h>

#include "base/err.h"

struct thread {
    pthread_t handle;
    bool started;
};

/* `name` at most 15 bytes. ERR_SYSTEM when the system refuses, ERR_NOMEM. */
MUST_USE err thread_start(struct thread *t, const char *name, void (*run)(void *argument), void *argument);
/* Waits for its end; harmless when it was never started or already joined. */
void thread_join(struct thread *t);
/* A small number, unique among living threads, never 0. Cheap. */
uint32_t thread_id(void);
/* CPU time of the calling thread in ns; a system call. */
int64_t thread_cpu_ns(void);
/* The calling thread does from now on what nobody waits for: where it shares a core it does not interrupt others when it wakes up (SCHED_BATCH), gives way when they do,
 * and has a tenth of the time of one that would use all (nice). Not less, since it may hold a lock meanwhile that others want. */
void thread_defer_to_others(void);
/* Cores that this process may use, at least 1. */
unsigned thread_core_count(void);

#endif
