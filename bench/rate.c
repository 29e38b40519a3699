/* rate: an open-loop load generator. Requests leave when they are due, whether or not earlier ones have been answered, and their latency counts from then: a
 * server that stalls is charged for everything that was due meanwhile, which a closed loop would not even have sent (coordinated omission).
 *
 *   rate --port N --op mixed|set|new|churn --rate R --seconds S [--connections 50] [--batch 1] [--keys 1000] [--first 0] [--value-bytes 32] [--ttl S]
 *
 *   mixed   GET and SET in turn, of keys drawn uniformly
 *   set     SET, of keys drawn uniformly
 *   new     SET of one key after the other, from --first on, until --keys have been set; then it ends
 *   churn   SET of one key after the other, and DEL of the key that was set --keys before
 *
 * R requests a second (for churn: pairs) leave in batches of B, each over the next of the connections, which may have many under way. One thread, one epoll,
 * whose sleep ends to the microsecond. Replies are told apart by their first bytes and otherwise only counted; an error ends the program with 1 and a message.
 *
 * Prints one line of JSON: requests, nils, p50, p99, p99.9 and longest latency in us, and the p99.9 of how late batches left: that is ours,
 * and part of the latencies. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "client.h"
#include "measure.h"

enum {
    REQUEST_BYTES_MAX = 4096,
    BATCH_MAX = 64,
    UNDER_WAY_MAX = 1 << 16, /* requests of one connection */
    UNSENT_BYTES_MAX = 4 << 20,
    WAIT_NS = 1000000,
    PATIENCE_S = 60, /* after the load, for a server that is behind */
};

enum op { MIXED, SET, NEW, CHURN };

static struct {
    enum op op;
    int port, connections, batch, value_bytes;
    long rate, keys, first, ttl_s;
    double seconds;
} options = {.connections = 50, .batch = 1, .keys = 1000, .value_bytes = 32};

struct connection {
    int fd;
    char *unsent;
    size_t unsent_bytes;
    int64_t *due_ns;          /* of the requests under way: a ring */
    uint64_t asked, answered; /* count up; what lies between is under way */
    size_t skip_bytes;        /* of a reply whose beginning was seen */
    bool after_dollar;        /* its first byte was $ and no more has come */
};

static struct connection *connections;
static struct histogram latencies, lateness;
static uint64_t random_state = 88172645463325252u, nils;
static long step; /* requests that have been made; of NEW and CHURN also the next key */
static char value[REQUEST_BYTES_MAX];

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static int write_set(char *to, long key)
{
    int bytes = sprintf(to, "*%d\r\n$3\r\nSET\r\n$16\r\nkey:%012ld\r\n$%d\r\n%.*s\r\n", options.ttl_s ? 5 : 3, key,
                        options.value_bytes, options.value_bytes, value);
    if (options.ttl_s) {
        char seconds[24];
        int digits = sprintf(seconds, "%ld", options.ttl_s);
        bytes += sprintf(to + bytes, "$2\r\nEX\r\n$%d\r\n%s\r\n", digits, seconds);
    }
    return bytes;
}

static int write_one(char *to, const char *verb, long key)
{
    return sprintf(to, "*2\r\n$3\r\n%s\r\n$16\r\nkey:%012ld\r\n", verb, key);
}

/* The next step's request, or two; returns its length. */
static int write_step(char *to, int *ret_requests)
{
    long number = step++;
    long drawn = options.first + (long)(random_next(&random_state) % (uint64_t)options.keys);
    *ret_requests = 1;
    switch (options.op) {
    case MIXED: return number % 2 == 0 ? write_one(to, "GET", drawn) : write_set(to, drawn);
    case SET: return write_set(to, drawn);
    case NEW: return write_set(to, options.first + number);
    case CHURN: break;
    }
    int bytes = write_set(to, options.first + number);
    if (number >= options.keys) {
        *ret_requests = 2;
        bytes += write_one(to + bytes, "DEL", options.first + number - options.keys);
    }
    return bytes;
}

static bool is_over(void)
{
    return options.op == NEW && step >= options.keys;
}

