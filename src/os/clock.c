/* The kernel's clocks, and the offsets by which a test moves them.
 *
 * CLOCK_REALTIME and CLOCK_MONOTONIC come through the vDSO, about 25 ns each and exact: the coarse variants are up to 4 ms late, which a
 * client sees in PTTL. The offsets are two aligned int64 in a file that the test writes and that is mapped shared, so that a change holds
 * from the next reading on, in every thread, without a signal. A sleeper cannot see it, so it sleeps in short pieces (clock_sleep_ms()).
 *
 * The us and ns readings of the monotonic clock are not moved: they measure how long something took. */
#include "os/clock.h"

#include <errno.h>
#include <time.h>

#ifdef LARDER_TEST_HOOKS
#include <fcntl.h>
#include <stdio.h>
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
    const char *path = getenv("LARDER_CLOCK_FILE");
    if (!path || offsets) {
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

static int64_t read_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

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
