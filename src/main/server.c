/* The only file that names every room: set-up in order, tear-down in reverse.
 *
 *     configuration -> log -> limits -> keyspace, engine -> rules -> workers -> door -> listeners -> signals
 *
 * The main thread is the *front*: its loop accepts connections and receives signals, and helps nobody with commands. A
 * first SIGTERM or SIGINT stops the listening and lets every connection have the answer to what runs; whoever is not
 * done after shutdown-timeout is cut off; a second signal ends the process at once. SIGHUP opens the log anew and
 * reads the rules and certificates again.
 *
 * Where a lower room asks a higher one (who loads a missing key, who is told of changes), wire_rooms() makes the
 * connection. */
#include "main/server.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/num.h"
#include "command/engine.h"
#include "command/figures.h"
#include "door/door.h"
#include "keyspace/keyspace.h"
#include "main/housekeeping.h"
#include "main/service.h"
#include "main/settings.h"
#include "observe/log.h"
#include "observe/metric.h"
#include "observe/rate.h"
#include "observe/turns.h"
#include "os/entropy.h"
#include "os/file.h"
#include "os/lazy.h"
#include "os/process.h"
#include "os/signal.h"
#include "rule/rules.h"

enum {
    PATH_BYTES_MAX = 4096,
    OWN_FILES = 64, /* descriptors besides those of clients */
    TICK_MS = 1000, /* of the front */
    SECOND_MS = 1000,
};

enum stop_wish { STOP_UNASKED, STOP_IN_ORDER, STOP_AT_ONCE };

struct server {
    struct settings settings;
    struct service service;
    struct engine engine;
    struct keyspace *keyspace;
    struct worker front;
    struct worker *workers;
    unsigned worker_count;
    enum loop_engine io_engine;
    struct housekeeping *housekeepings; /* one a worker */
    struct message *begins;             /* one a worker, its first: what is to be done on its own thread */
    struct door *door;
    struct signal_watch signals;
    struct timer tick;
    struct timer look; /* at the resident size, while maxmemory-process is set */
    struct timer cut_off;
    bool stopping;
    struct message stop_request; /* of SHUTDOWN, to the front */
    unsigned stop_wanted;        /* atomic: of enum stop_wish; the message is on its way, or was */
    struct buf executable;
    struct buf config_file;
    const char *pidfile; /* written, to be removed; NULL: none */
};

/* ---- the front's timers ------------------------------------------------------------------------------------------- */

static void fire_look(struct timer *t, struct now now)
{
    struct server *s = container_of(t, struct server, look);
    if (settings_look(&s->settings)) {
        err e = loop_timer_set(s->front.loop, t, now.mono_ms + SETTINGS_LOOK_MS);
        (void)e; /* the next tick tries again */
    }
}

