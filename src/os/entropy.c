/* getrandom(), until all is filled. */
#include "os/entropy.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/random.h>

#include "base/assert.h"

void entropy_fill(void *bytes, size_t count)
{
    char *at = bytes;
    while (count > 0) {
        ssize_t filled = getrandom(at, count, 0);
        bool entropy_is_given = filled > 0 || errno == EINTR;
        assert(entropy_is_given);
        if (filled > 0) {
            at += filled;
            count -= (size_t)filled;
        }
    }
}

uint64_t entropy_u64(void)
{
    uint64_t value;
    entropy_fill(&value, sizeof value);
    return value;
}
