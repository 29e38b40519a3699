/* Freeing large blocks on a thread of its own: to give 100 MB back to the system takes 9 ms (4 KB pages), in which a worker would serve nobody. */
#ifndef OS_LAZY_H
#define OS_LAZY_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"

enum { LAZY_BYTES_MIN = 1 << 20 }; /* smaller ones are freed at once: that is 90 us at most */

/* Starts the thread. Until then, and after the stop, all is freed at once. ERR_SYSTEM, ERR_NOMEM. */
MUST_USE err lazy_start(void);
/* When everything handed over is freed. Nobody frees meanwhile. Harmless when it was not started. */
void lazy_stop(void);

/* Frees a block of mem_alloc(): a large one soon. NULL is fine. Any thread; never waits. */
void lazy_free(void *block);
/* The same with one of mem_map(). */
void lazy_unmap(void *block, size_t bytes);

#endif