/* ---- connections --------------------------------------------------------------------------------------------------- */

static void send_unsent(struct connection *c)
{
    while (c->unsent_bytes > 0) {
        ssize_t bytes = send(c->fd, c->unsent, c->unsent_bytes, MSG_NOSIGNAL);
        if (bytes < 0 && errno == EAGAIN) {
            return;
        }
        if (bytes < 0) {
            fail("cannot send: %s", strerror(errno));
        }
        c->unsent_bytes -= (size_t)bytes;
        memmove(c->unsent, c->unsent + bytes, c->unsent_bytes);
    }
}

/* Whether a batch has room. One that has none is sent when there is: late, which its latency shows. */
static bool has_room(const struct connection *c)
{
    return c->unsent_bytes + (size_t)options.batch * 2 * REQUEST_BYTES_MAX <= UNSENT_BYTES_MAX &&
           c->asked - c->answered + (uint64_t)options.batch * 2 <= UNDER_WAY_MAX;
}

static void send_batch(struct connection *c, int64_t due_ns)
{
    for (int i = 0; i < options.batch && !is_over(); i++) {
        int requests;
        c->unsent_bytes += (size_t)write_step(c->unsent + c->unsent_bytes, &requests);
        for (int k = 0; k < requests; k++) {
            c->due_ns[c->asked++ % UNDER_WAY_MAX] = due_ns;
        }
    }
    send_unsent(c);
}

static void note_reply(struct connection *c, int64_t now)
{
    if (c->answered == c->asked) {
        fail("more replies than requests");
    }
    histogram_add(&latencies, (uint64_t)(now - c->due_ns[c->answered++ % UNDER_WAY_MAX]) / 1000);
}

/* How many bytes follow the first of a reply, or 0 when the second must be seen first. */
static size_t rest_of_reply(const char *at, size_t left)
{
    switch (*at) {
    case '+': return sizeof "OK\r\n" - 1;
    case ':': return sizeof "1\r\n" - 1;
    case '$': return 0;
    default: fail("unexpected reply: %.*s", (int)(left < 100 ? left : 100), at);
    }
}

static void take_replies(struct connection *c, const char *at, size_t left, int64_t now)
{
    static size_t rest_of_value;
    if (!rest_of_value) {
        rest_of_value = (size_t)snprintf(NULL, 0, "%d\r\n%.*s\r\n", options.value_bytes, options.value_bytes, value);
    }
    while (left > 0) {
        if (c->skip_bytes > 0) {
            size_t bytes = left < c->skip_bytes ? left : c->skip_bytes;
            at += bytes;
            left -= bytes;
            c->skip_bytes -= bytes;
            if (c->skip_bytes == 0) {
                note_reply(c, now);
            }
        } else if (c->after_dollar) {
            nils += *at == '-';
            c->skip_bytes = *at == '-' ? sizeof "-1\r\n" - 1 : rest_of_value;
            c->after_dollar = false;
        } else {
            c->skip_bytes = rest_of_reply(at, left);
            c->after_dollar = c->skip_bytes == 0;
            at++;
            left--;
        }
    }
}

static void receive(struct connection *c)
{
    static char bytes[256 * 1024];
    ssize_t count;
    while ((count = recv(c->fd, bytes, sizeof bytes, 0)) > 0) {
        take_replies(c, bytes, (size_t)count, now_ns());
    }
    if (count == 0 || errno != EAGAIN) {
        fail("the server closed a connection");
    }
}

/* ---- the loop ------------------------------------------------------------------------------------------------------ */

static int open_all(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc((size_t)options.connections, sizeof *connections);
    for (int i = 0; i < options.connections; i++) {
        struct connection *c = &connections[i];
        c->fd = connect_to(options.port, NULL);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        c->unsent = malloc(UNSENT_BYTES_MAX);
        c->due_ns = malloc(UNDER_WAY_MAX * sizeof *c->due_ns);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    }
    prctl(PR_SET_TIMERSLACK, 1);
    return epoll;
}

