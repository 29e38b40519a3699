/* Streams, on either engine of the loop.
 *
 * Reading on epoll: one recv() into the loop's buffer for each readiness, so that a fast peer gets 64 KB a turn and then the others come. Idle
 * connections hold no read buffer at all. What several streams have read is handed over together (loop_arrivals()), so that their owners can look
 * ahead (coming()). A pause costs no system call unless bytes do arrive meanwhile: only then READ is given up.
 *
 * A place that the owner has named is received into at once; what has come behind it goes into the loop's buffer with the same system call.
 *
 * Sending on epoll: one send() at the end of the turn for everything that the turn appended, or sendmsg() when blobs are between it.
 * Interest in WRITE exists only while the socket has taken less than there is.
 *
 * A turn sends a share of one stream (loop_send_share()). What is left then is blocked, as if the socket were full: one that takes more says so in the
 * next turn, when the others have had theirs. A reader as fast as we are would else keep the thread until 100 MB have left.
 *
 * On a ring (ring.c) the kernel receives and hands over what has come, and the send at the end of the turn joins those of the other
 * streams. What is rare goes as on epoll: outputs with blobs (to which a system call of their own is nothing), sending again, blocked
 * sockets, the end of a paused peer, the last words.
 *
 * Bytes that had already been received when the owner paused are kept in `held`: on a ring at most what that has buffers for; then it is told to stop.
 *
 * Ending: `ending` is the gentle way (the owner's, or the peer's last byte has come): all is sent first. die() is the end itself; it closes
 * the fd at once, and the one deferred `finish` of the stream tells the owner at the end of the turn, when no callback of the stream is
 * on the stack. Bytes that a peer sent and nobody read would turn our close into a reset, which can destroy the last answer on its way:
 * a gentle end reads some of them away.
 *
 * Layer: what was received goes through take(), and what is sent comes out of give(), LAYER_PIECE_BYTES at a time as the socket takes
 * them: the rest stays plain in `out`, so a peer that reads nothing costs no second copy. The layer's own output is freed whenever all
 * of it is sent.
 *
 * Invariants:
 * (I1) dead: not watched, fd closed, flush is not queued, finish is.
 * (I2) blocked: something is pending here or in the layer, and WRITE is watched.
 * (I3) Not watched and not dead: on a ring, or paused, and the peer's end was seen before bytes that wait for resume. Otherwise
 *      level-triggered hang-ups would spin.
 * (I4) On a ring READ is never watched: only one of the two may take bytes from the socket.
 * (I5) held has pieces: paused, or flush is queued. None is empty; held_bytes is their sum.
 *
 * One thread, the loop's. */
#include "os/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/num.h"

enum { OUT_KEEP_BYTES = 16 * 1024, LAYER_PIECE_BYTES = 64 * 1024, LAYER_OUT_BYTES_MAX = 256 * 1024 };
enum { SCRAP_BYTES = 4096, SCRAP_ROUNDS = 64, SEND_PIECES_MAX = 64 };

static_assert((int)RING_READ_BYTES <= (int)STREAM_READ_BYTES, "a layer is given no more than it expects");

static void ready(struct watch *w, unsigned events);
static bool has_unread(const struct stream *s);
static void deliver_unread(struct stream *s);

static struct ring *ring_of(const struct stream *s)
{
    return loop_ring(s->loop);
}

static bool is_reading(const struct stream *s)
{
    return !s->paused && !s->ending && !s->dead;
}

/* ---- what is held -------------------------------------------------------------------------------------------------- */

/* As it came from a ring, so that what waits is not moved when more comes, or when some of it has been taken. */
struct piece {
    struct list link; /* of the stream's */
    size_t len;
    char bytes[];
};

/* False when the system refuses memory. */
static bool keep_piece(struct stream *s, slice bytes)
{
    struct piece *p = malloc(sizeof *p + bytes.len);
    if (!p) {
        return false;
    }
    p->len = bytes.len;
    memcpy(p->bytes, bytes.ptr, bytes.len);
    list_push_back(&s->held, &p->link);
    s->held_bytes += bytes.len;
    return true;
}

