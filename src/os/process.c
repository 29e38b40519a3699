/* Figures of the process from /proc, getrusage() and uname(). */
#include "os/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "os/clock.h"

static int64_t start_wall_ms;

int64_t process_id(void)
{
    return getpid();
}

uint64_t process_resident_bytes(void)
{
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    char text[128]; /* "size resident shared text lib data dt", in pages */
    ssize_t count = read(fd, text, sizeof text - 1);
    close(fd);
    if (count <= 0) {
        return 0;
    }
    text[count] = '\0';
    char *resident;
    strtoull(text, &resident, 10);
    return strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t process_machine_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
}

static int64_t us_of(struct timeval t)
{
    return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

struct process_cpu process_cpu(void)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    return (struct process_cpu){.user_us = us_of(usage.ru_utime), .system_us = us_of(usage.ru_stime)};
}

const char *process_system_name(void)
{
    static char name[256];
    if (name[0] == '\0') {
        struct utsname u;
        if (uname(&u) != 0) {
            return "unknown";
        }
        snprintf(name, sizeof name, "%s %s %s", u.sysname, u.release, u.machine);
    }
    return name;
}

int64_t process_start_wall_ms(void)
{
    return start_wall_ms;
}

void process_start_note(void)
{
    start_wall_ms = clock_wall_ms();
}

uint64_t process_raise_open_files(uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    if (limit.rlim_cur >= wanted) {
        return limit.rlim_cur;
    }
    struct rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
        return raised.rlim_cur;
    }
    raised = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max}; /* what needs no privilege */
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}
