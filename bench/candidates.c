/* candidates: eviction policies that `adaptive` was chosen among, as their papers have them, over a trace and caches of so many keys.
 *
 *   candidates WINDOW KEYS... < TRACE          one key a line; what follows a blank is not read
 *
 * Prints one line of JSON for each number of keys: the ratio of hits by policy. All keys count alike. So many requests at a time are asked for as by an application
 * that stores what it missed afterwards: what is asked for again in the same window is a miss, too. Sources: CLOCK with two bits; ARC (Megiddo and Modha, 2003);
 * W-TinyLFU (Einziger and others, 2017), with a window of 1% and with one that climbs (2018); SIEVE (Zhang and others, 2024); S3-FIFO (Yang and others, 2023). */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NONE = UINT32_MAX, LINE_BYTES_MAX = 4096 };

/* ---- the trace ----------------------------------------------------------------------------------------------------- */

static uint32_t *requests; /* numbers of keys */
static size_t request_count;
static uint32_t key_count;
static size_t window;

static void *grown(void *array, size_t bytes)
{
    void *to = realloc(array, bytes);
    if (!to) {
        fputs("candidates: out of memory\n", stderr);
        exit(1);
    }
    return to;
}

static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 33) * 0xff51afd7ed558ccd;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53;
    return x ^ x >> 33;
}

static uint64_t hash_line(const char *line)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *line && *line != ' ' && *line != '\t' && *line != '\r' && *line != '\n'; line++) {
        hash = (hash ^ (unsigned char)*line) * 1099511628211u;
    }
    return mixed(hash);
}

/* Keys are told apart by 64 bits of hash. */
static void number_keys(const uint64_t *hashes)
{
    size_t slot_count = 1;
    while (slot_count < 2 * request_count + 1) {
        slot_count *= 2;
    }
    uint32_t *slots = memset(grown(NULL, slot_count * sizeof *slots), 0xff, slot_count * sizeof *slots);
    uint64_t *known = grown(NULL, (request_count + 1) * sizeof *known);
    requests = grown(NULL, (request_count + 1) * sizeof *requests);
    for (size_t i = 0; i < request_count; i++) {
        size_t at = hashes[i] & (slot_count - 1);
        while (slots[at] != NONE && known[slots[at]] != hashes[i]) {
            at = (at + 1) & (slot_count - 1);
        }
        if (slots[at] == NONE) {
            known[key_count] = hashes[i];
            slots[at] = key_count++;
        }
        requests[i] = slots[at];
    }
    free(known);
    free(slots);
}

static void read_trace(void)
{
    static char line[LINE_BYTES_MAX];
    uint64_t *hashes = NULL;
    for (size_t capacity = 0; fgets(line, sizeof line, stdin); request_count++) {
        if (request_count == capacity) {
            capacity = capacity ? 2 * capacity : 1 << 16;
            hashes = grown(hashes, capacity * sizeof *hashes);
        }
        hashes[request_count] = hash_line(line);
    }
    number_keys(hashes);
    free(hashes);
}

/* ---- lists of keys ------------------------------------------------------------------------------------------------- */

struct list {
    uint32_t newest, oldest, count;
};

static uint32_t *newer, *older; /* neighbours of a key in its list */
static uint8_t *place;          /* which of its policy's lists a key is in; 0: none */
static uint8_t *uses;
static size_t *missed; /* the window in which a key was missed last, plus one */

static void begin(void)
{
    newer = grown(newer, (key_count + 1) * sizeof *newer);
    older = grown(older, (key_count + 1) * sizeof *older);
    place = memset(grown(place, key_count + 1), 0, key_count + 1);
    uses = memset(grown(uses, key_count + 1), 0, key_count + 1);
    missed = memset(grown(missed, (key_count + 1) * sizeof *missed), 0, (key_count + 1) * sizeof *missed);
}

/* Whether a request for a key counts as a hit, the cache having it or not. */
static bool is_hit(size_t request, bool cached)
{
    size_t *last = &missed[requests[request]], now = request / window + 1;
    *last = cached ? *last : now;
    return *last != now;
}

static void push(struct list *l, uint32_t key, uint8_t number)
{
    newer[key] = NONE;
    older[key] = l->count ? l->newest : NONE;
    if (l->count) {
        newer[l->newest] = key;
    } else {
        l->oldest = key;
    }
    l->newest = key;
    l->count++;
    place[key] = number;
}

