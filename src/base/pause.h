/* Named pause points: places where a test may hold a thread, so that a race is made to happen instead of hoped for. In builds
 * without LARDER_TEST_HOOKS they are nothing. With them, a thread that comes to PAUSE_POINT(name) while the file $LARDER_PAUSE_DIR/name
 * exists creates name.reached beside it and waits until the file is gone. os/pause.c registers the waiting; base knows no files. */
#ifndef BASE_PAUSE_H
#define BASE_PAUSE_H

#ifdef LARDER_TEST_HOOKS
extern void (*pause_hook)(const char *name); /* NULL when nobody tests */
#define PAUSE_POINT(name)      \
    do {                       \
        if (pause_hook) {      \
            pause_hook(#name); \
        }                      \
    } while (0)
#else
#define PAUSE_POINT(name) ((void)0)
#endif

#endif
