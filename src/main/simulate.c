/* larder simulate TRACE [--sizes A,B,...] [--policy A,B,...] [--value-bytes N] [--rate N] [--window N]
 *
 * Replays a trace as a client does that keeps values beside a database: it looks for as many keys as a window has, and
 * stores those that were not there.
 * What is asked is a real keyspace with the real limit and policy, one for each pair of them, in this process; only
 * the clock is made: requests come evenly, and ticks have no budget of time, so that the same trace gives the same
 * ratios on a busy machine, too. So what it prints is what a server of that maxmemory would do, and it takes
 * as much memory.
 *
 * Policies that are told of keys with a deadline only (volatile-...) get each key with one, of a day. */
#include "main/simulate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/num.h"
#include "config/config.h"
#include "keyspace/keyspace.h"
#include "main/optimum.h"
#include "main/settings.h"
#include "main/trace.h"

enum {
    SIZES_MAX = 16,
    SIZE_BYTES_MIN = 64 * 1024,
    REQUESTS_PER_TICK = 256,
    DEFAULT_VALUE_BYTES = 1000,
    DEFAULT_RATE = 1000,
    WINDOW_MAX = 4096,
    SPARE_BYTES_PER_KEY = 64, /* for the sizes that are chosen when none are given */
    TTL_MS = 24 * 3600 * 1000,
    WHY_BYTES_MAX = 4096,
};
static const int64_t BEGIN_WALL_MS = INT64_C(1700000000000);

static const char usage[] =
    "usage: larder simulate TRACE [--sizes 64mb,1gb,...] [--policy NAME,...] [--value-bytes N]\n"
    "                             [--rate N] [--window N]\n"
    "\n"
    "Prints the ratio of hits that a cache in front of a database would have had, for each size of its memory and each\n"
    "policy, and the best that knowing the future could reach. TRACE has one request a line: a key, and the size of its\n"
    "value where that is not --value-bytes (1000); - reads the standard input. --rate is how many requests came in a\n"
    "second (1000), which matters to lru and lfu; --window, how many were asked for at once (1): what is missed is stored\n"
    "after that.\n";

/* ---- policies ---------------------------------------------------------------------------------------------------- */

/* The i-th name of maxmemory-policy, and what it means; NULL past the last. */
static const char *policy(unsigned i, enum eviction *ret_eviction)
{
    int value;
    const char *name = config_choice(OPTION_maxmemory_policy, i, &value);
    if (name) {
        *ret_eviction = settings_eviction((enum config_policy)value);
    }
    return name;
}

/* ---- what is asked for ------------------------------------------------------------------------------------------- */

struct simulation {
    struct trace trace;
    uint64_t sizes[SIZES_MAX];
    unsigned size_count;
    slice policies; /* names between commas; empty: all */
    uint64_t value_bytes, rate, window;
    uint64_t key_counts[SIZES_MAX]; /* by size: the most keys that a policy kept */
    double
        entry_bytes[SIZES_MAX]; /* by size: the least that a policy's entries cost besides key and value; 0: unknown */
    char *value;                /* as long as the longest */
};

/* The next of a list with commas. */
static slice take_item(slice *list)
{
    slice item = slice_sub(*list, 0, slice_find_byte(*list, ','));
    *list = slice_sub(*list, item.len + 1, SIZE_MAX);
    return item;
}

static bool parse_sizes(struct simulation *sim, slice list)
{
    while (list.len > 0) {
        slice item = take_item(&list);
        if (sim->size_count == SIZES_MAX || num_parse_bytes(item, &sim->sizes[sim->size_count]) ||
            sim->sizes[sim->size_count] < SIZE_BYTES_MIN) {
            fprintf(stderr, "larder: --sizes: found \"%.*s\", expected at most %d sizes from 64kb\n", SLICE_ARG(item),
                    SIZES_MAX);
            return false;
        }
        sim->size_count++;
    }
    return true;
}

static bool is_wanted(const struct simulation *sim, const char *name)
{
    for (slice list = sim->policies; list.len > 0;) {
        if (slice_equal_nocase(take_item(&list), slice_of(name))) {
            return true;
        }
    }
    return sim->policies.len == 0;
}

static bool check_policies(const struct simulation *sim)
{
    for (slice list = sim->policies; list.len > 0;) {
        slice item = take_item(&list);
        bool known = false;
        enum eviction eviction;
        const char *name;
        for (unsigned i = 0; !known && (name = policy(i, &eviction)); i++) {
            known = slice_equal_nocase(item, slice_of(name));
        }
        if (!known) {
            fprintf(stderr, "larder: --policy: found \"%.*s\", expected names of maxmemory-policy\n", SLICE_ARG(item));
            return false;
        }
    }
    return true;
}

static bool parse_number(const char *option, slice text, uint64_t most, uint64_t *ret_value)
{
    if (num_parse_bytes(text, ret_value) || *ret_value == 0 || *ret_value > most) {
        fprintf(stderr, "larder: %s: found \"%.*s\", expected a number from 1 to %" PRIu64 "\n", option,
                SLICE_ARG(text), most);
        return false;
    }
    return true;
}

