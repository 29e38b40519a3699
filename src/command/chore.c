/* A chore is an errand whose message is posted by the worker to itself until there is nothing left to do. Who gives up the call meanwhile leaves the chore, which ends by itself.
 * Threads: the session's worker. */
#include "command/chore.h"

#include <stdlib.h>

#include "command/engine.h"

enum { SLICE_US = 200 };

static struct chore *chore_of(struct errand *errand)
{
    return container_of(errand, struct chore, errand);
}

static void drop(struct errand *errand)
{
    chore_of(errand)->drop(chore_of(errand));
}

static void do_slice(struct message *m, struct worker *w)
{
    struct chore *chore = container_of(m, struct chore, message);
    if (chore->slice(chore, loop_now(w->loop))) {
        errand_end(&chore->errand);
    } else {
        worker_post(w, m);
    }
}

err call_work(struct call *call, struct chore *chore)
{
    chore->errand.drop = drop;
    chore->message.deliver = do_slice;
    err e = call_await(call, &chore->errand);
    if (e == ERR_AGAIN) {
        worker_post(call->session->worker, &chore->message);
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

err call_work_on_keyspace(struct call *call, bool (*slice)(struct keyspace *ks, int64_t budget_us))
{
    struct keyspace_chore *k = malloc(sizeof *k);
    if (!k) {
        return ERR_NOMEM;
    }
    *k = (struct keyspace_chore){.chore.slice = do_keyspace_slice,
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
