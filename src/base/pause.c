/* The hook variable of pause.h; set once at start, before other threads exist. */
#include "base/pause.h"

#ifdef LARDER_TEST_HOOKS
void (*pause_hook)(const char *name);
#else
typedef int pause_nothing;
#endif
