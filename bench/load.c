/* load: a closed-loop load generator that costs little, so that the server saturates first.
 *
 * One thread, one epoll, C connections. Each connection sends a batch of P requests, waits until as many bytes have come back as P replies have, and
 * sends the next. It parses nothing: all replies of one operation have the same length, which one request checked byte by byte at start. The requests of
 * a connection are made once; between batches only the digits of the keys are overwritten.
 *
 *   load --port N [--port N ...] [--unix PATH] --op get|set|del [--protocol resp|memcache|meta] [--connections 50] [--pipeline 1] [--keys 1000]
 *        [--first 0] [--value-bytes 32] [--ttl SECONDS] [--expire-at UNIX-SECONDS] [--seconds 2] [--wait] [--fill] [--percent 100]
 *
 * With several ports the connections are dealt to them in turn. --wait prints a line when all are connected, and begins when its input ends.
 *
 * --fill sets every key once, in order, and ends. del walks so, too (RESP only); with --percent it takes a random part of the keys, the same each time. Otherwise keys are drawn uniformly. Prints one line of JSON: operations, seconds, operations a second, and
 * the latency of a batch in us (p50, p99, p99.9, longest). Exits 1 with a message when the server answers anything unexpected. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "measure.h"

enum { KEY_BYTES = 16, DIGITS = 12, REQUEST_BYTES_MAX = 70000, PORTS_MAX = 64 };

enum protocol { RESP, MEMCACHE, META };
enum op { GET, SET, DEL };

static struct {
    int ports[PORTS_MAX], port_count;
    const char *unix_path;
    enum op op;
    bool walk; /* every key once, in order */
    bool wait; /* for the others */
    enum protocol protocol;
    int connections, pipeline;
    long first, keys, value_bytes, ttl_s, expire_at_s;
    unsigned percent;
    double seconds;
} options = {.connections = 50, .pipeline = 1, .keys = 1000, .value_bytes = 32, .seconds = 2, .percent = 100};

struct connection {
    int fd;
    char *batch;    /* P requests, one behind the other */
    size_t sent;    /* bytes of the batch that have left */
    size_t awaited; /* bytes of replies that have still to come */
    int requests;   /* in this batch: P, fewer in the last of a walk */
    int64_t began_ns;
};

static char request[REQUEST_BYTES_MAX];
static size_t request_bytes, key_offset, reply_bytes;
static char reply[REQUEST_BYTES_MAX];
static struct histogram latencies;
static uint64_t random_state = 88172645463325252u;
static long next_key;

static void write_key(char *digits, long number)
{
    for (int i = DIGITS - 1; i >= 0; i--) {
        digits[i] = (char)('0' + number % 10);
        number /= 10;
    }
}

/* ---- requests and their replies ------------------------------------------------------------------------------------ */

static void make_templates(void)
{
    static char value[REQUEST_BYTES_MAX / 2];
    memset(value, 'v', (size_t)options.value_bytes);
    char key[KEY_BYTES + 1] = "key:";
    write_key(key + KEY_BYTES - DIGITS, options.first);
    int n = (int)options.value_bytes, length = 0, expected = 0;
    char ttl[64] = "";
    bool set = options.op == SET;
    switch (options.protocol) {
    case RESP:
        if (options.ttl_s || options.expire_at_s) {
            char seconds[24];
            int digits = snprintf(seconds, sizeof seconds, "%ld", options.ttl_s ? options.ttl_s : options.expire_at_s);
            snprintf(ttl, sizeof ttl, "%s\r\n$%d\r\n%s\r\n", options.ttl_s ? "$2\r\nEX" : "$4\r\nEXAT", digits,
                     seconds);
        }
        length = set ? snprintf(request, sizeof request, "*%d\r\n$3\r\nSET\r\n$16\r\n%s\r\n$%d\r\n%.*s\r\n%s",
                                ttl[0] ? 5 : 3, key, n, n, value, ttl)
                     : snprintf(request, sizeof request, "*2\r\n$3\r\n%s\r\n$16\r\n%s\r\n",
                                options.op == DEL ? "DEL" : "GET", key);
        expected = set                 ? snprintf(reply, sizeof reply, "+OK\r\n")
                   : options.op == DEL ? snprintf(reply, sizeof reply, ":1\r\n")
                                       : snprintf(reply, sizeof reply, "$%d\r\n%.*s\r\n", n, n, value);
        break;
    case MEMCACHE:
        length = set ? snprintf(request, sizeof request, "set %s 0 %ld %d\r\n%.*s\r\n", key, options.ttl_s, n, n, value)
                     : snprintf(request, sizeof request, "get %s\r\n", key);
        expected = set ? snprintf(reply, sizeof reply, "STORED\r\n")
                       : snprintf(reply, sizeof reply, "VALUE %s 0 %d\r\n%.*s\r\nEND\r\n", key, n, n, value);
        break;
    case META:
        length = set ? snprintf(request, sizeof request, "ms %s %d T%ld\r\n%.*s\r\n", key, n, options.ttl_s, n, value)
                     : snprintf(request, sizeof request, "mg %s v\r\n", key);
        expected = set ? snprintf(reply, sizeof reply, "HD\r\n")
                       : snprintf(reply, sizeof reply, "VA %d\r\n%.*s\r\n", n, n, value);
        break;
    }
    request_bytes = (size_t)length;
    reply_bytes = (size_t)expected;
    key_offset = (size_t)(strstr(request, "key:") - request) + 4;
}

