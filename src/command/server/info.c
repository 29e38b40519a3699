/* INFO: the server's figures as text, in sections. A row of `sections` is a section; each field is computed here, from the room that has the number.
 * What would always say the same is left out. What the commands cost: info_commands.c.
 *
 * redis_version comes first, since software looks there for the first line with "version:" in it. The fields of `cache` are the rows of metric.def
 * about loading, under their own names, and a line per rule and source. */
#include "command/server/info.h"

#include <inttypes.h>

#include "base/num.h"
#include "command/engine.h"
#include "command/verb.h"
#include "config/config.h"
#include "observe/metric.h"
#include "observe/rate.h"
#include "observe/turns.h"
#include "os/loop.h"
#include "os/mem.h"
#include "os/process.h"
#include "rule/rules.h"

enum { INFO_BYTES_MAX = 64 << 20 };

void info_text(struct buf *out, const char *name, slice value)
{
    buf_printf(out, "%s:", name);
    buf_append(out, value);
    buf_append(out, S("\r\n"));
}

void info_u64(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, "%s:%" PRIu64 "\r\n", name, value);
}

void info_metric(struct buf *out, const char *name, enum metric m)
{
    buf_printf(out, "%s:%" PRId64 "\r\n", name, (int64_t)metric_sum(m));
}

void info_bytes(struct buf *out, const char *name, uint64_t bytes)
{
    char human[32];
    num_format_bytes_human(bytes, human);
    buf_printf(out, "%s:%" PRIu64 "\r\n%s_human:%s\r\n", name, bytes, name, human);
}

void info_option(struct buf *out, const char *name, enum option o)
{
    buf_printf(out, "%s:", name);
    config_value(config_now(), o, out);
    buf_append(out, S("\r\n"));
}

void info_ratio(struct buf *out, const char *name, double value)
{
    buf_printf(out, "%s:%.2f\r\n", name, value);
}

/* ---- sections ------------------------------------------------------------------------------------------------------- */
static void section_server(struct call *call, struct buf *out)
{
    const struct engine *engine = call->engine;
    slice io_engine = slice_of(loop_engine_name(engine->workers[0].loop));
    int64_t up_s = (call->now.mono_ms - engine->started.mono_ms) / 1000;
    info_option(out, "redis_version", OPTION_compat_version);
    info_text(out, "larder_version", S(LARDER_VERSION));
    info_text(out, "redis_mode", config_now()->cluster_enabled ? S("cluster") : S("standalone"));
    info_text(out, "os", slice_of(process_system_name()));
    info_u64(out, "process_id", (uint64_t)process_id());
    info_text(out, "run_id", slice_of(engine->run_id));
    info_option(out, "tcp_port", OPTION_port);
    info_text(out, "multiplexing_api", io_engine);
    info_text(out, "larder_io_engine", io_engine);
    info_u64(out, "server_time_usec", (uint64_t)clock_wall_us());
    info_u64(out, "uptime_in_seconds", (uint64_t)up_s);
    info_u64(out, "uptime_in_days", (uint64_t)up_s / (24 * 3600));
    info_u64(out, "worker_threads", engine->worker_count);
    info_text(out, "executable", slice_of(engine->executable));
    info_text(out, "config_file", slice_of(engine->config_file));
}

/* What the buffers of the connections take, and the largest of them. */
struct client_bytes {
    uint64_t total, input_max, output_max;
};

static void add_client(void *argument, const struct session *s)
{
    struct client_bytes *b = argument;
    struct session_figures f;
    s->ops->figures(s, &f);
    b->total += f.total_bytes;
    b->input_max = num_max_u64(b->input_max, f.query_bytes + f.query_free_bytes);
    b->output_max = num_max_u64(b->output_max, f.out_fixed_bytes);
}

static struct client_bytes client_bytes(void)
{
    struct client_bytes b = {0};
    sessions_each(add_client, &b);
    return b;
}

