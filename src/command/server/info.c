/* INFO: the server's figures as text, in sections. A row of `sections` is a section; each field is computed here, from the room that has the number.
 * What would always say the same is left out.
 *
 * redis_version comes first, since software looks there for the first line with "version:" in it. The fields of `cache` are the rows of metric.def
 * about loading, under their own names, and a line per rule and source. */
#include <inttypes.h>

#include "base/num.h"
#include "command/dispatch.h"
#include "command/engine.h"
#include "command/verb.h"
#include "config/config.h"
#include "observe/metric.h"
#include "os/mem.h"
#include "os/process.h"
#include "rule/rules.h"

enum { INFO_BYTES_MAX = 64 << 20 };

static void line_text(struct buf *out, const char *name, slice value)
{
    buf_printf(out, "%s:", name);
    buf_append(out, value);
    buf_append(out, S("\r\n"));
}

static void line_u64(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, "%s:%" PRIu64 "\r\n", name, value);
}

static void line_metric(struct buf *out, const char *name, enum metric m)
{
    buf_printf(out, "%s:%" PRId64 "\r\n", name, (int64_t)metric_sum(m));
}

/* The number, and the same for people under <name>_human. */
static void line_bytes(struct buf *out, const char *name, uint64_t bytes)
{
    char human[32];
    num_format_bytes_human(bytes, human);
    buf_printf(out, "%s:%" PRIu64 "\r\n%s_human:%s\r\n", name, bytes, name, human);
}

static void line_option(struct buf *out, const char *name, enum option o)
{
    buf_printf(out, "%s:", name);
    config_value(config_now(), o, out);
    buf_append(out, S("\r\n"));
}

/* ---- sections ------------------------------------------------------------------------------------------------------- */
static void section_server(struct call *call, struct buf *out)
{
    const struct engine *engine = call->engine;
    int64_t up_s = (call->now.mono_ms - engine->started.mono_ms) / 1000;
    line_option(out, "redis_version", OPTION_compat_version);
    line_text(out, "larder_version", S(LARDER_VERSION));
    line_text(out, "redis_mode", config_now()->cluster_enabled ? S("cluster") : S("standalone"));
    line_text(out, "os", slice_of(process_system_name()));
    line_u64(out, "process_id", (uint64_t)process_id());
    line_text(out, "run_id", slice_of(engine->run_id));
    line_option(out, "tcp_port", OPTION_port);
    line_u64(out, "server_time_usec", (uint64_t)clock_wall_us());
    line_u64(out, "uptime_in_seconds", (uint64_t)up_s);
    line_u64(out, "uptime_in_days", (uint64_t)up_s / (24 * 3600));
    line_u64(out, "worker_threads", engine->worker_count);
    line_text(out, "executable", slice_of(engine->executable));
    line_text(out, "config_file", slice_of(engine->config_file));
}

static void section_clients(struct call *call, struct buf *out)
{
    (void)call;
    line_u64(out, "connected_clients", sessions_count());
    line_option(out, "maxclients", OPTION_maxclients);
    line_metric(out, "blocked_clients", METRIC_calls_parked_now);
}

static void section_memory(struct call *call, struct buf *out)
{
    const struct keyspace *ks = call->engine->keyspace;
    struct mem_stats m = mem_stats();
    uint64_t used = keyspace_used_bytes(ks), peak = keyspace_peak_bytes(ks);
    line_bytes(out, "used_memory", used);
    line_bytes(out, "used_memory_rss", m.resident_bytes);
    line_bytes(out, "used_memory_peak", peak);
    buf_printf(out, "used_memory_peak_perc:%.2f%%\r\n", peak > 0 ? (double)used / (double)peak * 100 : 100.0);
    line_u64(out, "allocator_allocated", m.allocated_bytes);
    line_u64(out, "allocator_active", m.active_bytes);
    line_u64(out, "allocator_resident", m.resident_bytes);
    line_bytes(out, "maxmemory", config_now()->maxmemory);
    line_option(out, "maxmemory_policy", OPTION_maxmemory_policy);
    buf_printf(out, "mem_fragmentation_ratio:%.2f\r\n", used > 0 ? (double)m.resident_bytes / (double)used : 0.0);
    line_text(out, "mem_allocator", slice_of(m.allocator));
}

static uint64_t error_count(void)
{
    uint64_t sum = 0;
    for (err e = OK + 1; e < ERR_COUNT; e++) {
        sum += metric_error_sum(e);
    }
    return sum;
}

