/* How a call runs. The one place that takes shard locks for verbs, consults the loader, publishes effects and counts.
 *
 *     refused? authenticated? room? -> lock -> find, expire -> consult -> verb -> publish -> unlock -> count
 *
 * One key: one lock, no set; several: keyspace_lock_keys(); ALL_SHARDS rows: keyspace_lock_all(). GLIMPSE rows need no lock as long as nobody changes the shard
 * (shard_glimpse()). BRIEF calls of one command that follow each other share the looks at what none of them changes (dispatch_run_alike()).
 *
 * Parking (park.c): when the loader wants a key waited for, all keys that need it join their pendings in this one run, and the call goes to
 * sleep on the count of them. The next run hands each key's outcome to the loader, which then says use or fail, never wait, except when
 * the outcome was voided and the row is a WRITE: nothing is built upon a value that was overtaken, so that key waits again, within the
 * time that its first wait was given.
 *
 * Invariants: (I1) a call that is parked has changed nothing, or all that it will and only its answer waits; (I2) what a failed verb rendered is cut off; (I3) an effect is published
 * while all its shards are locked; (I4) each call is counted once, when it is over. Threads: the session's worker.
 *
 * Not here: which command and which keys (prepare.c). */
#include "command/dispatch.h"

#include "base/assert.h"
#include "base/num.h"
#include "command/call_priv.h"
#include "command/figures.h"
#include "command/monitor.h"
#include "command/park_priv.h"
#include "command/pause.h"
#include "command/server/latency.h"
#include "command/server/slowlog.h"
#include "observe/metric.h"

/* ---- the time ------------------------------------------------------------------------------------------------------- */
/* To read the clocks for each call would cost as much as a small call does. So calls that run one behind the other share
 * readings: the end of one is the beginning of the next, and `now` is that of the loop's turn, read again when it is
 * old.
 *
 * Brief calls (BRIEF rows, small arguments) of one command go further: those of a batch that follow each other are timed
 * together, and each counts with their mean. They do so little that none of them can be slow while the others are not,
 * but for those that have to make room (begin_long_lap()); whoever wants to hear of calls so short (slowlog-log-slower-than) has each timed. */
enum { NOW_AGE_NS_MAX = 200 * 1000, BRIEF_ARGUMENT_BYTES_MAX = 4096, BRIEF_US_MAX = 1000, LONG_TOGETHER = 4 };

static struct timing {
    struct now now;
    struct now turn;             /* what the loop said when it was last asked */
    int64_t now_read_ns;         /* by clock_lap_ns(), as the next two */
    int64_t began_ns;            /* when dispatch_begin() was called */
    int64_t lap_ns;              /* the end of the call before */
    bool groups;                 /* brief calls are timed together */
    const struct command *brief; /* of those since lap_ns, which are not counted yet */
    unsigned brief_count;
    unsigned long_count; /* of brief calls that had to make room, since one of them was timed by itself */
} ALIGNED(CACHE_LINE_BYTES) timings[WORKER_COUNT_MAX];

static inline struct timing *timing_of(const struct call *call)
{
    return &timings[call->session->worker->index];
}

NOINLINE static void read_now(struct timing *t, const struct worker *w)
{
    t->now = (struct now){.wall_ms = clock_wall_ms(), .mono_ms = loop_now(w->loop).mono_ms};
    t->now_read_ns = t->lap_ns;
}

static void allow_groups(struct timing *t)
{
    int64_t slower_than_us = config_now()->slowlog_log_slower_than;
    t->groups = slower_than_us < 0 || slower_than_us >= BRIEF_US_MAX;
}

void dispatch_begin(struct worker *w)
{
    struct timing *t = &timings[w->index];
    allow_groups(t);
    t->began_ns = t->lap_ns = clock_lap_ns();
    struct now turn = loop_now(w->loop);
    if (turn.wall_ms != t->turn.wall_ms || turn.mono_ms != t->turn.mono_ms) {
        t->now = t->turn = turn;
        t->now_read_ns = t->lap_ns;
    }
}

int64_t dispatch_lasted_ns(const struct worker *w)
{
    return timings[w->index].lap_ns - timings[w->index].began_ns;
}

