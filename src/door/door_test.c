/* Calls that park, as a client sees them: over a real socket, with a loader that answers when the test says so.
 * Everything runs in the test's thread: it turns the loops of the front and of the one worker, so the order of things
 * is the test's. What needs no parking is tested end to end (tests/door). */
#include "door/door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "command/fake_door.h"
#include "door/conn.h"
#include "os/stream.h"

enum { TURNS = 20 };

/* ---- a loader: keys that begin with "p:" are behind it ----------------------------------------------------------- */

struct slow_loader {
    struct loader loader;
    struct pending *pending; /* the load in flight */
};

static const struct rule *govern(struct loader *l, unsigned db, slice key)
{
    (void)db;
    return slice_starts(key, S("p:")) ? (const struct rule *)l : NULL;
}

static struct load_answer consult(struct loader *l, const struct rule *r, const struct key *k, struct entry *e,
                                  enum key_use use, struct outcome *outcome, struct now now)
{
    (void)r;
    struct slow_loader *s = container_of(l, struct slow_loader, loader);
    if (e || outcome || use != KEY_READS) {
        return (struct load_answer){.verdict = VERDICT_USE};
    }
    struct pending *p = pending_find(k->shard, k);
    if (!p) {
        p = s->pending = pending_open(k->shard, k, s);
        assert_non_null(p);
    }
    return (struct load_answer){.verdict = VERDICT_PARK, .pending = p, .wait_until_mono_ms = now.mono_ms + 60000};
}

static void times(struct loader *l, const struct rule *r, struct now now, int64_t deadline, int64_t *ret_deadline,
                  int64_t *ret_fresh_until)
{
    (void)l;
    (void)r;
    (void)now;
    *ret_deadline = *ret_fresh_until = deadline;
}

/* The load ends with this value; it is not stored. */
static void answer(struct slow_loader *s, slice value)
{
    struct pending *p = s->pending;
    struct content content = content_string(value);
    struct outcome *o = outcome_new_value(p->key, &content);
    struct shard *shard = p->shard;
    s->pending = NULL;
    shard_lock(shard);
    pending_void(p);
    pending_resolve(p, o);
    pending_close(p);
    shard_unlock(shard);
    outcome_unref(o);
}

static unsigned waiter_count(struct slow_loader *s)
{
    return s->pending ? s->pending->waiter_count : 0;
}

/* ---- the house --------------------------------------------------------------------------------------------------- */

struct house {
    struct fake_engine *fake;
    struct worker front;
    struct door *door;
    struct slow_loader slow;
    char directory[32];
    char path[64];
    bool emptied;
};

static void turn(struct house *h)
{
    for (int i = 0; i < TURNS; i++) {
        loop_turn(h->front.loop, 0);
        loop_turn(h->fake->worker.loop, 0);
    }
}

static void listen_on(const char *path)
{
    struct faults faults;
    struct buf warnings;
    struct config *config;
    char *arguments[] = {"--port", "0", "--unixsocket", (char *)path};
    struct config_input input = {.arguments = arguments, .argument_count = countof(arguments)};
    faults_init(&faults);
    buf_init(&warnings, 4096);
    assert_int_equal(config_load(&input, &faults, &warnings, &config), OK);
    config_free(config_publish(config));
    buf_fini(&warnings);
    faults_fini(&faults);
}

static void house_open(struct house *h)
{
    *h = (struct house){.slow.loader = {true, govern, consult, times}};
    strcpy(h->directory, "/tmp/door_test.XXXXXX");
    assert_non_null(mkdtemp(h->directory));
    snprintf(h->path, sizeof h->path, "%s/socket", h->directory);
    h->fake = fake_engine_new();
    listen_on(h->path);
    keyspace_set_loader(h->fake->engine.keyspace, &h->slow.loader);
    assert_int_equal(worker_init(&h->front, 1, LOOP_EPOLL), OK);
    assert_int_equal(door_new(&h->fake->engine, &h->front, &h->door), OK);
    struct buf why;
    buf_init(&why, 4096);
    assert_int_equal(door_listen(h->door, config_now(), &why), OK);
    buf_fini(&why);
}

static void note_emptied(void *argument)
{
    ((struct house *)argument)->emptied = true;
}

static void house_close(struct house *h)
{
    if (!h->emptied) {
        door_unlisten(h->door);
        door_drain(h->door, note_emptied, h);
        door_close_all(h->door);
        turn(h);
    }
    assert_true(h->emptied);
    if (h->slow.pending) {
        answer(&h->slow, S("late"));
    }
    door_free(h->door);
    worker_fini(&h->front);
    fake_engine_free(h->fake);
    rmdir(h->directory);
}

static int client_open(struct house *h)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", h->path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    turn(h);
    return fd;
}

static void say(struct house *h, int fd, const char *requests)
{
    assert_int_equal(write(fd, requests, strlen(requests)), strlen(requests));
    turn(h);
}

