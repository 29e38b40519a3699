/* HELP in the form that Redis gives it: an array of lines, the last two about HELP itself. Any verb, on its worker. */
#include "command/help.h"

#include <ctype.h>

#include "command/command.h"

void reply_help(struct call *call, const char *const *lines)
{
    size_t count = 0;
    while (lines[count]) {
        count++;
    }
    char name[64];
    size_t len = 0;
    for (const char *c = call->command->container->name; *c && len < sizeof name; c++) {
        name[len++] = (char)toupper((unsigned char)*c);
    }
    reply_array(call->reply, count + 3);
    struct buf title;
    buf_init(&title, 256);
    buf_printf(&title, "%.*s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", (int)len, name);
    reply_status(call->reply, buf_slice(&title));
    buf_fini(&title);
    for (size_t i = 0; i < count; i++) {
        reply_status(call->reply, slice_of(lines[i]));
    }
    reply_status(call->reply, S("HELP"));
    reply_status(call->reply, S("    Prints this help."));
}