/* A call begins where the one before it ended. */
static inline struct now time_of_call(struct timing *t, const struct call *call)
{
    if (UNLIKELY(t->lap_ns - t->now_read_ns > NOW_AGE_NS_MAX)) {
        read_now(t, call->session->worker);
    }
    return t->now;
}

/* A call, or a group of them, is over: how long that took. */
static inline uint64_t take_lap(struct timing *t)
{
    int64_t began_ns = t->lap_ns;
    t->lap_ns = clock_lap_ns();
    return (uint64_t)num_max_i64(0, t->lap_ns - began_ns);
}

/* Counts the brief calls that have run. */
NOINLINE static void count_group(struct timing *t, unsigned worker) ON(worker)
{
    figures_add(worker, t->brief->number, t->brief_count, take_lap(t), false, config_now()->latency_tracking);
    metric_add(METRIC_commands_processed, t->brief_count);
    t->brief_count = 0;
}

static inline bool is_small(const struct call *call)
{
    return call->argv[call->argc - 1].len <= BRIEF_ARGUMENT_BYTES_MAX;
}

/* Whether it is timed together with its like. */
static inline bool is_brief(const struct timing *t, const struct call *call)
{
    return call->command && call->command->traits & TRAIT_BRIEF && t->groups && is_small(call) && !call->park;
}

/* A call is about to run: it joins the group of calls like it, or they are counted, so that its own time begins here. */
static inline void begin_lap(struct timing *t, struct call *call) ON(worker)
{
    call->brief = is_brief(t, call);
    if (t->brief_count > 0 && UNLIKELY(t->brief != call->command || !call->brief)) {
        count_group(t, call->session->worker->index);
    }
    t->brief = call->command;
}

void dispatch_end(struct worker *w)
{
    struct timing *t = &timings[w->index];
    if (t->brief_count > 0) {
        count_group(t, w->index);
    }
}

/* ---- errors --------------------------------------------------------------------------------------------------------- */
/* Words that clients know by heart; an argument counts up to its first NUL, as Redis prints it. */
static slice printable(slice argument, size_t bytes_max)
{
    size_t nul = slice_find_byte(argument, '\0');
    return slice_sub(argument, 0, num_min_u64(nul == SIZE_MAX ? argument.len : nul, bytes_max));
}

static void word_unknown_command(struct call *call)
{
    enum { BYTES_MAX = 128 };
    char arguments[BYTES_MAX + 8];
    size_t len = 0;
    for (unsigned i = 1; i < call->argc && len < BYTES_MAX; i++) {
        slice a = printable(call->argv[i], BYTES_MAX - len);
        arguments[len++] = '\'';
        memcpy(arguments + len, a.ptr ? a.ptr : "", a.len);
        len += a.len;
        arguments[len++] = '\'';
        arguments[len++] = ' ';
    }
    (void)call_fail(call, ERR_UNKNOWN_COMMAND, "unknown command '%.*s', with args beginning with: %.*s",
                    SLICE_ARG(printable(call->argv[0], BYTES_MAX)), (int)len, arguments);
}

static void word_unknown_subcommand(struct call *call)
{
    char name[32];
    slice container = slice_sub(slice_of(call->command->name), 0, sizeof name);
    for (size_t i = 0; i < container.len; i++) {
        char c = container.ptr[i];
        name[i] = c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
    }
    (void)call_fail(call, ERR_UNKNOWN_SUBCOMMAND, "unknown subcommand '%.*s'. Try %.*s HELP.",
                    SLICE_ARG(printable(call->argv[1], 128)), (int)container.len, name);
}

COLD static void render_error(struct call *call, err e)
{
    if (call->error_text.len == 0) {
        if (e == ERR_UNKNOWN_COMMAND) {
            word_unknown_command(call);
        } else if (e == ERR_UNKNOWN_SUBCOMMAND) {
            word_unknown_subcommand(call);
        } else if (e == ERR_ARITY) {
            (void)call_fail(call, e, "wrong number of arguments for '%s' command", call->command->name);
        }
    }
    reply_error(call->reply, e, call->error_text);
    metric_add_error(e);
}

/* ---- locks ---------------------------------------------------------------------------------------------------------- */
/* The keys that prepare_call() found; a verb may add more of the same shards. */
static void lock_shards(struct call *call, unsigned key_count) UNCHECKED_LOCKS
{
    if (call->command->traits & TRAIT_ALL_SHARDS) {
        keyspace_lock_all(call->engine->keyspace);
    } else if (LIKELY(key_count == 1)) {
        shard_lock(call->keys[0].key.shard);
    } else if (key_count > 1) {
        keyspace_lock_keys(call->engine->keyspace, call->locks, key_count);
    }
}

