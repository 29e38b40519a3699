/* Parked calls: those that wait for keys, those that wait for an errand, and those that a pause or a lack of room holds (park_postpone()).
 *
 * A park is what a waiting call leaves behind: a waiter for each key that it waits for, a count of those that are still out, a
 * timer, and the message by which whoever brings the last outcome reaches the call's worker.
 *
 *     worker: consult -> join (shards locked) -> unlock -> sleep ........ deliver or timer -> resumed() -> run again -> end
 *     loader:                              resolve (shard locked) -> wake -> last one posts the message
 *
 * Who may be where: a waker holds its key's shard lock while it touches the park, so whoever holds that lock and finds the waiter gone knows that
 * the waker is done with it. The worker uses that to give up (time, hang-up): it locks each shard in turn and leaves. What it cannot
 * take back is a message already posted: then the park outlives its call, without it, until the message is delivered. That is why it
 * is an allocation of its own and not in the call's arena.
 *
 * Invariants: (I1) `out` counts the waiters that are joined and not yet woken or taken back; who brings it to 0 resumes the call, once. (I2) `posted` is written under the lock of the last waker's shard. (I3) A key's first wait fixes its time. (I4) call ->
 * park -> call holds until park_end() or call_cancel(). */
#include "command/park.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"
#include "command/dispatch.h"
#include "command/park_priv.h"
#include "observe/metric.h"

struct seat {
    struct waiter waiter;
    struct park *park;
    struct shard *shard;
    bool joined; /* since the last run; it waits, or has been woken */
    bool timed;  /* wait_until was fixed */
    int64_t wait_until_mono_ms;
};

struct park {
    struct message message;
    struct timer timer;
    struct worker *worker;
    struct call *call;     /* NULL: cancelled, the message is on its way */
    struct errand *errand; /* work that the verb waits for; NULL: it waits for keys */
    unsigned out;          /* atomic */
    bool posted;
    bool asleep;         /* between park_sleep() and the resumption */
    bool owns_arguments; /* of the call: copied when it first parked */
    struct list held;    /* among those that a pause holds, on this worker */
    int64_t held_until_mono_ms;
    uint64_t room_bytes;      /* that its verb wants to find */
    struct outcome timed_out; /* for seats whose time is up; never freed by its count */
    unsigned seat_count;
    struct seat seats[];
};

static void park_free(struct park *p)
{
    for (unsigned i = 0; i < p->seat_count; i++) {
        if (p->seats[i].waiter.outcome != &p->timed_out) {
            outcome_unref(p->seats[i].waiter.outcome);
        }
    }
    if (p->errand && p->errand->ended) {
        p->errand->drop(p->errand);
    } else if (p->errand) {
        p->errand->call = NULL;
    }
    free(p);
}

/* ---- waking --------------------------------------------------------------------------------------------------------- */
/* Calls that a pause holds, in the order of their coming; each worker's own. */
static struct list held[WORKER_COUNT_MAX];

__attribute__((constructor)) static void init_held(void)
{
    for (size_t i = 0; i < WORKER_COUNT_MAX; i++) {
        list_init(&held[i]);
    }
}

static void set_asleep(struct park *p, bool asleep)
{
    p->asleep = asleep;
    __atomic_store_n(&p->call->session->blocked, asleep, __ATOMIC_RELAXED);
    metric_add(METRIC_calls_parked_now, asleep ? 1 : 0 - (uint64_t)1);
}

static void resume(struct park *p)
{
    struct call *call = p->call;
    set_asleep(p, false);
    list_remove(&p->held);
    for (unsigned i = 0; i < p->seat_count; i++) {
        p->seats[i].joined = false;
    }
    loop_timer_clear(p->worker->loop, &p->timer);
    call->resumed(call);
}

static void deliver(struct message *m, struct worker *w)
{
    (void)w;
    struct park *p = container_of(m, struct park, message);
    p->posted = false;
    if (p->call) {
        resume(p);
    } else {
        park_free(p);
    }
}

/* Of whoever resolves, with the shard locked. */
static void wake(struct waiter *w)
{
    struct park *p = container_of(w, struct seat, waiter)->park;
    if (__atomic_sub_fetch(&p->out, 1, __ATOMIC_ACQ_REL) == 0) {
        p->posted = true;
        worker_post(p->worker, &p->message);
    }
}

