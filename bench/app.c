/* app: an application that reads rows of a table by key, in one of three ways.
 *
 *   app --way pg|aside|rule --postgres URL --port N [--clients 32] [--keys 20000] [--theta 0.99] [--seconds 10] [--empty-at 4]
 *   app ... --fill          reads every key once and ends: afterwards the cache is full
 *
 *   pg     every read is a query: PostgreSQL alone
 *   aside  GET; when there is nothing, the query, and SET key value EX 300: what applications do around a cache, without protection against stampedes
 *   rule   GET and no more: the server on the port reads from PostgreSQL itself
 *
 * Each client is a thread with connections of its own that are there before the clock starts; it sends a request, waits for the answer, checks it, sends the
 * next (closed loop). Keys are drawn by Zipf's law, the key of rank i with weight 1 / i^theta, exactly: a table of the cumulative weights and a binary search
 * for a uniform number (inversion: Devroye, Non-Uniform Random Variate Generation, 1986, III.2). Theta 0.99 and ranks spread over the table are YCSB's
 * (Cooper et al., 2010). At --empty-at the main thread sends FLUSHALL, over a connection that has no other use.
 *
 * Prints one line of JSON: when the clock started (Unix time), when FLUSHALL was sent and answered (seconds of the clock), latencies over the
 * seconds before it but the first, and for each second the reads that ended in it, the queries that this program sent, and latencies of reads in us; also of those alone
 * whose key somebody had read since the emptying, when they began. Each answer is compared byte
 * by byte with what the row must hold; a wrong one, or any error, ends the program with 1 and a message.
 *
 * Threads: options, weights and the clock are written before the clients start; a client writes only its own struct, which main reads after joining,
 * and `back`. */
#include <getopt.h>
#include <libpq-fe.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "measure.h"

enum {
    VALUE_BYTES = 256,
    REPLY_BYTES_MAX = 4096,
    CLIENTS_MAX = 1000,
    SECONDS_MAX = 600,
    RANK_STEP = 7919, /* a prime: neighbours in rank are no neighbours in the table */
    TTL_S = 300,
};

enum way { PG, ASIDE, RULE };

static struct {
    enum way way;
    const char *postgres;
    int port, clients, keys, seconds, empty_at;
    double theta;
    bool fill;
} options = {.clients = 32, .keys = 20000, .seconds = 10, .empty_at = 4, .theta = 0.99};

struct second {
    uint64_t queries;
    struct histogram latencies;
    struct histogram returned; /* of reads of keys that were back when they began */
};

struct client {
    pthread_t thread;
    int number;
    uint64_t random;
    int fd;       /* to the cache; -1 without one */
    PGconn *base; /* NULL where the application has none */
    struct second *seconds;
};

static double *weights; /* weights[i]: of the ranks 0..i, together, of 1 */
static int64_t clock_began_ns;
static bool emptied; /* atomic: FLUSHALL was answered */
static bool *back;   /* atomic, by key: a read that began after that was answered */

/* ---- keys ---------------------------------------------------------------------------------------------------------- */

static void make_weights(void)
{
    double sum = 0;
    weights = malloc((size_t)options.keys * sizeof *weights);
    for (int i = 0; i < options.keys; i++) {
        sum += pow(i + 1, -options.theta);
        weights[i] = sum;
    }
    for (int i = 0; i < options.keys; i++) {
        weights[i] /= sum;
    }
}

static int key_of(int rank)
{
    return (int)((int64_t)rank * RANK_STEP % options.keys) + 1;
}

static int draw_key(uint64_t *random)
{
    double uniform = (double)(random_next(random) >> 11) / 9007199254740992.0; /* 2^53: below 1 */
    int low = 0, high = options.keys - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (weights[middle] > uniform) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return key_of(low);
}

/* What the row must hold; readthrough.py makes the table so. */
static void check_value(int key, const char *value, size_t bytes)
{
    char expected[VALUE_BYTES + 1];
    memset(expected, 'a' + key % 26, VALUE_BYTES);
    int head = snprintf(expected, sizeof expected, "item:%012d:", key);
    expected[head] = (char)('a' + key % 26);
    if (bytes != VALUE_BYTES || memcmp(value, expected, VALUE_BYTES) != 0) {
        fail("key %d has a wrong value of %zu bytes: %.*s", key, bytes, (int)(bytes < 60 ? bytes : 60), value);
    }
}

/* ---- the cache ----------------------------------------------------------------------------------------------------- */