static void unlock_shards(struct call *call, unsigned key_count) UNCHECKED_LOCKS
{
    if (call->command->traits & TRAIT_ALL_SHARDS) {
        keyspace_unlock_all(call->engine->keyspace);
    } else if (LIKELY(key_count == 1)) {
        shard_unlock(call->keys[0].key.shard);
    } else if (key_count > 1) {
        keyspace_unlock_keys(call->engine->keyspace, call->locks, key_count);
    }
}

/* ---- keys ----------------------------------------------------------------------------------------------------------- */
/* A look at a key counts as a hit or a miss of a READ row, and as a use of the entry. */
static void count_look(const struct call *call, bool there)
{
    if (call->command->effect == EFFECT_READ) {
        metric_add(there ? METRIC_keyspace_hits : METRIC_keyspace_misses, 1);
    }
}

static bool is_use(const struct call *call)
{
    unsigned traits = call->command->traits;
    return !(traits & TRAIT_QUIET) && (!call->session->no_touch || traits & TRAIT_TOUCHES);
}

static void note_look(struct call *call, const struct call_key *ck)
{
    if (ck->use != KEY_READS && ck->use != KEY_NEEDS) {
        return;
    }
    bool there = ck->entry && !entry_negative(ck->entry);
    count_look(call, there);
    if (there && is_use(call)) {
        shard_note_read(ck->key.shard, ck->entry, call->now.wall_ms);
    }
}

static void find_keys(struct call *call)
{
    for (unsigned i = 0; i < call->key_count; i++) {
        call_find(call, i);
        if (!call->park) {
            note_look(call, &call->keys[i]);
        }
    }
}

/* What stands behind a key: OK (the verb may look), ERR_AGAIN (it waits, and is joined), or the error to answer with. */
static err consult_key(struct call *call, struct loader *loader, unsigned i)
{
    struct call_key *ck = &call->keys[i];
    struct outcome *o = park_outcome(call, i);
    ck->outcome = o;
    if (!ck->rule || (ck->use != KEY_READS && ck->use != KEY_NEEDS)) {
        return OK;
    }
    if (o && o->voided && command_writes(call->command)) {
        ck->outcome = o = NULL;
    }
    struct load_answer a = loader->consult(loader, ck->rule, &ck->key, ck->entry, ck->use, o, call->now);
    if (a.verdict == VERDICT_PARK) {
        return park_join(call, i, a.pending, a.wait_until_mono_ms);
    }
    if (a.verdict == VERDICT_FAIL) {
        call->error_text = a.error_text.len > 0 ? arena_copy(&call->arena, a.error_text) : a.error_text;
        return a.error;
    }
    return OK;
}

/* All keys, so that all loads that are needed begin now. ERR_AGAIN when the call has to wait. */
static err consult(struct call *call, struct loader *loader)
{
    err result = OK;
    for (unsigned i = 0; i < call->key_count; i++) {
        err e = consult_key(call, loader, i);
        if (e != OK && (result == OK || result == ERR_AGAIN)) {
            result = e;
        }
    }
    return result;
}

/* ---- run ------------------------------------------------------------------------------------------------------------ */
/* What the call can add to the data, as far as its arguments say, or its verb in an earlier run. */
static uint64_t bytes_to_store(const struct call *call)
{
    uint64_t bytes = UNLIKELY(call->park) ? park_room(call) : 0;
    for (unsigned i = 1; i < call->argc; i++) {
        bytes += call->argv[i].len;
    }
    return bytes;
}

/* A call that has to make room takes longer than others like it, some much longer: one of a few is timed by itself, so that they are no more than that together. */
static void begin_long_lap(struct timing *t, struct call *call) ON(worker)
{
    if (++t->long_count >= LONG_TOGETHER) {
        t->long_count = 0;
        dispatch_end(call->session->worker);
        call->brief = false;
    }
}

