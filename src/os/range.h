/* A range of addresses with memory behind parts of it: reserved once, committed as it is needed, given back in pieces. What was committed
 * stays readable until the whole range is released: what is discarded reads as zeros. Nothing of it goes into core dumps. Any thread. */
#ifndef OS_RANGE_H
#define OS_RANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "os/mem.h"

/* Addresses alone, from a multiple of MEM_HUGE_BYTES on, which cost nothing and may not be touched yet; `bytes` is a multiple of it. NULL when the system refuses. */
void *range_reserve(size_t bytes) MUST_USE;
/* NULL is fine. */
void range_release(void *range, size_t bytes);
/* Makes a part of it (whole pages) readable and writable; it is zeroed and costs nothing until it is written. False when the system
 * refuses, or a test says so (os/mem.h). */
bool range_commit(void *at, size_t bytes) MUST_USE;
/* Puts a huge page where a part of MEM_HUGE_BYTES was committed and never written, if the system has one now; takes up to some ms. It is the only way
 * to get one: the system never makes one by itself of what is written in small pages, nor of what is left where a part was discarded. */
void range_make_huge(void *at);
/* Gives the memory of a part back to the system. */
void range_discard(void *at, size_t bytes);

#endif
