/* The server as a service: what systemd is told (directive `supervised`), and the watchdog. */
#ifndef MAIN_SERVICE_H
#define MAIN_SERVICE_H

#include "config/config.h"
#include "os/notify.h"
#include "os/worker.h"

struct service_ping;

struct service {
    struct notify notify;
    struct worker *front;
    struct worker *workers;
    unsigned worker_count;
    struct service_ping *pings; /* one a worker, when there is a watchdog */
    int64_t interval_ms;
    struct timer watchdog;
};

/* Finds out whom to tell. The workers exist; the front's loop is not running yet. ERR_NOMEM. */
MUST_USE err service_open(struct service *s, const struct config *config, struct worker *front, struct worker *workers,
                          unsigned worker_count);
/* It listens, or has finished a reload. */
void service_ready(struct service *s);
void service_reloading(struct service *s);
void service_stopping(struct service *s);
/* The workers have stopped. Harmless when zeroed. */
void service_close(struct service *s);

#endif