static bool parse_option(struct simulation *sim, const char *option, slice value)
{
    if (strcmp(option, "--sizes") == 0) {
        return parse_sizes(sim, value);
    }
    if (strcmp(option, "--policy") == 0) {
        sim->policies = value;
        return check_policies(sim);
    }
    if (strcmp(option, "--value-bytes") == 0) {
        return parse_number(option, value, (uint64_t)512 << 20, &sim->value_bytes);
    }
    if (strcmp(option, "--rate") == 0) {
        return parse_number(option, value, 1000000000, &sim->rate);
    }
    if (strcmp(option, "--window") == 0) {
        return parse_number(option, value, WINDOW_MAX, &sim->window);
    }
    fprintf(stderr, "larder: %s: no such option\n", option);
    return false;
}

/* Without sizes: parts of what all keys take. */
static void choose_sizes(struct simulation *sim)
{
    const struct trace *t = &sim->trace;
    uint64_t all = 0;
    for (uint32_t i = 0; i < t->key_count; i++) {
        all += t->keys[i].len + SPARE_BYTES_PER_KEY;
    }
    all += (uint64_t)((double)t->key_count * (double)sim->value_bytes);
    for (unsigned part = 64; part > 0; part /= 2) {
        sim->sizes[sim->size_count++] = num_max_u64(all / part, SIZE_BYTES_MIN);
    }
}

/* ---- a replay ---------------------------------------------------------------------------------------------------- */

struct replay {
    const struct simulation *sim;
    struct keyspace *ks;
    struct arena arena;
    struct effect fx;
    bool with_deadlines;
    size_t hits;
};

static bool find(struct replay *r, const struct key *k)
{
    shard_lock(k->shard);
    struct entry *e = shard_find(k->shard, k);
    if (e) {
        shard_note_read(k->shard, e, r->fx.now.wall_ms);
    }
    shard_unlock(k->shard);
    return e;
}

/* As SET does; what has no room is not kept. */
static err store(struct replay *r, const struct key *k, uint32_t value_bytes)
{
    struct content c = {.kind = KIND_STRING,
                        .encoding = ENCODING_RAW,
                        .string = slice_make(r->sim->value, value_bytes),
                        .deadline = r->with_deadlines ? r->fx.now.wall_ms + TTL_MS : NO_DEADLINE};
    c.fresh_until = c.deadline;
    err room;
    do {
        room = keyspace_make_room(r->ks, r->fx.now, k->bytes.len + value_bytes);
    } while (room == ERR_AGAIN);
    if (room) {
        return OK;
    }
    struct entry *e;
    shard_lock(k->shard);
    err failure = shard_insert(k->shard, k, &c, &r->fx, EVENT_set, &e);
    shard_unlock(k->shard);
    return failure;
}

static struct key key_of(const struct replay *r, size_t request)
{
    const struct trace *t = &r->sim->trace;
    return keyspace_key(r->ks, 0, t->keys[t->requests[request].key]);
}

/* The requests from `first` on up to `end`. */
static err replay_window(struct replay *r, size_t first, size_t end)
{
    bool missed[WINDOW_MAX];
    err e = OK;
    for (size_t i = first; i < end; i++) {
        struct key k = key_of(r, i);
        missed[i - first] = !find(r, &k);
        r->hits += !missed[i - first];
    }
    for (size_t i = first; i < end && e == OK; i++) {
        struct key k = key_of(r, i);
        if (missed[i - first] && !find(r, &k)) {
            e = store(r, &k, r->sim->trace.requests[i].value_bytes);
        }
    }
    return e;
}

static err replay_all(struct replay *r)
{
    size_t count = r->sim->trace.request_count, window = r->sim->window, since_tick = REQUESTS_PER_TICK;
    err e = OK;
    for (size_t i = 0; i < count && e == OK; i += window, since_tick += window) {
        int64_t passed_ms = (int64_t)((double)i * 1000 / (double)r->sim->rate);
        struct now now = {.wall_ms = BEGIN_WALL_MS + passed_ms, .mono_ms = passed_ms};
        if (since_tick >= REQUESTS_PER_TICK) {
            keyspace_tick(r->ks, 0, now, 0);
            since_tick = 0;
        }
        arena_reset(&r->arena);
        effect_init(&r->fx, &r->arena, now, false);
        e = replay_window(r, i, num_min_u64(i + window, count));
    }
    return e;
}

static void add_bytes(void *argument, struct entry *e)
{
    *(uint64_t *)argument += entry_key(e).len + entry_string(e).len;
}

/* What an entry costs besides key and value. */
static double overhead_bytes(struct keyspace *ks)
{
    uint64_t payload = 0, count = keyspace_key_count(ks, 0);
    keyspace_lock_all(ks);
    keyspace_each(ks, 0, add_bytes, &payload);
    keyspace_unlock_all(ks);
    return count ? ((double)keyspace_used_bytes(ks) - (double)payload) / (double)count : 0;
}