/* Takes a seat back; false when it had been woken. */
static bool leave(struct seat *s) UNCHECKED_LOCKS
{
    shard_lock(s->shard);
    bool left = pending_leave(&s->waiter);
    shard_unlock(s->shard);
    return left;
}

static err arm(struct park *p)
{
    int64_t next = list_linked(&p->held) ? p->held_until_mono_ms : INT64_MAX;
    for (unsigned i = 0; i < p->seat_count; i++) {
        const struct seat *s = &p->seats[i];
        if (s->joined) {
            next = num_min_i64(next, s->wait_until_mono_ms);
        }
    }
    return next < INT64_MAX ? loop_timer_set(p->worker->loop, &p->timer, next) : OK;
}

/* Gives seats whose time is up by `mono_ms` the outcome that says so; true when nothing is left to wait for, and nobody else has seen to that. */
static bool give_up(struct park *p, int64_t mono_ms)
{
    unsigned left = 0;
    for (unsigned i = 0; i < p->seat_count; i++) {
        struct seat *s = &p->seats[i];
        if (s->joined && s->wait_until_mono_ms <= mono_ms) {
            s->joined = false;
            if (leave(s)) {
                s->waiter.outcome = &p->timed_out;
                left++;
            }
        }
    }
    if (left > 0) {
        metric_add(METRIC_waits_timed_out, 1);
    }
    return left > 0 && __atomic_sub_fetch(&p->out, left, __ATOMIC_ACQ_REL) == 0;
}

static bool waits_for_keys(const struct park *p)
{
    bool waits = false;
    for (unsigned i = 0; i < p->seat_count && !waits; i++) {
        waits = p->seats[i].joined;
    }
    return p->asleep && waits;
}

/* The time of one seat at least is up, and the rest wait on; or that of a pause. */
static void fire(struct timer *t, struct now now)
{
    struct park *p = container_of(t, struct park, timer);
    if (list_linked(&p->held) || give_up(p, now.mono_ms)) {
        resume(p);
    } else if (waits_for_keys(p)) {
        err e = arm(p);
        assert(e == OK); /* it was armed a moment ago: its place is still there */
    }
}

/* ---- pauses --------------------------------------------------------------------------------------------------------- */
void park_wake_postponed(struct worker *w)
{
    struct list now, *node;
    list_init(&now);
    list_splice(&now, &held[w->index]);
    while ((node = list_pop_front(&now))) {
        resume(container_of(node, struct park, held));
    }
}

bool call_unblock(struct call *call, bool with_error)
{
    struct park *p = call->park;
    if (!p || !waits_for_keys(p) || !give_up(p, INT64_MAX)) {
        return false;
    }
    if (with_error) {
        call->refused = ERR_UNBLOCKED;
    }
    resume(p);
    return true;
}

/* ---- parking -------------------------------------------------------------------------------------------------------- */
static struct park *park_of(struct call *call)
{
    if (!call->park) {
        struct park *p = calloc(1, sizeof *p + call->key_count * sizeof p->seats[0]);
        if (!p) {
            return NULL;
        }
        p->message.deliver = deliver;
        timer_init(&p->timer, fire);
        list_init(&p->held);
        p->worker = call->session->worker;
        p->call = call;
        p->timed_out = (struct outcome){.references = 1, .kind = OUTCOME_TIMEOUT, .error = ERR_SOURCE_TIMEOUT};
        p->seat_count = call->key_count;
        for (unsigned i = 0; i < p->seat_count; i++) {
            p->seats[i].park = p;
            p->seats[i].shard = call->keys[i].key.shard;
            p->seats[i].waiter.wake = wake;
            list_init(&p->seats[i].waiter.link);
        }
        call->park = p;
    }
    return call->park;
}

struct outcome *park_outcome(const struct call *call, unsigned i)
{
    return call->park ? call->park->seats[i].waiter.outcome : NULL;
}

static void forget_outcome(struct seat *s)
{
    if (s->waiter.outcome != &s->park->timed_out) {
        outcome_unref(s->waiter.outcome);
    }
    s->waiter.outcome = NULL;
}

