/* The thread has a worker's outbox, and each block that is handed over is itself a message: nothing is allocated, nothing can be refused. */
#include "os/lazy.h"

#include "base/assert.h"
#include "os/mem.h"
#include "os/worker.h"

static struct worker helper;
static bool running;           /* atomic */
static uint64_t pending_bytes; /* atomic */
static struct timer tending;
static int64_t tend_ms;

struct mapped {
    struct message message;
    size_t bytes;
};

static_assert(MEM_MAP_STEP >= sizeof(struct mapped), "a block holds its message");

static void run(void *argument)
{
    (void)argument;
    role_assume_helper();
    thread_defer_to_others();
    loop_run(helper.loop);
}

static void tend(struct timer *t, struct now now)
{
    mem_tend();
    err e = loop_timer_set(helper.loop, t, now.mono_ms + tend_ms);
    assert(e == OK); /* there is a place for it */
}

static err start_tending(void)
{
    timer_init(&tending, tend);
    tend_ms = mem_defer_purging();
    return tend_ms > 0 ? loop_timer_set(helper.loop, &tending, clock_mono_ms() + tend_ms) : OK;
}

err lazy_start(void)
{
    err e = worker_init(&helper, 0, LOOP_EPOLL);
    if (e == OK) {
        e = start_tending();
    }
    if (e == OK) {
        e = thread_start(&helper.thread, "lazy-free", run, NULL);
    }
    if (e == OK) {
        __atomic_store_n(&running, true, __ATOMIC_RELEASE);
    }
    return e;
}

bool lazy_runs(void)
{
    return __atomic_load_n(&running, __ATOMIC_ACQUIRE);
}

void lazy_stop(void)
{
    __atomic_store_n(&running, false, __ATOMIC_RELEASE);
    worker_stop(&helper);
    if (tend_ms > 0 && helper.loop) {
        loop_timer_clear(helper.loop, &tending);
    }
    worker_fini(&helper);
}

static void deliver_unmap(struct message *m, struct worker *w)
{
    (void)w;
    struct mapped *block = container_of(m, struct mapped, message);
    uint64_t bytes = block->bytes;
    mem_unmap(block, bytes);
    __atomic_sub_fetch(&pending_bytes, bytes, __ATOMIC_RELAXED);
}

uint64_t lazy_pending_bytes(void)
{
    return __atomic_load_n(&pending_bytes, __ATOMIC_RELAXED);
}

void lazy_unmap(void *block, size_t bytes)
{
    struct mapped *m = block;
    if (!block) {
        return;
    }
    *m = (struct mapped){.message.deliver = deliver_unmap, .bytes = bytes};
    __atomic_add_fetch(&pending_bytes, bytes, __ATOMIC_RELAXED);
    if (!lazy_post(&m->message)) {
        deliver_unmap(&m->message, NULL);
    }
}

bool lazy_post(struct message *m)
{
    if (!lazy_runs()) {
        return false;
    }
    worker_post(&helper, m);
    return true;
}
