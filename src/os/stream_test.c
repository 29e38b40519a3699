/* Streams over socket pairs and TCP: what is sent arrives, in order, whatever blocks; every end is told once; callbacks may close. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/num.h"
#include "os/sock.h"
#include "os/stream.h"
#include "os/testing_priv.h"

enum { OUT_BYTES_MAX = 8 << 20 };

struct end {
    struct stream stream;
    struct buf received;
    int received_count;
    int drained_count;
    int closed_count;
    err reason;
    void (*on_received)(struct end *e);
};

static struct loop *loop;
static struct end ours;
static int theirs; /* a plain blocking fd, as a client has it */

static void received(struct stream *s, slice bytes)
{
    struct end *e = container_of(s, struct end, stream);
    assert_int_equal(e->closed_count, 0);
    assert_true(bytes.len <= STREAM_READ_BYTES);
    e->received_count++;
    buf_append(&e->received, bytes);
    if (e->on_received) {
        e->on_received(e);
    }
}

static void drained(struct stream *s)
{
    container_of(s, struct end, stream)->drained_count++;
}

static void closed(struct stream *s, err reason)
{
    struct end *e = container_of(s, struct end, stream);
    e->closed_count++;
    e->reason = reason;
}

static const struct stream_ops ops = {.received = received, .drained = drained, .closed = closed};

static void open_end(struct end *e, int fd)
{
    *e = (struct end){0};
    buf_init(&e->received, SIZE_MAX);
    assert_int_equal(stream_open(&e->stream, loop, fd, &ops, OUT_BYTES_MAX), OK);
}