/* When latencies are watched, the time that it takes is, too. */
NOINLINE static err make_room(struct call *call, uint64_t bytes) ON(worker)
{
    begin_long_lap(timing_of(call), call);
    const struct config *config = config_now();
    int64_t began_ns = config->latency_monitor_threshold > 0 ? clock_mono_ns() : 0;
    err e = keyspace_make_room(call->engine->keyspace, call->now, bytes);
    uint64_t ns = began_ns > 0 ? (uint64_t)(clock_mono_ns() - began_ns) : 0;
    if (latency_wants(config, ns)) {
        latency_note(LATENCY_eviction_cycle, ns, call->now);
    }
    return e;
}

static err have_room(struct call *call) ON(worker)
{
    const struct config *config = config_now();
    uint64_t bytes = config->maxmemory > 0 || config->maxmemory_process > 0 ? bytes_to_store(call) : 0;
    err e = keyspace_has_room(call->engine->keyspace, call->now, bytes);
    return LIKELY(e != ERR_AGAIN) ? e : make_room(call, bytes);
}

/* Why the call may not run, ERR_AGAIN when it may later; OK when it may. */
static err admit(struct call *call) ON(worker)
{
    if (UNLIKELY(call->refused != OK)) {
        return call->refused;
    }
    if (UNLIKELY(session_needs_auth(call->session)) && !(call->command->traits & TRAIT_NOAUTH)) {
        return ERR_NOAUTH;
    }
    if (UNLIKELY(pause_is_set())) {
        int64_t until =
            call_errand(call) ? 0 : pause_until(call); /* one that comes back from its errand has begun before */
        if (until > 0) {
            return park_postpone(call, until);
        }
    }
    if (!(call->command->traits & TRAIT_DENYOOM)) {
        return OK;
    }
    err e = have_room(call);
    return LIKELY(e != ERR_AGAIN) ? e : call_errand(call) ? OK : park_postpone(call, call->now.mono_ms + 1);
}

static void begin(struct call *call, struct timing *t) ON(worker)
{
    begin_lap(t, call);
    call->now = time_of_call(t, call);
    call->error_text = (slice){0};
    call->changed = false;
    call->expired_count = 0;
    __atomic_store_n(&call->session->last_mono_ms, call->now.mono_ms, __ATOMIC_RELAXED);
    if (!call->command) {
        return;
    }
    call->event = call->command->event;
    __atomic_store_n(&call->session->last_command, call->command, __ATOMIC_RELAXED);
}

/* Whose rules and which database: as of now, since a call before this one in the batch may have changed the database.
 * Whether any key is governed. */
static bool govern_keys(struct call *call, struct loader *loader)
{
    bool governed = false, asks = loader && loader_has_rules(loader);
    struct call_key *keys = call->keys;
    for (unsigned i = 0, count = call->key_count; i < count; i++) {
        struct call_key *ck = &keys[i];
        if (UNLIKELY(ck->key.db != call->session->db)) {
            ck->key.db = call->session->db;
            ck->sight.blind = true;
        }
        ck->rule = asks ? loader->govern(loader, ck->key.db, ck->key.bytes) : NULL;
        governed |= ck->rule != NULL;
    }
    return governed;
}

/* The times that rules gave to keys, behind the call that is its own record: who reads it has no rules. */
static void record_rule_times(struct call *call)
{
    for (unsigned k = 0; k < call->key_count; k++) {
        const struct key *key = &call->keys[k].key;
        const struct entry *e = call->keys[k].timed ? call_entry(call, k) : NULL;
        slice *argv = e && entry_deadline(e) != NO_DEADLINE ? call_alloc(call, 3 * sizeof *argv) : NULL;
        if (argv) {
            argv[0] = S("PEXPIREAT");
            argv[1] = key->bytes;
            argv[2] = call_text_i64(call, entry_fresh_until(e));
            effect_record_before(&call->effect, key->db, 3, argv);
        }
    }
}

/* Where it has changed something itself and no other record stands for it. */
NOINLINE static void record_call(struct call *call)
{
    struct effect *fx = &call->effect;
    if (fx->touch_count > call->expired_count && !fx->records_replaced && command_writes(call->command)) {
        effect_record_before(fx, call->session->db, call->argc, call->argv);
        record_rule_times(call);
    }
}

static inline void publish(struct call *call)
{
    struct effect *fx = &call->effect;
    if (UNLIKELY(effect_wants_records(fx))) {
        record_call(call);
    }
    if (fx->touches || fx->records) {
        keyspace_publish(call->engine->keyspace, fx);
    }
}

