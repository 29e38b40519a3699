/* The last samples of the counters that somebody wants the speed of, in a ring. One thread writes, any reads without a lock: a reader that is overtaken mixes two samples,
 * which shifts a mean over seconds by little. A counter that was set back meanwhile counts as standing still. */
#include "observe/rate.h"

enum { SAMPLES = 4 };

static const enum metric wanted[] = {METRIC_commands_processed, METRIC_net_input_bytes, METRIC_net_output_bytes};
static struct {
    int64_t mono_ms[SAMPLES];
    uint64_t sums[SAMPLES][countof(wanted)];
    uint64_t count; /* samples taken */
} ring;             /* atomic, each number by itself */

void rate_sample(int64_t now_mono_ms)
{
    uint64_t count = __atomic_load_n(&ring.count, __ATOMIC_RELAXED);
    for (size_t i = 0; i < countof(wanted); i++) {
        __atomic_store_n(&ring.sums[count % SAMPLES][i], metric_sum(wanted[i]), __ATOMIC_RELAXED);
    }
    __atomic_store_n(&ring.mono_ms[count % SAMPLES], now_mono_ms, __ATOMIC_RELAXED);
    __atomic_store_n(&ring.count, count + 1, __ATOMIC_RELEASE);
}

double rate_per_second(enum metric m)
{
    uint64_t count = __atomic_load_n(&ring.count, __ATOMIC_ACQUIRE);
    if (count < 2) {
        return 0;
    }
    uint64_t last = (count - 1) % SAMPLES, first = count > SAMPLES ? count % SAMPLES : 0;
    int64_t ms = __atomic_load_n(&ring.mono_ms[last], __ATOMIC_RELAXED) -
                 __atomic_load_n(&ring.mono_ms[first], __ATOMIC_RELAXED);
    for (size_t i = 0; i < countof(wanted); i++) {
        if (wanted[i] == m && ms > 0) {
            uint64_t from = __atomic_load_n(&ring.sums[first][i], __ATOMIC_RELAXED);
            uint64_t to = __atomic_load_n(&ring.sums[last][i], __ATOMIC_RELAXED);
            return to > from ? (double)(to - from) * 1000 / (double)ms : 0;
        }
    }
    return 0;
}
