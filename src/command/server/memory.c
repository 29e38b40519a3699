/* MEMORY: what keys and the server cost, from the accounts that the keyspace and the allocator keep. */
#include <inttypes.h>
#include <stdio.h>

#include "command/chore.h"
#include "command/engine.h"
#include "command/help.h"
#include "command/verb.h"
#include "os/mem.h"
#include "os/worker.h"

/* Key, value, times, all in, without the key's share of the index. Exact, so there is nothing to sample. */
err cmd_memory_usage(struct call *call)
{
    for (unsigned i = 3; i < call->argc; i += 2) {
        int64_t samples;
        if (!call_arg_is(call, i, S("SAMPLES")) || i + 1 == call->argc) {
            return ERR_SYNTAX;
        }
        err e = call_arg_i64(call, i + 1, &samples);
        if (e != OK) {
            return e;
        }
        if (samples < 0) {
            return ERR_SYNTAX;
        }
    }
    const struct entry *e = call_entry(call, 0);
    if (e) {
        reply_integer(call->reply, (int64_t)entry_bytes(e));
    } else {
        reply_null(call->reply);
    }
    return OK;
}

/* ---- PURGE ---------------------------------------------------------------------------------------------------------- */
err cmd_memory_purge(struct call *call)
{
    if (call_chore(call)) {
        reply_ok(call->reply);
        return OK;
    }
    return call_work_on_keyspace(call, keyspace_purge, mem_purge);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */
struct account {
    struct mem_stats mem; /* with the slabs */
    uint64_t used, peak, keys, clients;
};

static void add_client(void *argument, const struct session *s)
{
    struct session_figures f;
    s->ops->figures(s, &f);
    *(uint64_t *)argument += f.total_bytes;
}

static struct account account_of(struct call *call)
{
    struct keyspace *ks = call->engine->keyspace;
    struct keyspace_slabs slabs = keyspace_slabs(ks);
    struct account a = {.mem = mem_stats(), .used = keyspace_used_bytes(ks), .peak = keyspace_peak_bytes(ks)};
    for (unsigned db = 0; db < keyspace_db_count(ks); db++) {
        a.keys += keyspace_key_count(ks, db);
    }
    a.mem.allocated_bytes += slabs.used_bytes;
    a.mem.active_bytes += slabs.held_bytes;
    sessions_each(add_client, &a.clients);
    return a;
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static void pair_u64(struct reply *r, const char *name, uint64_t value)
{
    reply_bytes(r, slice_of(name));
    reply_integer(r, (int64_t)value);
}

static void pair_real(struct reply *r, const char *name, double value)
{
    reply_bytes(r, slice_of(name));
    reply_real(r, value);
}

err cmd_memory_stats(struct call *call)
{
    struct account a = account_of(call);
    struct reply *r = call->reply;
    reply_map(r, 13);
    pair_u64(r, "peak.allocated", a.peak);
    pair_u64(r, "total.allocated", a.used);
    pair_u64(r, "clients.normal", a.clients);
    pair_u64(r, "keys.count", a.keys);
    pair_u64(r, "keys.bytes-per-key", a.keys > 0 ? a.used / a.keys : 0);
    pair_real(r, "peak.percentage", ratio(a.used, a.peak) * 100);
    pair_u64(r, "allocator.allocated", a.mem.allocated_bytes);
    pair_u64(r, "allocator.active", a.mem.active_bytes);
    pair_u64(r, "allocator.resident", a.mem.resident_bytes);
    pair_real(r, "allocator-fragmentation.ratio", ratio(a.mem.active_bytes, a.mem.allocated_bytes));
    pair_u64(r, "allocator-fragmentation.bytes", a.mem.active_bytes - a.mem.allocated_bytes);
    pair_real(r, "fragmentation", ratio(a.mem.resident_bytes, a.used));
    reply_bytes(r, S("fragmentation.bytes"));
    reply_integer(r, (int64_t)(a.mem.resident_bytes - a.used));
    return OK;
}

enum { SMALL_BYTES = 5 << 20, CLIENTS_PART = 4 };

err cmd_memory_doctor(struct call *call)
{
    struct account a = account_of(call);
    uint64_t limit = config_now()->maxmemory;
    struct buf out;
    buf_init(&out, 64 * 1024);
    if (a.used < SMALL_BYTES && a.clients < SMALL_BYTES) {
        buf_append(&out, S("There is hardly anything in memory, so there is nothing to say about it.\n"));
    } else {
        if (a.peak > a.used + a.used / 2) {
            buf_printf(&out,
                       "Peak: the data has taken up to %" PRIu64 " bytes and takes %" PRIu64
                       " now. The allocator may keep a part of the difference; MEMORY PURGE gives it back.\n",
                       a.peak, a.used);
        }
        if (ratio(a.mem.active_bytes, a.mem.allocated_bytes) > 1.4) {
            buf_printf(&out, "Fragmentation: the allocator holds %.2f times what is in use.\n",
                       ratio(a.mem.active_bytes, a.mem.allocated_bytes));
        }
        if (limit > 0 && a.used > limit / 10 * 9) {
            buf_printf(&out, "Limit: the data takes %.0f%% of maxmemory.\n", ratio(a.used, limit) * 100);
        }
        if (a.clients > a.used / CLIENTS_PART) {
            buf_printf(&out,
                       "Clients: their buffers take %" PRIu64
                       " bytes. Who does not read its replies? CLIENT LIST shows it (omem).\n",
                       a.clients);
        }
        if (out.len == 0) {
            buf_append(&out, S("Nothing is out of the ordinary.\n"));
        }
    }
    reply_verbatim(call->reply, buf_slice(&out));
    buf_fini(&out);
    return OK;
}

err cmd_memory_help(struct call *call)
{
    static const char *const lines[] = {
        "DOCTOR",
        "    What is remarkable about the memory.",
        "PURGE",
        "    Gives free pages back to the system.",
        "STATS",
        "    What the memory is used for.",
        "USAGE key [SAMPLES count]",
        "    The bytes that a key costs, with its value.",
        NULL,
    };
    reply_help(call, lines);
    return OK;
}
