/* maxmemory-process: how many bytes the data may take so that the whole process stays within its bound. */
#ifndef MAIN_HEADROOM_H
#define MAIN_HEADROOM_H

#include "keyspace/keyspace.h"

/* What the process has of the machine's memory, in bytes. */
struct footprint {
    uint64_t resident; /* all of it */
    uint64_t used;     /* by data */
    uint64_t others;   /* program, connections, TLS ...: what they have now, not counting what is free */
};

struct headroom {
    uint64_t empty_bytes;    /* what the process takes without data and connections; set once */
    uint64_t handed_bytes;   /* of that, what the allocator has handed out */
    uint64_t begun_bytes;    /* what shards will have free in slabs that they have begun, by estimate */
    uint64_t bound_bytes;    /* of the directive; 0: none, and nothing is limited */
    uint64_t residual_bytes; /* of what is resident and free, the part that cannot be had back */
    uint64_t data_bytes;     /* what the data may take; 0: no limit */
    bool presses;            /* the data would take more, and the log says so */
};

/* Before there are data and connections. */
void headroom_init(struct headroom *h, struct keyspace *ks);

/* Whether free memory is to be given back, after which the footprint is to be measured again, before the data is asked to shrink. */
bool headroom_is_exceeded(const struct headroom *h, const struct footprint *f);
/* One look: moves data_bytes. `given_back`: free memory was, just now. For looks that are about as far apart in time as one from the other. */
void headroom_step(struct headroom *h, const struct footprint *f, bool given_back);

/* Measures, gives back, moves data_bytes, and says in the log when the data begins and ceases to be pressed by a bound that is narrower than
 * maxmemory (0: none). Takes milliseconds, tens of them when it gives back. One thread. */
void headroom_look(struct headroom *h, struct keyspace *ks, uint64_t bound_bytes, uint64_t maxmemory_bytes);

#endif