/* ---- connections --------------------------------------------------------------------------------------------------- */

/* Whether a walk meets this key: by a hash of it (the finalizer of MurmurHash3), so that those which are left lie at random. */
static bool is_chosen(long number)
{
    uint64_t x = (uint64_t)number + 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
    return (x ^ x >> 33) % 100 < options.percent;
}

/* The next key of a walk; -1 at its end. */
static long walk(void)
{
    while (next_key < options.keys && !is_chosen(options.first + next_key)) {
        next_key++;
    }
    return next_key < options.keys ? options.first + next_key++ : -1;
}

/* One request on a connection of its own, its reply compared byte by byte (the first key). */
static void check_reply(void)
{
    int fd = connect_to(options.ports[0], options.unix_path);
    static char got[REQUEST_BYTES_MAX];
    size_t have = 0;
    send_all(fd, request, request_bytes);
    while (have < reply_bytes) {
        have += receive_some(fd, got + have, sizeof got - have);
        if (memcmp(got, reply, have < reply_bytes ? have : reply_bytes) != 0) {
            break;
        }
    }
    if (have != reply_bytes || memcmp(got, reply, have) != 0) {
        fail("unexpected reply: %.*s", (int)(have < 200 ? have : 200), got);
    }
    close(fd);
}

static void send_more(struct connection *c)
{
    size_t whole = request_bytes * (size_t)c->requests;
    while (c->sent < whole) {
        ssize_t bytes = send(c->fd, c->batch + c->sent, whole - c->sent, MSG_NOSIGNAL);
        if (bytes < 0) {
            if (errno == EAGAIN) {
                return;
            }
            fail("send: %s", strerror(errno));
        }
        c->sent += (size_t)bytes;
    }
}

/* Writes new keys into the batch and sends it; false when a walk is complete. */
static bool start_batch(struct connection *c, int64_t now)
{
    c->requests = 0;
    for (char *at = c->batch + key_offset; c->requests < options.pipeline; at += request_bytes, c->requests++) {
        long key = options.walk ? walk() : options.first + (long)(random_next(&random_state) % (uint64_t)options.keys);
        if (key < 0) {
            break;
        }
        write_key(at, key);
    }
    c->sent = 0;
    c->awaited = reply_bytes * (size_t)c->requests;
    c->began_ns = now;
    send_more(c);
    return c->requests > 0;
}

/* ---- the loop ------------------------------------------------------------------------------------------------------ */

static void wait_for_others(void)
{
    puts("connected");
    fflush(stdout);
    for (char c; read(STDIN_FILENO, &c, 1) > 0;) {
    }
}

