/* A chore is an errand whose message is posted by the worker to itself until there is nothing left to do. Who gives up the call meanwhile leaves the chore, which ends by itself.
 * Threads: the session's worker; do_last() is the lazy thread's. */
#include "command/chore.h"

#include <stdlib.h>

#include "base/pause.h"
#include "command/engine.h"
#include "os/lazy.h"

enum { SLICE_US = 200 };

static struct chore *chore_of(struct errand *errand)
{
    return container_of(errand, struct chore, errand);
}

static void drop(struct errand *errand)
{
    chore_of(errand)->drop(chore_of(errand));
}

static void come_home(struct message *m, struct worker *w)
{
    (void)w;
    errand_end(&container_of(m, struct chore, message)->errand);
}

/* On the lazy thread; on the worker itself when that does not run. */
static void do_last(struct message *m, struct worker *w)
{
    (void)w;
    struct chore *chore = container_of(m, struct chore, message);
    PAUSE_POINT(chore_last);
    chore->last();
    m->deliver = come_home;
    worker_post(chore->home, m);
}

static void do_slice(struct message *m, struct worker *w)
{
    struct chore *chore = container_of(m, struct chore, message);
    if (!chore->slice(chore, loop_now(w->loop))) {
        worker_post(w, m);
    } else if (!chore->last) {
        errand_end(&chore->errand);
    } else {
        m->deliver = do_last;
        if (!lazy_post(m)) {
            do_last(m, w);
        }
    }
}

err call_work(struct call *call, struct chore *chore)
{
    chore->errand.drop = drop;
    chore->message.deliver = do_slice;
    chore->home = call->session->worker;
    err e = call_await(call, &chore->errand);
    if (e == ERR_AGAIN) {
        worker_post(chore->home, &chore->message);
    } else {
        chore->drop(chore);
    }
    return e;
}

/* ---- on the keyspace ----------------------------------------------------------------------------------------------- */
struct keyspace_chore {
    struct chore chore;
    struct keyspace *keyspace;
    bool (*slice)(struct keyspace *ks, int64_t budget_us);
};

static bool do_keyspace_slice(struct chore *chore, struct now now)
{
    (void)now;
    struct keyspace_chore *k = container_of(chore, struct keyspace_chore, chore);
    return k->slice(k->keyspace, SLICE_US);
}

static void drop_keyspace_chore(struct chore *chore)
{
    free(container_of(chore, struct keyspace_chore, chore));
}

err call_work_on_keyspace(struct call *call, bool (*slice)(struct keyspace *ks, int64_t budget_us), void (*last)(void))
{
    struct keyspace_chore *k = malloc(sizeof *k);
    if (!k) {
        return ERR_NOMEM;
    }
    *k = (struct keyspace_chore){.chore.slice = do_keyspace_slice,
                                 .chore.last = last,
                                 .chore.drop = drop_keyspace_chore,
                                 .keyspace = call->engine->keyspace,
                                 .slice = slice};
    return call_work(call, &k->chore);
}

struct chore *call_chore(const struct call *call)
{
    struct errand *errand = call_errand(call);
    return errand ? chore_of(errand) : NULL;
}
