/* Calls before they run: the object, which command it is and which keys it has, and what these will need from memory.
 *
 *   prepare_call()       which command, is it allowed to be asked (arity), which keys
 *   prepare_fetch()      where the keys of all calls of a batch stand: buckets and entries are on their way to the cache
 *   prepare_approach()   the entry of one that comes soon, nearer still
 *   forecast_add()       the same as the first two for a request of which only the key has been looked at */
#ifndef COMMAND_PREPARE_H
#define COMMAND_PREPARE_H

#include "command/call.h"

/* Once per call object; its arena is empty. `engine` and `random` outlive it. */
void call_init(struct call *call, struct engine *engine, struct random *random);
void call_fini(struct call *call);
/* Between two requests: forgets everything but the memory of the arena. */
void call_reset(struct call *call);

/* session, reply, argc, argv, resumed and owner are set by the door before. */
void prepare_call(struct call *call) ON(worker);
/* Brings from memory what the keys of prepared calls need, as many at a time as the processor can. They run before their worker's next tick. */
void prepare_fetch(struct call *const *calls, unsigned count) ON(worker);
/* Brings what that has brought to the second level of the cache on to the first. For the call that will run after PREPARE_APPROACH others. */
enum { PREPARE_APPROACH = 3 };
void prepare_approach(const struct call *call) ON(worker);

/* Keys that requests will need which have come, but are not prepared yet because those of other connections are before them. A guess: nothing depends on it. */
enum { FORECAST_KEYS_MAX = 16 };
struct forecast {
    struct key keys[FORECAST_KEYS_MAX]; /* without their bytes */
    unsigned count;
};
/* Adds a key, if there is room. */
void forecast_add(struct forecast *f, const struct session *session, struct engine *engine, slice key) ON(worker);
/* Brings from memory what they need, for all of them at a time, and forgets them. */
void forecast_fetch(struct forecast *f) ON(worker);

#endif
