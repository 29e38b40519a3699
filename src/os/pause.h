/* The waiting behind base/pause.h: with LARDER_TEST_HOOKS and LARDER_PAUSE_DIR set, a thread that comes to a pause point stops there for as
 * long as the test's file exists. */
#ifndef OS_PAUSE_H
#define OS_PAUSE_H

/* Registers it if the environment asks; nothing otherwise. Once, before other threads start. */
void pause_init(void);

#endif
