/* Snapshots: every name of Redis is known, layers and their order, lists that add up, promises, what is told about bad files, CONFIG SET as
 * a whole or not at all, CONFIG GET, reloading, publishing, descriptions. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/assert.h"
#include "config/describe.h"

/* What CONFIG GET * of redis-server 7.0.15 lists. */
static const char *const redis_names[] = {
    "acl-pubsub-default",
    "aclfile",
    "acllog-max-len",
    "active-defrag-cycle-max",
    "active-defrag-cycle-min",
    "active-defrag-ignore-bytes",
    "active-defrag-max-scan-fields",
    "active-defrag-threshold-lower",
    "active-defrag-threshold-upper",
    "active-expire-effort",
    "activedefrag",
    "activerehashing",
    "always-show-logo",
    "aof-disable-auto-gc",
    "aof-load-truncated",
    "aof-rewrite-incremental-fsync",
    "aof-timestamp-enabled",
    "aof-use-rdb-preamble",
    "aof_rewrite_cpulist",
    "appenddirname",
    "appendfilename",
    "appendfsync",
    "appendonly",
    "auto-aof-rewrite-min-size",
    "auto-aof-rewrite-percentage",
    "bgsave_cpulist",
    "bind",
    "bind-source-addr",
    "bio_cpulist",
    "busy-reply-threshold",
    "client-output-buffer-limit",
    "client-query-buffer-limit",
    "cluster-allow-pubsubshard-when-down",
    "cluster-allow-reads-when-down",
    "cluster-allow-replica-migration",
    "cluster-announce-bus-port",
    "cluster-announce-hostname",
    "cluster-announce-ip",
    "cluster-announce-port",
    "cluster-announce-tls-port",
    "cluster-config-file",
    "cluster-enabled",
    "cluster-link-sendbuf-limit",
    "cluster-migration-barrier",
    "cluster-node-timeout",
    "cluster-port",
    "cluster-preferred-endpoint-type",
    "cluster-replica-no-failover",
    "cluster-replica-validity-factor",
    "cluster-require-full-coverage",
    "cluster-slave-no-failover",
    "cluster-slave-validity-factor",
    "crash-log-enabled",
    "crash-memcheck-enabled",
    "daemonize",
    "databases",
    "dbfilename",
    "dir",
    "disable-thp",
    "dynamic-hz",
    "enable-debug-command",
    "enable-module-command",
    "enable-protected-configs",
    "hash-max-listpack-entries",
    "hash-max-listpack-value",
    "hash-max-ziplist-entries",
    "hash-max-ziplist-value",
    "hll-sparse-max-bytes",
    "hz",
    "ignore-warnings",
    "io-threads",
    "io-threads-do-reads",
    "jemalloc-bg-thread",
    "latency-monitor-threshold",
    "latency-tracking",
    "latency-tracking-info-percentiles",
    "lazyfree-lazy-eviction",
    "lazyfree-lazy-expire",
    "lazyfree-lazy-server-del",
    "lazyfree-lazy-user-del",
    "lazyfree-lazy-user-flush",
    "lfu-decay-time",
    "lfu-log-factor",
    "list-compress-depth",
    "list-max-listpack-size",
    "list-max-ziplist-size",
    "logfile",
    "loglevel",
    "lua-time-limit",
    "masterauth",
    "masteruser",
    "maxclients",
    "maxmemory",
    "maxmemory-clients",
    "maxmemory-eviction-tenacity",
    "maxmemory-policy",
    "maxmemory-samples",
    "min-replicas-max-lag",
    "min-replicas-to-write",
    "min-slaves-max-lag",
    "min-slaves-to-write",
    "no-appendfsync-on-rewrite",
    "notify-keyspace-events",
    "oom-score-adj",
    "oom-score-adj-values",
    "pidfile",
    "port",
    "proc-title-template",
    "propagation-error-behavior",
    "protected-mode",
    "proto-max-bulk-len",
    "rdb-del-sync-files",
    "rdb-save-incremental-fsync",
    "rdbchecksum",
    "rdbcompression",
    "repl-backlog-size",
    "repl-backlog-ttl",
    "repl-disable-tcp-nodelay",
    "repl-diskless-load",
    "repl-diskless-sync",
    "repl-diskless-sync-delay",
    "repl-diskless-sync-max-replicas",
    "repl-ping-replica-period",
    "repl-ping-slave-period",
    "repl-timeout",
    "replica-announce-ip",
    "replica-announce-port",
    "replica-announced",
    "replica-ignore-disk-write-errors",
    "replica-ignore-maxmemory",
    "replica-lazy-flush",
    "replica-priority",
    "replica-read-only",
    "replica-serve-stale-data",
    "replicaof",
    "requirepass",
    "sanitize-dump-payload",
    "save",
    "server_cpulist",
    "set-max-intset-entries",
    "set-proc-title",
    "shutdown-on-sigint",
    "shutdown-on-sigterm",
    "shutdown-timeout",
    "slave-announce-ip",
    "slave-announce-port",
    "slave-ignore-maxmemory",
    "slave-lazy-flush",
    "slave-priority",
    "slave-read-only",
    "slave-serve-stale-data",
    "slaveof",
    "slowlog-log-slower-than",
    "slowlog-max-len",
    "socket-mark-id",
    "stop-writes-on-bgsave-error",
    "stream-node-max-bytes",
    "stream-node-max-entries",
    "supervised",
    "syslog-enabled",
    "syslog-facility",
    "syslog-ident",
    "tcp-backlog",
    "tcp-keepalive",
    "timeout",
    "tls-auth-clients",
    "tls-ca-cert-dir",
    "tls-ca-cert-file",
    "tls-cert-file",
    "tls-ciphers",
    "tls-ciphersuites",
    "tls-client-cert-file",
    "tls-client-key-file",
    "tls-client-key-file-pass",
    "tls-cluster",
    "tls-dh-params-file",
    "tls-key-file",
    "tls-key-file-pass",
    "tls-port",
    "tls-prefer-server-ciphers",
    "tls-protocols",
    "tls-replication",
    "tls-session-cache-size",
    "tls-session-cache-timeout",
    "tls-session-caching",
    "tracking-table-max-keys",
    "unixsocket",
    "unixsocketperm",
    "zset-max-listpack-entries",
    "zset-max-listpack-value",
    "zset-max-ziplist-entries",
    "zset-max-ziplist-value",
};

