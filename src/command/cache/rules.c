/* CACHE.RULES: the rules in force, in the order of the configuration. */
#include "command/cache/describe.h"
#include "command/engine.h"
#include "command/verb.h"
#include "rule/rules.h"

err cmd_cache_rules(struct call *call)
{
    const struct rule_set *set = rules_published(call->engine->rules);
    reply_array(call->reply, set->rule_count);
    for (unsigned i = 0; i < set->rule_count; i++) {
        describe_rule(call->reply, &set->rules[i]);
    }
    return OK;
}
