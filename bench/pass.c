/* pass: what two cores are to each other. Two threads hand a word back and forth; what a server and its load have in common travels the same way, with every packet.
 *
 *   pass CORE CORE          one line of JSON: ns for one way, the median of ROUNDS */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "measure.h"

enum { ROUNDS = 5, TRIPS = 20000, LINE_BYTES = 64 };

static struct {
    unsigned value; /* odd: the other's turn; atomic */
} word __attribute__((aligned(LINE_BYTES)));

static void pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        fail("pass: no such core");
    }
}

static void wait_for(unsigned value)
{
    while (__atomic_load_n(&word.value, __ATOMIC_ACQUIRE) != value) {}
}

static void set(unsigned value)
{
    __atomic_store_n(&word.value, value, __ATOMIC_RELEASE);
}

static void *give_back(void *core)
{
    pin(*(const int *)core);
    for (unsigned trip = 0; trip < ROUNDS * TRIPS; trip++) {
        wait_for(2 * trip + 1);
        set(2 * trip + 2);
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fail("usage: pass CORE CORE");
    }
    int cores[2] = {atoi(argv[1]), atoi(argv[2])};
    if (cores[0] == cores[1]) {
        fail("pass: two cores");
    }
    double ns[ROUNDS];
    pthread_t other;
    pin(cores[0]);
    if (pthread_create(&other, NULL, give_back, &cores[1]) != 0) {
        fail("pass: no thread");
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        int64_t began_ns = now_ns();
        for (unsigned trip = round * TRIPS; trip < (round + 1) * TRIPS; trip++) {
            set(2 * trip + 1);
            wait_for(2 * trip + 2);
        }
        ns[round] = (double)(now_ns() - began_ns) / TRIPS / 2;
    }
    pthread_join(other, NULL);
    qsort(ns, ROUNDS, sizeof *ns, compare);
    printf("{\"ns\": %.1f}\n", ns[ROUNDS / 2]);
    return 0;
}
