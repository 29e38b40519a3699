/* Sockets up to where a stream takes over: addresses as text, listeners, accepting, options, names. Every fd is non-blocking and closed on
 * exec. Who owns a taken port is not said here. `why` is a buffer that a failure appends a reason to ("Address already in use"), one line
 * without its end; NULL when nobody asks. Any thread. */
#ifndef OS_SOCK_H
#define OS_SOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* Takes apart "host", "host:port", "[::1]:port" and "::1" (more than one colon without brackets: no port). The host is lent from `text`,
 * without brackets; a missing port leaves default_port. ERR_INVALID: an empty host, a bad port. */
MUST_USE err sock_parse_address(slice text, uint16_t default_port, slice *ret_host, uint16_t *ret_port);

/* Listens on one address as redis.conf's `bind` writes them: an IPv4 or IPv6 address or a name, `*` for all of IPv4, `::*` for all of IPv6
 * (an IPv6 listener takes IPv6 only). A leading `-` means that the address may be missing on this machine: then ERR_NOT_FOUND.
 * Port 0 lets the system choose. ERR_SYSTEM, ERR_INVALID with the reason in `why`. A name is looked up, which may block. */
MUST_USE err sock_listen(slice address, uint16_t port, int backlog, int *ret_fd, struct buf *why);
/* Listens on a path, with these permissions (0: as the umask has it) before the first peer can connect. A socket file that nobody listens
 * on is removed first; a path that is in use or is no socket is ERR_SYSTEM. The caller unlinks it in the end. */
MUST_USE err sock_listen_unix(const char *path, unsigned permissions, int backlog, int *ret_fd, struct buf *why);

/* The next connection. ERR_AGAIN: none waits. ERR_LIMIT: no fd or memory is left and the connection still waits; ERR_SYSTEM. */
MUST_USE err sock_accept(int listener, int *ret_fd);

/* Turns a peer away: sends it these last words as far as the socket takes them at once, and closes. */
void sock_dismiss(int fd, slice last_words);
void sock_close(int fd);

/* Small answers leave at once. Harmless on a unix socket. */
void sock_set_nodelay(int fd);
/* Asks an idle peer for a sign of life after `idle_s` and then three times within another `idle_s`; 0: never. Harmless on a unix socket. */
void sock_set_keepalive(int fd, unsigned idle_s);

enum { SOCK_NAME_CHARS = 128 };
/* "127.0.0.1:6379", "[::1]:6379", "/path:0" (the listener's path on both sides), ":0" when the system does not tell. */
void sock_peer_name(int fd, char ret_name[static SOCK_NAME_CHARS]);
void sock_local_name(int fd, char ret_name[static SOCK_NAME_CHARS]);
/* The local port; 0 of a unix socket. */
uint16_t sock_local_port(int fd);
/* Whether the peer is on this machine: 127.0.0.0/8, ::1, a unix socket. */
bool sock_peer_is_loopback(int fd);

#endif
