/* A door without sockets, for unit tests: runs command lines against an engine in the test's own thread and gives the replies as text. Part of
 * the tests' sources (`fake_door` in meson.build), never of the program.
 *
 *     struct fake_engine *fe = fake_engine_new();
 *     struct fake_door *door = fake_door_open(fe);
 *     ASK(door, "SET k 'a b'", "+OK");
 *     ASK(door, "MGET k nosuch", "*2 \"a b\" nil");
 *
 * The engine has one worker whose loop is turned by the thread that asks, a keyspace of its own and a configuration of defaults; a test may wire
 * a loader and taps (keyspace_set_loader(), keyspace_add_tap()) before it opens a door. One engine at a time, since the configuration is the
 * process's. Several doors on one engine are several clients.
 *
 * Replies: +status, :integer, "bytes" quoted as redis-cli does, nil, nil-array, *n followed by n replies, %n map, ~n set, >n push, ,real, #t #f,
 * =verbatim in quotes, -PREFIX text; parted by single spaces. In protocol 2 what RESP2 has no word for is shown as RESP2 has it. */
#ifndef COMMAND_FAKE_DOOR_H
#define COMMAND_FAKE_DOOR_H

#include "command/dispatch.h"

struct fake_engine {
    struct engine engine;
    struct worker worker;
};
/* Aborts the test when anything fails. With a build of LARDER_TEST_HOOKS the clock can be moved. */
struct fake_engine *fake_engine_new(void);
/* The same with other options of the keyspace. */
struct fake_engine *fake_engine_new_with(const struct keyspace_options *o);
void fake_engine_free(struct fake_engine *fe);
/* Moves both clocks and turns the loop, so that timers fire. False when this build cannot: skip() the test. */
bool fake_clock_advance(struct fake_engine *fe, int64_t ms);
/* Turns the loop once, without sleeping: delivers what was posted. */
void fake_turn(struct fake_engine *fe);

struct fake_door;
struct fake_door *fake_door_open(struct fake_engine *fe);
/* Cancels a parked call. */
void fake_door_close(struct fake_door *d);
struct session *fake_door_session(struct fake_door *d);

/* Words parted by spaces; 'as it is' and "with \n \xhh escapes" hold spaces. Waits (a few seconds, then aborts) while the call is parked. The text is good
 * until the next request. */
const char *fake_door_run(struct fake_door *d, const char *line);
const char *fake_door_run_argv(struct fake_door *d, unsigned argc, const slice *argv);
/* Begins only: RUN_PARKED when it waits. Nothing else may be asked of this door until then. */
enum run fake_door_start(struct fake_door *d, const char *line);
/* The reply when it has come, else NULL. */
const char *fake_door_reply(struct fake_door *d);

/* What it was told unasked (MONITOR), lines; and whether somebody has closed it (CLIENT KILL). */
slice fake_door_told(const struct fake_door *d);
bool fake_door_killed(const struct fake_door *d);

/* cmocka: the reply to the line is exactly this. */
#define ASK(door, line, expected) assert_string_equal(fake_door_run(door, line), expected)

#endif
