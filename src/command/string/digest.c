/* DIGEST: the digest of a string, as the conditions IFDEQ and IFDNE take it. */
#include "command/string/condition.h"
#include "command/verb.h"

err cmd_digest(struct call *call)
{
    struct entry *entry;
    err e = call_entry_of_kind(call, 0, KIND_STRING, &entry);
    if (e != OK) {
        return e;
    }
    if (!entry) {
        reply_null(call->reply);
        return OK;
    }
    char text[DIGEST_CHARS];
    condition_digest(entry_string(entry), text);
    reply_bytes(call->reply, slice_make(text, sizeof text));
    return OK;
}
