/* The datagrams of sd_notify(), by hand: the whole protocol is a connected socket and lines of text. */
#include "os/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/num.h"

/* A connected socket; -1 when the name is none or nobody is there. */
static int connect_to(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t name_bytes = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || name_bytes < 2 || name_bytes >= sizeof at.sun_path) {
        return -1;
    }
    memcpy(at.sun_path, name, name_bytes);
    if (name[0] == '@') {
        at.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 &&
        connect(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_bytes))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int64_t number_of(const char *text)
{
    int64_t number;
    return text && num_parse_i64(slice_of(text), &number) == OK && number > 0 ? number : 0;
}

bool notify_open(struct notify *n)
{
    const char *name = getenv("NOTIFY_SOCKET");
    const char *watched = getenv("WATCHDOG_PID");
    *n = (struct notify){.fd = name ? connect_to(name) : -1};
    if (n->fd >= 0 && (!watched || number_of(watched) == getpid())) {
        n->watchdog_us = number_of(getenv("WATCHDOG_USEC"));
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
    return n->fd >= 0;
}

void notify_send(const struct notify *n, const char *state)
{
    if (n->fd >= 0) {
        (void)!send(n->fd, state, strlen(state), MSG_NOSIGNAL);
    }
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0) {
        close(n->fd);
        n->fd = -1;
    }
}
