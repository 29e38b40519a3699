/* The lines of INFO, for the files that have sections of it. */
#ifndef COMMAND_SERVER_INFO_H
#define COMMAND_SERVER_INFO_H

#include "command/call.h"
#include "config/config.h"
#include "observe/metric.h"

/* name:value and the end of the line. */
void info_text(struct buf *out, const char *name, slice value);
void info_u64(struct buf *out, const char *name, uint64_t value);
void info_metric(struct buf *out, const char *name, enum metric m);
void info_option(struct buf *out, const char *name, enum option o);
/* The number, and the same for people under <name>_human. */
void info_bytes(struct buf *out, const char *name, uint64_t bytes);
/* With two digits behind the point. */
void info_ratio(struct buf *out, const char *name, double value);

/* Sections of info_commands.c: what the commands cost, in sum and of each worker, and which errors were answered. */
void info_commandstats(struct call *call, struct buf *out);
void info_latencystats(struct call *call, struct buf *out);
void info_workerstats(struct call *call, struct buf *out);
void info_errorstats(struct call *call, struct buf *out);

#endif
