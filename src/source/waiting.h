/* The waiting form of a driver that has pipes: a connection that is one pipe on a loop of its own, turned while somebody waits. For `larder check` and
 * for tests; a source's queries go through pool.c. The functions are those of `struct driver`. One thread at a time. */
#ifndef SOURCE_WAITING_H
#define SOURCE_WAITING_H

#include "source/driver.h"

err waiting_open(const struct driver_pipes *pipes, const struct config_source *config,
                 const struct source_limits *limits, struct driver_connection **ret_connection,
                 struct source_failure *f);
bool waiting_usable(struct driver_connection *c);
err waiting_check(struct driver_connection *c, const struct source_statement *s, const struct source_limits *limits,
                  unsigned *ret_column_count, struct source_failure *f);
err waiting_run(struct driver_connection *c, const struct source_statement *s, const slice *parameters,
                const struct source_limits *limits, source_receive *receive, void *argument, struct source_failure *f);
void waiting_close(struct driver_connection *c);

#endif
