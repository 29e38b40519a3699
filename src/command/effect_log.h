/* A tap for unit tests: what the calls on an engine changed, as text. Part of the tests' sources (`fake_door` in meson.build), never of the program.
 *
 *     effect_log_init(&log, fe->engine.keyspace);        before a door is opened
 *     ASK(door, "SET k v EXAT 99999999999", "+OK");
 *     assert_string_equal(effect_log_take(&log), "set k, expire k [SET k v PXAT 99999999999000]");
 *
 * Each touch with an event is "event key", with "@db" behind it when the database is not 0; each record is in brackets, as a command line. */
#ifndef COMMAND_EFFECT_LOG_H
#define COMMAND_EFFECT_LOG_H

#include "base/buf.h"
#include "keyspace/keyspace.h"

struct effect_log {
    struct tap tap;
    struct buf text;
    struct buf taken;
};

void effect_log_init(struct effect_log *log, struct keyspace *ks);
void effect_log_fini(struct effect_log *log);
/* What came since the last time. Good until the next. */
const char *effect_log_take(struct effect_log *log);

#endif
