/* CONFIG REWRITE: the configuration file takes over what was changed since. What the text becomes is config/rewrite.c's; the file is replaced as a whole or
 * not at all. Its disk writes are short and rare, so the worker does them itself. */
#include "command/engine.h"
#include "command/verb.h"
#include "config/config.h"
#include "config/parse.h"
#include "os/file.h"

static err rewrite(const char *path, struct buf *why)
{
    struct buf before, after;
    buf_init(&before, PARSE_FILE_BYTES_MAX);
    buf_init(&after, PARSE_FILE_BYTES_MAX);
    err e = file_read(path, &before, why);
    if (e == ERR_NOT_FOUND) {
        buf_truncate(why, 0);
        e = OK; /* somebody has removed it: it is made anew */
    }
    if (e == OK) {
        e = config_rewrite(config_now(), slice_of(path), buf_slice(&before), &after, why);
    }
    if (e == OK) {
        e = file_replace(path, buf_slice(&after), 0644, why);
    }
    buf_fini(&before);
    buf_fini(&after);
    return e;
}

err cmd_config_rewrite(struct call *call)
{
    struct engine *engine = call->engine;
    if (engine->config_file[0] == '\0') {
        return call_fail(call, ERR_CONFIG, "The server is running without a config file");
    }
    struct buf why;
    buf_init(&why, 64 * 1024);
    lock_acquire(&engine->config_lock);
    err e = rewrite(engine->config_file, &why);
    lock_release(&engine->config_lock);
    if (e == OK) {
        reply_ok(call->reply);
    } else {
        slice reason = why.len > 0 ? buf_slice(&why) : slice_of(err_row(e)->text);
        e = call_fail(call, e, "Rewriting config file: %.*s", SLICE_ARG(reason));
    }
    buf_fini(&why);
    return e;
}
