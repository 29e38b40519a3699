/* Addresses, listeners and the socket options that matter to a server. */
#include "os/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/num.h"

enum { HOST_BYTES_MAX = 255, PORT_MAX = 65535, DISMISS_READS_MAX = 16 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
};

static void explain(struct buf *why, const char *text)
{
    if (why) {
        buf_append(why, slice_of(text));
    }
}

/* ---- addresses ----------------------------------------------------------------------------------------------------- */

static err parse_port(slice text, uint16_t *ret_port)
{
    uint64_t port;
    if (num_parse_u64(text, &port) != OK || port > PORT_MAX) {
        return ERR_INVALID;
    }
    *ret_port = (uint16_t)port;
    return OK;
}

err sock_parse_address(slice text, uint16_t default_port, slice *ret_host, uint16_t *ret_port)
{
    slice host = text;
    slice port = {0};
    bool has_port = false;
    if (slice_starts(text, S("["))) {
        size_t end = slice_find_byte(text, ']');
        if (end == SIZE_MAX) {
            return ERR_INVALID;
        }
        host = slice_sub(text, 1, end - 1);
        slice rest = slice_sub(text, end + 1, SIZE_MAX);
        has_port = rest.len > 0;
        if (has_port && rest.ptr[0] != ':') {
            return ERR_INVALID;
        }
        port = slice_sub(rest, 1, SIZE_MAX);
    } else {
        size_t colon = slice_find_byte(text, ':');
        has_port = colon != SIZE_MAX && slice_find_byte(slice_sub(text, colon + 1, SIZE_MAX), ':') == SIZE_MAX;
        if (has_port) {
            host = slice_sub(text, 0, colon);
            port = slice_sub(text, colon + 1, SIZE_MAX);
        }
    }
    uint16_t number = default_port;
    if (host.len == 0 || (has_port && parse_port(port, &number) != OK)) {
        return ERR_INVALID;
    }
    *ret_host = host;
    *ret_port = number;
    return OK;
}

/* ---- listeners ----------------------------------------------------------------------------------------------------- */

/* What getaddrinfo() finds for a `bind` address; to be freed with freeaddrinfo(). */
static err find_addresses(slice host, uint16_t port, struct addrinfo **ret_found, struct buf *why)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    char name[HOST_BYTES_MAX + 1], service[8];
    bool all_v4 = slice_equal(host, S("*"));
    bool all_v6 = slice_equal(host, S("::*"));
    if (host.len == 0 || host.len > HOST_BYTES_MAX) {
        explain(why, "not an address");
        return ERR_INVALID;
    }
    memcpy(name, host.ptr, host.len);
    name[host.len] = '\0';
    snprintf(service, sizeof service, "%u", port);
    hints.ai_family = all_v4 ? AF_INET : all_v6 ? AF_INET6 : AF_UNSPEC;
    int failure = getaddrinfo(all_v4 || all_v6 ? NULL : name, service, &hints, ret_found);
    if (failure) {
        explain(why, gai_strerror(failure));
        return ERR_INVALID;
    }
    return OK;
}

static int open_listener(const struct addrinfo *a, int backlog)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    bool done = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    if (a->ai_family == AF_INET6) {
        done = done && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
    }
    done = done && bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, backlog) == 0;
    if (!done) {
        int reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
    return fd;
}

static bool means_missing(int reason)
{
    return reason == EADDRNOTAVAIL || reason == EAFNOSUPPORT || reason == EPROTONOSUPPORT || reason == ENOPROTOOPT;
}

err sock_listen(slice address, uint16_t port, int backlog, int *ret_fd, struct buf *why)
{
    bool optional = slice_starts(address, S("-"));
    struct addrinfo *found;
    err e = find_addresses(optional ? slice_sub(address, 1, SIZE_MAX) : address, port, &found, why);
    if (e) {
        return e;
    }
    int fd = -1;
    for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = open_listener(a, backlog);
    }
    int reason = errno;
    freeaddrinfo(found);
    if (fd < 0) {
        explain(why, strerror(reason));
        return optional && means_missing(reason) ? ERR_NOT_FOUND : ERR_SYSTEM;
    }
    *ret_fd = fd;
    return OK;
}

/* Removes a socket file behind which nobody listens. False when something else is there. */
static bool remove_stale(const union address *at, struct buf *why)
{
    struct stat file;
    if (lstat(at->path.sun_path, &file) != 0) {
        return true; /* nothing there; what else is wrong with the path, bind() will say */
    }
    if (!S_ISSOCK(file.st_mode)) {
        explain(why, "the path exists and is no socket");
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        explain(why, strerror(errno));
        return false;
    }
    bool refused = connect(fd, &at->any, sizeof at->path) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (!refused) {
        explain(why, "another process listens on the path");
        return false;
    }
    unlink(at->path.sun_path);
    return true;
}

