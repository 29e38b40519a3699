/* How long a turn of a loop keeps its thread: its CPU time, without the sleep and without the time in which the system had the core for others.
 *
 * Reading a thread's CPU clock is a system call, too dear for each of a million turns. So a turn is measured by the lap clock, which is as good
 * as long as nobody interrupts; the CPU clock is read once for TURN_STRETCH_NS of turns, and at the end of a turn that seems longer than that. What such a
 * turn took is then the smaller of the two: never less than its CPU time, and at most TURN_STRETCH_NS (and the system calls between turns) more. */
#ifndef OS_TURN_H
#define OS_TURN_H

#include <stdint.h>

enum { TURN_STRETCH_NS = 50000 };

/* Zeroed before its first use. One thread. */
struct turn_clock {
    int64_t began_ns;   /* lap clock */
    int64_t cpu_ns;     /* the thread's CPU clock when it was last read; 0: never */
    int64_t stretch_ns; /* turns since then */
};

void turn_begin(struct turn_clock *t);
/* How long the turn has lasted by the lap clock, in ns. */
int64_t turn_ns(const struct turn_clock *t);
/* Returns how long the turn took, in ns. */
int64_t turn_end(struct turn_clock *t);

#endif
