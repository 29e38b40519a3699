/* `larder simulate`: how many requests of a trace would have been hits, by policy and size of the cache. */
#ifndef MAIN_SIMULATE_H
#define MAIN_SIMULATE_H

#include "main/exit.h"

/* A task of the command line: argv[2] and on are the trace and options. */
enum exit_code simulate_run(int argc, char **argv);

#endif