static int connect_unix(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(loop_new(engine, &loop), OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    open_end(&ours, fds[0]);
    theirs = fds[1];
    return 0;
}

static int connect_tcp(void **state)
{
    (void)state;
    int listener, fd;
    assert_int_equal(loop_new(engine, &loop), OK);
    assert_int_equal(sock_listen(S("127.0.0.1"), 0, 5, &listener, NULL), OK);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(sock_local_port(listener))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    theirs = socket(AF_INET, SOCK_STREAM, 0);
    int small_bytes = 128 * 1024; /* so that the kernel does not take everything at once */
    setsockopt(theirs, SOL_SOCKET, SO_RCVBUF, &small_bytes, sizeof small_bytes);
    assert_int_equal(connect(theirs, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(sock_accept(listener, &fd), OK);
    close(listener);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small_bytes, sizeof small_bytes);
    open_end(&ours, fd);
    return 0;
}

static void turn(void)
{
    loop_turn(loop, 0);
}

static int disconnect(void **state)
{
    (void)state;
    stream_close(&ours.stream);
    turn();
    assert_int_equal(ours.closed_count, 1);
    buf_fini(&ours.received);
    close(theirs);
    loop_free(loop);
    return 0;
}

static void they_send(const char *text)
{
    assert_int_equal(send(theirs, text, strlen(text), 0), strlen(text));
}

static void they_receive(const char *text)
{
    char got[64] = "";
    assert_int_equal(recv(theirs, got, sizeof got - 1, MSG_DONTWAIT), strlen(text));
    assert_string_equal(got, text);
}

static void they_receive_the_end(void)
{
    char byte;
    assert_int_equal(recv(theirs, &byte, 1, MSG_DONTWAIT), 0);
}

static void they_receive_nothing(void)
{
    char byte;
    assert_int_equal(recv(theirs, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static void we_append(const char *text)
{
    buf_append(&stream_out(&ours.stream)->own, slice_of(text));
    stream_touch(&ours.stream);
}

static void assert_received(const char *text)
{
    assert_int_equal(ours.received.len, strlen(text));
    assert_memory_equal(ours.received.bytes ? ours.received.bytes : "", text, strlen(text));
}

/* A client that resets the connection: SO_LINGER with no time. */
static void they_reset(void)
{
    struct linger none = {.l_onoff = 1};
    setsockopt(theirs, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(theirs);
    theirs = -1;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

static void answer_twice(struct end *e)
{
    (void)e;
    we_append("one ");
    we_append("two");
    they_receive_nothing(); /* all leaves at the end of the turn */
}

static void test_what_a_turn_appends_leaves_at_its_end(void **state)
{
    (void)state;
    ours.on_received = answer_twice;
    they_send("hello");
    turn();
    assert_received("hello");
    they_receive("one two");
    assert_int_equal(stream_pending_bytes(&ours.stream), 0);
    assert_int_equal(ours.stream.bytes_in, 5);
    assert_int_equal(ours.stream.bytes_out, 7);
    assert_int_equal(ours.drained_count, 0);
}

static void test_flush_sends_within_the_turn(void **state)
{
    (void)state;
    we_append("now");
    stream_flush(&ours.stream);
    they_receive("now");
}

static void test_a_slow_peer_gets_everything_in_order_and_drained_tells(void **state)
{
    (void)state;
    enum { NUMBER_COUNT = 1 << 20 };
    uint32_t *numbers = calloc(NUMBER_COUNT, sizeof *numbers);
    size_t numbers_bytes = NUMBER_COUNT * sizeof *numbers;
    for (uint32_t i = 0; i < NUMBER_COUNT; i++) {
        numbers[i] = i;
    }
    buf_append(&stream_out(&ours.stream)->own, slice_make(numbers, numbers_bytes / 2));
    stream_touch(&ours.stream);
    turn();
    assert_true(stream_pending_bytes(&ours.stream) > 0);
    buf_append(&stream_out(&ours.stream)->own, slice_make(numbers + NUMBER_COUNT / 2, numbers_bytes / 2));
    stream_touch(&ours.stream);
    char *got = malloc(numbers_bytes);
    size_t got_bytes = 0;
    while (got_bytes < numbers_bytes) {
        turn();
        ssize_t count = recv(theirs, got + got_bytes, numbers_bytes - got_bytes, 0);
        assert_true(count > 0);
        got_bytes += (size_t)count;
    }
    turn();
    turn();
    assert_memory_equal(got, numbers, numbers_bytes);
    assert_int_equal(stream_pending_bytes(&ours.stream), 0);
    assert_int_equal(ours.drained_count, 1);
    free(got);
    free(numbers);
}

/* With epoll one piece a turn; a ring hands over what it has received meanwhile. */
static void test_much_comes_in_pieces(void **state)
{
    (void)state;
    char *bytes = calloc(1, 3 * STREAM_READ_BYTES);
    fcntl(theirs, F_SETFL, O_NONBLOCK);
    ssize_t sent = send(theirs, bytes, 3 * STREAM_READ_BYTES, 0);
    assert_true(sent > STREAM_READ_BYTES);
    turn();
    assert_true(engine == LOOP_URING || ours.received_count == 1);
    while (ours.received.len < (size_t)sent) {
        turn();
    }
    free(bytes);
}

/* ---- blobs --------------------------------------------------------------------------------------------------------- */

static struct blob *blob_of(size_t bytes, char with)
{
    struct blob *b = blob_new(bytes);
    memset(b->bytes, with, bytes);
    return b;
}

static void we_hold(struct blob *b, size_t from, size_t bytes)
{
    output_hold(stream_out(&ours.stream), b, slice_make(b->bytes + from, bytes));
    stream_touch(&ours.stream);
}

static void test_parts_of_blobs_go_out_between_other_bytes(void **state)
{
    (void)state;
    struct blob *b = blob_of(4, 'x');
    we_append("one");
    we_hold(b, 0, 3);
    we_append("two");
    we_hold(b, 1, 2);
    we_hold(b, 3, 1);
    assert_int_equal(stream_pending_bytes(&ours.stream), 12);
    turn();
    they_receive("onexxxtwoxxx");
    assert_int_equal(ours.stream.bytes_out, 12);
    assert_false(blob_is_held(b));
    we_append("three"); /* the ring's again, where there is one */
    turn();
    they_receive("three");
    blob_disown(b);
}

/* Between the stream's last word to the ring and the ring's turn. */
static void test_a_blob_that_comes_when_a_send_is_queued(void **state)
{
    (void)state;
    struct blob *b = blob_of(4, 'x');
    we_append("one");
    ours.stream.flush.run(&ours.stream.flush);
    we_hold(b, 0, 4);
    we_append("two");
    turn();
    turn();
    assert_int_equal(stream_pending_bytes(&ours.stream), 0);
    they_receive("onexxxxtwo");
    assert_false(blob_is_held(b));
    blob_disown(b);
}

enum { BLOB_BYTES = 1 << 20, BLOB_COUNT = 200, SMALL_PART = 5000 };

/* One large part and many small ones, more than one call takes; the owner lets go of all while they are sent. `distance`: by which a layer
 * shifts what it sends. */
static void send_to_a_slow_peer(char distance)
{
    struct blob *b = blob_of(BLOB_BYTES, 'a');
    we_hold(b, 0, BLOB_BYTES);
    for (unsigned i = 0; i < BLOB_COUNT; i++) {
        we_append("b");
        we_hold(b, i, SMALL_PART);
    }
    turn();
    assert_true(stream_pending_bytes(&ours.stream) > 0);
    assert_true(blob_is_held(b));
    assert_true(output_memory(stream_out(&ours.stream)) < BLOB_BYTES / 4);
    blob_disown(b);
    assert_true(output_memory(stream_out(&ours.stream)) > BLOB_BYTES / 2);
    size_t all = BLOB_BYTES + BLOB_COUNT * (SMALL_PART + 1), count = 0;
    char *got = malloc(all);
    while (count < all) {
        ssize_t more = recv(theirs, got + count, all - count, MSG_DONTWAIT);
        count += more > 0 ? (size_t)more : 0;
        turn();
    }
    size_t wrong_count = 0;
    for (size_t i = 0; i < all; i++) {
        bool is_between = i >= BLOB_BYTES && (i - BLOB_BYTES) % (SMALL_PART + 1) == 0;
        wrong_count += got[i] != (is_between ? 'b' : 'a') + distance;
    }
    assert_int_equal(wrong_count, 0);
    assert_int_equal(stream_pending_bytes(&ours.stream), 0);
    assert_int_equal(ours.drained_count, 1);
    free(got);
}

static void test_a_slow_peer_gets_blobs_whole(void **state)
{
    (void)state;
    send_to_a_slow_peer(0);
}

/* When others have sent all that a turn may; nothing else happens on the loop, so what is left has to wake it. */
static void send_a_share(size_t pending)
{
    loop_note_sent(loop, SIZE_MAX / 2);
    size_t share = loop_send_share(loop), sent = ours.stream.bytes_out;
    assert_true(pending > 2 * share);
    stream_flush(&ours.stream);
    assert_int_equal(ours.stream.bytes_out - sent, share);
    assert_int_equal(stream_pending_bytes(&ours.stream), pending - share);
    stream_flush(&ours.stream); /* has had its share */
    assert_int_equal(ours.stream.bytes_out - sent, share);
    loop_turn(loop, -1);
    assert_int_equal(stream_pending_bytes(&ours.stream), 0);
    assert_int_equal(ours.stream.bytes_out - sent, pending);
    assert_int_equal(ours.drained_count, 1);
}

enum { SOME_BYTES = 100 * 1000 };

static void test_a_turn_sends_a_share(void **state)
{
    (void)state;
    struct blob *b = blob_of(SOME_BYTES, 'a');
    we_append("own");
    we_hold(b, 0, SOME_BYTES);
    send_a_share(SOME_BYTES + 3);
    assert_false(blob_is_held(b));
    blob_disown(b);
}

static void test_a_stream_that_ends_sends_share_by_share(void **state)
{
    (void)state;
    memset(buf_extend(&stream_out(&ours.stream)->own, SOME_BYTES), 'x', SOME_BYTES);
    stream_close_after_flush(&ours.stream);
    loop_note_sent(loop, SIZE_MAX / 2);
    stream_flush(&ours.stream);
    assert_int_equal(ours.closed_count, 0);
    loop_turn(loop, -1);
    assert_int_equal(ours.closed_count, 1);
    assert_int_equal(ours.reason, ERR_CLOSED);
    assert_int_equal(ours.stream.bytes_out, SOME_BYTES);
}

static void test_a_closed_stream_holds_nothing(void **state)
{
    (void)state;
    struct blob *b = blob_of(BLOB_BYTES, 'a');
    we_hold(b, 0, BLOB_BYTES);
    we_hold(b, 0, 1);
    turn();
    assert_true(blob_is_held(b));
    stream_close(&ours.stream);
    turn();
    assert_int_equal(ours.closed_count, 1);
    assert_false(blob_is_held(b));
    blob_disown(b);
}

static void test_output_past_its_limit_closes(void **state)
{
    (void)state;
    assert_null(buf_extend(&stream_out(&ours.stream)->own, OUT_BYTES_MAX + 1));
    stream_touch(&ours.stream);
    turn();
    assert_int_equal(ours.reason, ERR_LIMIT);
}

/* ---- pause --------------------------------------------------------------------------------------------------------- */

static void test_a_paused_stream_reads_nothing_until_it_is_resumed(void **state)
{
    (void)state;
    stream_pause(&ours.stream);
    they_send("later");
    turn();
    turn();
    assert_int_equal(ours.received_count, 0);
    stream_resume(&ours.stream);
    turn();
    assert_received("later");
}

static void assert_still_reading(void)
{
    if (engine == LOOP_URING) {
        assert_true(ring_is_receiving(loop_ring(loop), &ours.stream.socket));
        assert_null(ours.stream.watch.ready);
    } else {
        assert_int_equal(ours.stream.watch.events, LOOP_READ);
    }
}

/* What a call that parks for a moment does: no system call for it. */
static void test_a_pause_in_which_nothing_comes_changes_no_interest(void **state)
{
    (void)state;
    stream_pause(&ours.stream);
    stream_touch(&ours.stream);
    turn();
    assert_still_reading();
    stream_resume(&ours.stream);
    assert_still_reading();
}

static void test_what_comes_in_a_pause_comes_before_the_rest(void **state)
{
    (void)state;
    enum { ROUNDS = 200 };
    char expected[ROUNDS + 1] = "";
    for (int i = 0; i < ROUNDS; i++) {
        expected[i] = (char)('a' + i % 26);
        if (i % 5 == 0) {
            stream_pause(&ours.stream);
        }
        assert_int_equal(send(theirs, &expected[i], 1, 0), 1);
        if (i % 3 == 0) {
            turn();
        }
        if (i % 7 == 0) {
            stream_resume(&ours.stream);
        }
    }
    stream_resume(&ours.stream);
    for (int i = 0; i < 4; i++) {
        turn();
    }
    assert_received(expected);
    assert_int_equal(ours.stream.bytes_in, ROUNDS);
}

static void pause_it(struct end *e)
{
    stream_pause(&e->stream);
}

/* An owner who takes a piece now and then from a peer who sends without end: what the ring had received in his pauses is handed over before more is, so it does not
 * become more and more. */
static void test_what_is_held_does_not_grow(void **state)
{
    (void)state;
    enum { ROUNDS = 100, PIECE_WORDS = 1024, HELD_BYTES_MAX = 1 << 20 };
    uint32_t piece[PIECE_WORDS], sent = 0;
    fcntl(theirs, F_SETFL, O_NONBLOCK);
    ours.on_received = pause_it;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (bool goes_on = true; goes_on; sent += goes_on ? PIECE_WORDS : 0) {
            for (uint32_t i = 0; i < PIECE_WORDS; i++) {
                piece[i] = sent + i;
            }
            ssize_t taken = send(theirs, piece, sizeof piece, 0);
            assert_true(taken < 0 || taken == sizeof piece);
            goes_on = taken > 0;
        }
        turn();
        assert_true(ours.stream.held_bytes <= HELD_BYTES_MAX);
        stream_resume(&ours.stream);
    }
    ours.on_received = NULL;
    for (unsigned i = 0; i < ROUNDS && ours.received.len < sent * sizeof sent; i++) {
        turn();
    }
    assert_int_equal(ours.received.len, sent * sizeof sent);
    for (uint32_t i = 0; i < sent; i += PIECE_WORDS) {
        memcpy(piece, ours.received.bytes + i * sizeof *piece, sizeof piece);
        assert_int_equal(piece[0], i);
        assert_int_equal(piece[PIECE_WORDS - 1], i + PIECE_WORDS - 1);
    }
}

static void test_a_paused_stream_notices_that_its_peer_hung_up(void **state)
{
    (void)state;
    stream_pause(&ours.stream);
    close(theirs);
    theirs = -1;
    turn();
    turn();
    assert_int_equal(ours.closed_count, 1);
    assert_int_equal(ours.reason, OK);
}

static void test_bytes_before_a_hang_up_wait_for_resume(void **state)
{
    (void)state;
    stream_pause(&ours.stream);
    they_send("last words");
    close(theirs);
    theirs = -1;
    for (int i = 0; i < 4; i++) {
        turn();
    }
    assert_int_equal(ours.closed_count, 0);
    uint64_t before = loop_turn_count(loop);
    loop_turn(loop, 1); /* sleeps: nothing is reported over and over */
    assert_int_equal(loop_turn_count(loop), before + 1);
    assert_null(ours.stream.watch.ready);
    stream_resume(&ours.stream);
    turn();
    assert_received("last words");
    turn();
    assert_int_equal(ours.closed_count, 1);
    assert_int_equal(ours.reason, OK);
}

/* ---- ends ---------------------------------------------------------------------------------------------------------- */

static void test_a_peer_that_ended_its_half_gets_its_answer(void **state)
{
    (void)state;
    ours.on_received = answer_twice;
    they_send("question");
    shutdown(theirs, SHUT_WR);
    turn();
    turn();
    they_receive("one two");
    they_receive_the_end();
    assert_int_equal(ours.closed_count, 1);
    assert_int_equal(ours.reason, OK);
}

static void test_a_reset_is_told_as_a_failure(void **state)
{
    (void)state;
    they_reset();
    turn();
    assert_int_equal(ours.closed_count, 1);
    assert_int_equal(ours.reason, ERR_SYSTEM);
}

static void test_a_reset_while_paused_is_told(void **state)
{
    (void)state;
    stream_pause(&ours.stream);
    they_reset();
    turn();
    turn();
    assert_int_equal(ours.closed_count, 1);
    assert_int_equal(ours.reason, ERR_SYSTEM);
}

static void test_a_reset_while_blocked_is_told(void **state)
{
    (void)state;
    memset(buf_extend(&stream_out(&ours.stream)->own, OUT_BYTES_MAX), 'x', OUT_BYTES_MAX);
    stream_touch(&ours.stream);
    turn();
    assert_true(stream_pending_bytes(&ours.stream) > 0);
    they_reset();
    turn();
    assert_int_equal(ours.closed_count, 1);
    assert_int_equal(ours.reason, ERR_SYSTEM);
    assert_int_equal(ours.drained_count, 0);
}

static void close_at_once(struct end *e)
{
    we_append("never sent");
    stream_close(&e->stream);
    assert_int_equal(e->closed_count, 0);
    stream_touch(&e->stream); /* harmless now */
    stream_pause(&e->stream);
    stream_resume(&e->stream);
    stream_flush(&e->stream);
    stream_close_after_flush(&e->stream);
}

static void test_a_stream_may_be_closed_while_it_delivers(void **state)
{
    (void)state;
    ours.on_received = close_at_once;
    they_send("x");
    turn();
    assert_int_equal(ours.closed_count, 1);
    assert_int_equal(ours.reason, ERR_CLOSED);
    they_receive_the_end();
}

static void close_gently(struct end *e)
{
    we_append("bye");
    stream_close_after_flush(&e->stream);
}

static void test_a_gentle_close_sends_first_and_reads_no_more(void **state)
{
    (void)state;
    char *bytes = calloc(1, STREAM_READ_BYTES + 100); /* part of it is still unread when the stream ends */
    ours.on_received = close_gently;
    assert_int_equal(send(theirs, bytes, STREAM_READ_BYTES + 100, 0), STREAM_READ_BYTES + 100);
    turn();
    turn();
    assert_int_equal(ours.received_count, 1);
    they_receive("bye");
    they_receive_the_end();
    assert_int_equal(ours.closed_count, 1);
    assert_int_equal(ours.reason, ERR_CLOSED);
    free(bytes);
}

static struct end other;

static void echo(struct end *e)
{
    buf_append(&stream_out(&e->stream)->own, buf_slice(&e->received));
    buf_truncate(&e->received, 0);
    stream_touch(&e->stream);
}

/* A second stream on the loop; returns its peer's end. */
static int open_other(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    open_end(&other, fds[0]);
    return fds[1];
}

static void close_other(int peer)
{
    stream_close(&other.stream);
    turn();
    assert_int_equal(other.closed_count, 1);
    buf_fini(&other.received);
    close(peer);
}

/* Both peers send a byte. */
static void both_send(const char *to_ours, int peer, const char *to_other)
{
    they_send(to_ours);
    assert_int_equal(send(peer, to_other, 1, 0), 1);
}

static void close_the_other(struct end *e)
{
    stream_close(e == &ours ? &other.stream : &ours.stream);
}

static void test_a_stream_may_close_another_of_its_batch(void **state)
{
    (void)state;
    int peer = open_other();
    ours.on_received = other.on_received = close_the_other;
    both_send("x", peer, "y");
    turn();
    assert_int_equal(ours.received_count + other.received_count, 1);
    assert_int_equal(ours.closed_count + other.closed_count, 1);
    close_other(peer);
}

static void pause_the_other(struct end *e)
{
    stream_pause(e == &ours ? &other.stream : &ours.stream);
}

/* Whose bytes have been read already gets them when it reads again, before what has come since. */
static void test_a_stream_may_pause_another_of_its_batch(void **state)
{
    (void)state;
    int peer = open_other();
    ours.on_received = other.on_received = pause_the_other;
    both_send("x", peer, "x");
    turn();
    assert_int_equal(ours.received_count + other.received_count, 1);
    bool ours_was_first = ours.received_count > 0;
    struct end *paused = ours_was_first ? &other : &ours;
    ours.on_received = other.on_received = NULL;
    assert_int_equal(send(ours_was_first ? peer : theirs, "y", 1, 0), 1);
    turn();
    assert_int_equal(paused->received_count, 0);
    stream_resume(&paused->stream);
    turn();
    turn();
    assert_true(slice_equal(buf_slice(&paused->received), S("xy")));
    close_other(peer);
}

static char story[64];

static void tell(char what, const struct end *e, slice bytes)
{
    size_t at = strlen(story);
    snprintf(story + at, sizeof story - at, "%c%c%.*s ", what, e == &ours ? '1' : '2', SLICE_ARG(bytes));
}

static void tell_coming(struct stream *s, slice bytes)
{
    tell('c', container_of(s, struct end, stream), bytes);
}

static void tell_received(struct stream *s, slice bytes)
{
    tell('r', container_of(s, struct end, stream), bytes);
}

static void test_what_is_coming_is_told_before_the_first_of_it_is_received(void **state)
{
    (void)state;
    static const struct stream_ops telling_ops = {.coming = tell_coming, .received = tell_received, .closed = closed};
    int peer = open_other();
    ours.stream.ops = other.stream.ops = &telling_ops;
    turn();
    story[0] = '\0';
    both_send("x", peer, "y");
    turn();
    assert_string_equal(story, "c1x c2y r1x r2y ");

    stream_pause(&other.stream); /* what it is not to receive is not coming */
    story[0] = '\0';
    both_send("x", peer, "y");
    turn();
    assert_string_equal(story, "c1x r1x ");
    close_other(peer);
}

/* More streams at once than a ring has buffers, and than it makes sends of. */
static void test_a_crowd_is_served(void **state)
{
    (void)state;
    enum { CROWD = 400, ROUNDS = 3 };
    static struct end crowd[CROWD];
    static int clients[CROWD];
    for (int i = 0; i < CROWD; i++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        open_end(&crowd[i], fds[0]);
        crowd[i].on_received = echo;
        clients[i] = fds[1];
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < CROWD; i++) {
            uint32_t word = round * CROWD + i;
            assert_int_equal(send(clients[i], &word, sizeof word, 0), sizeof word);
        }
        for (int i = 0; i < 10; i++) {
            turn();
        }
        for (uint32_t i = 0; i < CROWD; i++) {
            uint32_t word = 0;
            assert_int_equal(recv(clients[i], &word, sizeof word, 0), sizeof word);
            assert_int_equal(word, round * CROWD + i);
        }
    }
    for (int i = 0; i < CROWD; i++) {
        stream_close(&crowd[i].stream);
        close(clients[i]);
        buf_fini(&crowd[i].received);
    }
    turn();
}

/* One after the other, each in a turn of its own; nobody is forgotten. */
static void test_a_full_turn_leaves_the_rest_to_the_next(void **state)
{
    (void)state;
    enum { MANY = 20 };
    static struct end many[MANY];
    static int clients[MANY];
    unsigned turns = 0, served = 0, most = 0;
    for (int i = 0; i < MANY; i++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        open_end(&many[i], fds[0]);
        clients[i] = fds[1];
        assert_int_equal(send(clients[i], "x", 1, 0), 1);
    }
    loop_set_full_turn(loop, 1);
    for (; served < MANY && turns < 10 * MANY; turns++) {
        unsigned before = served;
        turn();
        served = 0;
        for (int i = 0; i < MANY; i++) {
            served += many[i].received_count;
        }
        most = served - before > most ? served - before : most;
    }
    assert_int_equal(served, MANY);
    assert_int_equal(most, 1);
    for (int i = 0; i < MANY; i++) {
        stream_close(&many[i].stream);
        close(clients[i]);
        buf_fini(&many[i].received);
    }
    turn();
}

static void test_an_fd_number_that_is_reused_at_once_gets_nobody_elses_bytes(void **state)
{
    (void)state;
    int fds[2], reused[2];
    struct end newcomer;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    open_end(&other, fds[0]);
    stream_close(&other.stream);
    close(fds[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, reused), 0);
    assert_int_equal(reused[0], fds[0]); /* the lowest free number */
    open_end(&newcomer, reused[0]);
    assert_int_equal(send(reused[1], "mine", 4, 0), 4);
    turn();
    turn();
    assert_int_equal(other.closed_count, 1);
    assert_int_equal(newcomer.closed_count, 0);
    assert_int_equal(newcomer.received.len, 4);
    stream_close(&newcomer.stream);
    turn();
    buf_fini(&newcomer.received);
    close(reused[1]);
}

/* Asked anew, it receives what comes, and the end, as before. */
static void test_who_is_looked_at_again_goes_on(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        stream_look_again(&ours.stream);
        stream_look_again(&ours.stream);
        they_send("more ");
        turn();
        turn();
        turn();
    }
    assert_received("more more more ");
    stream_pause(&ours.stream);
    stream_look_again(&ours.stream);
    stream_resume(&ours.stream);
    shutdown(theirs, SHUT_WR);
    turn();
    stream_look_again(&ours.stream);
    turn();
    turn();
    assert_int_equal(ours.closed_count, 1);
}

static void send_often(struct end *e, int to)
{
    enum { OFTEN = 100 };
    for (int i = 0; i < OFTEN; i++) {
        char text[8], got[8] = "";
        int len = snprintf(text, sizeof text, "%d.", i);
        buf_append(&stream_out(&e->stream)->own, slice_make(text, (size_t)len));
        stream_touch(&e->stream);
        turn();
        assert_int_equal(recv(to, got, sizeof got, MSG_DONTWAIT), len);
        assert_string_equal(got, text);
    }
}

/* A ring knows its socket in another way by then. */
static void test_whoever_has_sent_often_is_gone_when_he_closes(void **state)
{
    (void)state;
    int fds[2];
    send_often(&ours, theirs);
    stream_close(&ours.stream);
    turn();
    they_receive_the_end();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    open_end(&other, fds[0]);
    send_often(&other, fds[1]); /* in his place */
    stream_close(&other.stream);
    turn();
    assert_int_equal(other.closed_count, 1);
    close(fds[1]);
}

/* Freed in closed(), as owners do: the sanitizer watches that nothing touches it afterwards. */
static int freed_count;

static void free_closed(struct stream *s, err reason)
{
    (void)reason;
    free(container_of(s, struct end, stream));
    freed_count++;
}

static void close_now(struct stream *s, slice bytes)
{
    (void)bytes;
    stream_close(s);
}

static void test_the_owner_may_free_it_when_it_is_closed(void **state)
{
    (void)state;
    static const struct stream_ops free_ops = {.received = close_now, .closed = free_closed};
    freed_count = 0;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct end *e = malloc(sizeof *e);
    assert_int_equal(stream_open(&e->stream, loop, fds[0], &free_ops, 100), OK);
    assert_int_equal(send(fds[1], "y", 1, 0), 1);
    close(fds[1]);
    turn();
    turn();
    assert_int_equal(freed_count, 1);
}

/* ---- a layer: each byte is shifted by one, pieces of two bytes, and a greeting must have come before anything is sent -- */

struct shift {
    struct stream_layer layer;
    struct buf held;
    bool greeted;
};

enum { SHIFT_PIECE = 2 };
static size_t give_piece = SHIFT_PIECE;
static int layers_freed;

static struct shift *shift_of(struct stream_layer *l)
{
    return container_of(l, struct shift, layer);
}

static err shift_take(struct stream_layer *l, struct stream *s, slice bytes)
{
    struct shift *h = shift_of(l);
    assert_true(bytes.len == 0 || !l->unread);
    buf_append(&h->held, bytes);
    l->unread = false;
    while (h->held.len > 0 && !l->unread) {
        char plain[SHIFT_PIECE];
        size_t count = 0;
        for (; count < SHIFT_PIECE && count < h->held.len; count++) {
            char byte = h->held.bytes[count];
            if (byte == '.') {
                return ERR_CLOSED;
            }
            if (byte == '!') {
                buf_append(&l->out, S("alert"));
                return ERR_PROTOCOL;
            }
            plain[count] = (char)(byte - 1);
        }
        buf_consume(&h->held, count);
        h->greeted = true;
        l->unread = !stream_deliver(s, slice_make(plain, count)) && h->held.len > 0;
    }
    return OK;
}

static err shift_give(struct stream_layer *l, slice plain, size_t *ret_taken)
{
    *ret_taken = shift_of(l)->greeted ? num_min_u64(plain.len, give_piece) : 0;
    for (size_t i = 0; i < *ret_taken; i++) {
        buf_append_byte(&l->out, (char)(plain.ptr[i] + 1));
    }
    return OK;
}

static void shift_end(struct stream_layer *l)
{
    buf_append(&l->out, S("."));
}

static void shift_free(struct stream_layer *l)
{
    buf_fini(&shift_of(l)->held);
    free(shift_of(l));
    layers_freed++;
}

static const struct stream_layer_ops shift_ops = {
    .take = shift_take, .give = shift_give, .end = shift_end, .free = shift_free};

static int connect_layered(void **state)
{
    int failure = connect_unix(state);
    struct shift *h = calloc(1, sizeof *h);
    h->layer.ops = &shift_ops;
    buf_init(&h->held, 4096);
    stream_put_layer(&ours.stream, &h->layer);
    layers_freed = 0;
    return failure;
}

static int disconnect_layered(void **state)
{
    int failure = disconnect(state);
    return failure || layers_freed != 1;
}

static void pause_at_first(struct end *e)
{
    if (e->received_count == 1) {
        stream_pause(&e->stream);
    }
}

static void test_a_layer_turns_bytes_both_ways(void **state)
{
    (void)state;
    we_append("abcde");
    turn();
    they_receive_nothing();
    they_send("bcdef");
    turn();
    assert_received("abcde");
    stream_touch(&ours.stream);
    turn();
    they_receive("bcdef");
    assert_int_equal(stream_pending_bytes(&ours.stream), 0);
    assert_int_equal(ours.drained_count, 0);
}

static void test_a_layer_keeps_what_came_until_the_owner_resumes(void **state)
{
    (void)state;
    ours.on_received = pause_at_first;
    they_send("bcdef");
    close(theirs);
    theirs = -1;
    turn();
    turn();
    turn();
    assert_received("ab");
    assert_int_equal(ours.closed_count, 0);
    stream_resume(&ours.stream);
    assert_received("ab"); /* never from within */
    turn();
    turn();
    assert_received("abcde");
    turn();
    assert_int_equal(ours.closed_count, 1);
    assert_int_equal(ours.reason, OK);
}

static void test_a_layer_says_good_bye(void **state)
{
    (void)state;
    they_send("b");
    turn();
    we_append("last");
    stream_close_after_flush(&ours.stream);
    turn();
    they_receive("mbtu.");
    they_receive_the_end();
    assert_int_equal(ours.reason, ERR_CLOSED);
}

static void test_the_good_bye_of_the_peer_is_its_end(void **state)
{
    (void)state;
    they_send("bc.");
    turn();
    turn();
    they_receive(".");
    they_receive_the_end();
    assert_int_equal(ours.closed_count, 1);
    assert_int_equal(ours.reason, OK);
}

static void test_a_layer_that_fails_has_the_last_word(void **state)
{
    (void)state;
    they_send("bc");
    turn();
    we_append("never sent");
    they_send("!");
    turn();
    turn();
    assert_received("ab");
    char got[64];
    ssize_t count = recv(theirs, got, sizeof got, MSG_DONTWAIT);
    assert_true(count >= 5);
    assert_memory_equal(got + count - 5, "alert", 5);
    they_receive_the_end();
    assert_int_equal(ours.reason, ERR_PROTOCOL);
}

static void test_a_layer_takes_blobs(void **state)
{
    (void)state;
    they_send("b");
    turn();
    send_to_a_slow_peer(1);
}

static void test_a_turn_sends_a_share_through_a_layer(void **state)
{
    (void)state;
    they_send("b");
    turn();
    give_piece = 4096; /* divides the share */
    memset(buf_extend(&stream_out(&ours.stream)->own, SOME_BYTES), 'x', SOME_BYTES);
    send_a_share(SOME_BYTES);
    give_piece = SHIFT_PIECE;
}

static void test_a_slow_peer_blocks_a_layer(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    they_send("b");
    turn();
    char *plain = malloc(BYTES), *got = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++) {
        plain[i] = (char)(i % 100);
    }
    buf_append(&stream_out(&ours.stream)->own, slice_make(plain, BYTES));
    stream_touch(&ours.stream);
    turn();
    assert_true(stream_pending_bytes(&ours.stream) > 0);
    assert_true(ours.stream.layer->out.len <= SHIFT_PIECE);
    size_t count = 0;
    while (count < BYTES) {
        ssize_t more = recv(theirs, got + count, BYTES - count, MSG_DONTWAIT);
        count += more > 0 ? (size_t)more : 0;
        turn();
    }
    for (size_t i = 0; i < BYTES; i++) {
        assert_int_equal(got[i], plain[i] + 1);
    }
    assert_int_equal(ours.drained_count, 1);
    assert_int_equal(ours.stream.layer->out.capacity, 0);
    free(plain);
    free(got);
}

#define UNIX(name) cmocka_unit_test_setup_teardown(name, connect_unix, disconnect)
#define LAYERED(name) cmocka_unit_test_setup_teardown(name, connect_layered, disconnect_layered)
#define TCP(name) cmocka_unit_test_setup_teardown(name, connect_tcp, disconnect)

static int run(const char *name)
{
    const struct CMUnitTest tests[] = {
        UNIX(test_what_a_turn_appends_leaves_at_its_end),
        TCP(test_what_a_turn_appends_leaves_at_its_end),
        UNIX(test_flush_sends_within_the_turn),
        UNIX(test_a_slow_peer_gets_everything_in_order_and_drained_tells),
        TCP(test_a_slow_peer_gets_everything_in_order_and_drained_tells),
        UNIX(test_much_comes_in_pieces),
        UNIX(test_parts_of_blobs_go_out_between_other_bytes),
        TCP(test_parts_of_blobs_go_out_between_other_bytes),
        UNIX(test_a_blob_that_comes_when_a_send_is_queued),
        UNIX(test_a_slow_peer_gets_blobs_whole),
        TCP(test_a_slow_peer_gets_blobs_whole),
        UNIX(test_a_turn_sends_a_share),
        UNIX(test_a_stream_that_ends_sends_share_by_share),
        UNIX(test_a_closed_stream_holds_nothing),
        UNIX(test_output_past_its_limit_closes),
        UNIX(test_a_paused_stream_reads_nothing_until_it_is_resumed),
        TCP(test_a_paused_stream_reads_nothing_until_it_is_resumed),
        TCP(test_what_comes_in_a_pause_comes_before_the_rest),
        UNIX(test_what_is_held_does_not_grow),
        UNIX(test_a_pause_in_which_nothing_comes_changes_no_interest),
        UNIX(test_a_paused_stream_notices_that_its_peer_hung_up),
        TCP(test_a_paused_stream_notices_that_its_peer_hung_up),
        UNIX(test_bytes_before_a_hang_up_wait_for_resume),
        TCP(test_bytes_before_a_hang_up_wait_for_resume),
        UNIX(test_a_peer_that_ended_its_half_gets_its_answer),
        TCP(test_a_peer_that_ended_its_half_gets_its_answer),
        TCP(test_a_reset_is_told_as_a_failure),
        TCP(test_a_reset_while_paused_is_told),
        TCP(test_a_reset_while_blocked_is_told),
        UNIX(test_a_stream_may_be_closed_while_it_delivers),
        UNIX(test_a_gentle_close_sends_first_and_reads_no_more),
        TCP(test_a_gentle_close_sends_first_and_reads_no_more),
        UNIX(test_a_stream_may_close_another_of_its_batch),
        UNIX(test_a_stream_may_pause_another_of_its_batch),
        UNIX(test_the_owner_may_free_it_when_it_is_closed),
        UNIX(test_what_is_coming_is_told_before_the_first_of_it_is_received),
        UNIX(test_a_crowd_is_served),
        UNIX(test_a_full_turn_leaves_the_rest_to_the_next),
        UNIX(test_an_fd_number_that_is_reused_at_once_gets_nobody_elses_bytes),
        UNIX(test_who_is_looked_at_again_goes_on),
        TCP(test_who_is_looked_at_again_goes_on),
        UNIX(test_whoever_has_sent_often_is_gone_when_he_closes),
        TCP(test_whoever_has_sent_often_is_gone_when_he_closes),
        LAYERED(test_a_layer_turns_bytes_both_ways),
        LAYERED(test_a_layer_keeps_what_came_until_the_owner_resumes),
        LAYERED(test_a_layer_says_good_bye),
        LAYERED(test_the_good_bye_of_the_peer_is_its_end),
        LAYERED(test_a_layer_that_fails_has_the_last_word),
        LAYERED(test_a_slow_peer_blocks_a_layer),
        LAYERED(test_a_layer_takes_blobs),
        LAYERED(test_a_turn_sends_a_share_through_a_layer),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return run_on_each_engine(run);
}
