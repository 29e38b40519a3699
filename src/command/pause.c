/* The pause: one word that every dispatch looks at, the end of the pause in ms with the mode in its lowest two bits. A pause whose time is over is none, whatever the word says, so
 * that nobody has to end it.
 *
 * Nothing alters data while it is in force: writes wait here, and what the keyspace does by itself (expiry, eviction) is stopped by keyspace_freeze(), which follows when every
 * worker has passed the new word. Not before: a write that began earlier must not meet a keyspace that hides expired entries and does not remove them. For the same reason the
 * thaw comes first when a pause is ended, and the freeze of a pause that was ended meanwhile not at all: changes have numbers, and all of that happens with all shards locked. */
#include "command/pause.h"

#include "base/num.h"
#include "command/command.h"

enum { MODE_BITS = 2, MODE_MASK = (1 << MODE_BITS) - 1 };

uint64_t pause_word;
static uint64_t change_count; /* all shards locked */

static int64_t end_of(uint64_t word)
{
    return (int64_t)(word >> MODE_BITS);
}

int64_t pause_until(const struct call *call)
{
    uint64_t word = __atomic_load_n(&pause_word, __ATOMIC_ACQUIRE);
    bool is_held = (word & MODE_MASK) == PAUSE_ALL || call->command->effect == EFFECT_WRITE;
    return is_held && end_of(word) > call->now.mono_ms ? end_of(word) : 0;
}

uint64_t pause_set(enum pause_mode mode, int64_t until_mono_ms, struct now now)
{
    uint64_t old = __atomic_load_n(&pause_word, __ATOMIC_RELAXED), end = (uint64_t)until_mono_ms, m = mode;
    if (end_of(old) > now.mono_ms) {
        end = num_max_u64(end, old >> MODE_BITS);
        m = num_max_u64(m, old & MODE_MASK);
    }
    __atomic_store_n(&pause_word, end << MODE_BITS | m, __ATOMIC_RELEASE);
    return ++change_count;
}

bool pause_lasts(uint64_t number, int64_t *ret_until_mono_ms)
{
    *ret_until_mono_ms = end_of(__atomic_load_n(&pause_word, __ATOMIC_RELAXED));
    return number == change_count;
}

void pause_end(void)
{
    __atomic_store_n(&pause_word, 0, __ATOMIC_RELEASE);
    change_count++;
}
