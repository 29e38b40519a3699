/* Secrets among the arguments: all of AUTH's, user and password behind HELLO's AUTH, the values that CONFIG SET gives to options marked SECRET. Any worker. */
#include "command/secret.h"

#include "command/command.h"
#include "config/config.h"

static bool hello_hides(const struct call *call, unsigned index)
{
    return (index >= 3 && call_arg_is(call, index - 1, S("AUTH"))) ||
           (index >= 4 && call_arg_is(call, index - 2, S("AUTH")));
}

static bool config_set_hides(const struct call *call, unsigned index)
{
    return index >= 3 && index % 2 == 1 && config_is_secret(call_arg(call, index - 1));
}

slice secret_shown(const struct call *call, unsigned index)
{
    slice name = slice_of(call->command->name);
    bool hidden =
        index > 0 && (slice_equal(name, S("auth")) || (slice_equal(name, S("hello")) && hello_hides(call, index)) ||
                      (slice_equal(name, S("config|set")) && config_set_hides(call, index)));
    return hidden ? S("(redacted)") : call_arg(call, index);
}
