/* One function a table; each row of a .def file is one line. */
#include "config/describe.h"

#include "base/assert.h"
#include "config/option_priv.h"
#include "observe/metric.h"

static void describe_options(struct buf *ret_text)
{
    static const struct {
        enum option_flag flag;
        const char *name;
    } flags[] = {
        {OPTION_LIVE, "live"}, {OPTION_REPEATS, "repeats"},     {OPTION_SECRET, "secret"},   {OPTION_HIDDEN, "hidden"},
        {OPTION_IDLE, "idle"}, {OPTION_PROTECTED, "protected"}, {OPTION_PROMISE, "promise"}, {OPTION_WARNS, "warns"},
    };
    buf_append(ret_text, S("name\tdefault\taccepts\tflags\tmeaning\n"));
    size_t count;
    const struct option_name *names = option_names(&count);
    for (size_t i = 0; i < count; i++) {
        const struct option_row *row = option_row(names[i].option);
        if (names[i].is_alias) {
            buf_printf(ret_text, "%.*s\t\t\talias\tthe same as %s\n", SLICE_ARG(names[i].name), row->name);
            continue;
        }
        buf_printf(ret_text, "%s\t%s\t", row->name, row->standard);
        option_expected(row, ret_text);
        buf_append_byte(ret_text, '\t');
        bool first = true;
        for (size_t j = 0; j < countof(flags); j++) {
            if (row->flags & flags[j].flag) {
                buf_printf(ret_text, "%s%s", first ? "" : " ", flags[j].name);
                first = false;
            }
        }
        buf_printf(ret_text, "\t%s\n", row->meaning);
    }
}

static void describe_metrics(struct buf *ret_text)
{
    buf_append(ret_text, S("name\tkind\tunit\tmeaning\n"));
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        const struct metric_row *row = metric_row(m);
        buf_printf(ret_text, "%s\t%s\t%s\t%s\n", row->name, row->kind == METRIC_KIND_COUNTER ? "counter" : "gauge",
                   row->unit, row->meaning);
    }
}

static void describe_errors(struct buf *ret_text)
{
    static const char *const whose[] = {"nobody", "caller", "server", "source"};
    buf_append(ret_text, S("name\tresp\tmemcached\thttp\twhose\ttext\n"));
    for (err e = OK + 1; e < ERR_COUNT; e++) {
        const struct err_row *row = err_row(e);
        buf_printf(ret_text, "%s\t%s\t%s\t%d\t%s\t%s\n", row->name, row->resp, row->memcached, row->http_status,
                   whose[row->whose], row->text);
    }
}

static void describe_knobs(struct buf *ret_text)
{
    static const struct {
        const char *block, *name, *handler, *standard, *meaning;
    } rows[] = {
#define KNOB(block, name, handler, standard, meaning) {#block, name, #handler, standard, meaning},
#include "config/knob.def"
#undef KNOB
    };
    buf_append(ret_text, S("block\tname\tdefault\tsupported\tmeaning\n"));
    for (size_t i = 0; i < countof(rows); i++) {
        bool is_source = strcmp(rows[i].block, "SOURCE") == 0;
        bool supported = strcmp(rows[i].handler, "UNSUPPORTED") != 0;
        buf_printf(ret_text, "%s\t%s\t%s\t%s\t%s\n", is_source ? "source" : "rule", rows[i].name, rows[i].standard,
                   supported ? "yes" : "no", rows[i].meaning);
    }
}

err describe_table(slice kind, struct buf *ret_text)
{
    static const struct {
        slice kind;
        void (*describe)(struct buf *ret_text);
    } tables[] = {
        {{"options", 7}, describe_options},
        {{"metrics", 7}, describe_metrics},
        {{"errors", 6}, describe_errors},
        {{"knobs", 5}, describe_knobs},
    };
    for (size_t i = 0; i < countof(tables); i++) {
        if (slice_equal(kind, tables[i].kind)) {
            tables[i].describe(ret_text);
            return OK;
        }
    }
    return ERR_NOT_FOUND;
}
