/* Bytes that a stream receives where its owner wants them: all of them, in order, nothing there after the end, whatever engine brings them. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/num.h"
#include "os/stream.h"
#include "os/testing_priv.h"

enum { BYTES = 1000000, UNTOUCHED = 'u' };

/* Wants the first BYTES at their place. */
struct owner {
    struct stream stream;
    char *value;
    size_t filled;
    size_t placed_bytes; /* of them */
    struct buf rest;     /* what came behind them */
    bool pauses;         /* at the first piece that is placed, */
    bool closes;         /* or this */
    int closed_count;
    err reason;
};

static struct loop *loop;
static struct owner ours;
static int theirs;
static char *sent; /* BYTES and some more */

static void place_rest(struct owner *o)
{
    stream_place(&o->stream, o->value + o->filled, BYTES - o->filled);
}

static void received(struct stream *s, slice bytes)
{
    struct owner *o = container_of(s, struct owner, stream);
    assert_int_equal(o->closed_count, 0);
    assert_false(s->paused);
    slice here = slice_sub(bytes, 0, BYTES - o->filled);
    memcpy(o->value + o->filled, here.ptr, here.len);
    o->filled += here.len;
    buf_append(&o->rest, slice_sub(bytes, here.len, SIZE_MAX));
    place_rest(o);
}

static void placed(struct stream *s, size_t bytes)
{
    struct owner *o = container_of(s, struct owner, stream);
    assert_int_equal(o->closed_count, 0);
    assert_true(bytes > 0 && bytes <= BYTES - o->filled);
    o->filled += bytes;
    o->placed_bytes += bytes;
    place_rest(o);
    if (o->pauses) {
        stream_pause(s);
    }
    if (o->closes) {
        stream_close(s);
    }
}

static void closed(struct stream *s, err reason)
{
    struct owner *o = container_of(s, struct owner, stream);
    o->closed_count++;
    o->reason = reason;
}

static const struct stream_ops ops = {.received = received, .placed = placed, .closed = closed};

/* Returns the other end. */
static int open_owner(struct owner *o)
{
    int fds[2];
    *o = (struct owner){.value = malloc(BYTES)};
    assert_non_null(o->value);
    memset(o->value, UNTOUCHED, BYTES);
    buf_init(&o->rest, SIZE_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(stream_open(&o->stream, loop, fds[0], &ops, SIZE_MAX), OK);
    return fds[1];
}

static void close_owner(struct owner *o, int peer)
{
    stream_close(&o->stream);
    loop_turn(loop, 0);
    assert_int_equal(o->closed_count, 1);
    buf_fini(&o->rest);
    free(o->value);
    close(peer);
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(loop_new(engine, &loop), OK);
    sent = malloc(2 * BYTES);
    for (size_t i = 0; i < 2 * BYTES; i++) {
        sent[i] = (char)(i * 31 + i / 256);
    }
    theirs = open_owner(&ours);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_owner(&ours, theirs);
    free(sent);
    loop_free(loop);
    return 0;
}

static size_t they_send(int peer, size_t from, size_t bytes)
{
    ssize_t count = send(peer, sent + from, bytes, MSG_NOSIGNAL);
    return count > 0 ? (size_t)count : 0;
}

/* Until all is there. */
static void they_send_all(size_t from, size_t to)
{
    for (unsigned turns = 0; ours.filled + ours.rest.len < to; turns++) {
        assert_true(turns < 10000);
        from += from < to ? they_send(theirs, from, to - from) : 0;
        loop_turn(loop, 0);
    }
}

static void assert_has(const struct owner *o, size_t count)
{
    assert_int_equal(o->filled, num_min_u64(count, BYTES));
    assert_memory_equal(o->value, sent, o->filled);
    assert_int_equal(o->rest.len, count - o->filled);
    assert_true(o->rest.len == 0 || memcmp(o->rest.bytes, sent + BYTES, o->rest.len) == 0);
    assert_int_equal(o->stream.bytes_in, count);
}

/* A first piece, with which the owner learns what is to come. */
static void begin(void)
{
    assert_int_equal(they_send(theirs, 0, 1000), 1000);
    loop_turn(loop, 0);
    assert_has(&ours, 1000);
    loop_turn(loop, 0); /* a ring has made its requests now */
}

static void test_all_comes_in_order(void **state)
{
    (void)state;
    begin();
    they_send_all(1000, BYTES + 500);
    assert_has(&ours, BYTES + 500);
    assert_int_equal(ours.placed_bytes, BYTES - 1000);
    they_send_all(BYTES + 500, BYTES + 1000); /* and goes on as before */
    assert_has(&ours, BYTES + 1000);
}

/* What came with the first piece is lent still. */
static void test_what_is_on_its_way_comes_first(void **state)
{
    (void)state;
    they_send_all(0, 2 * BYTES);
    assert_has(&ours, 2 * BYTES);
    assert_true(ours.placed_bytes > 0);
}

/* However far a ring has come with its requests: once the end is told the place is the owner's again. */
static void test_nothing_comes_there_after_the_end(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 10; round++) {
        struct owner o;
        int peer = open_owner(&o);
        they_send(peer, 0, 1000);
        for (unsigned turns = 0; turns < round / 2; turns++) {
            loop_turn(loop, 0);
        }
        if (round % 2) {
            they_send(peer, 1000, 50000);
        }
        stream_close(&o.stream);
        loop_turn(loop, 0);
        assert_int_equal(o.closed_count, 1);
        memset(o.value, UNTOUCHED, BYTES);
        for (unsigned turns = 0; turns < 3; turns++) {
            they_send(peer, 1000, 50000);
            loop_turn(loop, 0);
        }
        for (size_t i = 0; i < BYTES; i++) {
            assert_int_equal(o.value[i], UNTOUCHED);
        }
        close_owner(&o, peer);
    }
}