/* The first, which is the caller's then; NULL: there is none. */
static struct piece *take_piece(struct stream *s)
{
    struct list *link = list_pop_front(&s->held);
    struct piece *p = link ? container_of(link, struct piece, link) : NULL;
    s->held_bytes -= p ? p->len : 0;
    return p;
}

static void drop_held(struct stream *s)
{
    for (struct piece *p; (p = take_piece(s));) {
        free(p);
    }
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

static void drop_arrival(const struct stream *s)
{
    struct loop_arrivals *a = loop_arrivals(s->loop);
    for (unsigned i = 0; i < a->count; i++) {
        if (a->of[i].stream == s) {
            a->of[i].stream = NULL;
        }
    }
}

static void die(struct stream *s, err reason)
{
    assert(!s->dead);
    s->dead = true;
    s->reason = reason;
    loop_unwatch(s->loop, &s->watch);
    if (ring_of(s)) {
        ring_detach(ring_of(s), &s->socket);
    }
    close(s->watch.fd);
    s->watch.fd = -1;
    drop_arrival(s);
    loop_undefer(s->loop, &s->flush);
    loop_defer(s->loop, &s->finish);
}

static void read_away(int fd)
{
    char scrap[SCRAP_BYTES];
    for (int i = 0; i < SCRAP_ROUNDS && recv(fd, scrap, sizeof scrap, 0) > 0; i++) {}
}

void stream_layer_free(struct stream_layer *l)
{
    if (l) {
        buf_fini(&l->out);
        l->ops->free(l);
    }
}

static void run_finish(struct deferred *d)
{
    struct stream *s = container_of(d, struct stream, finish);
    output_fini(&s->out);
    drop_held(s);
    stream_layer_free(s->layer);
    s->layer = NULL;
    s->ops->closed(s, s->reason);
}

/* ---- interest ------------------------------------------------------------------------------------------------------ */

/* More is received only when all that was is handed over. */
static bool wants_ring(const struct stream *s)
{
    return ring_of(s) && is_reading(s) && !has_unread(s);
}

/* Of the watch; on a ring, which tells the rest, often none. */
static unsigned interest(const struct stream *s)
{
    bool on_ring = ring_of(s) != NULL;
    bool tells_end = s->peer_ended || (on_ring && ring_is_receiving(ring_of(s), &s->socket));
    unsigned events = s->blocked ? LOOP_WRITE : 0;
    if (is_reading(s) && !on_ring) {
        events |= LOOP_READ;
    }
    if (!s->ending && s->paused && !tells_end) {
        events |= LOOP_PEER_END;
    }
    return events;
}

static void update_interest(struct stream *s)
{
    if (wants_ring(s)) {
        ring_receive(ring_of(s), &s->socket);
    }
    unsigned events = interest(s);
    if (events == 0 && (s->peer_ended || ring_of(s))) {
        loop_unwatch(s->loop, &s->watch);
    } else if (s->watch.ready) {
        loop_rewatch(s->loop, &s->watch, events);
    } else {
        err e = loop_watch(s->loop, &s->watch, s->watch.fd, events, ready);
        if (e) {
            die(s, e);
        }
    }
}

static bool watches_write(const struct stream *s)
{
    return s->watch.ready && s->watch.events & LOOP_WRITE;
}

/* ---- out ----------------------------------------------------------------------------------------------------------- */

size_t stream_pending_bytes(const struct stream *s)
{
    return output_bytes(&s->out);
}

/* One attempt to send pieces; says how much of them the socket took, which may be nothing. False: the socket has failed. */
static bool send_pieces(struct stream *s, struct iovec *pieces, unsigned count, size_t *ret_taken)
{
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    ssize_t taken = count == 1 ? send(s->watch.fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL)
                               : sendmsg(s->watch.fd, &message, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN && errno != EINTR) {
        return false;
    }
    size_t asked = 0;
    for (unsigned i = 0; i < count; i++) {
        asked += pieces[i].iov_len;
    }
    *ret_taken = taken > 0 ? (size_t)taken : 0;
    s->bytes_out += *ret_taken;
    loop_note_sent(s->loop, *ret_taken);
    s->blocked = *ret_taken < asked && !(taken < 0 && errno == EINTR);
    return true;
}

/* What there is, as far as the socket takes it and its share of the turn goes. False: the socket has failed. */
static bool send_output(struct stream *s)
{
    struct iovec pieces[SEND_PIECES_MAX];
    size_t share = loop_send_share(s->loop);
    for (unsigned count; !s->blocked && (count = output_pieces(&s->out, share, pieces, SEND_PIECES_MAX)) > 0;) {
        size_t taken;
        if (!send_pieces(s, pieces, count, &taken)) {
            return false;
        }
        output_sent(&s->out, taken);
        share -= taken;
    }
    s->blocked = stream_pending_bytes(s) > 0;
    return true;
}

/* The same of what the layer has made ready. */
static bool send_layer_output(struct stream *s)
{
    struct stream_layer *l = s->layer;
    while (!s->blocked && l->out_sent < l->out.len) {
        struct iovec piece = {.iov_base = l->out.bytes + l->out_sent, .iov_len = l->out.len - l->out_sent};
        size_t taken;
        if (!send_pieces(s, &piece, 1, &taken)) {
            return false;
        }
        l->out_sent += taken;
    }
    return true;
}

/* Ending, and nothing more will be said. Who closes it himself says nothing more; when the peer has come to its end, the owner may. */
static bool is_over(const struct stream *s)
{
    return s->ending && !(s->reason == OK && s->ops->owes && s->ops->owes(s));
}

/* Has the layer make the next piece ready; in the end its last words. */
static err fill_layer(struct stream *s)
{
    struct stream_layer *l = s->layer;
    buf_fini(&l->out);
    l->out_sent = 0;
    if (stream_pending_bytes(s) > 0) {
        size_t taken = 0;
        err e = l->ops->give(l, slice_sub(output_first(&s->out), 0, LAYER_PIECE_BYTES), &taken);
        if (e) {
            return e;
        }
        output_sent(&s->out, taken);
    } else if (is_over(s) && !l->ended) {
        l->ended = true;
        l->ops->end(l);
    }
    return buf_failed(&l->out) ? ERR_NOMEM : OK;
}

static err send_layered(struct stream *s)
{
    struct stream_layer *l = s->layer;
    uint64_t share_end = s->bytes_out + loop_send_share(s->loop);
    while (!s->blocked) {
        if (l->out_sent == l->out.len) {
            if (s->bytes_out >= share_end && stream_pending_bytes(s) > 0) {
                s->blocked = true;
                break;
            }
            err e = fill_layer(s);
            if (e) {
                return e;
            }
        }
        if (l->out.len == 0) {
            break;
        }
        if (!send_layer_output(s)) {
            if (!l->ended) {
                return ERR_SYSTEM;
            }
            l->out_sent = l->out.len; /* a peer that is gone needs no last words */
        }
    }
    return OK;
}

/* After what there was has been offered to the socket. */
static void settle_output(struct stream *s)
{
    if (!s->blocked && is_over(s)) {
        read_away(s->watch.fd);
        die(s, s->reason);
        return;
    }
    output_shrink(&s->out, OUT_KEEP_BYTES);
    if (s->blocked != watches_write(s)) {
        update_interest(s);
    }
}

static void send_pending(struct stream *s)
{
    if (buf_failed(&s->out.own)) {
        die(s, s->out.own.failure);
        return;
    }
    s->blocked = false;
    err e = UNLIKELY(s->layer != NULL) ? send_layered(s) : send_output(s) ? OK : ERR_SYSTEM;
    if (e) { /* a peer that came to its end and does not take the rest has hung up in order all the same */
        die(s, s->ending && e == ERR_SYSTEM ? s->reason : e);
    } else {
        settle_output(s);
    }
}

/* Leaves the sending to the ring when it is plain sailing; what it does not finish is gone on with here. */
static bool send_by_ring(struct stream *s)
{
    if (!ring_of(s) || s->dead || s->blocked || s->ending || s->layer || buf_failed(&s->out.own) ||
        output_has_parts(&s->out)) {
        return false;
    }
    return ring_send_later(ring_of(s), &s->socket);
}

static void run_flush(struct deferred *d)
{
    struct stream *s = container_of(d, struct stream, flush);
    if (UNLIKELY(has_unread(s)) && is_reading(s)) {
        deliver_unread(s);
    }
    if (!send_by_ring(s)) {
        stream_flush(s);
    }
}

void stream_touch(struct stream *s)
{
    if (!s->dead) {
        loop_defer(s->loop, &s->flush);
    }
}

void stream_flush(struct stream *s)
{
    if (!s->dead && !s->blocked) {
        send_pending(s);
    }
}

static void end_after_flush(struct stream *s, err reason)
{
    if (s->dead) {
        return;
    }
    if (!s->ending) {
        s->ending = true;
        s->reason = reason;
        update_interest(s);
    }
    stream_touch(s);
}

/* ---- in ------------------------------------------------------------------------------------------------------------ */

bool stream_deliver(struct stream *s, slice plain)
{
    s->ops->received(s, plain);
    return is_reading(s);
}

/* The layer cannot go on: what it still says to the peer is tried once, what the owner says has no way any more. */
static void fail(struct stream *s, err reason)
{
    if (!s->blocked && !send_layer_output(s)) {
        reason = ERR_SYSTEM;
    }
    read_away(s->watch.fd);
    die(s, reason);
}

static void take(struct stream *s, slice bytes)
{
    err e = s->layer->ops->take(s->layer, s, bytes);
    if (s->dead) {
        return;
    }
    if (e == ERR_CLOSED) {
        end_after_flush(s, OK);
    } else if (e) {
        fail(s, e);
    } else if (s->layer->out.len > s->layer->out_sent) {
        stream_touch(s);
    }
}

static void hand_over(struct stream *s, slice bytes)
{
    if (UNLIKELY(s->layer != NULL)) {
        take(s, bytes);
    } else {
        s->ops->received(s, bytes);
    }
}

/* Whether bytes that the socket has given wait for the owner. */
static bool has_unread(const struct stream *s)
{
    return s->held_bytes > 0 || (s->layer && s->layer->unread);
}

/* Hands over what waits, until the owner pauses again. */
static void deliver_unread(struct stream *s)
{
    if (s->layer && s->layer->unread) {
        take(s, S(""));
    }
    for (struct piece *p; is_reading(s) && (p = take_piece(s));) {
        hand_over(s, slice_make(p->bytes, p->len));
        free(p);
    }
    if (is_reading(s)) {
        s->peer_ended = false;
        update_interest(s); /* the ring tells the end again */
    }
}

/* Bytes will be handed over in this turn. */
static void announce(struct stream *s, slice bytes)
{
    if (s->ops->coming && !s->layer && is_reading(s) && !has_unread(s)) {
        s->ops->coming(s, bytes);
    }
}

/* Bytes that were received for it, which the owner may not want any more. */
static void take_in(struct stream *s, slice bytes)
{
    if (LIKELY(is_reading(s) && !has_unread(s))) {
        hand_over(s, bytes);
        return;
    }
    if (!s->ending && !keep_piece(s, bytes)) {
        die(s, ERR_NOMEM);
    } else if (ring_of(s) && !is_reading(s)) {
        ring_stop_receiving(ring_of(s), &s->socket);
        update_interest(s);
    }
}

static void hand_over_arrivals(struct loop_arrivals *a)
{
    for (unsigned i = 0; i < a->count; i++) {
        if (a->of[i].stream) {
            announce(a->of[i].stream, a->of[i].bytes);
        }
    }
    for (unsigned i = 0; i < a->count; i++) {
        struct stream *s = a->of[i].stream;
        a->of[i].stream = NULL;
        if (s) {
            take_in(s, a->of[i].bytes);
        }
    }
    a->count = 0;
    a->bytes = 0;
}

static void run_hand_over(struct deferred *d)
{
    hand_over_arrivals(container_of(d, struct loop_arrivals, hand_over));
}

/* Keeps what was read into the buffer for the others' sake, until the turn has read all or there is no room for more. */
static void add_arrival(struct stream *s, size_t bytes)
{
    struct loop_arrivals *a = loop_arrivals(s->loop);
    if (a->count == 0) {
        deferred_init(&a->hand_over, run_hand_over);
        loop_defer(s->loop, &a->hand_over);
    }
    a->of[a->count].stream = s;
    a->of[a->count++].bytes = slice_make(a->buffer + a->bytes, bytes);
    a->bytes += bytes;
    if (a->count == LOOP_ARRIVALS_MAX || a->bytes > sizeof a->buffer - STREAM_READ_BYTES) {
        loop_undefer(s->loop, &a->hand_over);
        hand_over_arrivals(a);
    }
}

/* Bytes have come to where the owner wanted them. */
static void land(struct stream *s, size_t bytes)
{
    s->bytes_in += bytes;
    s->place_bytes = 0;
    s->ops->placed(s, bytes);
}

/* How much is received into the owner's place at a time, on either engine; 0: there is none. */
static size_t next_place_bytes(const struct stream *s)
{
    return s->layer ? 0 : num_min_u64(s->place_bytes, RING_PLACE_BYTES_MAX);
}

/* As much as a turn should, into the owner's place if there is one, and behind it into the buffer. */
static ssize_t receive_into(struct stream *s, size_t place_bytes, char *buffer)
{
    struct iovec into[] = {{s->place, place_bytes}, {buffer, STREAM_READ_BYTES}};
    struct msghdr message = {.msg_iov = into, .msg_iovlen = place_bytes < s->place_bytes ? 1 : 2};
    return place_bytes > 0 ? recvmsg(s->watch.fd, &message, 0) : recv(s->watch.fd, buffer, STREAM_READ_BYTES, 0);
}

static void receive(struct stream *s)
{
    if (UNLIKELY(has_unread(s))) {
        deliver_unread(s);
        if (!is_reading(s)) {
            return;
        }
    }
    struct loop_arrivals *a = loop_arrivals(s->loop);
    size_t place_bytes = next_place_bytes(s);
    ssize_t count = receive_into(s, place_bytes, a->buffer + a->bytes);
    if (count > 0) {
        size_t placed = num_min_u64((size_t)count, place_bytes), rest = (size_t)count - placed;
        if (placed > 0) {
            land(s, placed);
        }
        if (rest > 0 && !s->dead) {
            s->bytes_in += rest;
            add_arrival(s, rest);
        }
    } else if (count == 0) {
        end_after_flush(s, OK);
    } else if (errno != EAGAIN && errno != EINTR) {
        die(s, ERR_SYSTEM);
    }
}

/* The peer's end counts only once the bytes before it are read. */
static void note_end(struct stream *s, bool has_bytes)
{
    if (has_bytes) {
        s->peer_ended = true;
        update_interest(s);
    } else {
        end_after_flush(s, OK);
    }
}

/* While paused. */
static void look_at_end(struct stream *s)
{
    char byte;
    ssize_t count = recv(s->watch.fd, &byte, 1, MSG_PEEK);
    if (count >= 0) {
        note_end(s, count > 0 || has_unread(s));
    } else if (errno != EAGAIN && errno != EINTR) {
        die(s, ERR_SYSTEM);
    }
}

void stream_place(struct stream *s, char *place, size_t bytes)
{
    s->place = place;
    s->place_bytes = bytes;
    if (bytes > 0 && ring_of(s) && !s->dead) {
        ring_ask_place(ring_of(s), &s->socket);
    }
}

void stream_pause(struct stream *s)
{
    s->paused = true;
}

void stream_resume(struct stream *s)
{
    s->paused = false;
    s->peer_ended = false;
    if (!s->dead) {
        update_interest(s);
    }
    if (has_unread(s)) {
        stream_touch(s);
    }
}

void stream_look_again(struct stream *s)
{
    if (!s->dead && wants_ring(s)) {
        ring_ask_again(ring_of(s), &s->socket);
    }
}

/* ---- the ring's calls ---------------------------------------------------------------------------------------------- */

static struct stream *stream_of(struct ring_socket *socket)
{
    return container_of(socket, struct stream, socket);
}

static void ring_coming(struct ring_socket *socket, slice bytes)
{
    announce(stream_of(socket), bytes);
}

static void ring_received(struct ring_socket *socket, slice bytes)
{
    struct stream *s = stream_of(socket);
    s->bytes_in += bytes.len;
    take_in(s, bytes);
}

static size_t ring_place(struct ring_socket *socket, char **ret_place)
{
    const struct stream *s = stream_of(socket);
    *ret_place = s->place;
    return is_reading(s) ? next_place_bytes(s) : 0;
}

static void ring_placed(struct ring_socket *socket, size_t bytes)
{
    struct stream *s = stream_of(socket);
    if (!s->ending) {
        land(s, bytes);
    }
    if (s->paused && !s->dead) {
        ring_stop_receiving(ring_of(s), socket);
        update_interest(s);
    }
}

static void ring_ended(struct ring_socket *socket, err reason)
{
    struct stream *s = stream_of(socket);
    if (s->ending) {
        return;
    }
    if (reason) {
        die(s, reason);
    } else {
        note_end(s, has_unread(s));
    }
}

static slice ring_sending(struct ring_socket *socket)
{
    const struct stream *s = stream_of(socket);
    return s->blocked || buf_failed(&s->out.own) ? S("") : slice_sub(output_first(&s->out), 0, LOOP_SHARE_BYTES_MAX);
}

static void ring_sent(struct ring_socket *socket, ssize_t count)
{
    struct stream *s = stream_of(socket);
    if (count < 0) {
        die(s, ERR_SYSTEM);
        return;
    }
    output_sent(&s->out, (size_t)count);
    s->bytes_out += (uint64_t)count;
    s->blocked = stream_pending_bytes(s) > 0;
    settle_output(s);
}

static const struct ring_ops ring_ops = {.coming = ring_coming,
                                         .received = ring_received,
                                         .place = ring_place,
                                         .placed = ring_placed,
                                         .ended = ring_ended,
                                         .sending = ring_sending,
                                         .sent = ring_sent};

/* ---- the loop's call ----------------------------------------------------------------------------------------------- */

static void ready(struct watch *w, unsigned events)
{
    struct stream *s = container_of(w, struct stream, watch);
    if (s->blocked && events & (LOOP_WRITE | LOOP_HANGUP)) {
        send_pending(s);
        if (!s->dead && !s->blocked && s->ops->drained) {
            s->ops->drained(s);
        }
    }
    if (s->dead || s->ending) {
        return;
    }
    if (!s->paused && events & (LOOP_READ | LOOP_HANGUP) && !ring_of(s)) {
        receive(s);
    } else if (s->paused && events & (LOOP_PEER_END | LOOP_HANGUP)) {
        look_at_end(s);
    } else if (s->paused && events & LOOP_READ) {
        update_interest(s); /* READ goes; if that was the peer's end, it is reported as such in the next turn */
    }
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

err stream_open(struct stream *s, struct loop *loop, int fd, const struct stream_ops *ops, size_t out_bytes_max)
{
    *s = (struct stream){.loop = loop, .ops = ops};
    output_init(&s->out, out_bytes_max);
    list_init(&s->held);
    deferred_init(&s->flush, run_flush);
    deferred_init(&s->finish, run_finish);
    if (!loop_ring(loop)) {
        return loop_watch(loop, &s->watch, fd, LOOP_READ, ready);
    }
    s->watch.fd = fd;
    err e = ring_attach(loop_ring(loop), &s->socket, fd, &ring_ops);
    if (e == OK) {
        ring_receive(loop_ring(loop), &s->socket);
    }
    return e;
}

void stream_put_layer(struct stream *s, struct stream_layer *l)
{
    assert(!s->layer);
    buf_init(&l->out, LAYER_OUT_BYTES_MAX);
    s->layer = l;
}

void stream_close(struct stream *s)
{
    if (!s->dead) {
        die(s, ERR_CLOSED);
    }
}

void stream_close_after_flush(struct stream *s)
{
    end_after_flush(s, ERR_CLOSED);
}
