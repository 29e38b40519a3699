/* What can wait and takes long, on a thread of its own, so that no worker is away from its connections meanwhile; on a worker's core it defers to that. Above all giving large blocks back
 * to the system: 100 MB take 9 ms (4 KB pages). Also what the allocator has had free for some seconds (mem_tend()), or all that it has for MEMORY PURGE (250 ms a gigabyte). */
#ifndef OS_LAZY_H
#define OS_LAZY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct message;

/* Starts the thread. Until then, and after the stop, all is given back at once. ERR_SYSTEM, ERR_NOMEM. */
MUST_USE err lazy_start(void);
/* Whether it runs. Any thread. */
bool lazy_runs(void);
/* When everything handed over is freed or done. Nobody hands over meanwhile. Harmless when it was not started. */
void lazy_stop(void);

/* Gives a block of mem_map() back to the system, soon. NULL is fine. Any thread; never waits. */
void lazy_unmap(void *block, size_t bytes);
/* What was handed over to be freed and is not yet. Any thread. */
uint64_t lazy_pending_bytes(void);
/* Has a message (os/worker.h) delivered on the thread, in order of posting. False when the thread does not run: it is not delivered. Any thread; never
 * waits. */
MUST_USE bool lazy_post(struct message *m);

#endif
