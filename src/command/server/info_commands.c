/* INFO's sections about commands: commandstats (calls, time, refusals, failures), latencystats (percentiles), workerstats (the same of each worker, and how
 * long the turns of its loop took and how late its ticks removed expired keys), errorstats. A command that nobody has called has no line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "command/command.h"
#include "command/engine.h"
#include "command/figures.h"
#include "command/server/info.h"
#include "observe/turns.h"

static void append_figures(struct buf *out, const struct command_figures *f)
{
    buf_printf(out,
               "calls=%" PRIu64 ",usec=%" PRIu64 ",usec_per_call=%.2f,rejected_calls=%" PRIu64 ",failed_calls=%" PRIu64,
               f->calls, f->usec, f->calls > 0 ? (double)f->usec / (double)f->calls : 0.0, f->rejected, f->failed);
}

void info_commandstats(struct call *call, struct buf *out)
{
    (void)call;
    for (unsigned i = 0; i < command_count(); i++) {
        struct command_figures f = command_figures(i);
        if (f.calls > 0 || f.rejected > 0) {
            buf_printf(out, "cmdstat_%s:", command_at(i)->name);
            append_figures(out, &f);
            buf_append(out, S("\r\n"));
        }
    }
}

/* "p50=1.003,p99=..." for what latency-tracking-info-percentiles says; false when no call was timed. */
static bool append_percentiles(struct buf *out, const char *before, int worker, unsigned command)
{
    struct command_times *t = malloc(sizeof *t);
    if (t) {
        command_times(worker, command, t);
    }
    bool some = t && t->count > 0;
    const struct config_words *percentiles = &config_now()->latency_tracking_info_percentiles;
    for (unsigned i = 0; some && i < percentiles->count; i++) {
        double percent;
        if (num_parse_double(percentiles->items[i], &percent) == OK) {
            buf_printf(out, "%sp%g=%.3f", i == 0 ? before : ",", percent, command_percentile_us(t, percent));
        }
    }
    free(t);
    return some && percentiles->count > 0;
}

void info_latencystats(struct call *call, struct buf *out)
{
    (void)call;
    char name[128];
    for (unsigned i = 0; i < command_count(); i++) {
        snprintf(name, sizeof name, "latency_percentiles_usec_%s:", command_at(i)->name);
        if (append_percentiles(out, name, FIGURES_ALL_WORKERS, i)) {
            buf_append(out, S("\r\n"));
        }
    }
}

/* "worker0_turns:count=..": what a worker measured, in us. It may be behind by some while the worker goes on. */
static void append_histogram(struct buf *out, unsigned worker, const char *name, const struct histogram *h)
{
    buf_printf(out,
               "worker%u_%s:count=%" PRIu64 ",usec=%" PRIu64 ",p50=%" PRIu64 ",p99=%" PRIu64 ",p99.9=%" PRIu64
               ",max=%" PRIu64 "\r\n",
               worker, name, histogram_count(h), histogram_sum_us(h), histogram_percentile_us(h, 50),
               histogram_percentile_us(h, 99), histogram_percentile_us(h, 99.9), histogram_max_us(h));
}

void info_workerstats(struct call *call, struct buf *out)
{
    for (unsigned w = 0; w < call->engine->worker_count; w++) {
        append_histogram(out, w, "turns", turns_of(w));
        append_histogram(out, w, "expiry_lag", keyspace_expiry_lags(call->engine->keyspace, w));
        for (unsigned i = 0; i < command_count(); i++) {
            struct command_figures f = command_figures_of((int)w, i);
            if (f.calls > 0 || f.rejected > 0) {
                buf_printf(out, "worker%u_cmdstat_%s:", w, command_at(i)->name);
                append_figures(out, &f);
                append_percentiles(out, ",", (int)w, i);
                buf_append(out, S("\r\n"));
            }
        }
    }
}

void info_errorstats(struct call *call, struct buf *out)
{
    (void)call;
    for (err e = metric_error_prefix_next(OK); e != ERR_COUNT; e = metric_error_prefix_next(e)) {
        uint64_t count = metric_error_sum_of_prefix(err_row(e)->resp);
        if (count > 0 && err_row(e)->resp[0] != '\0') {
            buf_printf(out, "errorstat_%s:count=%" PRIu64 "\r\n", err_row(e)->resp, count);
        }
    }
}
