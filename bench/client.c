#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(1);
}

int connect_to(int port, const char *unix_path)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_un un;
    } address = {0};
    socklen_t bytes;
    if (unix_path) {
        address.un.sun_family = AF_UNIX;
        snprintf(address.un.sun_path, sizeof address.un.sun_path, "%s", unix_path);
        bytes = sizeof address.un;
    } else {
        address.in.sin_family = AF_INET;
        address.in.sin_port = htons((uint16_t)port);
        address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        bytes = sizeof address.in;
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || connect(fd, &address.any, bytes) != 0) {
        fail("cannot connect: %s", strerror(errno));
    }
    if (!unix_path) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    return fd;
}

void send_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0) {
            fail("cannot send: %s", strerror(errno));
        }
        bytes += sent;
        count -= (size_t)sent;
    }
}

size_t receive_some(int fd, char *bytes, size_t count_max)
{
    ssize_t count = recv(fd, bytes, count_max, 0);
    if (count <= 0) {
        fail("the server closed a connection");
    }
    return (size_t)count;
}