static void section_stats(struct call *call, struct buf *out)
{
    (void)call;
    line_metric(out, "total_connections_received", METRIC_connections_received);
    line_metric(out, "total_commands_processed", METRIC_commands_processed);
    line_metric(out, "total_net_input_bytes", METRIC_net_input_bytes);
    line_metric(out, "total_net_output_bytes", METRIC_net_output_bytes);
    line_metric(out, "rejected_connections", METRIC_connections_rejected);
    line_metric(out, "timed_out_connections", METRIC_connections_timed_out);
    line_metric(out, "expired_keys", METRIC_keys_expired);
    line_metric(out, "evicted_keys", METRIC_keys_evicted);
    line_metric(out, "keyspace_hits", METRIC_keyspace_hits);
    line_metric(out, "keyspace_misses", METRIC_keyspace_misses);
    line_u64(out, "total_error_replies", error_count());
    line_metric(out, "client_query_buffer_limit_disconnections", METRIC_query_limit_reached);
    line_metric(out, "client_output_buffer_limit_disconnections", METRIC_output_limit_reached);
}

static void section_cache(struct call *call, struct buf *out)
{
    for (enum metric m = METRIC_loads_started; m <= METRIC_breaker_refused; m++) {
        line_metric(out, metric_row(m)->name, m);
    }
    if (call->engine->rules) {
        rules_info(call->engine->rules, out, call->now.mono_ms);
    }
}

static void section_commandstats(struct call *call, struct buf *out)
{
    (void)call;
    for (unsigned i = 0; i < command_count(); i++) {
        struct command_figures f = command_figures(i);
        if (f.calls > 0 || f.rejected > 0) {
            buf_printf(out,
                       "cmdstat_%s:calls=%" PRIu64 ",usec=%" PRIu64 ",usec_per_call=%.2f,rejected_calls=%" PRIu64
                       ",failed_calls=%" PRIu64 "\r\n",
                       command_at(i)->name, f.calls, f.usec, f.calls > 0 ? (double)f.usec / (double)f.calls : 0.0,
                       f.rejected, f.failed);
        }
    }
}

static void section_errorstats(struct call *call, struct buf *out)
{
    (void)call;
    for (err e = metric_error_prefix_next(OK); e != ERR_COUNT; e = metric_error_prefix_next(e)) {
        uint64_t count = metric_error_sum_of_prefix(err_row(e)->resp);
        if (count > 0) {
            buf_printf(out, "errorstat_%s:count=%" PRIu64 "\r\n", err_row(e)->resp, count);
        }
    }
}

static void section_keyspace(struct call *call, struct buf *out)
{
    const struct keyspace *ks = call->engine->keyspace;
    for (unsigned db = 0; db < keyspace_db_count(ks); db++) {
        uint64_t keys = keyspace_key_count(ks, db);
        if (keys > 0) {
            buf_printf(out, "db%u:keys=%" PRIu64 ",expires=%" PRIu64 ",avg_ttl=%" PRId64 "\r\n", db, keys,
                       keyspace_expiring_count(ks, db), keyspace_mean_ttl_ms(ks, db, call->now.wall_ms));
        }
    }
}

/* ---- the command ---------------------------------------------------------------------------------------------------- */
static const struct {
    const char *name;
    const char *title;
    bool by_default;
    void (*write)(struct call *call, struct buf *out);
} sections[] = {
    {"server", "Server", true, section_server},
    {"clients", "Clients", true, section_clients},
    {"memory", "Memory", true, section_memory},
    {"stats", "Stats", true, section_stats},
    {"cache", "Cache", true, section_cache},
    {"commandstats", "Commandstats", false, section_commandstats},
    {"errorstats", "Errorstats", true, section_errorstats},
    {"keyspace", "Keyspace", true, section_keyspace},
};

/* Whether the arguments ask for section i. An unknown name asks for nothing. */
static bool is_wanted(const struct call *call, size_t i)
{
    if (call->argc == 1) {
        return sections[i].by_default;
    }
    for (unsigned a = 1; a < call->argc; a++) {
        if (call_arg_is(call, a, slice_of(sections[i].name)) || call_arg_is(call, a, S("all")) ||
            call_arg_is(call, a, S("everything")) || (sections[i].by_default && call_arg_is(call, a, S("default")))) {
            return true;
        }
    }
    return false;
}

err cmd_info(struct call *call)
{
    struct buf text;
    buf_init(&text, INFO_BYTES_MAX);
    for (size_t i = 0; i < countof(sections); i++) {
        if (is_wanted(call, i)) {
            buf_printf(&text, "%s# %s\r\n", text.len > 0 ? "\r\n" : "", sections[i].title);
            sections[i].write(call, &text);
        }
    }
    err e = buf_failed(&text) ? ERR_NOMEM : OK;
    if (e == OK) {
        reply_verbatim(call->reply, buf_slice(&text));
    }
    buf_fini(&text);
    return e;
}
