/* The kernel's clocks, and the offsets by which a test moves them.
 *
 * CLOCK_REALTIME and CLOCK_MONOTONIC come through the vDSO, about 25 ns each and exact: the coarse variants are up to 4 ms late, which a
 * client sees in PTTL. The offsets are two aligned int64 in a file that the test writes and that is mapped shared, so that a change holds
 * from the next reading on, in every thread, without a signal. A sleeper cannot see it, so it sleeps in short pieces (clock_sleep_ms()).
 *
 * The us, ns and lap readings of the monotonic clock are not moved: they measure how long something took.
 *
 * The lap clock reads the x86 time-stamp counter. Whether that runs at one rate and alike on all cores is known to the kernel: if so, its own
 * clock source is "tsc". Its rate is measured at start against the monotonic clock, to about 1 in 10,000. */
#include "os/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#ifdef __x86_64__
#include <x86intrin.h>
#endif

static int64_t read_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- the processor's counter --------------------------------------------------------------------------------------- */

#ifdef __x86_64__

enum { MEASURE_NS = 1000000, RATE_BITS = 32 };

static uint64_t lap_rate; /* nanoseconds a tick, times 2^RATE_BITS; 0: the counter is not to be used */

static bool kernel_trusts_counter(void)
{
    char source[16] = "";
    FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    if (f) {
        char *read = fgets(source, sizeof source, f);
        fclose(f);
        return read && strcmp(source, "tsc\n") == 0;
    }
    return false;
}

static void measure_counter(void)
{
    if (lap_rate || !kernel_trusts_counter()) {
        return;
    }
    int64_t began_ns = read_ns(CLOCK_MONOTONIC), ns;
    uint64_t began = __rdtsc(), ticks;
    do {
        ns = read_ns(CLOCK_MONOTONIC) - began_ns;
        ticks = __rdtsc() - began;
    } while (ns < MEASURE_NS);
    lap_rate = ((uint64_t)ns << RATE_BITS) / ticks;
}

int64_t clock_lap_ns(void)
{
    return lap_rate ? (int64_t)((unsigned __int128)__rdtsc() * lap_rate >> RATE_BITS) : clock_mono_ns();
}

#else

static void measure_counter(void)
{
}

int64_t clock_lap_ns(void)
{
    return clock_mono_ns();
}

#endif

/* ---- clocks that tests move ---------------------------------------------------------------------------------------- */

#ifdef LARDER_TEST_HOOKS
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOVED_SLEEP_MS_MAX = 2 };

struct offsets {
    int64_t wall_ms;
    int64_t mono_ms;
};
static const struct offsets *offsets; /* NULL when no test moves the clock */

void clock_init(void)
{
    measure_counter();
    const char *path = getenv("LARDER_CLOCK_FILE");
    if (!path || !path[0] || offsets) {
        return;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *offsets, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        perror(path); /* a test that believes it moves the clock must not go on */
        abort();
    }
    close(fd);
    offsets = mapped;
}

static int64_t moved_wall_ms(void)
{
    return offsets ? __atomic_load_n(&offsets->wall_ms, __ATOMIC_RELAXED) : 0;
}

static int64_t moved_mono_ms(void)
{
    return offsets ? __atomic_load_n(&offsets->mono_ms, __ATOMIC_RELAXED) : 0;
}

int64_t clock_sleep_ms(int64_t wait_ms)
{
    return offsets && wait_ms > MOVED_SLEEP_MS_MAX ? MOVED_SLEEP_MS_MAX : wait_ms;
}

#else

void clock_init(void)
{
    measure_counter();
}

static int64_t moved_wall_ms(void)
{
    return 0;
}

static int64_t moved_mono_ms(void)
{
    return 0;
}

int64_t clock_sleep_ms(int64_t wait_ms)
{
    return wait_ms;
}

#endif

/* ---- readings ------------------------------------------------------------------------------------------------------ */

int64_t clock_wall_us(void)
{
    return read_ns(CLOCK_REALTIME) / 1000 + moved_wall_ms() * 1000;
}

int64_t clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000 + moved_wall_ms();
}

int64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_mono_us(void)
{
    return clock_mono_ns() / 1000;
}

int64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000 + moved_mono_ms();
}

struct now clock_now(void)
{
    return (struct now){.wall_ms = clock_wall_ms(), .mono_ms = clock_mono_ms()};
}

void clock_block_us(int64_t us)
{
    struct timespec left = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}