static void take(struct list *l, uint32_t key)
{
    if (newer[key] != NONE) {
        older[newer[key]] = older[key];
    } else {
        l->newest = older[key];
    }
    if (older[key] != NONE) {
        newer[older[key]] = newer[key];
    } else {
        l->oldest = newer[key];
    }
    l->count--;
    place[key] = 0;
}

static uint32_t pop(struct list *l)
{
    uint32_t key = l->oldest;
    take(l, key);
    return key;
}

static void count_use(uint32_t key, uint8_t most)
{
    uses[key] += uses[key] < most;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* ---- LRU, CLOCK, SIEVE --------------------------------------------------------------------------------------------- */

static size_t run_lru(uint32_t capacity)
{
    struct list all = {0};
    size_t hits = 0;
    for (size_t i = 0; i < request_count; i++) {
        uint32_t key = requests[i];
        hits += is_hit(i, place[key]);
        if (place[key]) {
            take(&all, key);
        } else if (all.count == capacity) {
            pop(&all);
        }
        push(&all, key, 1);
    }
    return hits;
}

static size_t run_clock(uint32_t capacity)
{
    struct list all = {0};
    size_t hits = 0;
    for (size_t i = 0; i < request_count; i++) {
        uint32_t key = requests[i];
        hits += is_hit(i, place[key]);
        if (place[key]) {
            count_use(key, 3);
            continue;
        }
        while (all.count == capacity) {
            uint32_t out = pop(&all);
            if (uses[out] > 0) {
                uses[out]--;
                push(&all, out, 1);
            }
        }
        uses[key] = 0;
        push(&all, key, 1);
    }
    return hits;
}

static size_t run_sieve(uint32_t capacity)
{
    struct list all = {0};
    uint32_t hand = NONE;
    size_t hits = 0;
    for (size_t i = 0; i < request_count; i++) {
        uint32_t key = requests[i];
        hits += is_hit(i, place[key]);
        if (place[key]) {
            uses[key] = 1;
            continue;
        }
        if (all.count == capacity) {
            hand = hand == NONE ? all.oldest : hand;
            while (uses[hand]) {
                uses[hand] = 0;
                hand = newer[hand] == NONE ? all.oldest : newer[hand];
            }
            uint32_t out = hand;
            hand = newer[hand];
            take(&all, out);
        }
        uses[key] = 0;
        push(&all, key, 1);
    }
    return hits;
}

/* ---- ARC ----------------------------------------------------------------------------------------------------------- */

enum { ARC_RECENT = 1, ARC_FREQUENT, ARC_RECENT_GHOST, ARC_FREQUENT_GHOST };

struct arc {
    struct list recent, frequent, recent_ghosts, frequent_ghosts;
    double target; /* of `recent` */
};

static void arc_replace(struct arc *a, bool for_frequent_ghost)
{
    bool from_recent = a->recent.count > a->target || (for_frequent_ghost && a->recent.count == (uint32_t)a->target);
    if (a->recent.count > 0 && (from_recent || a->frequent.count == 0)) {
        push(&a->recent_ghosts, pop(&a->recent), ARC_RECENT_GHOST);
    } else {
        push(&a->frequent_ghosts, pop(&a->frequent), ARC_FREQUENT_GHOST);
    }
}

static void arc_miss(struct arc *a, uint32_t key, uint32_t capacity)
{
    uint32_t cached = a->recent.count + a->frequent.count;
    uint32_t known = cached + a->recent_ghosts.count + a->frequent_ghosts.count;
    if (a->recent.count + a->recent_ghosts.count == capacity) {
        if (a->recent.count < capacity) {
            pop(&a->recent_ghosts);
            arc_replace(a, false);
        } else {
            pop(&a->recent);
        }
    } else if (known >= capacity) {
        if (known == 2 * capacity) {
            pop(&a->frequent_ghosts);
        }
        if (cached == capacity) {
            arc_replace(a, false);
        }
    }
    push(&a->recent, key, ARC_RECENT);
}

static size_t run_arc(uint32_t capacity)
{
    struct arc a = {0};
    size_t hits = 0;
    for (size_t i = 0; i < request_count; i++) {
        uint32_t key = requests[i];
        double recent = a.recent_ghosts.count, frequent = a.frequent_ghosts.count;
        hits += is_hit(i, place[key] == ARC_RECENT || place[key] == ARC_FREQUENT);
        switch (place[key]) {
        case ARC_RECENT:
        case ARC_FREQUENT:
            take(place[key] == ARC_RECENT ? &a.recent : &a.frequent, key);
            push(&a.frequent, key, ARC_FREQUENT);
            break;
        case ARC_RECENT_GHOST:
            a.target = smaller(capacity, a.target + larger(1, frequent / recent));
            take(&a.recent_ghosts, key);
            arc_replace(&a, false);
            push(&a.frequent, key, ARC_FREQUENT);
            break;
        case ARC_FREQUENT_GHOST:
            a.target = larger(0, a.target - larger(1, recent / frequent));
            take(&a.frequent_ghosts, key);
            arc_replace(&a, true);
            push(&a.frequent, key, ARC_FREQUENT);
            break;
        default: arc_miss(&a, key, capacity);
        }
    }
    return hits;
}

/* ---- S3-FIFO ------------------------------------------------------------------------------------------------------- */

enum { S3_SMALL = 1, S3_MAIN, S3_GHOST };

struct s3 {
    struct list small, main, ghosts;
};

static void s3_evict(struct s3 *s, uint32_t capacity)
{
    if (s->small.count > capacity / 10 || s->main.count == 0) {
        uint32_t out = pop(&s->small);
        if (uses[out] > 0) {
            uses[out] = 0;
            push(&s->main, out, S3_MAIN);
        } else {
            push(&s->ghosts, out, S3_GHOST);
            if (s->ghosts.count > capacity - capacity / 10) {
                pop(&s->ghosts);
            }
        }
        return;
    }
    uint32_t out = pop(&s->main);
    if (uses[out] > 0) {
        uses[out]--;
        push(&s->main, out, S3_MAIN);
    }
}

static size_t run_s3_fifo(uint32_t capacity)
{
    struct s3 s = {0};
    size_t hits = 0;
    for (size_t i = 0; i < request_count; i++) {
        uint32_t key = requests[i];
        bool cached = place[key] == S3_SMALL || place[key] == S3_MAIN;
        hits += is_hit(i, cached);
        if (cached) {
            count_use(key, 3);
            continue;
        }
        while (s.small.count + s.main.count >= capacity) {
            s3_evict(&s, capacity);
        }
        uses[key] = 0;
        if (place[key] == S3_GHOST) {
            take(&s.ghosts, key);
            push(&s.main, key, S3_MAIN);
        } else {
            push(&s.small, key, S3_SMALL);
        }
    }
    return hits;
}

/* ---- W-TinyLFU ----------------------------------------------------------------------------------------------------- */

enum { LFU_WINDOW = 1, LFU_PROBATION, LFU_PROTECTED };
enum { SKETCH_ROWS = 4, SKETCH_MOST = 15, SKETCH_PERIOD = 10, CLIMB_PERIOD = 10 };

struct tiny_lfu {
    struct list window, probation, protected;
    double window_share, step, ratio_before;
    size_t period_hits, period_requests;
    uint8_t *sketch;
    size_t row_counters, added;
};

static uint8_t *counter(const struct tiny_lfu *t, uint32_t key, unsigned row)
{
    return &t->sketch[row * t->row_counters + (mixed(key + row * 0x9e3779b97f4a7c15) & (t->row_counters - 1))];
}

static unsigned frequency(const struct tiny_lfu *t, uint32_t key)
{
    unsigned least = SKETCH_MOST;
    for (unsigned row = 0; row < SKETCH_ROWS; row++) {
        least = *counter(t, key, row) < least ? *counter(t, key, row) : least;
    }
    return least;
}

static void count_frequency(struct tiny_lfu *t, uint32_t key, uint32_t capacity)
{
    unsigned now = frequency(t, key);
    if (now == SKETCH_MOST) {
        return;
    }
    for (unsigned row = 0; row < SKETCH_ROWS; row++) {
        *counter(t, key, row) += *counter(t, key, row) == now;
    }
    if (++t->added == (size_t)SKETCH_PERIOD * capacity) {
        for (size_t i = 0; i < SKETCH_ROWS * t->row_counters; i++) {
            t->sketch[i] /= 2;
        }
        t->added /= 2;
    }
}

/* The hill climbing: on in the direction that was better, back from one that was worse. */
static void climb(struct tiny_lfu *t, uint32_t capacity)
{
    if (t->period_requests < (size_t)CLIMB_PERIOD * capacity) {
        return;
    }
    double ratio = (double)t->period_hits / (double)t->period_requests, change = ratio - t->ratio_before;
    double step = change >= 0 ? t->step : -t->step;
    t->window_share = larger(0.01, smaller(0.8, t->window_share + step));
    t->step = change >= 0.05 || change <= -0.05 ? (step > 0 ? 0.0625 : -0.0625) : 0.98 * step;
    t->ratio_before = ratio;
    t->period_hits = t->period_requests = 0;
}

static void lfu_hit(struct tiny_lfu *t, uint32_t key)
{
    struct list *lists[] = {NULL, &t->window, &t->probation, &t->protected};
    uint8_t to = place[key] == LFU_WINDOW ? LFU_WINDOW : LFU_PROTECTED;
    take(lists[place[key]], key);
    push(lists[to], key, to);
}

/* Gives the window and the protected part their sizes; what leaves the window stays if it is asked for more often than what would go for it. */
static void lfu_settle(struct tiny_lfu *t, uint32_t capacity)
{
    uint32_t window = (uint32_t)larger(1, t->window_share * capacity);
    while (t->protected.count > (capacity - window) / 5 * 4) {
        push(&t->probation, pop(&t->protected), LFU_PROBATION);
    }
    while (t->window.count > window) {
        uint32_t candidate = pop(&t->window);
        push(&t->probation, candidate, LFU_PROBATION);
        if (t->window.count + t->probation.count + t->protected.count > capacity) {
            uint32_t other = t->probation.oldest;
            take(&t->probation, frequency(t, candidate) > frequency(t, other) ? other : candidate);
        }
    }
    while (t->window.count + t->probation.count + t->protected.count > capacity) {
        pop(t->probation.count ? &t->probation : &t->protected);
    }
}

static size_t run_tiny_lfu(uint32_t capacity, bool climbs)
{
    struct tiny_lfu t = {.window_share = 0.01, .step = 0.0625, .row_counters = 16};
    while (t.row_counters < 2 * (size_t)capacity) {
        t.row_counters *= 2;
    }
    t.sketch = memset(grown(NULL, SKETCH_ROWS * t.row_counters), 0, SKETCH_ROWS * t.row_counters);
    size_t hits = 0;
    for (size_t i = 0; i < request_count; i++) {
        uint32_t key = requests[i];
        bool hit = place[key];
        hits += is_hit(i, hit);
        t.period_hits += hit;
        t.period_requests++;
        count_frequency(&t, key, capacity);
        if (hit) {
            lfu_hit(&t, key);
        } else {
            push(&t.window, key, LFU_WINDOW);
        }
        if (climbs) {
            climb(&t, capacity);
        }
        lfu_settle(&t, capacity);
    }
    free(t.sketch);
    return hits;
}

static size_t run_w_tiny_lfu(uint32_t capacity)
{
    return run_tiny_lfu(capacity, false);
}

static size_t run_w_tiny_lfu_climbing(uint32_t capacity)
{
    return run_tiny_lfu(capacity, true);
}

/* -------------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t (*run)(uint32_t capacity);
} candidates[] = {
    {"LRU", run_lru},           {"CLOCK", run_clock},          {"SIEVE", run_sieve},
    {"ARC", run_arc},           {"S3-FIFO", run_s3_fifo},      {"W-TinyLFU", run_w_tiny_lfu},
    {"W-TinyLFU climbing", run_w_tiny_lfu_climbing},
};

int main(int argc, char **argv)
{
    read_trace();
    window = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    for (int i = 2; i < argc; i++) {
        uint32_t capacity = (uint32_t)strtoul(argv[i], NULL, 10);
        if (capacity < 16 || window == 0 || request_count == 0) {
            fputs("usage: candidates WINDOW KEYS... < TRACE: a window of 1 or more, numbers of keys from 16, a key a line\n", stderr);
            return 2;
        }
        for (size_t c = 0; c < sizeof candidates / sizeof *candidates; c++) {
            begin();
            printf("%s\"%s\": %.6f", c ? ", " : "{", candidates[c].name, (double)candidates[c].run(capacity) / (double)request_count);
        }
        puts("}");
    }
    return 0;
}