/* Receives one reply, a simple or a bulk string, into `reply`. Returns where its text begins, NULL for nil. */
static const char *cache_receive(int fd, char reply[REPLY_BYTES_MAX], size_t *ret_bytes)
{
    size_t have = 0;
    for (;;) {
        have += receive_some(fd, reply + have, REPLY_BYTES_MAX - have);
        char *end = memmem(reply, have, "\r\n", 2);
        if (!end) {
            continue;
        }
        char *text = end + 2;
        if (reply[0] == '+') {
            *ret_bytes = (size_t)(end - reply - 1);
            return reply + 1;
        }
        long bytes = strtol(reply + 1, NULL, 10);
        if (reply[0] != '$' || bytes > REPLY_BYTES_MAX - 32) {
            fail("the cache answers %.*s", (int)(end - reply), reply);
        }
        if (bytes < 0) {
            return NULL;
        }
        if (have == (size_t)(text - reply) + (size_t)bytes + 2) {
            *ret_bytes = (size_t)bytes;
            return text;
        }
    }
}

static void expect_ok(int fd)
{
    char reply[REPLY_BYTES_MAX];
    size_t bytes;
    const char *text = cache_receive(fd, reply, &bytes);
    if (!text || bytes != 2 || memcmp(text, "OK", 2) != 0) {
        fail("the cache does not answer OK");
    }
}

/* ---- the database -------------------------------------------------------------------------------------------------- */

static PGconn *base_open(void)
{
    PGconn *base = PQconnectdb(options.postgres);
    if (PQstatus(base) != CONNECTION_OK) {
        fail("cannot connect to PostgreSQL: %s", PQerrorMessage(base));
    }
    PGresult *result = PQprepare(base, "item", "SELECT value FROM item WHERE id = $1", 1, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        fail("cannot prepare: %s", PQerrorMessage(base));
    }
    PQclear(result);
    return base;
}

/* The caller clears the result, which has the row. */
static PGresult *base_query(PGconn *base, int key)
{
    char text[16];
    const char *parameters[] = {text};
    snprintf(text, sizeof text, "%d", key);
    PGresult *result = PQexecPrepared(base, "item", 1, parameters, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail("the query for key %d: %s", key, PQerrorMessage(base));
    }
    if (PQntuples(result) != 1) {
        fail("the query for key %d has %d rows", key, PQntuples(result));
    }
    check_value(key, PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0));
    return result;
}

/* ---- a read -------------------------------------------------------------------------------------------------------- */

static void fill_aside(struct client *c, int key)
{
    char request[VALUE_BYTES + 128];
    PGresult *result = base_query(c->base, key);
    char name[32];
    int name_bytes = snprintf(name, sizeof name, "item:%d", key);
    int bytes =
        snprintf(request, sizeof request, "*5\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n$2\r\nEX\r\n$3\r\n%d\r\n",
                 name_bytes, name, VALUE_BYTES, PQgetvalue(result, 0, 0), TTL_S);
    PQclear(result);
    send_all(c->fd, request, (size_t)bytes);
    expect_ok(c->fd);
}

