/* Parts of strings: GETRANGE and its old name SUBSTR, SETRANGE, APPEND.
 *
 * No string grows past proto-max-bulk-len. A string that was edited is encoded raw from then on; one that is made by APPEND is encoded as if it had
 * been set, one that is made by SETRANGE raw: Redis's OBJECT ENCODING shows these things, so ours does. */
#include "command/verb.h"
#include "config/config.h"
#include "os/blob.h"

/* Whether `bytes` more behind `offset` stay within what a string may have. */
static bool fits(uint64_t offset, uint64_t bytes)
{
    uint64_t end;
    return !__builtin_add_overflow(offset, bytes, &end) && end <= config_now()->proto_max_bulk_len;
}

/* The bytes from `start` to `end`, both included, counted from the end when negative. */
static slice sub_range(slice string, int64_t start, int64_t end)
{
    int64_t len = (int64_t)string.len;
    if (start < 0 && end < 0 && start > end) {
        return S("");
    }
    start = start < 0 ? start + len : start;
    end = end < 0 ? end + len : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end;
    end = end >= len ? len - 1 : end;
    if (start > end) {
        return S("");
    }
    return slice_sub(string, (size_t)start, (size_t)(end - start + 1));
}

err cmd_getrange(struct call *call)
{
    int64_t start, end;
    err e = call_arg_i64(call, 2, &start);
    if (e != OK || (e = call_arg_i64(call, 3, &end)) != OK) {
        return e;
    }
    struct entry *entry;
    e = call_entry_of_kind(call, 0, KIND_STRING, &entry);
    if (e != OK) {
        return e;
    }
    if (entry) {
        call_reply_string(call, entry, sub_range(entry_string(entry), start, end));
    } else {
        reply_bytes(call->reply, S(""));
    }
    return OK;
}

err cmd_substr(struct call *call)
{
    return cmd_getrange(call);
}

/* For so many bytes more, most of which may be zeros that stand in no argument. */
static err make_room(struct call *call, size_t bytes)
{
    return call_need_room(call, bytes + entry_spare_bytes(bytes));
}

/* A new string: `value` at `offset`, zeros before it, which are not touched when they are many. */
static err create_at(struct call *call, size_t offset, slice value)
{
    size_t bytes = offset + value.len;
    struct blob *b = blob_new(blob_good_room(bytes));
    if (!b) {
        return ERR_NOMEM;
    }
    if (!blob_is_mapped(b)) {
        memset(b->bytes, 0, offset);
    }
    memcpy(b->bytes + offset, value.ptr, value.len);
    struct content content = content_string(slice_make(b->bytes, bytes));
    content.encoding = ENCODING_RAW;
    content.blob = b;
    err e = call_put(call, 0, &content);
    blob_disown(b);
    return e;
}

/* Writes `value` into the string that is there, which grows if need be. */
static err write_at(struct call *call, size_t old_bytes, size_t offset, slice value, size_t *ret_bytes)
{
    size_t bytes = offset + value.len > old_bytes ? offset + value.len : old_bytes;
    char *string;
    err e = call_edit_string(call, 0, bytes, &string);
    if (e != OK) {
        return e;
    }
    if (value.len > 0) {
        memcpy(string + offset, value.ptr, value.len);
    }
    *ret_bytes = bytes;
    return OK;
}

err cmd_setrange(struct call *call)
{
    int64_t offset;
    err e = call_arg_i64(call, 2, &offset);
    if (e != OK) {
        return e;
    }
    if (offset < 0) {
        return ERR_OFFSET;
    }
    struct entry *entry;
    e = call_entry_of_kind(call, 0, KIND_STRING, &entry);
    if (e != OK) {
        return e;
    }
    slice value = call_arg(call, 3);
    size_t bytes = entry ? entry_string(entry).len : 0;
    if (value.len > 0) {
        if (!fits((uint64_t)offset, value.len)) {
            return ERR_TOO_LARGE;
        }
        e = (size_t)offset > bytes ? make_room(call, (size_t)offset - bytes + value.len) : OK;
        if (e != OK) {
            return e;
        }
        if (entry) {
            e = write_at(call, bytes, (size_t)offset, value, &bytes);
        } else {
            bytes = (size_t)offset + value.len;
            e = create_at(call, (size_t)offset, value);
        }
        if (e != OK) {
            return e;
        }
    }
    reply_integer(call->reply, (int64_t)bytes);
    return OK;
}

err cmd_append(struct call *call)
{
    struct entry *entry;
    err e = call_entry_of_kind(call, 0, KIND_STRING, &entry);
    if (e != OK) {
        return e;
    }
    slice value = call_arg(call, 2);
    size_t bytes = value.len;
    if (!entry) {
        struct content content = call_content(call, 2);
        e = call_put(call, 0, &content);
    } else {
        size_t old_bytes = entry_string(entry).len;
        if (!fits(old_bytes, value.len)) {
            return ERR_TOO_LARGE;
        }
        e = write_at(call, old_bytes, old_bytes, value, &bytes);
    }
    if (e == OK) {
        reply_integer(call->reply, (int64_t)bytes);
    }
    return e;
}