err park_join(struct call *call, unsigned i, struct pending *p, int64_t wait_until_mono_ms)
{
    struct park *park = park_of(call);
    if (!park) {
        return ERR_NOMEM;
    }
    struct seat *s = &park->seats[i];
    if (!s->timed) {
        s->timed = true;
        s->wait_until_mono_ms = wait_until_mono_ms;
    }
    if (s->wait_until_mono_ms <= call->now.mono_ms) {
        return ERR_SOURCE_TIMEOUT;
    }
    forget_outcome(s);
    s->joined = true;
    pending_join(p, &s->waiter);
    park->out++; /* nobody can wake while the shards are locked */
    return ERR_AGAIN;
}

void park_leave_locked(struct call *call)
{
    struct park *p = call->park;
    for (unsigned i = 0; p && i < p->seat_count; i++) {
        if (p->seats[i].joined && pending_leave(&p->seats[i].waiter)) {
            p->out--;
        }
        p->seats[i].joined = false;
    }
}

err park_postpone(struct call *call, int64_t until_mono_ms)
{
    struct park *p = park_of(call);
    if (!p) {
        return ERR_NOMEM;
    }
    p->held_until_mono_ms = until_mono_ms;
    list_push_back(&held[p->worker->index], &p->held);
    return ERR_AGAIN;
}

/* ---- room ----------------------------------------------------------------------------------------------------------- */
/* Room is made by who has nothing locked: at the beginning of its next run. */
err park_for_room(struct call *call, uint64_t bytes)
{
    err e = park_postpone(call, call->now.mono_ms);
    if (e == ERR_AGAIN) {
        call->park->room_bytes = bytes;
    }
    return e;
}

uint64_t park_room(const struct call *call)
{
    return call->park ? call->park->room_bytes : 0;
}

/* ---- errands -------------------------------------------------------------------------------------------------------- */
err call_await(struct call *call, struct errand *errand)
{
    struct park *park = park_of(call);
    if (!park) {
        return ERR_NOMEM;
    }
    assert(!park->errand);
    errand->call = call;
    errand->ended = false;
    park->errand = errand;
    return ERR_AGAIN;
}

struct errand *call_errand(const struct call *call)
{
    return call->park ? call->park->errand : NULL;
}

void errand_end(struct errand *errand)
{
    errand->ended = true;
    if (errand->call) {
        resume(errand->call->park);
    } else {
        errand->drop(errand);
    }
}

/* ---- asleep --------------------------------------------------------------------------------------------------------- */
/* The arguments were lent until now, but for those that have blocks. */
static err own_arguments(struct call *call)
{
    slice *argv = call_alloc(call, call->argc * sizeof *argv);
    if (!argv) {
        return ERR_NOMEM;
    }
    for (unsigned i = 0; i < call->argc; i++) {
        argv[i] = call_block(call, i) ? call->argv[i] : arena_copy(&call->arena, call->argv[i]);
        if (!argv[i].ptr) {
            return ERR_NOMEM;
        }
    }
    call->argv = argv;
    for (unsigned i = 0; i < call->key_count; i++) {
        call->keys[i].key.bytes = argv[call->keys[i].argument];
    }
    return OK;
}

err park_sleep(struct call *call)
{
    struct park *p = call->park;
    err e = p->owns_arguments ? OK : own_arguments(call);
    if (e == OK) {
        p->owns_arguments = true;
        e = arm(p);
    }
    if (e != OK) {
        call_cancel(call);
        return e;
    }
    set_asleep(p, true);
    metric_add(METRIC_calls_parked, 1);
    return OK;
}

void park_end(struct call *call)
{
    struct park *p = call->park;
    assert(!p->asleep);
    call->park = NULL;
    park_free(p);
}

void call_cancel(struct call *call)
{
    struct park *p = call->park;
    if (!p) {
        return;
    }
    for (unsigned i = 0; i < p->seat_count; i++) {
        if (p->seats[i].joined) {
            leave(&p->seats[i]);
        }
    }
    loop_timer_clear(p->worker->loop, &p->timer);
    list_remove(&p->held);
    if (p->asleep) {
        set_asleep(p, false);
    }
    call->park = NULL;
    p->call = NULL;
    if (!p->posted) {
        park_free(p);
    }
}
