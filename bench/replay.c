/* replay: an application that keeps a cache in front of something, as its trace of reads says (cache-aside): it asks for 32 keys at once, and sets those that the
 * cache did not have. Values are random bytes, so that nothing can be saved by compressing them.
 *
 *   replay --port N [--protocol resp|meta] [--value-bytes 1000] [--limit N] < TRACE          one decimal key a line
 *
 * One connection. A key that is missed twice in a window is set twice. Prints one line of JSON: requests and hits. A wrong reply ends the program with 1
 * and a message; a reply's value is compared with what was set. */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "measure.h"

enum { WINDOW = 32, KEY_BYTES_MAX = 32, VALUE_BYTES_MAX = 60000, VALUES_BYTES = 1 << 20 };

static struct {
    int port;
    bool meta;
    int value_bytes;
    long limit;
} options = {.value_bytes = 1000, .limit = INT64_MAX};

struct request {
    char key[KEY_BYTES_MAX];
    bool missed;
};

static char values[VALUES_BYTES + VALUE_BYTES_MAX]; /* random; a key's value begins where its hash says */
static char out[WINDOW * (VALUE_BYTES_MAX + 128)];
static size_t out_bytes;
static char in[256 * 1024];
static size_t in_at, in_bytes;
static int fd;

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

static void make_values(void)
{
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < sizeof values; i++) {
        values[i] = (char)(random_next(&state) >> 32);
    }
}

static const char *value_of(const char *key)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *key; key++) {
        hash = (hash ^ (unsigned char)*key) * 1099511628211u;
    }
    return values + hash % VALUES_BYTES;
}

static void append(const char *bytes, size_t count)
{
    memcpy(out + out_bytes, bytes, count);
    out_bytes += count;
}

static void flush(void)
{
    send_all(fd, out, out_bytes);
    out_bytes = 0;
}

/* Has at least `count` bytes lie at in + in_at. */
static void need(size_t count)
{
    if (in_at + count > sizeof in) {
        memmove(in, in + in_at, in_bytes - in_at);
        in_bytes -= in_at;
        in_at = 0;
    }
    while (in_bytes - in_at < count) {
        in_bytes += receive_some(fd, in + in_bytes, sizeof in - in_bytes);
    }
}

/* The next line, without its end, which is overwritten by NUL. Good until the next need(). */
static char *take_line(void)
{
    for (size_t bytes = 2;; bytes++) {
        need(bytes);
        if (memcmp(in + in_at + bytes - 2, "\r\n", 2) == 0) {
            char *line = in + in_at;
            line[bytes - 2] = '\0';
            in_at += bytes;
            return line;
        }
    }
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static void ask(const char *key)
{
    out_bytes +=
        (size_t)(options.meta ? sprintf(out + out_bytes, "mg %s v\r\n", key)
                              : sprintf(out + out_bytes, "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(key), key));
}

static void set(const char *key)
{
    out_bytes += (size_t)(options.meta ? sprintf(out + out_bytes, "ms %s %d\r\n", key, options.value_bytes)
                                       : sprintf(out + out_bytes, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%d\r\n",
                                                 strlen(key), key, options.value_bytes));
    append(value_of(key), (size_t)options.value_bytes);
    append("\r\n", 2);
}

/* Whether the cache had it. */
static bool take_value(const char *key)
{
    const char *line = take_line();
    if (strcmp(line, options.meta ? "EN" : "$-1") == 0) {
        return false;
    }
    const char *length = options.meta ? "VA " : "$";
    if (strncmp(line, length, strlen(length)) != 0 || atoi(line + strlen(length)) != options.value_bytes) {
        fail("unexpected reply to a read of %s: %.100s", key, line);
    }
    size_t bytes = (size_t)options.value_bytes;
    need(bytes + 2);
    if (memcmp(in + in_at, value_of(key), bytes) != 0) {
        fail("the value of %s is wrong", key);
    }
    in_at += bytes + 2;
    return true;
}

/* memcached may have no memory left for a slab class; then the key is just not there. */
static void take_stored(const char *key)
{
    const char *line = take_line();
    bool refused = options.meta && strncmp(line, "SERVER_ERROR out of memory", 26) == 0;
    if (!refused && strcmp(line, options.meta ? "HD" : "+OK") != 0) {
        fail("unexpected reply to a write of %s: %.100s", key, line);
    }
}

/* ---- the trace ----------------------------------------------------------------------------------------------------- */

static int read_window(struct request *window, long left)
{
    int count = 0;
    while (count < WINDOW && count < left && fgets(window[count].key, sizeof window[count].key, stdin)) {
        window[count].key[strcspn(window[count].key, "\n")] = '\0';
        count++;
    }
    return count;
}

static uint64_t serve_window(struct request *window, int count)
{
    uint64_t hits = 0;
    for (int i = 0; i < count; i++) {
        ask(window[i].key);
    }
    flush();
    for (int i = 0; i < count; i++) {
        window[i].missed = !take_value(window[i].key);
        hits += !window[i].missed;
        if (window[i].missed) {
            set(window[i].key);
        }
    }
    flush();
    for (int i = 0; i < count; i++) {
        if (window[i].missed) {
            take_stored(window[i].key);
        }
    }
    return hits;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, 0, 'p'},
        {"protocol", required_argument, 0, 'r'},
        {"value-bytes", required_argument, 0, 'v'},
        {"limit", required_argument, 0, 'l'},
        {0},
    };
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'r': options.meta = strcmp(optarg, "meta") == 0; break;
        case 'v': options.value_bytes = atoi(optarg); break;
        case 'l': options.limit = atol(optarg); break;
        default: return 2;
        }
    }
    if (!options.port || options.value_bytes < 1 || options.value_bytes > VALUE_BYTES_MAX) {
        fail("usage: replay --port N [--protocol resp|meta] [--value-bytes N] [--limit N] < TRACE");
    }
    fd = connect_to(options.port, NULL);
    make_values();
    struct request window[WINDOW];
    uint64_t requests = 0, hits = 0;
    for (int count; (count = read_window(window, options.limit - (long)requests)) > 0; requests += (uint64_t)count) {
        hits += serve_window(window, count);
    }
    printf("{\"requests\": %llu, \"hits\": %llu}\n", (unsigned long long)requests, (unsigned long long)hits);
    return 0;
}