static bool all_answered(void)
{
    for (int i = 0; i < options.connections; i++) {
        if (connections[i].answered < connections[i].asked) {
            return false;
        }
    }
    return true;
}

static void wait_until(int epoll, int64_t until_ns)
{
    struct epoll_event events[256];
    int64_t left_ns = until_ns - now_ns();
    left_ns = left_ns > 0 ? left_ns : 0;
    struct timespec left = {.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
    int count = epoll_pwait2(epoll, events, 256, &left, NULL);
    for (int i = 0; i < count; i++) {
        send_unsent(events[i].data.ptr);
        receive(events[i].data.ptr);
    }
}

static void run(void)
{
    int epoll = open_all();
    int64_t began = now_ns(), end = began + (int64_t)(options.seconds * 1e9);
    long batches = 0;
    for (;;) {
        int64_t due = began + (int64_t)((double)batches * options.batch * 1e9 / (double)options.rate);
        if (due >= end || is_over()) {
            break;
        }
        int64_t now = now_ns();
        struct connection *c = &connections[batches % options.connections];
        if (now < due || !has_room(c)) {
            wait_until(epoll, now < due ? due : now + WAIT_NS);
            continue;
        }
        histogram_add(&lateness, (uint64_t)(now - due) / 1000);
        send_batch(c, due);
        batches++;
        if (batches % 32 == 0) {
            wait_until(epoll, now); /* also who is late reads */
        }
    }
    for (int64_t until = now_ns() + PATIENCE_S * 1000000000ll; !all_answered();) {
        if (now_ns() > until) {
            fail("the server has not answered all within %d s", PATIENCE_S);
        }
        wait_until(epoll, until);
    }
    printf(
        "{\"requests\": %llu, \"nils\": %llu, \"seconds\": %.3f, \"p50_us\": %llu, \"p99_us\": %llu, \"p999_us\": %llu, \"max_us\": %llu, "
        "\"late_p999_us\": %llu}\n",
        (unsigned long long)histogram_count(&latencies), (unsigned long long)nils, (double)(now_ns() - began) / 1e9,
        (unsigned long long)histogram_percentile(&latencies, .5),
        (unsigned long long)histogram_percentile(&latencies, .99),
        (unsigned long long)histogram_percentile(&latencies, .999), (unsigned long long)latencies.longest_us,
        (unsigned long long)histogram_percentile(&lateness, .999));
}

static enum op op_of(const char *name)
{
    static const char *const names[] = {[MIXED] = "mixed", [SET] = "set", [NEW] = "new", [CHURN] = "churn"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            return (enum op)i;
        }
    }
    fail("no such operation: %s", name);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, 0, 'p'},
        {"op", required_argument, 0, 'o'},
        {"rate", required_argument, 0, 'r'},
        {"seconds", required_argument, 0, 's'},
        {"connections", required_argument, 0, 'c'},
        {"batch", required_argument, 0, 'b'},
        {"keys", required_argument, 0, 'k'},
        {"first", required_argument, 0, 'i'},
        {"value-bytes", required_argument, 0, 'v'},
        {"ttl", required_argument, 0, 't'},
        {0},
    };
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'o': options.op = op_of(optarg); break;
        case 'r': options.rate = atol(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'c': options.connections = atoi(optarg); break;
        case 'b': options.batch = atoi(optarg); break;
        case 'k': options.keys = atol(optarg); break;
        case 'i': options.first = atol(optarg); break;
        case 'v': options.value_bytes = atoi(optarg); break;
        case 't': options.ttl_s = atol(optarg); break;
        default: return 2;
        }
    }
    if (!options.port || options.rate < 1 || options.seconds <= 0 || options.connections < 1 || options.batch < 1 ||
        options.batch > BATCH_MAX || options.keys < 1 || options.value_bytes < 1 ||
        options.value_bytes > REQUEST_BYTES_MAX / 2) {
        fail(
            "usage: rate --port N --op mixed|set|new|churn --rate R --seconds S [--connections C] [--batch B] [--keys K] ...");
    }
    memset(value, 'v', (size_t)options.value_bytes);
    run();
    return 0;
}
