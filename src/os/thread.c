/* Threads. Each is started with every signal blocked except those that a fault of its own raises (a blocked SIGSEGV would end the process
 * without a crash report); the rest go to whoever has a signal watch (os/signal.h). And each has a second stack, on which that report can
 * be written when it was the first one that ran out. */
#include "os/thread.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

enum { NAME_BYTES_MAX = 15, CRASH_STACK_BYTES = 64 * 1024, DEFERRING_NICE = 10 };

struct start {
    void (*run)(void *argument);
    void *argument;
    char name[NAME_BYTES_MAX + 1];
    char crash_stack[CRASH_STACK_BYTES];
};

static void *enter(void *argument)
{
    struct start *start = argument;
    pthread_setname_np(pthread_self(), start->name);
    stack_t own = {.ss_sp = start->crash_stack, .ss_size = sizeof start->crash_stack}, before;
    int failure = sigaltstack(&own, &before);
    assert(failure == 0);
    start->run(start->argument);
    sigaltstack(&before, NULL); /* a sanitizer may have given one */
    free(start);
    return NULL;
}

err thread_start(struct thread *t, const char *name, void (*run)(void *argument), void *argument)
{
    struct start *start = malloc(sizeof *start);
    if (!start) {
        return ERR_NOMEM;
    }
    start->run = run;
    start->argument = argument;
    size_t name_bytes = strlen(name);
    assert(name_bytes <= NAME_BYTES_MAX);
    memcpy(start->name, name, name_bytes + 1);

    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < countof(faults); i++) {
        sigdelset(&blocked, faults[i]);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int failure = pthread_create(&t->handle, NULL, enter, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure) {
        free(start);
        return ERR_SYSTEM;
    }
    t->started = true;
    return OK;
}

void thread_join(struct thread *t)
{
    if (t->started) {
        t->started = false;
        pthread_join(t->handle, NULL);
    }
}

uint32_t thread_id(void)
{
    static uint32_t last_id;
    static _Thread_local uint32_t id;
    if (UNLIKELY(id == 0)) {
        id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
        assert(id != 0);
    }
    return id;
}

int64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void thread_defer_to_others(void)
{
    struct sched_param none = {0};
    (void)!sched_setscheduler(0, SCHED_BATCH, &none); /* where that is forbidden it interrupts them */
    (void)!nice(DEFERRING_NICE);                      /* of Linux's threads each has its own */
}

unsigned thread_core_count(void)
{
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0) {
        return 1; /* more cores than cpu_set_t knows: nobody asks for so many workers by default */
    }
    int count = CPU_COUNT(&cores);
    return count > 0 ? (unsigned)count : 1;
}