/* Under the locks: ERR_AGAIN when the call parks (with whatever expired published), else how it ended. */
static err run_locked(struct call *call, struct loader *loader, bool governed)
{
    bool returns = call_errand(call); /* it was shown and has changed what it changes when it left */
    effect_init(&call->effect, &call->arena, call->now, keyspace_wants_records(call->engine->keyspace));
    find_keys(call);
    err e = governed || call->park ? consult(call, loader) : OK;
    if (e == OK) {
        e = call->command->handler(call);
        assert(e != ERR_AGAIN || call_errand(call) || park_room(call)); /* a verb waits for work, or for room */
    } else if (e != ERR_AGAIN) {
        park_leave_locked(call);
    }
    publish(call);
    if (UNLIKELY(monitor_is_on()) && !returns && (e != ERR_AGAIN || call_errand(call))) {
        monitor_feed(call);
    }
    return e;
}

/* Where a worker has its copy of an entry. */
static void *glimpse_memory(const struct call *call)
{
    static struct {
        char bytes[SHARD_GLIMPSE_BYTES_MAX];
    } ALIGNED(CACHE_LINE_BYTES) copies[WORKER_COUNT_MAX];
    return copies[call->session->worker->index].bytes;
}

/* Tries to find the entry of a GLIMPSE row's one key without the lock. */
static inline bool glimpse(struct call *call, bool is_use, void *memory) ON(worker)
{
    struct call_key *ck = &call->only_key;
    return shard_glimpse(&ck->key, &ck->sight, call->now.wall_ms, is_use, memory, &ck->entry);
}

/* What has to be seen or told in the order of changes (loads, parks, MONITOR) needs the lock. */
static bool may_glimpse(const struct call *call, bool governed)
{
    return call->command->traits & TRAIT_GLIMPSE && !governed && !call->park && LIKELY(!monitor_is_on());
}

/* The call is over, and not one of a group: how long it took is looked at. */
static void end_timed(struct call *call, bool failed) ON(worker)
{
    const struct config *config = config_now();
    uint64_t ns = take_lap(timing_of(call));
    allow_groups(timing_of(call)); /* it may have been CONFIG SET */
    figures_add(call->session->worker->index, call->command->number, 1, ns, failed, config->latency_tracking);
    metric_add(METRIC_commands_processed, 1);
    if (UNLIKELY(slowlog_wants(config, ns))) {
        slowlog_push(call, ns / 1000);
    }
    if (UNLIKELY(latency_wants(config, ns))) {
        latency_note(call->command->traits & TRAIT_FAST ? LATENCY_fast_command : LATENCY_command, ns, call->now);
    }
}

COLD static void fail(struct call *call, err e, size_t reply_mark) ON(worker)
{
    if (!buf_failed(&call->reply->out->own)) {
        output_cut(call->reply->out, reply_mark);
    }
    render_error(call, e);
    metric_add(METRIC_commands_failed, 1);
}

/* The call is over, and has failed or is timed by itself. */
NOINLINE static void end_apart(struct call *call, err e, size_t reply_mark) ON(worker)
{
    dispatch_end(call->session->worker); /* it may have failed in the midst of a group */
    if (UNLIKELY(e != OK)) {
        fail(call, e, reply_mark);
    }
    end_timed(call, e != OK);
    if (UNLIKELY(call->park)) {
        park_end(call);
    }
}

/* The call is over. */
static inline void end(struct call *call, struct timing *t, err e, size_t reply_mark) ON(worker)
{
    if (LIKELY(e == OK && call->brief)) {
        t->brief_count++;
    } else {
        end_apart(call, e, reply_mark);
    }
}

COLD static enum run refuse(struct call *call, err e) ON(worker)
{
    if (call->command && e != ERR_UNKNOWN_SUBCOMMAND) {
        figures_add_rejected(call->session->worker->index, call->command->number);
    }
    metric_add(METRIC_commands_rejected, 1);
    dispatch_end(call->session->worker);
    (void)take_lap(timing_of(call)); /* it is not the next one's time */
    render_error(call, e);
    if (UNLIKELY(call->park)) {
        park_end(call);
    }
    return RUN_DONE;
}

