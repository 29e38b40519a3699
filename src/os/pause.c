/* Pause points as files: DIR/name, made by the test, holds whoever comes; DIR/name.reached, made here, tells the test that somebody has
 * come. The file is looked at every millisecond: plain, and a test waits that long at most. Any thread, also with locks held, which is what
 * races are made of. */
#include "os/pause.h"

#ifdef LARDER_TEST_HOOKS

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/pause.h"

enum { LOOK_EVERY_US = 1000 };

static const char *directory;

static void hold(const char *name)
{
    char path[PATH_MAX], reached[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (access(path, F_OK) != 0) {
        return;
    }
    int length = snprintf(reached, sizeof reached, "%s/%s.reached", directory, name);
    assert(length < (int)sizeof reached);
    int fd = open(reached, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert(fd >= 0);
    close(fd);
    while (access(path, F_OK) == 0) {
        usleep(LOOK_EVERY_US);
    }
}

void pause_init(void)
{
    directory = getenv("LARDER_PAUSE_DIR");
    pause_hook = directory ? hold : NULL;
}

#else

void pause_init(void)
{
}

#endif