static void section_clients(struct call *call, struct buf *out)
{
    (void)call;
    struct client_bytes b = client_bytes();
    info_u64(out, "connected_clients", sessions_count());
    info_option(out, "maxclients", OPTION_maxclients);
    info_u64(out, "client_recent_max_input_buffer", b.input_max);
    info_u64(out, "client_recent_max_output_buffer", b.output_max);
    info_metric(out, "blocked_clients", METRIC_calls_parked_now);
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static void section_memory(struct call *call, struct buf *out)
{
    struct keyspace *ks = call->engine->keyspace;
    struct mem_stats m = mem_stats();
    struct keyspace_slabs slabs = keyspace_slabs(ks);
    m.allocated_bytes += slabs.used_bytes;
    m.active_bytes += slabs.held_bytes;
    uint64_t used = keyspace_used_bytes(ks), peak = keyspace_peak_bytes(ks);
    info_bytes(out, "used_memory", used);
    info_bytes(out, "used_memory_rss", m.resident_bytes);
    info_bytes(out, "used_memory_peak", peak);
    buf_printf(out, "used_memory_peak_perc:%.2f%%\r\n", peak > 0 ? (double)used / (double)peak * 100 : 100.0);
    info_u64(out, "allocator_allocated", m.allocated_bytes);
    info_u64(out, "allocator_active", m.active_bytes);
    info_u64(out, "allocator_resident", m.resident_bytes);
    info_ratio(out, "allocator_frag_ratio", ratio(m.active_bytes, m.allocated_bytes));
    info_u64(out, "allocator_frag_bytes", m.active_bytes - m.allocated_bytes);
    info_u64(out, "slabs_used", slabs.used_bytes);
    info_u64(out, "slabs_held", slabs.held_bytes);
    info_u64(out, "slabs_reserved", slabs.reserved_bytes);
    info_bytes(out, "total_system_memory", process_machine_bytes());
    info_bytes(out, "maxmemory", config_now()->maxmemory);
    info_bytes(out, "maxmemory_process", config_now()->maxmemory_process);
    info_bytes(out, "maxmemory_effective", keyspace_limit_bytes(ks));
    info_option(out, "maxmemory_policy", OPTION_maxmemory_policy);
    info_metric(out, "memory_given_back", METRIC_memory_given_back);
    info_ratio(out, "mem_fragmentation_ratio", ratio(m.resident_bytes, used));
    buf_printf(out, "mem_fragmentation_bytes:%" PRId64 "\r\n", (int64_t)(m.resident_bytes - used));
    info_u64(out, "mem_clients_normal", client_bytes().total);
    info_text(out, "mem_allocator", slice_of(m.allocator));
}

static uint64_t error_count(void)
{
    uint64_t sum = 0;
    for (err e = OK + 1; e < ERR_COUNT; e++) {
        sum += metric_error_sum(e);
    }
    return sum;
}

struct turns_sum {
    uint64_t count, us;
};

static struct turns_sum sum_turns(unsigned worker_count)
{
    struct turns_sum sum = {0};
    for (unsigned i = 0; i < worker_count; i++) {
        sum.count += histogram_count(turns_of(i));
        sum.us += histogram_sum_us(turns_of(i));
    }
    return sum;
}

static void section_stats(struct call *call, struct buf *out)
{
    info_metric(out, "total_connections_received", METRIC_connections_received);
    info_metric(out, "total_commands_processed", METRIC_commands_processed);
    info_u64(out, "instantaneous_ops_per_sec", (uint64_t)rate_per_second(METRIC_commands_processed));
    info_metric(out, "total_net_input_bytes", METRIC_net_input_bytes);
    info_metric(out, "total_net_output_bytes", METRIC_net_output_bytes);
    info_ratio(out, "instantaneous_input_kbps", rate_per_second(METRIC_net_input_bytes) / 1024);
    info_ratio(out, "instantaneous_output_kbps", rate_per_second(METRIC_net_output_bytes) / 1024);
    info_metric(out, "rejected_connections", METRIC_connections_rejected);
    info_metric(out, "timed_out_connections", METRIC_connections_timed_out);
    info_metric(out, "expired_keys", METRIC_keys_expired);
    info_metric(out, "evicted_keys", METRIC_keys_evicted);
    info_metric(out, "keyspace_hits", METRIC_keyspace_hits);
    info_metric(out, "keyspace_misses", METRIC_keyspace_misses);
    info_u64(out, "total_error_replies", error_count());
    info_u64(out, "acl_access_denied_auth", metric_error_sum(ERR_WRONGPASS));
    struct turns_sum turns = sum_turns(call->engine->worker_count);
    info_u64(out, "eventloop_cycles", turns.count);
    info_u64(out, "eventloop_duration_sum", turns.us);
    info_metric(out, "turns_long", METRIC_turns_long);
    info_metric(out, "client_query_buffer_limit_disconnections", METRIC_query_limit_reached);
    info_metric(out, "client_output_buffer_limit_disconnections", METRIC_output_limit_reached);
}

static void section_cache(struct call *call, struct buf *out)
{
    for (enum metric m = METRIC_loads_started; m <= METRIC_breaker_refused; m++) {
        info_metric(out, metric_row(m)->name, m);
    }
    if (call->engine->rules) {
        rules_info(call->engine->rules, out, call->now.mono_ms);
    }
}

static void section_replication(struct call *call, struct buf *out)
{
    (void)call;
    info_text(out, "role", S("master")); /* software asks before it writes */
    info_text(out, "connected_slaves", S("0"));
}

static void section_cpu(struct call *call, struct buf *out)
{
    (void)call;
    struct process_cpu cpu = process_cpu();
    buf_printf(out, "used_cpu_sys:%.6f\r\nused_cpu_user:%.6f\r\n", (double)cpu.system_us / 1e6,
               (double)cpu.user_us / 1e6);
}

static void section_modules(struct call *call, struct buf *out)
{
    (void)call;
    (void)out; /* a heading that software looks for, and no modules */
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
    {"replication", "Replication", true, section_replication},
    {"cpu", "CPU", true, section_cpu},
    {"modules", "Modules", true, section_modules},
    {"cache", "Cache", true, section_cache},
    {"commandstats", "Commandstats", false, info_commandstats},
    {"errorstats", "Errorstats", true, info_errorstats},
    {"latencystats", "Latencystats", false, info_latencystats},
    {"workerstats", "Workerstats", false, info_workerstats},
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
