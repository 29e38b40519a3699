/* The configuration of a running server.
 *
 * A change is a new snapshot. It is applied, where somebody must be told (everything else is looked up when it is
 * needed), and published. The engine's config_lock lets one change go after the other; readers take no lock.
 *
 * Whoever reads a snapshot lets go of it within the loop turn. So a snapshot that was replaced is freed when each
 * worker has begun a turn that was not yet running then; each makes at least one a second.
 *
 * New addresses are the front's business: a worker that changes `bind` or `port` tells the front, and the front says
 * in the log how it went. An address that cannot be had leaves the former ones in force.
 *
 * Certificates and keys are files that change behind the configuration's back (they are renewed), so setting one of
 * their directives reads them again even when the value is the same, and so does a reload. What cannot be read changes
 * nothing.
 *
 * Any worker and the front. */
#include "main/settings.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/num.h"
#include "door/tls.h"
#include "observe/log.h"
#include "rule/rules.h"

enum { WORDS_BYTES_MAX = 64 * 1024, REASON_BYTES_MAX = 4096, DATA_BYTES_LEAST = 1 << 20 };

struct retired {
    struct retired *next;
    struct config *config;
    uint64_t turns[WORKER_COUNT_MAX]; /* of each worker when it was replaced */
};

static struct settings *settings_of_process; /* the engine's hook has no other way to it */

/* ---- what the configuration means to others ---------------------------------------------------------------------- */

enum eviction settings_eviction(enum config_policy policy)
{
    switch (policy) {
    case POLICY_VOLATILE_LRU: return EVICTION_VOLATILE_LRU;
    case POLICY_VOLATILE_LFU: return EVICTION_VOLATILE_LFU;
    case POLICY_VOLATILE_RANDOM: return EVICTION_VOLATILE_RANDOM;
    case POLICY_VOLATILE_TTL: return EVICTION_VOLATILE_TTL;
    case POLICY_ALLKEYS_LRU: return EVICTION_ALLKEYS_LRU;
    case POLICY_ALLKEYS_LFU: return EVICTION_ALLKEYS_LFU;
    case POLICY_ALLKEYS_RANDOM: return EVICTION_ALLKEYS_RANDOM;
    case POLICY_ADAPTIVE: return EVICTION_ADAPTIVE;
    case POLICY_NOEVICTION: break;
    }
    return EVICTION_NONE;
}