static void test_the_owner_may_close_when_something_was_placed(void **state)
{
    (void)state;
    ours.closes = true;
    begin();
    they_send(theirs, 1000, 5000);
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    assert_int_equal(ours.filled, 6000);
    assert_int_equal(ours.closed_count, 1);
}

static void test_a_pause_lets_in_what_is_asked_for_already(void **state)
{
    (void)state;
    ours.pauses = true;
    begin();
    they_send(theirs, 1000, 5000);
    for (unsigned turns = 0; turns < 4; turns++) {
        loop_turn(loop, 0);
    }
    assert_has(&ours, 6000);
    they_send(theirs, 6000, 5000);
    for (unsigned turns = 0; turns < 4; turns++) {
        loop_turn(loop, 0);
    }
    assert_has(&ours, 6000);
    ours.pauses = false;
    stream_resume(&ours.stream);
    they_send_all(11000, BYTES + 10);
    assert_has(&ours, BYTES + 10);
}

static void test_the_peers_end_is_told(void **state)
{
    (void)state;
    begin();
    they_send(theirs, 1000, 5000);
    shutdown(theirs, SHUT_WR);
    for (unsigned turns = 0; turns < 4; turns++) {
        loop_turn(loop, 0);
    }
    assert_has(&ours, 6000);
    assert_int_equal(ours.closed_count, 1);
    assert_int_equal(ours.reason, OK);
}

/* So many that a ring receives for some of them into its buffers. */
static void test_a_crowd_is_served(void **state)
{
    (void)state;
    enum { CROWD = 50, PIECE = 20000 };
    static struct owner crowd[CROWD];
    int peers[CROWD];
    size_t from[CROWD] = {0}, placed_bytes = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        peers[i] = open_owner(&crowd[i]);
    }
    for (unsigned left = CROWD, turns = 0; left > 0; turns++) {
        assert_true(turns < 10000);
        left = 0;
        for (unsigned i = 0; i < CROWD; i++) {
            from[i] += they_send(peers[i], from[i], num_min_u64(PIECE, BYTES + i - from[i]));
            left += crowd[i].filled + crowd[i].rest.len < BYTES + i;
        }
        loop_turn(loop, 0);
    }
    for (unsigned i = 0; i < CROWD; i++) {
        assert_has(&crowd[i], BYTES + i);
        placed_bytes += crowd[i].placed_bytes;
        close_owner(&crowd[i], peers[i]);
    }
    assert_true(placed_bytes > (engine == LOOP_URING ? BYTES : CROWD / 2 * (size_t)BYTES));
}

/* ---- a layer that changes nothing -------------------------------------------------------------------------------- */

static err take(struct stream_layer *l, struct stream *s, slice bytes)
{
    (void)l;
    (void)stream_deliver(s, bytes);
    return OK;
}

static err give(struct stream_layer *l, slice plain, size_t *ret_taken)
{
    buf_append(&l->out, plain);
    *ret_taken = plain.len;
    return OK;
}

static void end_layer(struct stream_layer *l)
{
    (void)l;
}

static void free_layer(struct stream_layer *l)
{
    free(l);
}

static const struct stream_layer_ops layer_ops = {.take = take, .give = give, .end = end_layer, .free = free_layer};

static void test_a_layer_is_not_passed_by(void **state)
{
    (void)state;
    struct stream_layer *l = calloc(1, sizeof *l);
    assert_non_null(l);
    l->ops = &layer_ops;
    stream_put_layer(&ours.stream, l);
    begin();
    they_send_all(1000, BYTES + 10);
    assert_has(&ours, BYTES + 10);
    assert_int_equal(ours.placed_bytes, 0);
}

#define WITH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int run(const char *name)
{
    const struct CMUnitTest tests[] = {
        WITH(test_all_comes_in_order),
        WITH(test_what_is_on_its_way_comes_first),
        WITH(test_nothing_comes_there_after_the_end),
        WITH(test_the_owner_may_close_when_something_was_placed),
        WITH(test_a_pause_lets_in_what_is_asked_for_already),
        WITH(test_the_peers_end_is_told),
        WITH(test_a_crowd_is_served),
        WITH(test_a_layer_is_not_passed_by),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return run_on_each_engine(run);
}
