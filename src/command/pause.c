/* The pause: one word that every dispatch looks at, the end of the pause in ms with the mode in its lowest two bits. A pause whose time is over is none, whatever the word says, so
 * that nobody has to end it.
 *
 * Nothing alters data while it is in force: writes wait here, and what the keyspace does by itself (expiry, eviction) is stopped by keyspace_freeze(), which follows when every
 * worker has passed the new word. Not before: a write that began earlier must not meet a keyspace that hides expired entries and does not remove them. For the same reason the
 * thaw comes first when a pause is ended. */
#include "command/pause.h"

#include "command/command.h"

enum { MODE_BITS = 2, MODE_MASK = (1 << MODE_BITS) - 1 };

uint64_t pause_word;

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

int64_t pause_set(enum pause_mode mode, int64_t until_mono_ms, struct now now)
{
    uint64_t old = __atomic_load_n(&pause_word, __ATOMIC_RELAXED), word;
    do {
        uint64_t end = (uint64_t)until_mono_ms, m = mode;
        if (end_of(old) > now.mono_ms) {
            end = end > old >> MODE_BITS ? end : old >> MODE_BITS;
            m = m > (old & MODE_MASK) ? m : old & MODE_MASK;
        }
        word = end << MODE_BITS | m;
    } while (!__atomic_compare_exchange_n(&pause_word, &old, word, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return end_of(word);
}

void pause_end(void)
{
    __atomic_store_n(&pause_word, 0, __ATOMIC_RELEASE);
}