struct log_options settings_log_options(const struct config *config)
{
    return (struct log_options){
        .level = (enum log_level)config->loglevel,
        .format = (enum log_format)config->log_format,
        .destination = (enum log_destination)config->log_destination,
        .file = config->logfile.ptr,
    };
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

/* The next configuration, and the end of the one before in `r`, which was allocated when that could still fail. */
static void publish(struct settings *s, struct config *next, struct retired *r) HOLDS(s->engine->config_lock)
{
    *r = (struct retired){.next = s->retired, .config = config_publish(next)};
    for (unsigned i = 0; i < s->engine->worker_count; i++) {
        r->turns[i] = loop_turn_count(s->engine->workers[i].loop);
    }
    s->retired = r;
}

/* The turn that was running then ends as the first one, so the second is the first that began afterwards. */
static bool is_unseen(const struct settings *s, const struct retired *r)
{
    for (unsigned i = 0; i < s->engine->worker_count; i++) {
        if (loop_turn_count(s->engine->workers[i].loop) < r->turns[i] + 2) {
            return false;
        }
    }
    return true;
}

void settings_tick(struct settings *s)
{
    lock_acquire(&s->engine->config_lock);
    for (struct retired **at = &s->retired; *at;) {
        struct retired *r = *at;
        if (is_unseen(s, r)) {
            *at = r->next;
            config_free(r->config);
            free(r);
        } else {
            at = &r->next;
        }
    }
    lock_release(&s->engine->config_lock);
}

/* ---- applying ---------------------------------------------------------------------------------------------------- */

uint64_t settings_limit(uint64_t maxmemory_bytes, uint64_t data_bytes)
{
    return maxmemory_bytes == 0 || data_bytes == 0 ? num_max_u64(maxmemory_bytes, data_bytes)
                                                   : num_min_u64(maxmemory_bytes, data_bytes);
}

static void limit_data(const struct settings *s, const struct config *config) HOLDS(s->engine->config_lock)
{
    keyspace_set_limit(s->engine->keyspace, settings_limit(config->maxmemory, s->data_bytes),
                       settings_eviction((enum config_policy)config->maxmemory_policy));
}

/* When maxmemory-process is less than what a server without data takes: why that is not to be had. */
static bool is_too_small(const struct settings *s, const struct config *config, struct buf *why)
{
    uint64_t least = s->headroom.empty_bytes + DATA_BYTES_LEAST;
    bool too_small = config->maxmemory_process > 0 && config->maxmemory_process < least;
    if (too_small) {
        buf_printf(why,
                   "this server takes %" PRIu64 " bytes without data and connections, so it needs at least %" PRIu64,
                   s->headroom.empty_bytes, least);
    }
    return too_small;
}

static bool same_words(const struct config_words *a, const struct config_words *b)
{
    bool same = a->count == b->count;
    for (unsigned i = 0; same && i < a->count; i++) {
        same = slice_equal(a->items[i], b->items[i]);
    }
    return same;
}

static void deliver_relisten(struct message *m, struct worker *w)
{
    (void)w;
    struct settings *s = container_of(m, struct settings, relisten);
    lock_acquire(&s->engine->config_lock);
    s->relistening = false;
    lock_release(&s->engine->config_lock);
    struct buf why;
    buf_init(&why, WORDS_BYTES_MAX);
    if (door_listener_count(s->door) > 0 && door_listen(s->door, config_now(), &why)) {
        log_write(LOG_ERROR, "main", "cannot listen as bind and port say: %.*s", SLICE_ARG(buf_slice(&why)));
    }
    buf_fini(&why);
}

static void relisten(struct settings *s) HOLDS(s->engine->config_lock)
{
    if (!s->relistening) {
        s->relistening = true;
        worker_post(door_front(s->door), &s->relisten);
    }
}

/* A new context for the TLS ports, when the change asks for one; else NULL. */
static err remake_tls(const struct config *old, const struct config *next, struct ssl_ctx_st **ret_context,
                      enum option *ret_option, struct buf *why)
{
    bool wanted = next->tls_port > 0 && old->tls_port == 0;
    for (enum option o = 0; o < OPTION_COUNT && next->tls_port > 0; o++) {
        wanted = wanted || (tls_context_depends_on(o) && old->settings[o].set_count != next->settings[o].set_count);
    }
    *ret_context = NULL;
    return wanted ? tls_context_new(next, ret_context, ret_option, why) : OK;
}

err settings_apply(struct engine *engine, struct config *next, enum option *ret_option, const char **ret_reason)
{
    struct settings *s = settings_of_process;
    const struct config *old = config_now();
    assert(s->engine == engine);
    lock_assert_held(&s->engine->config_lock);
    struct ssl_ctx_st *tls;
    struct retired *retired = malloc(sizeof *retired); /* what can fail comes first */
    if (!retired) {
        return ERR_NOMEM;
    }
    buf_truncate(&s->reason, 0);
    *ret_option = OPTION_maxmemory_process;
    err e = is_too_small(s, next, &s->reason) ? ERR_CONFIG : remake_tls(old, next, &tls, ret_option, &s->reason);
    if (e) {
        free(retired);
        buf_append_byte(&s->reason, '\0');
        *ret_reason = buf_failed(&s->reason) ? err_row(e)->text : s->reason.bytes;
        return e;
    }
    if (tls) {
        door_set_tls(s->door, tls);
    }
    log_set_level((enum log_level)next->loglevel);
    log_set_format((enum log_format)next->log_format);
    if (old->maxmemory != next->maxmemory || old->maxmemory_policy != next->maxmemory_policy) {
        limit_data(s, next);
    }
    if (old->port != next->port || old->tls_port != next->tls_port || !same_words(&old->bind, &next->bind)) {
        relisten(s);
    }
    publish(s, next, retired);
    return OK;
}

/* ---- maxmemory-process ------------------------------------------------------------------------------------------- */

bool settings_look(struct settings *s)
{
    const struct config *config = config_now();
    headroom_look(&s->headroom, s->engine->keyspace, config->maxmemory_process, config->maxmemory);
    lock_acquire(&s->engine->config_lock);
    if (s->data_bytes != s->headroom.data_bytes) {
        s->data_bytes = s->headroom.data_bytes;
        limit_data(s, config_now());
    }
    lock_release(&s->engine->config_lock);
    return config->maxmemory_process > 0;
}

err settings_start_memory(struct settings *s)
{
    const struct config *config = config_now();
    headroom_init(&s->headroom, s->engine->keyspace);
    if (is_too_small(s, config, &s->reason)) {
        log_write(LOG_ERROR, "main", "cannot start: maxmemory-process %" PRIu64 ": %.*s", config->maxmemory_process,
                  SLICE_ARG(buf_slice(&s->reason)));
        return ERR_CONFIG;
    }
    return OK;
}

/* ---- TLS at start ------------------------------------------------------------------------------------------------ */

err settings_start_tls(struct settings *s)
{
    const struct config *config = config_now();
    enum option option;
    struct ssl_ctx_st *tls;
    if (config->tls_port == 0) {
        return OK;
    }
    err e = tls_context_new(config, &tls, &option, &s->reason);
    if (e == OK) {
        door_set_tls(s->door, tls);
    } else if (e == ERR_CONFIG) {
        struct faults text; /* as other mistakes of the configuration are told */
        struct place place = config->settings[option].place;
        faults_init(&text);
        faults_add(&text, place.source.len > 0 ? place : config->settings[OPTION_tls_port].place, "%.*s: %.*s",
                   SLICE_ARG(config_name(option)), SLICE_ARG(buf_slice(&s->reason)));
        slice line = faults_text(&text);
        log_write(LOG_ERROR, "main", "cannot start: %.*s", SLICE_ARG(slice_sub(line, 0, line.len - 1)));
        faults_fini(&text);
    }
    return e;
}

/* ---- reload ------------------------------------------------------------------------------------------------------ */

static void reload_tls(struct settings *s)
{
    enum option option;
    struct ssl_ctx_st *tls = NULL;
    struct buf why;
    buf_init(&why, REASON_BYTES_MAX);
    lock_acquire(&s->engine->config_lock);
    bool wanted = config_now()->tls_port > 0;
    err e = wanted ? tls_context_new(config_now(), &tls, &option, &why) : OK;
    if (e == OK && wanted) {
        door_set_tls(s->door, tls);
    }
    lock_release(&s->engine->config_lock);
    if (e == ERR_CONFIG) {
        log_write(LOG_ERROR, "main", "the former certificates and keys stay, since %.*s is wrong: %.*s",
                  SLICE_ARG(config_name(option)), SLICE_ARG(buf_slice(&why)));
    } else if (e) {
        log_write(LOG_ERROR, "main", "the former certificates and keys stay: %s", err_row(e)->text);
    } else if (wanted) {
        log_write(LOG_NOTICE, "main", "certificates and keys were read again");
    }
    buf_fini(&why);
}

void settings_reload(struct settings *s)
{
    reload_tls(s);
    struct faults faults;
    faults_init(&faults);
    struct config *next;
    struct config_blocks *blocks = NULL;
    struct retired *retired = malloc(sizeof *retired);
    lock_acquire(&s->engine->config_lock);
    err e = retired ? config_reload(config_now(), s->input, &faults, &next) : ERR_NOMEM;
    if (e == OK) {
        blocks = blocks_ref(next->blocks);
        publish(s, next, retired);
    } else {
        free(retired);
    }
    lock_release(&s->engine->config_lock);
    if (e == OK) {
        e = rules_reload(s->engine->rules, blocks); /* without the lock: it may wait for a source that goes */
    }
    blocks_unref(blocks);
    if (e == OK) {
        log_write(LOG_NOTICE, "main", "the rules were read again");
    } else if (e == ERR_CONFIG) {
        log_write(LOG_ERROR, "main", "the rules were not changed, since the configuration is wrong: %.*s",
                  SLICE_ARG(faults_text(&faults)));
    } else {
        log_write(LOG_ERROR, "main", "the rules were not changed: %s", err_row(e)->text);
    }
    faults_fini(&faults);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void settings_init(struct settings *s, struct engine *engine, struct config *config, const struct config_input *input)
{
    *s = (struct settings){.engine = engine, .input = input, .relisten.deliver = deliver_relisten};
    buf_init(&s->reason, REASON_BYTES_MAX);
    settings_of_process = s;
    config_free(config_publish(config));
}

void settings_fini(struct settings *s)
{
    buf_fini(&s->reason);
    while (s->retired) {
        struct retired *r = s->retired;
        s->retired = r->next;
        config_free(r->config);
        free(r);
    }
}
