/* Mistakes of a configuration, collected: a file is read to its end and all that is wrong with it is told at once, each on a line of its
 * own that begins with the place, "larder.conf:12: ". Only the first FAULT_COUNT_MAX are kept. Owned by one thread. */
#ifndef CONFIG_FAULT_H
#define CONFIG_FAULT_H

#include <stdarg.h>

#include "base/buf.h"

enum { FAULT_COUNT_MAX = 20 };

/* Where something was said: a file and a line; "environment LARDER_PORT" or "command line" with line 0. */
struct place {
    slice source;
    unsigned line;
};

struct faults {
    unsigned count;  /* all of them, also those that are not kept */
    struct buf text; /* lines, each ending in \n */
};

void faults_init(struct faults *f);
void faults_fini(struct faults *f);
/* "<place>: <message>\n". */
void faults_add(struct faults *f, struct place place, const char *format, ...) PRINTF_LIKE(3, 4);
/* The lines, and a last one that counts what was not kept. Borrowed until the next add or fini. */
slice faults_text(struct faults *f);

/* Among `count` names the one with the smallest edit distance to `name`; an empty slice when none is near (over a third of its length). */
slice fault_nearest(slice name, const slice *names, size_t count);

#endif