static err replay(struct simulation *sim, enum eviction eviction, unsigned size, double *ret_ratio)
{
    struct keyspace_options options = {
        .worker_count = 1, .db_count = 1, .maxmemory_bytes = sim->sizes[size], .eviction = eviction};
    struct replay r = {.sim = sim, .with_deadlines = eviction >= EVICTION_VOLATILE_LRU};
    err e = keyspace_new(&options, &r.ks);
    if (e) {
        return e;
    }
    arena_init(&r.arena);
    e = replay_all(&r);
    *ret_ratio = (double)r.hits / (double)sim->trace.request_count;
    double overhead = overhead_bytes(r.ks);
    if (sim->entry_bytes[size] == 0 || overhead < sim->entry_bytes[size]) {
        sim->entry_bytes[size] = overhead;
    }
    sim->key_counts[size] = num_max_u64(sim->key_counts[size], keyspace_key_count(r.ks, 0));
    arena_fini(&r.arena);
    keyspace_free(r.ks);
    return e;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void print_head(const struct simulation *sim)
{
    printf("%zu requests for %" PRIu32 " keys\n\n%-16s", sim->trace.request_count, sim->trace.key_count, "maxmemory");
    for (unsigned i = 0; i < sim->size_count; i++) {
        char text[32];
        num_format_bytes_human(sim->sizes[i], text);
        printf(" %9s", text);
    }
    putchar('\n');
}

static err print_policy(struct simulation *sim, const char *name, enum eviction eviction)
{
    printf("%-16s", name);
    for (unsigned i = 0; i < sim->size_count; i++) {
        double ratio;
        err e = replay(sim, eviction, i, &ratio);
        if (e) {
            return e;
        }
        printf(" %9.4f", ratio);
        fflush(stdout);
    }
    putchar('\n');
    return OK;
}

static err print_optimum(const struct simulation *sim)
{
    printf("%-16s", "optimum");
    for (unsigned i = 0; i < sim->size_count; i++) {
        size_t hits;
        err e = optimum_hits(&sim->trace, sim->sizes[i], sim->entry_bytes[i], sim->window, &hits);
        if (e) {
            return e;
        }
        printf(" %9.4f", (double)hits / (double)sim->trace.request_count);
    }
    putchar('\n');
    return OK;
}

static void print_key_counts(const struct simulation *sim)
{
    printf("%-16s", "keys");
    for (unsigned i = 0; i < sim->size_count; i++) {
        printf(" %9" PRIu64, sim->key_counts[i]);
    }
    putchar('\n');
}

static err print_table(struct simulation *sim)
{
    print_head(sim);
    err e = OK;
    enum eviction eviction;
    const char *name;
    for (unsigned i = 0; e == OK && (name = policy(i, &eviction)); i++) {
        if (is_wanted(sim, name)) {
            e = print_policy(sim, name, eviction);
        }
    }
    if (e == OK) {
        e = print_optimum(sim);
        print_key_counts(sim);
    }
    return e;
}

/* ---- the task ---------------------------------------------------------------------------------------------------- */

static bool make_value(struct simulation *sim)
{
    uint32_t most = 1;
    for (size_t i = 0; i < sim->trace.request_count; i++) {
        most = sim->trace.requests[i].value_bytes > most ? sim->trace.requests[i].value_bytes : most;
    }
    sim->value = calloc(1, most);
    return sim->value;
}

static enum exit_code simulate(struct simulation *sim)
{
    if (sim->size_count == 0) {
        choose_sizes(sim);
    }
    if (!make_value(sim) || print_table(sim)) {
        fputs("larder: out of memory\n", stderr);
        return EXIT_SYSTEM;
    }
    return EXIT_DONE;
}

static enum exit_code read_and_simulate(struct simulation *sim, const char *file)
{
    struct buf why;
    buf_init(&why, WHY_BYTES_MAX);
    enum exit_code code;
    err e = trace_read(&sim->trace, file, (uint32_t)sim->value_bytes, &why);
    if (e) {
        fprintf(stderr, "larder: %.*s\n", SLICE_ARG(buf_slice(&why)));
        code = e == ERR_INVALID ? EXIT_INPUT : EXIT_SYSTEM;
    } else {
        code = simulate(sim);
    }
    buf_fini(&why);
    trace_fini(&sim->trace);
    free(sim->value);
    return code;
}

enum exit_code simulate_run(int argc, char **argv)
{
    struct simulation sim = {.value_bytes = DEFAULT_VALUE_BYTES, .rate = DEFAULT_RATE, .window = 1};
    if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    if (argc < 3 || argc % 2 == 0 || (argv[2][0] == '-' && argv[2][1] != '\0')) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    for (int i = 3; i + 1 < argc; i += 2) {
        if (!parse_option(&sim, argv[i], slice_of(argv[i + 1]))) {
            return EXIT_USAGE;
        }
    }
    return read_and_simulate(&sim, argv[2]);
}