static void run(void)
{
    static char sink[256 * 1024];
    int epoll = epoll_create1(EPOLL_CLOEXEC), active = 0;
    struct connection *all = calloc((size_t)options.connections, sizeof *all);
    for (int i = 0; i < options.connections; i++) {
        struct connection *c = &all[i];
        c->fd = connect_to(options.unix_path ? 0 : options.ports[i % options.port_count], options.unix_path);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        c->batch = malloc(request_bytes * (size_t)options.pipeline);
        for (int k = 0; k < options.pipeline; k++) {
            memcpy(c->batch + request_bytes * (size_t)k, request, request_bytes);
        }
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    }
    if (options.wait) {
        wait_for_others();
    }
    int64_t began = now_ns(), now = began, end = began + (int64_t)(options.seconds * 1e9);
    uint64_t done = 0;
    for (int i = 0; i < options.connections; i++) {
        active += start_batch(&all[i], now);
    }
    while (active > 0) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll, events, 256, 5000);
        if (count == 0) {
            fail("the server has not answered for 5 s");
        }
        now = now_ns();
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            send_more(c);
            for (;;) {
                ssize_t bytes = recv(c->fd, sink, sizeof sink, 0);
                if (bytes < 0 && errno == EAGAIN) {
                    break;
                }
                if (bytes <= 0) {
                    fail("the server closed a connection");
                }
                if ((size_t)bytes > c->awaited) {
                    fail("more bytes than replies have: %.60s", sink);
                }
                c->awaited -= (size_t)bytes;
                if (c->awaited == 0 && c->requests > 0) {
                    done += (uint64_t)c->requests;
                    histogram_add(&latencies, (uint64_t)(now - c->began_ns) / 1000);
                    bool more = (options.walk || now < end) && start_batch(c, now);
                    active -= !more;
                    break; /* what it answers comes with the next edge */
                }
            }
        }
    }
    double seconds = (double)(now_ns() - began) / 1e9;
    printf(
        "{\"operations\": %llu, \"seconds\": %.3f, \"per_second\": %.0f, \"p50_us\": %llu, \"p99_us\": %llu, \"p999_us\": %llu, \"max_us\": %llu}\n",
        (unsigned long long)done, seconds, (double)done / seconds,
        (unsigned long long)histogram_percentile(&latencies, .5),
        (unsigned long long)histogram_percentile(&latencies, .99),
        (unsigned long long)histogram_percentile(&latencies, .999), (unsigned long long)latencies.longest_us);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, 0, 'p'},
        {"unix", required_argument, 0, 'u'},
        {"op", required_argument, 0, 'o'},
        {"protocol", required_argument, 0, 'r'},
        {"connections", required_argument, 0, 'c'},
        {"pipeline", required_argument, 0, 'P'},
        {"keys", required_argument, 0, 'k'},
        {"value-bytes", required_argument, 0, 'v'},
        {"ttl", required_argument, 0, 't'},
        {"seconds", required_argument, 0, 's'},
        {"wait", no_argument, 0, 'w'},
        {"fill", no_argument, 0, 'f'},
        {"first", required_argument, 0, 'i'},
        {"expire-at", required_argument, 0, 'x'},
        {"percent", required_argument, 0, 'n'},
        {0},
    };
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'p':
            if (options.port_count == PORTS_MAX) {
                fail("more than %d ports", PORTS_MAX);
            }
            options.ports[options.port_count++] = atoi(optarg);
            break;
        case 'u': options.unix_path = optarg; break;
        case 'o':
            options.op = strcmp(optarg, "set") == 0 ? SET : strcmp(optarg, "del") == 0 ? DEL : GET;
            options.walk |= options.op == DEL;
            break;
        case 'r':
            options.protocol = strcmp(optarg, "meta") == 0 ? META : strcmp(optarg, "memcache") == 0 ? MEMCACHE : RESP;
            break;
        case 'c': options.connections = atoi(optarg); break;
        case 'P': options.pipeline = atoi(optarg); break;
        case 'k': options.keys = atol(optarg); break;
        case 'v': options.value_bytes = atol(optarg); break;
        case 't': options.ttl_s = atol(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'w': options.wait = true; break;
        case 'f':
            options.walk = true;
            options.op = SET;
            break;
        case 'i': options.first = atol(optarg); break;
        case 'x': options.expire_at_s = atol(optarg); break;
        case 'n': options.percent = (unsigned)atoi(optarg); break;
        default: return 2;
        }
    }
    if ((options.port_count == 0 && !options.unix_path) || options.keys < 1 || options.connections < 1 || options.pipeline < 1 ||
        options.value_bytes < 1 || options.value_bytes > REQUEST_BYTES_MAX / 2) {
        fail(
            "usage: load --port N --op get|set [--protocol resp|memcache|meta] [--connections C] [--pipeline P] [--keys K] ...");
    }
    make_templates();
    if (options.op != DEL) {
        check_reply();
    }
    run();
    return 0;
}