static void fire_tick(struct timer *t, struct now now)
{
    struct server *s = container_of(t, struct server, tick);
    settings_tick(&s->settings);
    fire_look(&s->look, now); /* so also when the directive has just been set */
    rate_sample(now.mono_ms);
    rules_reap(s->engine.rules);
    err e = loop_timer_set(s->front.loop, t, now.mono_ms + TICK_MS);
    assert(e == OK);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void all_gone(void *argument)
{
    struct server *s = argument;
    loop_timer_clear(s->front.loop, &s->cut_off);
    loop_stop(s->front.loop);
}

static void fire_cut_off(struct timer *t, struct now now)
{
    (void)now;
    struct server *s = container_of(t, struct server, cut_off);
    log_write(LOG_WARNING, "main", "%u connections are closed before they have their answers: shutdown-timeout is over",
              door_conn_count(s->door));
    door_close_all(s->door);
}

static void stop(struct server *s, const char *why)
{
    if (s->stopping) {
        log_write(LOG_WARNING, "main", "%s again: ending at once", why);
        _Exit(EXIT_HURRIED);
    }
    s->stopping = true;
    log_write(LOG_NOTICE, "main", "%s: ending", why);
    service_stopping(&s->service);
    door_unlisten(s->door);
    door_drain(s->door, all_gone, s);
    int64_t until_ms = loop_now(s->front.loop).mono_ms + config_now()->shutdown_timeout * SECOND_MS;
    if (loop_timer_set(s->front.loop, &s->cut_off, until_ms)) {
        door_close_all(s->door);
    }
}

static void deliver_stop_request(struct message *m, struct worker *w)
{
    (void)w;
    struct server *s = container_of(m, struct server, stop_request);
    if (!s->stopping) {
        stop(s, "SHUTDOWN");
    }
    if (__atomic_load_n(&s->stop_wanted, __ATOMIC_ACQUIRE) == STOP_AT_ONCE) {
        door_close_all(s->door);
    }
}

/* engine->shut_down. The first to ask is heard. */
static void shut_down(struct engine *engine, bool at_once)
{
    struct server *s = container_of(engine, struct server, engine);
    unsigned none = STOP_UNASKED;
    if (__atomic_compare_exchange_n(&s->stop_wanted, &none, at_once ? STOP_AT_ONCE : STOP_IN_ORDER, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        worker_post(&s->front, &s->stop_request);
    }
}

static void signal_arrived(struct signal_watch *w, int number)
{
    struct server *s = container_of(w, struct server, signals);
    switch (number) {
    case SIGTERM:
    case SIGINT: stop(s, strsignal(number)); break;
    case SIGHUP:
        if (log_reopen()) {
            log_write(LOG_ERROR, "main", "the log cannot be opened anew: %s", strerror(errno));
        }
        service_reloading(&s->service);
        settings_reload(&s->settings);
        service_ready(&s->service);
        break;
    default: break;
    }
}

/* ---- set-up ------------------------------------------------------------------------------------------------------ */

static enum exit_code refused(const char *what, err e)
{
    log_write(LOG_ERROR, "main", "cannot start: %s: %s", what, err_row(e)->text);
    return EXIT_SYSTEM;
}

static void append_name(void *argument, slice name)
{
    buf_printf(argument, " %.*s", SLICE_ARG(name));
}

static void say_warnings(const struct config *config, slice warnings)
{
    while (warnings.len > 0) {
        size_t end = slice_find_byte(warnings, '\n');
        slice line = slice_sub(warnings, 0, end);
        log_write(LOG_WARNING, "config", "%.*s", SLICE_ARG(line));
        warnings = slice_sub(warnings, line.len + 1, SIZE_MAX);
    }
    struct buf names;
    buf_init(&names, LOG_LINE_BYTES_MAX);
    config_unused(config, append_name, &names);
    if (names.len > 0) {
        log_write(LOG_NOTICE, "config", "without a meaning here, and ignored:%.*s", SLICE_ARG(buf_slice(&names)));
    }
    buf_fini(&names);
}

static enum exit_code open_log(const struct config *config, slice warnings)
{
    struct log_options options = settings_log_options(config);
    if (log_open(&options)) {
        log_write(LOG_ERROR, "main", "cannot open the log %s: %s", options.file, strerror(errno));
        return EXIT_SYSTEM;
    }
    say_warnings(config, warnings);
    return EXIT_DONE;
}

static void raise_limits(const struct config *config)
{
    uint64_t wanted = (uint64_t)config->maxclients + OWN_FILES;
    uint64_t granted = process_raise_open_files(wanted);
    if (granted < wanted) {
        log_write(LOG_WARNING, "main",
                  "maxclients is %" PRId64 ", but the limit of open files (%" PRIu64 ") lets in about %" PRIu64,
                  config->maxclients, granted, granted > OWN_FILES ? granted - OWN_FILES : 0);
    }
}

/* Redis's default is kept, but few want what it does at the limit. */
static void recommend_policy(const struct config *config)
{
    if (settings_limit(config->maxmemory, config->maxmemory_process) > 0 &&
        config->settings[OPTION_maxmemory_policy].origin == ORIGIN_DEFAULT) {
        log_write(LOG_NOTICE, "main",
                  "%s is set and maxmemory-policy is not: writes will be refused at the limit; a cache wants "
                  "`maxmemory-policy adaptive`",
                  config->maxmemory > 0 ? "maxmemory" : "maxmemory-process");
    }
}

static void draw_run_id(char run_id[static 41])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[20];
    entropy_fill(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        run_id[2 * i] = digits[bytes[i] >> 4];
        run_id[2 * i + 1] = digits[bytes[i] & 15];
    }
    run_id[40] = '\0';
}

/* The path in `path`, absolute and ending in NUL; "" when there is none. */
static const char *absolute(const char *path, struct buf *b)
{
    buf_init(b, PATH_BYTES_MAX);
    if (path && path[0] && file_absolute(path, b)) {
        buf_truncate(b, 0);
    }
    buf_append_byte(b, '\0');
    return buf_failed(b) ? "" : b->bytes;
}

/* Which engine the workers' loops have. When io_uring is refused, auto goes without and says why. */
static enum exit_code choose_io_engine(struct server *s, const struct config *config)
{
    enum exit_code code = EXIT_DONE;
    struct buf why;
    buf_init(&why, LOG_LINE_BYTES_MAX);
    s->io_engine = LOOP_EPOLL;
    if (config->io_engine != IO_ENGINE_EPOLL) {
        err e = loop_engine_try(LOOP_URING, &why);
        slice reason = why.len > 0 ? buf_slice(&why) : slice_of(err_row(e)->text);
        if (e == OK) {
            s->io_engine = LOOP_URING;
        } else if (config->io_engine == IO_ENGINE_AUTO) {
            log_write(LOG_NOTICE, "main", "io-engine auto: epoll, since %.*s", SLICE_ARG(reason));
        } else {
            log_write(LOG_ERROR, "main", "cannot start: io-engine io_uring: %.*s", SLICE_ARG(reason));
            code = EXIT_SYSTEM;
        }
    }
    buf_fini(&why);
    return code;
}

static err make_workers(struct server *s, const struct config *config)
{
    s->worker_count = config->threads > 0 ? (unsigned)config->threads : thread_core_count();
    s->worker_count = (unsigned)num_min_u64(s->worker_count, WORKER_COUNT_MAX);
    s->workers = calloc(s->worker_count, sizeof *s->workers);
    s->housekeepings = calloc(s->worker_count, sizeof *s->housekeepings);
    s->begins = calloc(s->worker_count, sizeof *s->begins);
    err e = s->workers && s->housekeepings && s->begins ? worker_init(&s->front, 0, LOOP_EPOLL) : ERR_NOMEM;
    for (unsigned i = 0; e == OK && i < s->worker_count; i++) {
        e = worker_init(&s->workers[i], i, s->io_engine);
    }
    if (e == OK) {
        e = figures_open(s->worker_count);
    }
    return e;
}

static err make_keyspace(struct server *s, const struct config *config)
{
    struct keyspace_options options = {
        .worker_count = s->worker_count,
        .db_count = (unsigned)config->databases,
        .maxmemory_bytes = settings_limit(config->maxmemory, config->maxmemory_process),
        .eviction = settings_eviction((enum config_policy)config->maxmemory_policy),
    };
    entropy_fill(options.seed, sizeof options.seed);
    return keyspace_new(&options, &s->keyspace);
}

static void make_engine(struct server *s, const char *program, const struct config_input *input)
{
    struct engine *e = &s->engine;
    e->keyspace = s->keyspace;
    e->workers = s->workers;
    e->worker_count = s->worker_count;
    e->started = clock_now();
    e->executable = absolute(program, &s->executable);
    e->config_file = absolute(input->file, &s->config_file);
    e->apply_config = settings_apply;
    e->shut_down = shut_down;
    draw_run_id(e->run_id);
}

/* Who asks whom across the floors: the keyspace its loader, which are the rules. */
static err wire_rooms(struct server *s)
{
    struct rules_options options = {.keyspace = s->keyspace, .workers = s->workers, .worker_count = s->worker_count};
    err e = rules_new(&options, &s->engine.rules);
    if (e == OK) {
        keyspace_set_loader(s->keyspace, rules_loader(s->engine.rules));
        e = rules_reload(s->engine.rules, config_now()->blocks);
    }
    return e;
}

static void deliver_begin(struct message *m, struct worker *w)
{
    (void)m;
    metric_attach(w->index);
}

static err start_workers(struct server *s)
{
    for (unsigned i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        err e = housekeeping_begin(&s->housekeepings[i], w, s->keyspace);
        if (e) {
            return e;
        }
        turns_watch(w);
        loop_set_full_turn(w->loop, (int64_t)TURN_FULL_US * 1000);
        s->begins[i].deliver = deliver_begin;
        worker_post(w, &s->begins[i]);
        e = worker_start(w);
        if (e) {
            return e;
        }
    }
    return OK;
}

static enum exit_code listen_all(struct server *s, const struct config *config)
{
    struct buf why;
    buf_init(&why, PATH_BYTES_MAX);
    err e = door_listen(s->door, config, &why);
    if (e) {
        log_write(LOG_ERROR, "main", "cannot listen: %.*s",
                  SLICE_ARG(why.len > 0 ? buf_slice(&why) : slice_of(err_row(e)->text)));
    } else if (door_listener_count(s->door) == 0) {
        log_write(LOG_WARNING, "main", "listens on nothing: neither port, tls-port nor unixsocket is set");
    }
    buf_fini(&why);
    return e ? EXIT_LISTEN : EXIT_DONE;
}

static enum exit_code write_pidfile(struct server *s, const struct config *config)
{
    if (config->pidfile.len == 0) {
        return EXIT_DONE;
    }
    char text[32];
    struct buf why;
    buf_init(&why, PATH_BYTES_MAX);
    int length = snprintf(text, sizeof text, "%" PRId64 "\n", process_id());
    err e = file_replace(config->pidfile.ptr, slice_make(text, (size_t)length), 0644, &why);
    if (e) {
        log_write(LOG_ERROR, "main", "cannot write pidfile %s: %.*s", config->pidfile.ptr, SLICE_ARG(buf_slice(&why)));
    } else {
        s->pidfile = config->pidfile.ptr;
    }
    buf_fini(&why);
    return e ? EXIT_SYSTEM : EXIT_DONE;
}

static enum exit_code set_up(struct server *s, const char *program, const struct config_input *input,
                             struct config *config, slice warnings)
{
    lock_init(&s->engine.config_lock, LOCK_CONFIG, 0);
    settings_init(&s->settings, &s->engine, config, input);
    enum exit_code code = open_log(config, warnings);
    if (code) {
        return code;
    }
    raise_limits(config);
    code = choose_io_engine(s, config);
    if (code) {
        return code;
    }
    recommend_policy(config);
    err e = make_workers(s, config);
    if (e) {
        return refused("workers", e);
    }
    e = service_open(&s->service, config, &s->front, s->workers, s->worker_count);
    if (e) {
        return refused("service", e);
    }
    e = lazy_start();
    if (e) {
        return refused("threads", e);
    }
    e = make_keyspace(s, config);
    if (e) {
        return refused("keyspace", e);
    }
    make_engine(s, program, input);
    e = wire_rooms(s);
    if (e) {
        return refused("rules", e);
    }
    e = door_new(&s->engine, &s->front, &s->door);
    if (e) {
        return refused("door", e);
    }
    s->settings.door = s->door;
    e = settings_start_tls(&s->settings);
    if (e) {
        return e == ERR_CONFIG ? EXIT_CONFIG : refused("TLS", e);
    }
    timer_init(&s->tick, fire_tick);
    timer_init(&s->look, fire_look);
    timer_init(&s->cut_off, fire_cut_off);
    s->stop_request.deliver = deliver_stop_request;
    e = signal_watch_open(&s->signals, s->front.loop, signal_arrived);
    if (e == OK) {
        e = loop_timer_set(s->front.loop, &s->tick, loop_now(s->front.loop).mono_ms + TICK_MS);
    }
    if (e == OK) {
        e = start_workers(s);
    }
    if (e) {
        return refused("threads", e);
    }
    if (settings_start_memory(&s->settings)) {
        return EXIT_CONFIG;
    }
    fire_look(&s->look, loop_now(s->front.loop));
    code = write_pidfile(s, config);
    return code ? code : listen_all(s, config);
}

/* ---- tear-down --------------------------------------------------------------------------------------------------- */

/* What stopped workers had posted to each other: a tour on its way home, lines for a MONITOR; and what the lazy thread has for them. */
static void settle_workers(struct server *s)
{
    for (bool again = true; again;) {
        again = false;
        for (unsigned i = 0; i < s->worker_count; i++) {
            again = worker_settle(&s->workers[i]) || again;
        }
    }
}

/* Of whatever set_up() came to. */
static void tear_down(struct server *s)
{
    if (s->pidfile) {
        remove(s->pidfile);
    }
    if (s->door) {
        door_unlisten(s->door);
    }
    if (s->engine.rules) {
        rules_stop(s->engine.rules);
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        worker_stop(&s->workers[i]);
    }
    lazy_stop(); /* which may be at work for the keyspace, or for a call */
    settle_workers(s);
#ifdef LARDER_CHECKS
    if (s->keyspace) {
        keyspace_check(s->keyspace);
    }
#endif
    for (unsigned i = 0; i < s->worker_count; i++) {
        housekeeping_end(&s->housekeepings[i]);
    }
    if (s->door) {
        loop_timer_clear(s->front.loop, &s->tick);
        loop_timer_clear(s->front.loop, &s->look);
        loop_timer_clear(s->front.loop, &s->cut_off);
        signal_watch_close(&s->signals, s->front.loop);
    }
    service_close(&s->service);
    door_free(s->door);
    rules_free(s->engine.rules);
    keyspace_free(s->keyspace);
    for (unsigned i = 0; i < s->worker_count; i++) {
        worker_fini(&s->workers[i]);
    }
    worker_fini(&s->front);
    free(s->workers);
    free(s->housekeepings);
    free(s->begins);
    settings_fini(&s->settings);
    buf_fini(&s->executable);
    buf_fini(&s->config_file);
}

enum exit_code server_run(const char *program, const struct config_input *input, struct config *config, slice warnings)
{
    static struct server server;
    struct server *s = &server;
    enum exit_code code = set_up(s, program, input, config, warnings);
    if (code == EXIT_DONE) {
        log_write_fields(LOG_NOTICE, "main",
                         LOG_FIELDS(LOG_FIELD_SLICE("version", S(LARDER_VERSION)), LOG_FIELD_I64("port", config->port),
                                    LOG_FIELD_I64("threads", s->worker_count), LOG_FIELD_I64("pid", process_id())),
                         "Larder is ready");
        service_ready(&s->service);
        loop_run(s->front.loop);
        log_write(LOG_NOTICE, "main", "ended");
    }
    tear_down(s);
    log_close();
    return code;
}
