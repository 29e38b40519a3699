/* The only source of time. Above os/ the time is a value that is passed: a loop takes it once a turn (loop_now()), a call once.
 * Deadlines that clients see are wall time in ms since 1970; waits and durations are monotonic.
 *
 * With LARDER_TEST_HOOKS the file named by LARDER_CLOCK_FILE (two little-endian int64: ms added to wall time, ms added to monotonic time)
 * is mapped at start, so that a test moves the clock instead of sleeping. Any thread. */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);
int64_t clock_mono_ms(void);
/* For measuring durations; tests do not move them. */
int64_t clock_mono_us(void);
int64_t clock_mono_ns(void);
/* Nanoseconds from any origin, to be subtracted: for what happens millions of times a second. The processor's counter where the kernel itself
 * keeps time by it, at half the price; else clock_mono_ns(). */
int64_t clock_lap_ns(void);

/* One reading of both clocks. */
struct now {
    int64_t wall_ms;
    int64_t mono_ms;
};
struct now clock_now(void);

/* How long a thread may sleep at once that has nothing to do for wait_ms: the same, except that under a clock which a test moves it is a
 * few ms, so that the sleeper notices. Whoever sleeps treats it as waking without reason. */
int64_t clock_sleep_ms(int64_t wait_ms);

/* Blocks the calling thread for that long of real time. */
void clock_block_us(int64_t us);

/* Measures the processor's counter (1 ms) and maps the test offsets if the environment names them. Once, before other threads start. */
void clock_init(void);

#endif
