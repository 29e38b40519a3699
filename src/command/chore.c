/* A chore is an errand whose message is posted by the worker to itself until there is nothing left to do. Who gives up the call meanwhile leaves the chore, which ends by itself.
 * Threads: the session's worker. */
#include "command/chore.h"

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

struct chore *call_chore(const struct call *call)
{
    struct errand *errand = call_errand(call);
    return errand ? chore_of(errand) : NULL;
}
