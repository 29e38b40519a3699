/* client: what every program here needs that asks a server: connecting, sending, giving up. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stddef.h>

/* Ends the program with 1 and a message; from any thread. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* A connected socket that blocks: to the port on 127.0.0.1, or to the unix socket when `unix_path` is not NULL. */
int connect_to(int port, const char *unix_path);
/* All of it. The socket blocks. */
void send_all(int fd, const char *bytes, size_t count);
/* At least one byte; returns how many. */
size_t receive_some(int fd, char *bytes, size_t count_max);

#endif
