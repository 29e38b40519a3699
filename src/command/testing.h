/* The frame of a family's unit tests: an engine, a door to it, and what calls through the door change.
 *
 *     static void set_tells_its_events(void **state) { ASK(door, "SET k v", "+OK"); EFFECTS("set k [SET k v]"); }
 *     ... TEST(set_tells_its_events), ... */
#ifndef COMMAND_TESTING_H
#define COMMAND_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "command/effect_log.h"
#include "command/fake_door.h"

static struct fake_engine *fe;
static struct fake_door *door;
static struct effect_log effects;

#define EFFECTS(expected) assert_string_equal(effect_log_take(&effects), expected)
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static inline int set_up(void **state)
{
    (void)state;
    fe = fake_engine_new();
    effect_log_init(&effects, fe->engine.keyspace);
    door = fake_door_open(fe);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    fake_door_close(door);
    assert_int_equal(sessions_count(), 0);
    fake_engine_free(fe);
    effect_log_fini(&effects);
    return 0;
}

static inline void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("'%s' is not in: %s", part, text);
    }
}

#endif