/* Exactly this has come, and nothing else. */
static void expect(struct house *h, int fd, const char *replies)
{
    char got[4096] = "";
    turn(h);
    ssize_t bytes = read(fd, got, sizeof got - 1);
    if (bytes < 0) {
        assert_int_equal(errno, EAGAIN);
    }
    assert_string_equal(got, replies);
}

static void expect_end(struct house *h, int fd)
{
    char byte;
    turn(h);
    assert_int_equal(read(fd, &byte, 1), 0);
}

/* ---- parking ----------------------------------------------------------------------------------------------------- */

static void test_nothing_overtakes_a_parked_call(void **state)
{
    (void)state;
    struct house h;
    house_open(&h);
    int one = client_open(&h), other = client_open(&h);
    say(&h, one, "SET k 1\r\nGET p:1\r\nINCR k\r\nGET k\r\n");
    expect(&h, one, "+OK\r\n");
    assert_int_equal(waiter_count(&h.slow), 1);
    say(&h, one, "INCR k\r\n");
    say(&h, other, "GET k\r\n");
    expect(&h, other, "$1\r\n1\r\n");
    answer(&h.slow, S("row"));
    expect(&h, one, "$3\r\nrow\r\n:2\r\n$1\r\n2\r\n:3\r\n");
    close(one);
    close(other);
    turn(&h);
    assert_int_equal(door_conn_count(h.door), 0);
    house_close(&h);
}

static void test_parks_again_and_again(void **state)
{
    (void)state;
    struct house h;
    house_open(&h);
    int fd = client_open(&h);
    say(&h, fd, "GET p:1\r\nGET p:2\r\nPING\r\nGET p:3\r\n");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(waiter_count(&h.slow), 1);
        answer(&h.slow, S("v"));
        turn(&h);
    }
    expect(&h, fd, "$1\r\nv\r\n$1\r\nv\r\n+PONG\r\n$1\r\nv\r\n");
    close(fd);
    house_close(&h);
}

static void test_who_hangs_up_while_parked_waits_no_more(void **state)
{
    (void)state;
    struct house h;
    house_open(&h);
    int fd = client_open(&h), other = client_open(&h);
    say(&h, fd, "GET p:1\r\nSET k 1\r\n");
    assert_int_equal(waiter_count(&h.slow), 1);
    close(fd);
    turn(&h);
    assert_int_equal(waiter_count(&h.slow), 0);
    assert_int_equal(door_conn_count(h.door), 1);
    say(&h, other, "GET k\r\n");
    expect(&h, other, "$-1\r\n");
    close(other);
    house_close(&h);
}

static void note_query_bytes(void *argument, const struct session *s)
{
    struct session_figures f;
    s->ops->figures(s, &f);
    *(uint64_t *)argument += f.query_bytes;
}

static void test_what_comes_behind_a_parked_call_stays_unread(void **state)
{
    (void)state;
    struct house h;
    house_open(&h);
    int fd = client_open(&h);
    say(&h, fd, "GET p:1\r\n");
    char lines[6000];
    for (size_t i = 0; i < sizeof lines; i += 6) {
        memcpy(lines + i, "PING\r\n", 6);
    }
    size_t sent = 0;
    for (ssize_t bytes; (bytes = write(fd, lines, sizeof lines)) == (ssize_t)sizeof lines; sent += (size_t)bytes) {
        turn(&h);
    }
    assert_true(sent > 10 * sizeof lines);
    uint64_t read_ahead = 0;
    sessions_each(note_query_bytes, &read_ahead);
    assert_true(read_ahead <= STREAM_READ_BYTES);
    answer(&h.slow, S("row"));
    turn(&h);
    close(fd);
    house_close(&h);
}

/* ---- fairness ---------------------------------------------------------------------------------------------------- */

/* How many bytes have come. */
static size_t read_all(int fd)
{
    static char scrap[64 * 1024];
    size_t count = 0;
    for (ssize_t bytes; (bytes = read(fd, scrap, sizeof scrap)) > 0;) {
        count += (size_t)bytes;
    }
    return count;
}

static void test_a_long_pipeline_gets_its_share_of_each_turn(void **state)
{
    (void)state;
    struct house h;
    house_open(&h);
    int greedy = client_open(&h), modest = client_open(&h);
    enum { CALLS = 3 * CONN_TURN_CALLS + 10 };
    const size_t pong = strlen("+PONG\r\n");
    char pings[CALLS * 6];
    for (size_t i = 0; i < sizeof pings; i += 6) {
        memcpy(pings + i, "PING\r\n", 6);
    }
    assert_int_equal(write(greedy, pings, sizeof pings), sizeof pings);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(write(modest, "PING\r\n", 6), 6);
        loop_turn(h.fake->worker.loop, 0);
        assert_int_equal(read_all(modest), pong);
        assert_int_equal(read_all(greedy), (i < 3 ? CONN_TURN_CALLS : 10) * pong);
    }
    close(greedy);
    close(modest);
    house_close(&h);
}

/* Writes the same request so many times. */
static void say_often(int client, const char *request, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(write(client, request, strlen(request)), strlen(request));
    }
}

