/* The best hit ratio that any eviction could reach on a trace, by knowing the future. */
#ifndef MAIN_OPTIMUM_H
#define MAIN_OPTIMUM_H

#include "main/trace.h"

/* Belady's rule: what is asked for again last, goes. `limit_bytes` is the size of the cache, `entry_bytes` what an
 * entry costs besides its key and value. What is asked for again in the same window of so many requests is a miss, too,
 * since it is stored after the window. Exact when all entries cost the same and the window is 1; else near the best.
 * ERR_NOMEM. */
MUST_USE err optimum_hits(const struct trace *t, uint64_t limit_bytes, double entry_bytes, size_t window,
                          size_t *ret_hits);

#endif
