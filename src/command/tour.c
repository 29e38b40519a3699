/* A tour is an errand whose message is posted from worker to worker and home at last. Who gives up the call meanwhile leaves the tour, which ends by itself when it is home. */
#include "command/tour.h"

#include "base/pause.h"
#include "command/engine.h"

static void drop(struct errand *errand)
{
    free(container_of(errand, struct tour, errand));
}

static void come_home(struct message *m, struct worker *w)
{
    (void)w;
    errand_end(&container_of(m, struct tour, message)->errand);
}

static void stop_over(struct message *m, struct worker *w)
{
    struct tour *t = container_of(m, struct tour, message);
    unsigned next = w->index + 1;
    PAUSE_POINT(tour_visit);
    t->visit(t, w);
    if (next < t->engine->worker_count) {
        worker_post(&t->engine->workers[next], m);
    } else {
        m->deliver = come_home;
        PAUSE_POINT(tour_home);
        worker_post(t->home, m);
    }
}

err call_travel(struct call *call, struct tour *t)
{
    t->engine = call->engine;
    t->home = call->session->worker;
    t->errand.drop = drop;
    t->message.deliver = stop_over;
    err e = call_await(call, &t->errand);
    if (e == ERR_AGAIN) {
        worker_post(&t->engine->workers[0], &t->message);
    } else {
        free(t);
    }
    return e;
}

struct tour *call_tour(const struct call *call)
{
    struct errand *errand = call_errand(call);
    return errand ? container_of(errand, struct tour, errand) : NULL;
}
