/* Whether keys are there, of what kind, and removing them: EXISTS, TOUCH, TYPE, DEL, UNLINK.
 *
 * DEL and UNLINK differ in who frees a large value. Both remove what plain commands do not see (the memory of a row that does not exist), but count
 * only what they see. */
#include "command/verb.h"

static err count_keys(struct call *call)
{
    int64_t count = 0;
    for (unsigned k = 0; k < call->key_count; k++) {
        count += call_entry(call, k) != NULL;
    }
    reply_integer(call->reply, count);
    return OK;
}

err cmd_exists(struct call *call)
{
    return count_keys(call);
}

/* What sets it apart is in its row: it is a use of the keys. */
err cmd_touch(struct call *call)
{
    return count_keys(call);
}

err cmd_type(struct call *call)
{
    const struct entry *entry = call_entry(call, 0);
    reply_status(call->reply, entry ? kind_name(entry_kind(entry)) : S("none"));
    return OK;
}

err cmd_del(struct call *call)
{
    int64_t count = 0;
    for (unsigned k = 0; k < call->key_count; k++) {
        count += call_entry(call, k) != NULL;
        call_drop(call, k);
    }
    reply_integer(call->reply, count);
    return OK;
}

/* What takes long to free is never freed at once (os/blob.h). */
err cmd_unlink(struct call *call)
{
    return cmd_del(call);
}
