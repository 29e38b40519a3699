/* Random bytes that nobody can guess, from the kernel: for hash keys, ids, secrets. Numbers that need only look random come from
 * base/random.h, seeded from here. */
#ifndef OS_ENTROPY_H
#define OS_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

/* Always succeeds: a system that refuses is not one to go on with, and it aborts. May wait in the first seconds after boot. Any thread. */
void entropy_fill(void *bytes, size_t count);
uint64_t entropy_u64(void);

#endif