enum run dispatch_run(struct call *call)
{
    struct timing *t = timing_of(call);
    begin(call, t);
    err e = admit(call);
    if (UNLIKELY(e == ERR_AGAIN)) {
        e = park_sleep(call);
        if (e == OK) {
            return RUN_PARKED;
        }
    }
    if (UNLIKELY(e != OK)) {
        return refuse(call, e);
    }
    struct keyspace *ks = call->engine->keyspace;
    struct loader *loader = keyspace_loader(ks);
    unsigned key_count = call->key_count;
    size_t reply_mark = call->reply->out->own.len;
    bool governed = govern_keys(call, loader);
    if (may_glimpse(call, governed) && glimpse(call, is_use(call), glimpse_memory(call))) {
        count_look(call, call->keys->entry != NULL);
        e = call->command->handler(call);
    } else {
        lock_shards(call, key_count);
        e = run_locked(call, loader, governed);
        unlock_shards(call, key_count);
    }
    if (UNLIKELY(e == ERR_AGAIN)) {
        e = park_sleep(call);
        if (e == OK) {
            return RUN_PARKED;
        }
    }
    session_count_commands(call->session, 1);
    end(call, t, e, reply_mark);
    return RUN_DONE;
}

/* ---- alike ---------------------------------------------------------------------------------------------------------- */
/* Brief calls of one command that follow each other: none of them changes what decides that it may run, and how, so that is looked at once. What is not as they want
 * it is left to dispatch_run(). */

/* Whether a call can be the first of such: nobody is to be asked or told. */
static bool begins_alike(const struct call *call)
{
    const struct loader *loader = keyspace_loader(call->engine->keyspace);
    return call->refused == OK && call->command->traits & TRAIT_BRIEF && !(loader && loader_has_rules(loader)) &&
           LIKELY(!monitor_is_on() && !session_needs_auth(call->session) && !pause_is_set());
}

/* Whether what was seen of `first` holds for this new call, too. */
static inline bool is_like(const struct call *call, const struct call *first)
{
    return call->command == first->command && call->refused == OK && is_small(call) &&
           call->only_key.key.db == first->session->db;
}

/* What run_locked() does, with nobody to consult or to show it to. ERR_AGAIN: there is no room for it. */
static inline err run_alone(struct call *call, bool wants_records) ON(worker)
{
    if (call->command->traits & TRAIT_DENYOOM && UNLIKELY(have_room(call) != OK)) {
        return ERR_AGAIN;
    }
    struct shard *s = call->only_key.key.shard;
    shard_lock(s);
    effect_init(&call->effect, &call->arena, call->now, wants_records);
    call_find(call, 0);
    note_look(call, &call->only_key);
    err e = call->command->handler(call);
    publish(call);
    shard_unlock(s);
    return e;
}

FLATTEN unsigned dispatch_run_alike(struct call *const *calls, unsigned count)
{
    struct call *first = calls[0];
    if (!begins_alike(first)) {
        return 0;
    }
    struct timing *t = timing_of(first);
    begin(first, t);
    if (!first->brief) {
        return 0;
    }
    const struct command *command = first->command;
    bool glimpses = command->traits & TRAIT_GLIMPSE, use = is_use(first);
    bool wants_records = keyspace_wants_records(first->engine->keyspace);
    void *memory = glimpse_memory(first);
    unsigned run = 0, there = 0;
    for (bool goes_on = true; goes_on && run < count && is_like(calls[run], first);) {
        struct call *call = calls[run];
        if (run + PREPARE_APPROACH < count) {
            prepare_approach(calls[run + PREPARE_APPROACH]);
        }
        call->now = first->now;
        call->event = command->event;
        call->brief = true;
        call->changed = false;
        call->expired_count = 0;
        size_t reply_mark = call->reply->out->own.len;
        err e = !glimpses                    ? run_alone(call, wants_records)
                : glimpse(call, use, memory) ? command->handler(call)
                                             : ERR_AGAIN;
        if (UNLIKELY(e == ERR_AGAIN)) {
            break;
        }
        there += call->only_key.entry != NULL;
        run++;
        end(call, t, e, reply_mark);
        goes_on = LIKELY(call->brief && e == OK);
    }
    session_count_commands(first->session, run);
    if (glimpses && command->effect == EFFECT_READ) {
        metric_add(METRIC_keyspace_hits, there);
        metric_add(METRIC_keyspace_misses, run - there);
    }
    return run;
}
