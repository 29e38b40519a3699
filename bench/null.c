/* null: the server that bounds what any server can reach. One thread, epoll, one read and one write for each readable connection; it counts the '*'
 * bytes that came (one a command: the load's keys and values have none) and answers each with the same fixed reply, without looking.
 *
 *   null PORT REPLY-BYTES        39 bytes look like a GET's reply of a 32-byte value, 5 like SET's +OK */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { COMMANDS_MAX = 16 * 1024 };

/* In pieces of at most 255, so that the compiler can keep the counts in bytes and use vectors. */
static size_t count_commands(const char *bytes, size_t length)
{
    size_t count = 0;
    while (length > 0) {
        size_t piece = length < 255 ? length : 255;
        uint8_t part = 0;
        for (size_t i = 0; i < piece; i++) {
            part += bytes[i] == '*';
        }
        count += part;
        bytes += piece;
        length -= piece;
    }
    return count;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: null PORT REPLY-BYTES\n", stderr);
        return 2;
    }
    size_t reply_bytes = (size_t)atoi(argv[2]);
    char *replies = malloc(reply_bytes * COMMANDS_MAX);
    char one[64] = "+OK\r\n";
    if (reply_bytes == 39) {
        snprintf(one, sizeof one, "$32\r\n%s\r\n", "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv");
    } else if (reply_bytes != 5) {
        fputs("null: REPLY-BYTES is 39 or 5\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < COMMANDS_MAX; i++) {
        memcpy(replies + i * reply_bytes, one, reply_bytes);
    }
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 512) != 0) {
        perror("null");
        return 1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    static char bytes[64 * 1024];
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event = (struct epoll_event){.events = EPOLLIN, .data.fd = client};
                epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event);
                continue;
            }
            ssize_t got = recv(fd, bytes, sizeof bytes, 0);
            if (got <= 0) {
                close(fd);
                continue;
            }
            size_t commands = count_commands(bytes, (size_t)got);
            if (commands > 0 && send(fd, replies, commands * reply_bytes, MSG_NOSIGNAL) < 0) {
                close(fd);
            }
        }
    }
}
