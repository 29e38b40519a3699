/* TIME: seconds and microseconds since 1970. The call's own time has milliseconds only, so this one looks at the clock. */
#include "command/verb.h"
#include "os/clock.h"

err cmd_time(struct call *call)
{
    int64_t us = clock_wall_us();
    reply_array(call->reply, 2);
    reply_bytes(call->reply, call_text_i64(call, us / 1000000));
    reply_bytes(call->reply, call_text_i64(call, us % 1000000));
    return OK;
}
