/* How fast counters grow, as a mean over the last seconds: INFO's instantaneous_* fields. */
#ifndef OBSERVE_RATE_H
#define OBSERVE_RATE_H

#include "observe/metric.h"

/* Looks at the counters. One thread, about once a second. */
void rate_sample(int64_t now_mono_ms);
/* Growth per second over the samples that are remembered (4); 0 with fewer than two. Any thread. */
double rate_per_second(enum metric m);

#endif
