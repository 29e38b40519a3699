/* What the unit tests of os/ share: the engine that a test's loops have, and a run of a group on each one that there is. */
#ifndef OS_TESTING_PRIV_H
#define OS_TESTING_PRIV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "os/loop.h"

static enum loop_engine engine;

/* `run` runs the group under that name and returns how many failed; the sum is returned. */
static inline int run_on_each_engine(int (*run)(const char *name))
{
    engine = LOOP_EPOLL;
    int failed = run("epoll");
    if (loop_engine_try(LOOP_URING, NULL) == OK) {
        engine = LOOP_URING;
        failed += run("io_uring");
    }
    return failed;
}

#endif
