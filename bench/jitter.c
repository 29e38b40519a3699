/* jitter: what the machine does to a thread that does nothing: for some seconds it reads the clock of its own CPU time and prints the longest step between two
 * readings. On a virtual machine the time in which the host runs somebody else counts as the thread's, and so do interrupts: no server there can do without such turns.
 *
 *   jitter SECONDS          one line of JSON: the longest step in us, and how many were over 200 us and over 2 ms */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "measure.h"

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int main(int argc, char **argv)
{
    int64_t longest = 0, end = now_ns() + (int64_t)((argc > 1 ? atof(argv[1]) : 1) * 1e9);
    int over_200_us = 0, over_2_ms = 0;
    for (int64_t last = cpu_ns(); now_ns() < end;) {
        int64_t now = cpu_ns(), step = now - last;
        longest = step > longest ? step : longest;
        over_200_us += step > 200000;
        over_2_ms += step > 2000000;
        last = now;
    }
    printf("{\"longest_us\": %lld, \"over_200_us\": %d, \"over_2_ms\": %d}\n", (long long)longest / 1000, over_200_us,
           over_2_ms);
    return 0;
}
