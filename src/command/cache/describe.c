/* Values stand as they would in larder.conf, so that what is shown can be written there. */
#include "command/cache/describe.h"

#include <stdio.h>

static void reply_pair(struct reply *reply, const char *name, slice value)
{
    reply_bytes(reply, slice_of(name));
    reply_bytes(reply, value);
}

static void reply_number(struct reply *reply, const char *name, uint64_t value)
{
    reply_bytes(reply, slice_of(name));
    reply_integer(reply, (int64_t)value);
}

/* "5m": the largest unit that says it exactly. */
static void reply_duration(struct reply *reply, const char *name, int64_t ms, const char *zero)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    char text[32];
    size_t i = 0;
    while (ms % units[i].ms != 0) {
        i++;
    }
    snprintf(text, sizeof text, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
    reply_pair(reply, name, slice_of(ms == 0 ? zero : text));
}

static void reply_refresh(struct reply *reply, const struct config_rule *c)
{
    char text[64] = "off";
    if (c->refresh == CONFIG_REFRESH_EARLY) {
        snprintf(text, sizeof text, "early beta=%g", c->refresh_beta);
    } else if (c->refresh == CONFIG_REFRESH_AHEAD) {
        snprintf(text, sizeof text, "ahead %u%%", c->refresh_ahead_percent);
    }
    reply_pair(reply, "refresh", slice_of(text));
}

static void reply_figures(struct reply *reply, const struct rule *r)
{
    reply_bytes(reply, S("figures"));
    reply_map(reply, FIGURE_COUNT);
    for (enum figure f = 0; f < FIGURE_COUNT; f++) {
        reply_number(reply, figure_name(f), rule_figure(r, f));
    }
}

void describe_rule(struct reply *reply, const struct rule *r)
{
    static const char *const values[] = {
        [CONFIG_VALUE_STRING] = "string", [CONFIG_VALUE_JSON] = "json", [CONFIG_VALUE_JSON_ARRAY] = "json-array"};
    const struct config_rule *c = r->config;
    char jitter[16];
    snprintf(jitter, sizeof jitter, "%u%%", c->ttl_jitter_percent);
    reply_map(reply, 16);
    reply_pair(reply, "rule", c->pattern.text);
    reply_number(reply, "database", c->database);
    reply_pair(reply, "source", c->source ? c->source->name : S("none"));
    reply_pair(reply, "load", c->source ? c->load.text : S("none"));
    reply_pair(reply, "value", slice_of(values[c->value]));
    reply_duration(reply, "ttl", c->ttl_ms, "none");
    reply_duration(reply, "max-ttl", c->max_ttl_ms, "none");
    reply_pair(reply, "ttl-jitter", slice_of(jitter));
    reply_duration(reply, "stale-while-revalidate", c->stale_while_revalidate_ms, "0s");
    reply_duration(reply, "stale-if-error", c->stale_if_error_ms, "0s");
    reply_refresh(reply, c);
    reply_duration(reply, "negative-ttl", c->negative_ttl_ms, "0s");
    reply_pair(reply, "on-miss", c->on_miss == CONFIG_ON_MISS_LOAD ? S("load") : S("return"));
    reply_duration(reply, "wait-timeout", c->wait_timeout_ms, "0s");
    reply_number(reply, "max-waiters", c->max_waiters);
    reply_figures(reply, r);
}