static char folder[] = "/tmp/larder-config-XXXXXX";
static char path[64], path_secret[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/larder.conf", folder);
    snprintf(path_secret, sizeof path_secret, "%s/secret", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(path_secret);
    return rmdir(folder);
}

static void write_file(const char *file, const char *text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* What the last load() said, NUL-terminated. */
static char told[8192], warned[8192];

static void keep_text(char *into, slice text)
{
    assert_true(text.len < sizeof told);
    memcpy(into, text.len ? text.ptr : "", text.len);
    into[text.len] = '\0';
}

/* Loads `text` as a file with the environment and the arguments, which end with NULL; NULL when it is refused. The folder is cut from what
 * was told. */
static struct config *load(const char *text, const char *const *environment, const char *const *arguments)
{
    if (text) {
        write_file(path, text);
    }
    unsigned count = 0;
    while (arguments && arguments[count]) {
        count++;
    }
    struct config_input input = {
        .file = text ? path : NULL,
        .environment = (char *const *)environment,
        .arguments = (char *const *)arguments,
        .argument_count = count,
    };
    struct faults faults;
    struct buf warnings;
    faults_init(&faults);
    buf_init(&warnings, sizeof warned);
    struct config *c = NULL;
    err e = config_load(&input, &faults, &warnings, &c);
    assert_true(e == OK || e == ERR_CONFIG);
    assert_int_equal(e == OK, faults.count == 0);
    keep_text(told, faults_text(&faults));
    keep_text(warned, buf_slice(&warnings));
    for (char *at; (at = strstr(told, folder));) {
        memmove(at, at + strlen(folder) + 1, strlen(at + strlen(folder) + 1) + 1);
    }
    for (char *at; (at = strstr(warned, folder));) {
        memmove(at, at + strlen(folder) + 1, strlen(at + strlen(folder) + 1) + 1);
    }
    faults_fini(&faults);
    buf_fini(&warnings);
    return c;
}

static void assert_value(const struct config *c, const char *name, const char *expected)
{
    struct buf value;
    buf_init(&value, 8192);
    enum option o = config_find(slice_of(name));
    assert_true(o < OPTION_COUNT);
    config_value(c, o, &value);
    buf_append_byte(&value, '\0');
    assert_string_equal(value.bytes, expected);
    buf_fini(&value);
}

static void test_names_of_redis(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(redis_names); i++) {
        if (config_find(slice_of(redis_names[i])) == OPTION_COUNT) {
            fail_msg("%s is not known", redis_names[i]);
        }
    }
    assert_int_equal(config_find(S("MaxMemory")), OPTION_maxmemory);
    assert_int_equal(config_find(S("slaveof")), OPTION_replicaof);
    assert_int_equal(config_find(S("nothing")), OPTION_COUNT);
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = load(NULL, NULL, NULL);
    assert_non_null(c);
    assert_int_equal(c->port, 6379);
    assert_int_equal(c->bind.count, 2);
    assert_true(slice_equal(c->bind.items[1], S("-::1")));
    assert_true(c->protected_mode);
    assert_int_equal(c->maxmemory, 0);
    assert_int_equal(c->maxmemory_policy, POLICY_NOEVICTION);
    assert_int_equal(c->databases, 16);
    assert_int_equal(c->tcp_keepalive, 300);
    assert_int_equal(c->maxclients, 10000);
    assert_int_equal(c->proto_max_bulk_len, 512 * 1024 * 1024);
    assert_int_equal(c->loglevel, LOG_NOTICE);
    assert_int_equal(c->requirepass.len, 0);
    assert_int_equal(c->client_output_buffer_limit.of[CLIENT_CLASS_REPLICA].soft_bytes, 64 * 1024 * 1024);
    assert_int_equal(c->client_output_buffer_limit.of[CLIENT_CLASS_PUBSUB].soft_seconds, 60);
    assert_value(c, "bind", "127.0.0.1 -::1");
    assert_value(c, "client-output-buffer-limit",
                 "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
    assert_value(c, "compat-version", "7.4.0");
    assert_int_equal(c->blocks->rule_count, 0);
    assert_string_equal(warned, "");
    config_free(c);
}

static void test_layers(void **state)
{
    (void)state;
    write_file(path_secret, "s3cret\n");
    char secret[128];
    snprintf(secret, sizeof secret, "LARDER_REQUIREPASS_FILE=%s", path_secret);
    const char *environment[] = {
        "HOME=/", "LARDER_PORT=2", "LARDER_MAXMEMORY=2gb", secret, "LARDER_BIND=::1 127.0.0.1", "LARDER_SAVE=60 1",
        NULL};
    const char *arguments[] = {"--port",      "3", "--SAVE", "10", "5", "20", "6", "--maxmemory-policy",
                               "ALLKEYS-LRU", NULL};
    struct config *c = load("port 1\ntimeout 5\ntimeout 7\nmaxmemory 1mb\nbind 10.0.0.1 10.0.0.2\nsave 1 1\nsave 2 2\n",
                            environment, arguments);
    assert_string_equal(told, "");
    assert_int_equal(c->port, 3);
    assert_int_equal(c->timeout, 7);
    assert_int_equal(c->maxmemory, (uint64_t)2 << 30);
    assert_int_equal(c->maxmemory_policy, POLICY_ALLKEYS_LRU);
    assert_value(c, "bind", "::1 127.0.0.1");
    assert_value(c, "save", "10 5 20 6");
    assert_value(c, "requirepass", "s3cret");
    assert_int_equal(c->settings[OPTION_port].origin, ORIGIN_ARGUMENT);
    assert_int_equal(c->settings[OPTION_maxmemory].origin, ORIGIN_ENVIRONMENT);
    assert_true(slice_equal(c->settings[OPTION_maxmemory].place.source, S("environment LARDER_MAXMEMORY")));
    assert_int_equal(c->settings[OPTION_timeout].origin, ORIGIN_FILE);
    assert_int_equal(c->settings[OPTION_timeout].place.line, 3);
    assert_true(slice_equal(c->settings[OPTION_timeout].place.source, slice_of(path)));
    assert_int_equal(c->settings[OPTION_databases].origin, ORIGIN_DEFAULT);
    assert_string_equal(
        warned,
        "command line: save: this version does not do it (snapshots: seconds and changes after which one is written)\n");
    config_free(c);
}

static void test_repeats(void **state)
{
    (void)state;
    struct config *c = load("save 1 1\nsave 2 2 3 3\nclient-output-buffer-limit pubsub 1mb 2mb 3\n"
                            "client-output-buffer-limit replica 4 5 6\nbind 10.0.0.1\nbind 10.0.0.2\n",
                            NULL, NULL);
    assert_value(c, "save", "1 1 2 2 3 3");
    assert_value(c, "client-output-buffer-limit", "normal 0 0 0 slave 4 5 6 pubsub 1048576 2097152 3");
    assert_value(c, "bind", "10.0.0.2");
    config_free(c);
    c = load("save 1 1\nsave \"\"\n", NULL, NULL);
    assert_value(c, "save", "");
    assert_string_equal(warned, "");
    config_free(c);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"prot 1\n", "larder.conf:1: found \"prot\", expected a directive; the nearest is \"port\"\n"},
        {"\nxyzzy 1\n", "larder.conf:2: found \"xyzzy\", expected a directive\n"},
        {"port\n", "larder.conf:1: port: found no value, expected one\n"},
        {"port 1 2\n", "larder.conf:1: port: found 2 values, expected one\n"},
        {"port 99999\n", "larder.conf:1: port: found \"99999\", expected a number from 0 to 65535\n"},
        {"port 0x1\n", "larder.conf:1: port: found \"0x1\", expected a number from 0 to 65535\n"},
        {"appendonly maybe\n", "larder.conf:1: appendonly: found \"maybe\", expected yes or no\n"},
        {"maxmemory 5xb\n", "larder.conf:1: maxmemory: found \"5xb\", expected a size like 512, 100kb, 64mb or 2gb\n"},
        {"proto-max-bulk-len 1\n",
         "larder.conf:1: proto-max-bulk-len: found \"1\", expected a size like 512, 100kb, 64mb or 2gb, at least 1048576\n"},
        {"loglevel loud\n",
         "larder.conf:1: loglevel: found \"loud\", expected one of debug, verbose, notice, warning, error, nothing\n"},
        {"unixsocketperm 999\n",
         "larder.conf:1: unixsocketperm: found \"999\", expected an octal number from 0 to 777\n"},
        {"maxmemory-clients 101%\n",
         "larder.conf:1: maxmemory-clients: found \"101%\", expected a size like 100mb or a percentage like 5%\n"},
        {"save 1\n", "larder.conf:1: save: found \"1\", expected pairs of seconds and changes, or \"\"\n"},
        {"client-output-buffer-limit normal 1\n",
         "larder.conf:1: client-output-buffer-limit: found \"normal 1\", expected CLASS HARD SOFT "
         "SECONDS, where CLASS is normal, replica or pubsub\n"},
        {"compat-version seven\n", "larder.conf:1: compat-version: found \"seven\", expected a version like 7.4.0\n"},
        {"compat-version 7.4.0.1\n",
         "larder.conf:1: compat-version: found \"7.4.0.1\", expected a version like 7.4.0\n"},
        {"compat-version 7.4\n", "larder.conf:1: compat-version: found \"7.4\", expected a version like 7.4.0\n"},
        {"port \"\\x1b[1m\\n\"\n", "larder.conf:1: port: found \"?[1m?\", expected a number from 0 to 65535\n"},
        {"notify-keyspace-events Q\n",
         "larder.conf:1: notify-keyspace-events: found \"Q\", expected characters out of Ag$lshzxeKEtmdn\n"},
        {"appendonly yes\n",
         "larder.conf:1: appendonly: found \"yes\", expected \"no\": this version cannot keep what it promises (a log of "
         "every write)\n"},
        {"slaveof 10.0.0.1 6379\n",
         "larder.conf:1: replicaof: found \"10.0.0.1 6379\", expected no such line: this version cannot keep what "
         "it promises (following a master)\n"},
        {"rename-command FLUSHALL \"\"\n",
         "larder.conf:1: rename-command: found \"FLUSHALL \", expected no such line: this version cannot "
         "keep what it promises (commands under other names)\n"},
        {"user default on nopass\n",
         "larder.conf:1: user: found \"default on nopass\", expected no such line: this version cannot keep what "
         "it promises (users and what they may do)\n"},
        {"tls-client-key-file-pass hidden\n",
         "larder.conf:1: tls-client-key-file-pass: found \"***\", expected no such line: this version cannot keep what "
         "it promises (TLS: password of that key)\n"},
        {"min-slaves-to-write 1\n",
         "larder.conf:1: min-replicas-to-write: found \"1\", expected \"0\": this version cannot keep what it "
         "promises (refusing writes without enough replicas)\n"},
        {"requirepass a b\n", "larder.conf:1: requirepass: found 2 values, expected one\n"},
        {"port {\n}\n", "larder.conf:1: found a block \"port\", expected source NAME { or rule PATTERN {\n"},
        {"source shop\n", "larder.conf:1: source: expected { at the end of the line\n"},
        {"databases 2\nrule a:{x} {\n database 2\n}\n",
         "larder.conf:3: database: found \"2\", expected a number from 0 to 1\n"},
        {"port x\nhz \"\nrule a {\n ttl x\n}\n",
         "larder.conf:2: a quote is not closed\n"
         "larder.conf:1: port: found \"x\", expected a number from 0 to 65535\n"
         "larder.conf:4: ttl: found \"x\", expected a duration like 500ms, 10s, 5m, 24h, 7d, or none\n"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct config *c = load(cases[i][0], NULL, NULL);
        assert_string_equal(told, cases[i][1]);
        assert_null(c);
    }
}

static void test_bad_layers(void **state)
{
    (void)state;
    const char *environment[] = {"LARDER_PORT=x", "LARDER_PROT=1", "LARDER_CLOCK_FILE=/x",
                                 "LARDER_REQUIREPASS_FILE=/nonexistent", NULL};
    const char *arguments[] = {"stray", "--maxmemry", "1", "--hz", "--timeout", "-1", NULL};
    assert_null(load(NULL, environment, arguments));
    assert_string_equal(told,
                        "environment LARDER_PORT: port: found \"x\", expected a number from 0 to 65535\n"
                        "environment LARDER_REQUIREPASS_FILE: cannot read \"/nonexistent\": No such file or directory\n"
                        "command line: found \"stray\", expected --directive\n"
                        "command line: found \"maxmemry\", expected a directive; the nearest is \"maxmemory\"\n"
                        "command line: hz: found no value, expected one\n"
                        "command line: timeout: found \"-1\", expected a number from 0 to 2147483647\n");
    assert_string_equal(warned, "environment LARDER_PROT: found no directive of that name; it does nothing\n");
}

static void test_variables_of_kubernetes(void **state)
{
    (void)state;
    const char *environment[] = {"LARDER_PORT=tcp://10.0.0.7:6379",
                                 "LARDER_PORT_6379_TCP=tcp://10.0.0.7:6379",
                                 "LARDER_PORT_6379_TCP_PORT=6379",
                                 "LARDER_SERVICE_HOST=10.0.0.7",
                                 "LARDER_TIMEOUT=7",
                                 NULL};
    struct config *c = load(NULL, environment, NULL);
    assert_non_null(c);
    assert_int_equal(c->port, 6379);
    assert_int_equal(c->timeout, 7);
    assert_string_equal(warned, "environment LARDER_PORT: of a Kubernetes service called larder; it does nothing\n");
    config_free(c);
}

/* ---- CONFIG SET ---- */

static char words[4096];

/* Changes by NAME VALUE ... NULL; the new snapshot, or NULL and the words. */
static struct config *set(const struct config *old, const char *const *pairs)
{
    struct config_change changes[8];
    size_t count = 0;
    for (size_t i = 0; pairs[i]; i += 2) {
        changes[count++] = (struct config_change){slice_of(pairs[i]), slice_of(pairs[i + 1])};
    }
    struct buf text;
    buf_init(&text, sizeof words - 1);
    struct config *c = NULL;
    err e = config_set(old, changes, count, &text, &c);
    assert_true(e == OK || e == ERR_CONFIG);
    keep_text(words, buf_slice(&text));
    buf_fini(&text);
    return c;
}
#define SET(old, ...) set(old, (const char *const[]){__VA_ARGS__, NULL})

static void test_set(void **state)
{
    (void)state;
    struct config *old = load("requirepass \"a b\"\nrule a {\n}\n", NULL, NULL);
    struct config *c =
        SET(old, "maxmemory", "100mb", "slave-priority", "5", "BIND", "1.2.3.4 5.6.7.8", "requirepass", "x y");
    assert_non_null(c);
    assert_int_equal(old->maxmemory, 0);
    assert_int_equal(c->maxmemory, 100 * 1024 * 1024);
    assert_int_equal(c->settings[OPTION_maxmemory].origin, ORIGIN_RUNTIME);
    assert_ptr_equal(c->blocks, old->blocks);
    config_free(old);
    assert_value(c, "maxmemory", "104857600");
    assert_value(c, "replica-priority", "5");
    assert_value(c, "bind", "1.2.3.4 5.6.7.8");
    assert_value(c, "requirepass", "x y");
    assert_int_equal(c->blocks->rule_count, 1);
    old = c;
    c = SET(old, "client-output-buffer-limit", "pubsub 1 2 3", "save", "", "notify-keyspace-events", "AKE");
    assert_value(c, "client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 1 2 3");
    config_free(old);
    config_free(c);
}

/* The words are those of redis-server 7.0.15 up to the values that only Larder has. */
static void test_set_refused(void **state)
{
    (void)state;
    static const struct {
        const char *pairs[5];
        const char *words;
    } cases[] = {
        {{"nosuch", "1"}, "Unknown option or number of arguments for CONFIG SET - 'nosuch'"},
        {{"maxmemory", "bad", "nosuch", "1"}, "Unknown option or number of arguments for CONFIG SET - 'nosuch'"},
        {{"maxmemory", "1", "maxmemory", "2"},
         "CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter"},
        {{"databases", "3"},
         "CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config"},
        {{"dir", "/"}, "CONFIG SET failed (possibly related to argument 'dir') - can't set protected config"},
        {{"maxmemory", "abc"},
         "CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value"},
        {{"maxmemory", "-1"},
         "CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value"},
        {{"port", "99999999"},
         "CONFIG SET failed (possibly related to argument 'port') - argument must be between 0 and 65535 inclusive"},
        {{"maxclients", "-1"},
         "CONFIG SET failed (possibly related to argument 'maxclients') - argument must be between 1 and 4294967295 inclusive"},
        {{"proto-max-bulk-len", "1"},
         "CONFIG SET failed (possibly related to argument 'proto-max-bulk-len') - argument must be between "
         "1048576 and 9223372036854775807 inclusive"},
        {{"slowlog-log-slower-than", "-2"},
         "CONFIG SET failed (possibly related to argument 'slowlog-log-slower-than') - argument must be "
         "between -1 and 9223372036854775807 inclusive"},
        {{"timeout", "x"},
         "CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer"},
        {{"bind", "::1 \"127.0.0.1 ::1\""},
         "CONFIG SET failed (possibly related to argument 'bind') - an address is not empty and has no blanks"},
        {{"bind", "::1 \"\""},
         "CONFIG SET failed (possibly related to argument 'bind') - an address is not empty and has no blanks"},
        {{"bind", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"},
         "CONFIG SET failed (possibly related to argument 'bind') - wrong number of arguments"},
        {{"appendonly", "maybe"},
         "CONFIG SET failed (possibly related to argument 'appendonly') - argument must be 'yes' or 'no'"},
        {{"appendonly", "yes"},
         "CONFIG SET failed (possibly related to argument 'appendonly') - this version cannot keep what it promises "
         "(a log of every write)"},
        {{"maxmemory-policy", "foo"},
         "CONFIG SET failed (possibly related to argument 'maxmemory-policy') - argument(s) must be one of the following: volatile-lru, "
         "volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction, adaptive"},
        {{"hz", "20", "loglevel", "foo"},
         "CONFIG SET failed (possibly related to argument 'loglevel') - argument(s) must be one of the following: debug, verbose, notice, "
         "warning, error, nothing"},
        {{"client-output-buffer-limit", "normal 1"},
         "CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Wrong "
         "number of arguments in buffer limit configuration."},
        {{"client-output-buffer-limit", "foo 1 2 3"},
         "CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - "
         "Invalid client class specified in buffer limit configuration."},
        {{"save", "a b"}, "CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters"},
        {{"notify-keyspace-events", "Zq"},
         "CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class "
         "character. Use 'Ag$lshzxeKEtmdn'."},
        {{"latency-tracking-info-percentiles", "101"},
         "CONFIG SET failed (possibly related to argument 'latency-tracking-info-percentiles') - latency-tracking-info-percentiles parameters "
         "should sit between [0.0,100.0]"},
        {{"oom-score-adj-values", "1 2"},
         "CONFIG SET failed (possibly related to argument 'oom-score-adj-values') - wrong number of arguments"},
    };
    struct config *old = config_new();
    for (size_t i = 0; i < countof(cases); i++) {
        assert_null(set(old, cases[i].pairs));
        assert_string_equal(words, cases[i].words);
    }
    config_free(old);
}

/* ---- CONFIG GET ---- */

static void append_pair(void *argument, slice name, slice value)
{
    buf_printf(argument, "%.*s=%.*s\n", SLICE_ARG(name), SLICE_ARG(value));
}

static void append_name(void *argument, slice name)
{
    buf_printf(argument, "%.*s\n", SLICE_ARG(name));
}

static void test_get(void **state)
{
    (void)state;
    struct config *c = config_new();
    struct buf text;
    buf_init(&text, 65536);
    assert_int_equal(
        config_get(c, (slice[]){S("maxmemory-s*"), S("MAXMEMORY"), S("maxmem*s"), S("none")}, 4, append_pair, &text),
        OK);
    buf_append_byte(&text, '\0');
    assert_string_equal(text.bytes, "MAXMEMORY=0\nmaxmemory-process=0\nmaxmemory-samples=5\nmaxmemory-clients=0\n");
    buf_truncate(&text, 0);
    assert_int_equal(config_get(c, (slice[]){S("slave*"), S("*y-slave*")}, 2, append_pair, &text), OK);
    buf_append_byte(&text, '\0');
    assert_non_null(strstr(text.bytes, "slave-priority=100\n"));
    assert_null(strstr(text.bytes, "replica-priority"));
    buf_truncate(&text, 0);
    assert_int_equal(config_get(c, (slice[]){S("*")}, 1, append_pair, &text), OK);
    buf_append_byte(&text, '\0');
    assert_null(strstr(text.bytes, "rename-command"));
    for (size_t i = 0; i < countof(redis_names); i++) {
        char line[128];
        snprintf(line, sizeof line, "%s=", redis_names[i]);
        assert_non_null(strstr(text.bytes, line));
    }
    buf_fini(&text);
    config_free(c);
}

static void test_unused(void **state)
{
    (void)state;
    struct config *c = load("io-threads 4\nport 1\nhash-max-ziplist-entries 5\n", NULL, NULL);
    struct buf text;
    buf_init(&text, 65536);
    config_unused(c, append_name, &text);
    buf_append_byte(&text, '\0');
    assert_string_equal(text.bytes, "hash-max-listpack-entries\nio-threads\n");
    buf_fini(&text);
    config_free(c);
}

static void test_reload(void **state)
{
    (void)state;
    struct config *first = load("port 1\nrule a {\n ttl 1s\n}\n", NULL, NULL);
    struct config *old = SET(first, "maxmemory", "5");
    config_free(first);
    write_file(path, "port 2\nrule a {\n ttl 2s\n}\nrule b {\n}\n");
    struct config_input input = {.file = path};
    struct faults faults;
    faults_init(&faults);
    struct config *c = NULL;
    assert_int_equal(config_reload(old, &input, &faults, &c), OK);
    assert_int_equal(c->port, 1);
    assert_int_equal(c->maxmemory, 5);
    assert_int_equal(c->blocks->rule_count, 2);
    assert_int_equal(c->blocks->rules[0].ttl_ms, 2000);
    assert_int_equal(old->blocks->rules[0].ttl_ms, 1000);
    config_free(c);
    write_file(path, "rule a {\n ttl x\n}\n");
    assert_int_equal(config_reload(old, &input, &faults, &c), ERR_CONFIG);
    assert_int_equal(faults.count, 1);
    faults_fini(&faults);
    assert_null(config_publish(old));
    assert_ptr_equal(config_now(), old);
    struct config *next = SET(config_now(), "port", "9");
    assert_ptr_equal(config_publish(next), old);
    assert_int_equal(config_now()->port, 9);
    config_free(old);
    config_free(next);
}

static void test_describe(void **state)
{
    (void)state;
    static const char *const kinds[][2] = {
        {"options", "\nport\t6379\ta number from 0 to 65535\tlive\tTCP port"},
        {"metrics", "\nload_coalesced\tcounter\tcalls\tcalls that joined a load already in flight\n"},
        {"errors", "\nWRONGKIND\tWRONGTYPE\tCLIENT_ERROR wrong kind\t409\tcaller\tOperation against"},
        {"knobs", "\nrule\tidle-ttl\tnone\tno\tan entry also goes when unread this long\n"},
    };
    struct buf text;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < countof(kinds); i++) {
        buf_truncate(&text, 0);
        assert_int_equal(describe_table(slice_of(kinds[i][0]), &text), OK);
        buf_append_byte(&text, '\0');
        assert_non_null(strstr(text.bytes, kinds[i][1]));
    }
    assert_int_equal(describe_table(S("nothing"), &text), ERR_NOT_FOUND);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_redis),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_bad_layers),
        cmocka_unit_test(test_variables_of_kubernetes),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_refused),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_unused),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_describe),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
