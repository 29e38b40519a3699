/* jitter: what the machine does to a thread by itself. For half of the time the thread reads the clock of its own CPU time, for the other half it also changes a word
 * somewhere in 256 MB between two readings; the longest steps are printed. On a virtual machine the time in which the host runs somebody else counts as the thread's, and so do
 * interrupts, and the time in which the host moves or copies the memory that is asked for: no server there can do without such turns.
 *
 *   jitter SECONDS          one line of JSON: of each half the longest step in us, how many were over 100 us, how many over 5 us, which are interrupts at the least, and
 *                           what those took together */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

enum { MEMORY_BYTES = 256 << 20, LINE_BYTES = 64 };

struct steps {
    int64_t longest_ns;
    int over_100_us;
    int over_5_us;
    int64_t over_5_ns;
};

/* With NULL nothing is done between the readings. */
static struct steps take_steps(int64_t end, volatile char *memory)
{
    struct steps s = {0};
    uint64_t random = 88172645463325252u;
    for (int64_t last = cpu_ns(); now_ns() < end;) {
        if (memory) {
            memory[random_next(&random) % (MEMORY_BYTES / LINE_BYTES) * LINE_BYTES]++;
        }
        int64_t now = cpu_ns(), step = now - last;
        s.longest_ns = step > s.longest_ns ? step : s.longest_ns;
        s.over_100_us += step > 100000;
        s.over_5_us += step > 5000;
        s.over_5_ns += step > 5000 ? step : 0;
        last = now;
    }
    return s;
}

static void print(const char *name, struct steps s)
{
    printf("\"%s\": {\"longest_us\": %lld, \"over_100_us\": %d, \"over_5_us\": %d, \"over_5_total_us\": %lld}", name,
           (long long)s.longest_ns / 1000, s.over_100_us, s.over_5_us, (long long)s.over_5_ns / 1000);
}

int main(int argc, char **argv)
{
    int64_t half = (int64_t)((argc > 1 ? atof(argv[1]) : 1) * 1e9 / 2);
    char *memory = malloc(MEMORY_BYTES);
    if (!memory) {
        return 1;
    }
    memset(memory, 1, MEMORY_BYTES);
    printf("{");
    print("idle", take_steps(now_ns() + half, NULL));
    printf(", ");
    print("memory", take_steps(now_ns() + half, memory));
    printf("}\n");
    free(memory);
    return 0;
}