/* Returns how many queries it sent. */
static uint64_t read_key(struct client *c, int key)
{
    if (options.way == PG) {
        PQclear(base_query(c->base, key));
        return 1;
    }
    char name[32], request[64], reply[REPLY_BYTES_MAX];
    int name_bytes = snprintf(name, sizeof name, "item:%d", key);
    int request_bytes = snprintf(request, sizeof request, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", name_bytes, name);
    send_all(c->fd, request, (size_t)request_bytes);
    size_t bytes;
    const char *value = cache_receive(c->fd, reply, &bytes);
    if (value) {
        check_value(key, value, bytes);
        return 0;
    }
    if (options.way == RULE) {
        fail("key %d has a row, and the cache says that there is none", key);
    }
    fill_aside(c, key);
    return 1;
}

/* ---- clients ------------------------------------------------------------------------------------------------------- */

static void *fill(void *argument)
{
    struct client *c = argument;
    for (int key = c->number + 1; key <= options.keys; key += options.clients) {
        read_key(c, key);
    }
    return NULL;
}

static void *work(void *argument)
{
    struct client *c = argument;
    for (int64_t began = now_ns();;) {
        int key = draw_key(&c->random);
        bool after = __atomic_load_n(&emptied, __ATOMIC_ACQUIRE);
        bool returned = !after || __atomic_load_n(&back[key], __ATOMIC_RELAXED);
        uint64_t queries = read_key(c, key);
        if (!returned) {
            __atomic_store_n(&back[key], true, __ATOMIC_RELAXED);
        }
        int64_t ended = now_ns(), second = (ended - clock_began_ns) / 1000000000;
        if (second >= options.seconds) {
            return NULL;
        }
        c->seconds[second].queries += queries;
        histogram_add(&c->seconds[second].latencies, (uint64_t)(ended - began) / 1000);
        if (returned) {
            histogram_add(&c->seconds[second].returned, (uint64_t)(ended - began) / 1000);
        }
        began = ended;
    }
}

static double clock_s(void)
{
    return (double)(now_ns() - clock_began_ns) / 1e9;
}

static void empty_cache(double *ret_sent, double *ret_answered)
{
    int fd = connect_to(options.port, NULL);
    int64_t at_ns = clock_began_ns + options.empty_at * 1000000000ll;
    struct timespec at = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    *ret_sent = clock_s();
    send_all(fd, "*1\r\n$8\r\nFLUSHALL\r\n", 18);
    expect_ok(fd);
    *ret_answered = clock_s();
    __atomic_store_n(&emptied, true, __ATOMIC_RELEASE);
    close(fd);
}

static void print_latencies(const struct histogram *h)
{
    printf("\"requests\": %llu, \"p50_us\": %llu, \"p99_us\": %llu, \"max_us\": %llu",
           (unsigned long long)histogram_count(h), (unsigned long long)histogram_percentile(h, .5),
           (unsigned long long)histogram_percentile(h, .99), (unsigned long long)h->longest_us);
}

static void run(void)
{
    struct client *clients = calloc((size_t)options.clients, sizeof *clients);
    back = calloc((size_t)options.keys + 1, sizeof *back);
    for (int i = 0; i < options.clients; i++) {
        struct client *c = &clients[i];
        c->number = i;
        c->random = (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u;
        c->fd = options.way == PG ? -1 : connect_to(options.port, NULL);
        c->base = options.way == RULE ? NULL : base_open();
        c->seconds = calloc((size_t)options.seconds, sizeof *c->seconds);
    }
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_began_ns = now_ns();
    for (int i = 0; i < options.clients; i++) {
        if (pthread_create(&clients[i].thread, NULL, options.fill ? fill : work, &clients[i]) != 0) {
            fail("cannot start a thread");
        }
    }
    double sent = 0, answered = 0;
    if (options.way != PG && !options.fill) {
        empty_cache(&sent, &answered);
    }
    for (int i = 0; i < options.clients; i++) {
        pthread_join(clients[i].thread, NULL);
    }
    if (options.fill) {
        return;
    }
    struct histogram before = {0};
    struct second *all = calloc((size_t)options.seconds, sizeof *all);
    for (int s = 0; s < options.seconds; s++) {
        for (int i = 0; i < options.clients; i++) {
            all[s].queries += clients[i].seconds[s].queries;
            histogram_merge(&all[s].latencies, &clients[i].seconds[s].latencies);
            histogram_merge(&all[s].returned, &clients[i].seconds[s].returned);
        }
        if (s >= 1 && s < options.empty_at) {
            histogram_merge(&before, &all[s].latencies);
        }
    }
    printf(
        "{\"began\": %lld.%03ld, \"empty_at\": %d, \"emptying_sent\": %.6f, \"emptying_answered\": %.6f, \"before\": {",
        (long long)wall.tv_sec, wall.tv_nsec / 1000000, options.empty_at, sent, answered);
    print_latencies(&before);
    printf("}, \"seconds\": [");
    for (int s = 0; s < options.seconds; s++) {
        printf("%s{\"queries\": %llu, ", s ? ", " : "", (unsigned long long)all[s].queries);
        print_latencies(&all[s].latencies);
        printf(", \"returned_p99_us\": %llu}", (unsigned long long)histogram_percentile(&all[s].returned, .99));
    }
    puts("]}");
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"way", required_argument, 0, 'w'},     {"postgres", required_argument, 0, 'b'},
        {"port", required_argument, 0, 'p'},    {"clients", required_argument, 0, 'c'},
        {"keys", required_argument, 0, 'k'},    {"theta", required_argument, 0, 't'},
        {"seconds", required_argument, 0, 's'}, {"empty-at", required_argument, 0, 'e'},
        {"fill", no_argument, 0, 'f'},          {0},
    };
    const char *way = "";
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'w': way = optarg; break;
        case 'b': options.postgres = optarg; break;
        case 'p': options.port = atoi(optarg); break;
        case 'c': options.clients = atoi(optarg); break;
        case 'k': options.keys = atoi(optarg); break;
        case 't': options.theta = atof(optarg); break;
        case 's': options.seconds = atoi(optarg); break;
        case 'e': options.empty_at = atoi(optarg); break;
        case 'f': options.fill = true; break;
        default: return 2;
        }
    }
    bool pg = strcmp(way, "pg") == 0, aside = strcmp(way, "aside") == 0, rule = strcmp(way, "rule") == 0;
    if ((!pg && !aside && !rule) || (!rule && !options.postgres) || (!pg && !options.port) || options.clients < 1 ||
        options.clients > CLIENTS_MAX || options.keys < 1 || options.keys % RANK_STEP == 0 || options.seconds < 1 ||
        options.seconds > SECONDS_MAX || options.empty_at < 2 || options.empty_at >= options.seconds) {
        fail(
            "usage: app --way pg|aside|rule --postgres URL --port N [--clients C] [--keys K] [--seconds S] [--empty-at S] ...");
    }
    options.way = pg ? PG : aside ? ASIDE : RULE;
    make_weights();
    run();
    return 0;
}
