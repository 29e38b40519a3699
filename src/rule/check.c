/* One connection a source, opened in the calling thread by the driver itself: no queue, no helper, no breaker. */
#include "rule/check.h"

#include "os/clock.h"
#include "source/driver.h"
#include "source/source.h"

static const bool never = false;

static const char *value_name(enum config_value value)
{
    static const char *const names[] = {
        [CONFIG_VALUE_STRING] = "string", [CONFIG_VALUE_JSON] = "json", [CONFIG_VALUE_JSON_ARRAY] = "json-array"};
    return names[value];
}

/* The place as a configuration mistake shows it, "larder.conf:12: ". */
static void append_place(struct buf *report, struct place place)
{
    buf_printf(report, "%.*s:%u: ", SLICE_ARG(place.source), place.line);
}

static const char *words_of(const struct source_failure *f)
{
    return f->text[0] ? f->text : err_row(f->error)->text;
}

static bool check_rule(const struct config_rule *rule, const struct driver *driver, struct driver_connection *c,
                       struct buf *report)
{
    struct arena arena;
    struct source_statement statement;
    struct source_failure failure = {.error = ERR_NOMEM};
    struct source_limits limits = {clock_mono_ms() + rule->source->timeout_ms, &never};
    unsigned columns = 0;
    arena_init(&arena);
    err e = source_statement_make(&rule->load, driver, &arena, &statement);
    if (e == OK) {
        e = driver->check(c, &statement, &limits, &columns, &failure);
    }
    if (e == OK) {
        buf_printf(report, "rule %.*s: source %.*s, %s of %u column%s\n", SLICE_ARG(rule->pattern.text),
                   SLICE_ARG(rule->source->name), value_name(rule->value), columns, columns == 1 ? "" : "s");
    } else {
        append_place(report, rule->place);
        buf_printf(report, "rule %.*s: source %.*s refuses its statement: %s\n", SLICE_ARG(rule->pattern.text),
                   SLICE_ARG(rule->source->name), words_of(&failure));
    }
    arena_fini(&arena);
    return e == OK;
}

static bool check_source(const struct config_blocks *blocks, const struct config_source *source, struct buf *report)
{
    const struct driver *driver = driver_of(source->kind);
    struct driver_connection *c;
    struct source_failure failure;
    struct source_limits limits = {clock_mono_ms() + source->connect_timeout_ms, &never};
    if (driver->open(source, &limits, &c, &failure) != OK) {
        append_place(report, source->place);
        buf_printf(report, "source %.*s: cannot be opened: %s\n", SLICE_ARG(source->name), words_of(&failure));
        return false;
    }
    buf_printf(report, "source %.*s: %s, opened\n", SLICE_ARG(source->name), driver->name);
    bool good = true;
    for (unsigned i = 0; i < blocks->rule_count; i++) {
        if (blocks->rules[i].source == source) {
            good &= check_rule(&blocks->rules[i], driver, c, report);
        }
    }
    driver->close(c);
    return good;
}

bool check_blocks(const struct config_blocks *blocks, struct buf *report)
{
    bool good = true;
    for (unsigned i = 0; i < blocks->source_count; i++) {
        good &= check_source(blocks, &blocks->sources[i], report);
    }
    for (unsigned i = 0; i < blocks->rule_count; i++) {
        if (!blocks->rules[i].source) {
            buf_printf(report, "rule %.*s: no source\n", SLICE_ARG(blocks->rules[i].pattern.text));
        }
    }
    return good;
}
