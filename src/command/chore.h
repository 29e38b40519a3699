/* Work that a verb does on its own worker in slices, each in a turn of the loop of its own, so that others are served in between; what cannot be cut into slices, behind
 * them, on the thread for such (os/lazy.h). The call waits for the end. */
#ifndef COMMAND_CHORE_H
#define COMMAND_CHORE_H

#include "command/call.h"
#include "os/worker.h"

/* Embedded in what the work needs, on the heap: nothing of it may point into the call, whose connection may go meanwhile; the work goes on then. */
struct chore {
    bool (*slice)(struct chore *chore, struct now now); /* true when all is done */
    void (*last)(void);                                 /* then this, on another thread; NULL: nothing */
    void (*drop)(struct chore *chore); /* frees it: called once, when it is done and the call is over or gone */
    struct errand errand;
    struct message message;
    struct worker *home;
};

/* Begins with the next turn and takes the chore over; the verb returns what this returns, ERR_AGAIN. When all is done it runs again, and call_chore() is the chore.
 * ERR_NOMEM: it is dropped at once. */
MUST_USE err call_work(struct call *call, struct chore *chore);
/* The same for work on the keyspace alone: `slice` works for about so long, and says true when all is done; then `last`, see there. ERR_NOMEM: nothing has begun. */
MUST_USE err call_work_on_keyspace(struct call *call, bool (*slice)(struct keyspace *ks, int64_t budget_us),
                                   void (*last)(void));
/* The chore that is done; NULL on the first run. */
struct chore *call_chore(const struct call *call);

#endif