err sock_listen_unix(const char *path, unsigned permissions, int backlog, int *ret_fd, struct buf *why)
{
    union address at = {.path.sun_family = AF_UNIX};
    size_t path_bytes = strlen(path);
    if (path_bytes == 0 || path_bytes >= sizeof at.path.sun_path) {
        explain(why, "a socket's path has 1 to 107 bytes");
        return ERR_INVALID;
    }
    memcpy(at.path.sun_path, path, path_bytes);
    if (!remove_stale(&at, why)) {
        return ERR_SYSTEM;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, &at.any, sizeof at.path) == 0;
    bool done = bound && (permissions == 0 || chmod(path, permissions) == 0) && listen(fd, backlog) == 0;
    if (!done) {
        explain(why, strerror(errno));
        if (bound) {
            unlink(path);
        }
        if (fd >= 0) {
            close(fd);
        }
        return ERR_SYSTEM;
    }
    *ret_fd = fd;
    return OK;
}

err sock_accept(int listener, int *ret_fd)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            *ret_fd = fd;
            return OK;
        }
        switch (errno) {
        case EINTR:
        case ECONNABORTED: /* it has gone while it waited */
        case EPROTO: continue;
        case EAGAIN: return ERR_AGAIN;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM: return ERR_LIMIT;
        default: return ERR_SYSTEM;
        }
    }
}

/* Closing with bytes unread would be a reset, which can overtake the last words; so what has come already is read away. */
void sock_dismiss(int fd, slice last_words)
{
    char scrap[1024];
    if (last_words.len > 0) {
        (void)!send(fd, last_words.ptr, last_words.len, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
    }
    for (int i = 0; i < DISMISS_READS_MAX && recv(fd, scrap, sizeof scrap, 0) > 0; i++) {}
    close(fd);
}

void sock_close(int fd)
{
    close(fd);
}

/* ---- options ------------------------------------------------------------------------------------------------------- */

void sock_set_nodelay(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void sock_set_keepalive(int fd, unsigned idle_s)
{
    int on = idle_s > 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (idle_s == 0) {
        return;
    }
    enum { PROBES = 3, IDLE_S_MAX = 32767 };
    int idle = idle_s < IDLE_S_MAX ? (int)idle_s : IDLE_S_MAX;
    int between = idle / PROBES > 0 ? idle / PROBES : 1;
    int probes = PROBES;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof between);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

static union address local_address(int fd)
{
    union address at = {.any.sa_family = AF_UNSPEC};
    socklen_t at_bytes = sizeof at - 1; /* a path of full length keeps its NUL */
    (void)getsockname(fd, &at.any, &at_bytes);
    return at;
}

static union address peer_address(int fd)
{
    union address at = {.any.sa_family = AF_UNSPEC};
    socklen_t at_bytes = sizeof at - 1;
    (void)getpeername(fd, &at.any, &at_bytes);
    return at;
}

static void name_address(const union address *at, char ret_name[static SOCK_NAME_CHARS])
{
    char host[INET6_ADDRSTRLEN];
    if (at->any.sa_family == AF_INET && inet_ntop(AF_INET, &at->v4.sin_addr, host, sizeof host)) {
        snprintf(ret_name, SOCK_NAME_CHARS, "%s:%u", host, ntohs(at->v4.sin_port));
    } else if (at->any.sa_family == AF_INET6 && inet_ntop(AF_INET6, &at->v6.sin6_addr, host, sizeof host)) {
        snprintf(ret_name, SOCK_NAME_CHARS, "[%s]:%u", host, ntohs(at->v6.sin6_port));
    } else {
        snprintf(ret_name, SOCK_NAME_CHARS, "%s:0", at->any.sa_family == AF_UNIX ? at->path.sun_path : "");
    }
}

void sock_local_name(int fd, char ret_name[static SOCK_NAME_CHARS])
{
    union address at = local_address(fd);
    name_address(&at, ret_name);
}

void sock_peer_name(int fd, char ret_name[static SOCK_NAME_CHARS])
{
    union address at = peer_address(fd);
    if (at.any.sa_family == AF_UNIX) {
        at = local_address(fd); /* who connects has no name */
    }
    name_address(&at, ret_name);
}

uint16_t sock_local_port(int fd)
{
    union address at = local_address(fd);
    return at.any.sa_family == AF_INET    ? ntohs(at.v4.sin_port)
           : at.any.sa_family == AF_INET6 ? ntohs(at.v6.sin6_port)
                                          : 0;
}

bool sock_peer_is_loopback(int fd)
{
    union address at = peer_address(fd);
    switch (at.any.sa_family) {
    case AF_UNIX: return true;
    case AF_INET: return ntohl(at.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    case AF_INET6: return IN6_IS_ADDR_LOOPBACK(&at.v6.sin6_addr);
    default: return false;
    }
}