/* And in a turn that is full already nobody else. */
static void test_when_the_turn_is_long_each_gets_a_batch(void **state)
{
    (void)state;
    struct house h;
    house_open(&h);
    loop_set_full_turn(h.fake->worker.loop, 1);
    int greedy = client_open(&h), other = client_open(&h);
    const size_t nothing = strlen("$-1\r\n");
    say_often(greedy, "GET k\r\n", 2 * DESK_BATCH_CALLS);
    say_often(other, "GET k\r\n", 2 * DESK_BATCH_CALLS);
    static const struct {
        size_t greedy, other;
    } batches[] = {{1, 0}, {1, 1}, {0, 1}};
    for (size_t i = 0; i < countof(batches); i++) {
        loop_turn(h.fake->worker.loop, 0);
        assert_int_equal(read_all(greedy), batches[i].greedy * DESK_BATCH_CALLS * nothing);
        assert_int_equal(read_all(other), batches[i].other * DESK_BATCH_CALLS * nothing);
    }
    close(greedy);
    close(other);
    house_close(&h);
}

/* PING is not brief: each is timed by itself, and here each fills a turn. */
static void test_calls_that_take_long_end_their_batch(void **state)
{
    (void)state;
    struct house h;
    house_open(&h);
    loop_set_full_turn(h.fake->worker.loop, 1);
    int client = client_open(&h);
    enum { CALLS = 5 };
    const size_t pong = strlen("+PONG\r\n"), nothing = strlen("$-1\r\n");
    say_often(client, "PING\r\n", CALLS);
    say_often(client, "GET k\r\n", CALLS);
    for (size_t i = 0; i < CALLS; i++) {
        loop_turn(h.fake->worker.loop, 0);
        assert_int_equal(read_all(client), pong);
    }
    for (size_t i = 0, left = CALLS, count = 1; left > 0; i++, left -= count, count *= 2) {
        count = count < left ? count : left;
        loop_turn(h.fake->worker.loop, 0);
        assert_int_equal(read_all(client), count * nothing);
    }
    close(client);
    house_close(&h);
}

/* SET is brief, but for one of four that have to make room. */
static void test_calls_that_make_room_are_looked_at(void **state)
{
    (void)state;
    struct house h;
    house_open(&h);
    struct keyspace *ks = h.fake->engine.keyspace;
    int client = client_open(&h);
    say(&h, client, "SET k value\r\n");
    assert_int_equal(read_all(client), strlen("+OK\r\n"));
    keyspace_set_limit(ks, 1, EVICTION_NONE);
    keyspace_settle(ks);
    loop_set_full_turn(h.fake->worker.loop, 1);
    const size_t refused = strlen("-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    say_often(client, "SET k value\r\n", 12);
    for (size_t i = 0; i < 3; i++) {
        loop_turn(h.fake->worker.loop, 0);
        assert_int_equal(read_all(client), 4 * refused);
    }
    close(client);
    house_close(&h);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void test_draining_waits_for_what_runs(void **state)
{
    (void)state;
    struct house h;
    house_open(&h);
    int waiting = client_open(&h), idle = client_open(&h);
    say(&h, waiting, "GET p:1\r\nSET k 1\r\n");
    door_unlisten(h.door);
    door_drain(h.door, note_emptied, &h);
    expect_end(&h, idle);
    assert_false(h.emptied);
    answer(&h.slow, S("row"));
    char got[64] = "";
    turn(&h);
    assert_true(read(waiting, got, sizeof got - 1) > 0);
    assert_true(slice_starts(slice_of(got), S("$3\r\nrow\r\n")));
    expect_end(&h, waiting);
    assert_true(h.emptied);
    close(waiting);
    close(idle);
    house_close(&h);
}

static void test_cutting_off_does_not_wait(void **state)
{
    (void)state;
    struct house h;
    house_open(&h);
    int fd = client_open(&h);
    say(&h, fd, "GET p:1\r\n");
    door_unlisten(h.door);
    door_drain(h.door, note_emptied, &h);
    turn(&h);
    assert_false(h.emptied);
    door_close_all(h.door);
    turn(&h);
    assert_true(h.emptied);
    assert_int_equal(waiter_count(&h.slow), 0);
    close(fd);
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_overtakes_a_parked_call),
        cmocka_unit_test(test_parks_again_and_again),
        cmocka_unit_test(test_who_hangs_up_while_parked_waits_no_more),
        cmocka_unit_test(test_what_comes_behind_a_parked_call_stays_unread),
        cmocka_unit_test(test_a_long_pipeline_gets_its_share_of_each_turn),
        cmocka_unit_test(test_when_the_turn_is_long_each_gets_a_batch),
        cmocka_unit_test(test_calls_that_take_long_end_their_batch),
        cmocka_unit_test(test_calls_that_make_room_are_looked_at),
        cmocka_unit_test(test_draining_waits_for_what_runs),
        cmocka_unit_test(test_cutting_off_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
