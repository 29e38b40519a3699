/* Telling a service manager how the process is, as systemd's sd_notify() does: one datagram to the socket that
 * $NOTIFY_SOCKET names, a path or, with a leading @, an abstract name. The main thread. */
#ifndef OS_NOTIFY_H
#define OS_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

struct notify {
    int fd;              /* -1: nobody is to be told */
    int64_t watchdog_us; /* how long the manager waits for the next WATCHDOG=1; 0: it does not */
};

/* Reads the environment and takes the variables out of it, so that no child tells for us. False when there is no socket
 * to tell; then all calls do nothing. */
bool notify_open(struct notify *n);
/* `state` is lines like "READY=1". A manager that does not listen is no fault of ours. */
void notify_send(const struct notify *n, const char *state);
void notify_close(struct notify *n);

#endif
