/* LOLWUT: a shelf of jars, each time filled anew, and the version. Redis's pictures of versions 5 and 6 have sizes for arguments: here they must be numbers, too, and
 * change nothing. */
#include "base/random.h"
#include "command/verb.h"

enum { JARS = 9, LEVELS = 4 };

static unsigned size_count(int64_t version)
{
    switch ((uint32_t)version) {
    case 5: return 3;
    case 6: return 2;
    default: return 0;
    }
}

static err check_arguments(struct call *call)
{
    int64_t version = 0, size;
    err e = OK;
    if (call->argc > 2 && call_arg_is(call, 1, S("VERSION"))) {
        e = call_arg_i64(call, 2, &version);
    }
    for (unsigned i = 3; e == OK && i < call->argc && i < 3 + size_count(version); i++) {
        e = call_arg_i64(call, i, &size);
    }
    return e;
}

err cmd_lolwut(struct call *call)
{
    err e = check_arguments(call);
    if (e != OK) {
        return e;
    }
    unsigned filled[JARS];
    for (size_t i = 0; i < JARS; i++) {
        filled[i] = (unsigned)random_below(call->random, LEVELS + 1);
    }
    struct buf out;
    buf_init(&out, 4096);
    for (unsigned i = 0; i < JARS; i++) {
        buf_append(&out, S("  .--. "));
    }
    for (unsigned level = LEVELS; level > 0; level--) {
        buf_append(&out, S("\n"));
        for (unsigned i = 0; i < JARS; i++) {
            buf_append(&out, filled[i] >= level ? S("  |##| ") : S("  |  | "));
        }
    }
    buf_append(&out, S("\n"));
    for (unsigned i = 0; i < JARS; i++) {
        buf_append(&out, S("__'--'_"));
    }
    buf_append(&out, S("_\n\nLarder " LARDER_VERSION "\n"));
    reply_verbatim(call->reply, buf_slice(&out));
    buf_fini(&out);
    return OK;
}
