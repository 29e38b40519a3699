/* The server from set-up to tear-down. */
#ifndef MAIN_SERVER_H
#define MAIN_SERVER_H

#include "config/config.h"
#include "main/exit.h"

/* Runs until a signal ends it, with the configuration that `input` was read into; `warnings` are said once the log is
 * open. `program` is argv[0]. Owns `config` from then on. The main thread, before any other exists. */
enum exit_code server_run(const char *program, const struct config_input *input, struct config *config, slice warnings);

#endif
