/* io_uring for streams: multishot receives into provided buffers, sends in batches.
 *
 *      slots:  what the kernel knows of each socket         queue:  who has something to send
 *      +---------+---------+---- ...                        +---+---+--- ...
 *      | socket, | socket, |                                | s | s |
 *      | armed   | free    |                                +---+---+--- ...
 *      +---------+---------+---- ...                          | ring_enter(): sending(), submit, sleep, sent()
 *           ^ a completion carries the number of the slot
 *
 * Receiving: one request a socket stays armed and yields a completion for every piece that comes, in the buffer that it names. The buffer
 * goes back when received() returns. When no buffer is left, requests end with ENOBUFS: the kernel gets more buffers, up to a number, since
 * it uses all that it has in turn, and memory that was used once stays. Those sockets wait their turn in a queue and no more of them are armed
 * at a time than there are buffers, or ten thousand of them would fail over and over.
 *
 * Into places: a large value is received where it is to stay, by a request for each piece. A request that stays armed would have taken all that is there into
 * buffers by then; so it is cancelled, and for some time requests of that socket receive one piece and end. No more bytes are asked for at a time than the
 * buffers hold, or a crowd of large values would come in one turn.
 *
 * Sending: a send is asked for, submitted and completed within one ring_enter(): it does not wait for the peer (MSG_DONTWAIT), so the
 * kernel does it while it is submitted. Hence no buffer of an owner is the kernel's while other code runs.
 *
 * Whoever sends often is registered: the kernel has his socket in a table, by the number of his slot, and neither looks it up nor holds it for each send, which is 2 % of a
 * GET in pipelines of 16. Only sends use that: they are over at once, so that nobody holds a socket that has left the table. Kernels before 6.10 are not asked, since
 * some of them let go of one only after a second, and a close would wait for that.
 *
 * Ending: a request that is armed keeps its socket open, so ring_detach() cancels it; the slot stays taken, without a socket, until the
 * kernel has said the request's last word. One that receives into a place is cancelled before ring_detach() returns, for the place goes away. A request that was not
 * even submitted names an fd that is about to be closed, and perhaps to be another's: it is submitted first. The end of a peer that came right behind his last bytes is now and then not told:
 * so whoever uses a socket that is quiet asks again (ring_ask_again()).
 *
 * Everything else that a loop waits for is in its epoll instance, which is one fd polled here.
 *
 * Invariants:
 * (I1) A slot is free exactly if it has no socket and is neither armed nor starved.
 * (I2) After ring_enter() no send is in flight and none unaccounted. For that their completions must find room: no send is made while
 *      half of the places are taken.
 * (I3) stopping implies armed; starved implies not armed. place_count slots are armed for a place.
 *
 * One thread: the ring is made disabled, and whoever enters it first enables it and is from then on the only one. */
#include "os/ring.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/num.h"

enum {
    SUBMISSION_COUNT = 512,  /* places for requests between two system calls */
    COMPLETION_COUNT = 8192, /* places for completions; idle sockets need none */
    SEND_COUNT_MAX = 256,    /* sends of one submission */
    BUFFER_COUNT_FIRST = 4,
    BUFFER_COUNT_MAX = 64, /* a power of two */
    BUFFER_STRIDE = RING_READ_BYTES + 17 * CACHE_LINE_BYTES,
    TURN_BYTES = 256 * 1024, /* received in a turn; without it who sends without end would make turns of 4 MB */
    SLOT_COUNT_FIRST = 64,
    PIECES_AFTER_PLACE = 8, /* before a request stays armed again */
    PLACE_COUNT_MAX = BUFFER_COUNT_MAX * RING_READ_BYTES / RING_PLACE_BYTES_MAX,
    ANNOUNCED_COUNT = 16, /* completions: what they need is fetched from memory at a time */
    REGISTERED_COUNT_MAX = 4096,
    REGISTERED_AFTER = 16,              /* sends: what it costs to come and go there is spared by ten */
    FEATURE_RECVSEND_BUNDLE = 1u << 14, /* IORING_FEAT_RECVSEND_BUNDLE, of Linux 6.10 */
    BUFFER_GROUP = 0,
};

/* How the kernel receives for a slot. */
enum armed {
    ARMED_NOT,
    ARMED_MULTISHOT, /* into buffers, for good */
    ARMED_PIECE,     /* into one buffer */
    ARMED_PLACE      /* into a place of the owner's */
};

/* The lowest bits of a completion's name say what it completes, the others which. */
enum kind { KIND_SEND, KIND_RECEIVE, KIND_POLL, KIND_CANCEL, KIND_BITS = 2 };

struct slot {
    struct ring_socket *socket;
    const struct ring_ops *ops;
    int fd;
    uint32_t next;       /* free: the next free one; starved: the next of those */
    uint32_t submission; /* in which it was armed */
    bool wanted;         /* its owner wants to receive */
    enum armed armed;
    unsigned pieces_ahead; /* are received one by one: another place may be asked for */
    bool stopping;         /* the kernel has been told to cease */
    bool starved;          /* to be armed when there are buffers */
    bool registered;
    uint8_t send_count; /* up to REGISTERED_AFTER */
};

struct ring {
    struct io_uring uring;
    int epoll_fd;
    bool enabled;
    bool polling; /* the poll of epoll_fd is armed */
    struct io_uring_buf_ring *buffer_ring;
    char *buffers;
    uint32_t buffer_count; /* of BUFFER_COUNT_MAX, that the kernel has been given */
    struct slot *slots;
    uint32_t slot_count;
    uint32_t registrable_count; /* slots, the first ones, that can be registered */
    uint32_t first_free;
    uint32_t first_starved, last_starved;
    uint32_t place_count;      /* slots that receive into places */
    uint32_t submission_count; /* wraps */
    uint32_t send_count;
    struct ring_socket *sends[SEND_COUNT_MAX];
};

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static size_t buffers_bytes(void)
{
    return (size_t)BUFFER_COUNT_MAX * BUFFER_STRIDE;
}

static size_t buffer_ring_bytes(void)
{
    return BUFFER_COUNT_MAX * sizeof(struct io_uring_buf);
}

/* They do not stand at multiples of 64 KB: their first lines, which is what small requests use, would all compete for the same few places of a cache. */
static char *buffer_at(const struct ring *r, size_t buffer)
{
    return r->buffers + buffer * BUFFER_STRIDE;
}

static void provide(struct ring *r, unsigned buffer)
{
    io_uring_buf_ring_add(r->buffer_ring, buffer_at(r, buffer), RING_READ_BYTES, (unsigned short)buffer,
                          io_uring_buf_ring_mask(BUFFER_COUNT_MAX), 0);
    io_uring_buf_ring_advance(r->buffer_ring, 1);
}

static void provide_up_to(struct ring *r, uint32_t count)
{
    for (; r->buffer_count < count; r->buffer_count++) {
        provide(r, r->buffer_count);
    }
}

static void *map(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static void unmap(void *at, size_t bytes)
{
    if (at) {
        munmap(at, bytes);
    }
}

/* 0, or a negative errno. */
static int provide_all(struct ring *r)
{
    r->buffer_ring = map(buffer_ring_bytes());
    r->buffers = map(buffers_bytes());
    if (!r->buffer_ring || !r->buffers) {
        return -ENOMEM;
    }
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)r->buffer_ring, .ring_entries = BUFFER_COUNT_MAX, .bgid = BUFFER_GROUP};
    int failure = io_uring_register_buf_ring(&r->uring, &registration, 0);
    if (failure) {
        return failure;
    }
    io_uring_buf_ring_init(r->buffer_ring);
    provide_up_to(r, BUFFER_COUNT_FIRST);
    return 0;
}

static void explain(struct buf *why, int failure)
{
    if (!why) {
        return;
    }
    switch (-failure) {
    case ENOSYS: buf_append(why, S("the kernel has no io_uring")); break;
    case EPERM:
        buf_append(why, S("io_uring is forbidden here (kernel.io_uring_disabled, or a filter of system calls)"));
        break;
    case EINVAL: buf_append(why, S("the kernel's io_uring is too old (Linux 6.1 is the first that will do)")); break;
    default: buf_printf(why, "io_uring: %s", strerror(-failure));
    }
}

/* How many sockets can be registered: fewer where the process may open only few files, none on old kernels. */
static uint32_t prepare_registering(struct io_uring *uring, unsigned features)
{
    uint32_t count = features & FEATURE_RECVSEND_BUNDLE ? REGISTERED_COUNT_MAX : 0;
    while (count > 0 && io_uring_register_files_sparse(uring, count) != 0) {
        count /= 2;
    }
    return count;
}

/* What is asked for here came with Linux 6.1, later than all else that is used, so that it answers for the rest. */
err ring_new(int epoll_fd, struct ring **ret_ring, struct buf *why)
{
    struct ring *r = malloc(sizeof *r);
    if (!r) {
        return ERR_NOMEM;
    }
    *r = (struct ring){
        .epoll_fd = epoll_fd, .first_free = RING_NOWHERE, .first_starved = RING_NOWHERE, .last_starved = RING_NOWHERE};
    struct io_uring_params asked = {.cq_entries = COMPLETION_COUNT};
    asked.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                  IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
    int failure = io_uring_queue_init_params(SUBMISSION_COUNT, &r->uring, &asked);
    if (failure) {
        free(r);
    } else {
        failure = provide_all(r);
        if (failure) {
            ring_free(r);
        }
    }
    if (failure) {
        explain(why, failure);
        return failure == -ENOMEM ? ERR_NOMEM : ERR_SYSTEM;
    }
    r->registrable_count = prepare_registering(&r->uring, asked.features);
    *ret_ring = r;
    return OK;
}

void ring_free(struct ring *r)
{
    if (!r) {
        return;
    }
    for (uint32_t i = 0; i < r->slot_count; i++) {
        assert(!r->slots[i].socket);
    }
    io_uring_queue_exit(&r->uring);
    unmap(r->buffers, buffers_bytes());
    unmap(r->buffer_ring, buffer_ring_bytes());
    free(r->slots);
    free(r);
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static void enable(struct ring *r)
{
    if (!r->enabled) {
        int failure = io_uring_register((unsigned)r->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
        assert(failure == 0);
        r->enabled = true;
    }
}

/* Until the kernel has taken all requests; it refuses them for a moment when it is short of memory. */
static void submit(struct ring *r)
{
    enable(r);
    r->submission_count++;
    do {
        (void)!io_uring_submit(&r->uring);
    } while (io_uring_sq_ready(&r->uring) > 0);
}

static struct io_uring_sqe *new_request(struct ring *r)
{
    struct io_uring_sqe *request = io_uring_get_sqe(&r->uring);
    if (!request) {
        submit(r);
        request = io_uring_get_sqe(&r->uring);
        assert(request != NULL);
    }
    return request;
}

static void name_request(struct io_uring_sqe *request, enum kind kind, uint64_t which)
{
    io_uring_sqe_set_data64(request, which << KIND_BITS | kind);
}

static enum kind kind_of(const struct io_uring_cqe *completion)
{
    return (enum kind)(completion->user_data & ((1 << KIND_BITS) - 1));
}

static uint32_t which_of(const struct io_uring_cqe *completion)
{
    return (uint32_t)(completion->user_data >> KIND_BITS);
}

/* ---- slots --------------------------------------------------------------------------------------------------------- */

static void free_slot(struct ring *r, struct slot *slot)
{
    assert(!slot->socket && !slot->armed);
    slot->next = r->first_free;
    r->first_free = (uint32_t)(slot - r->slots);
}

static err more_slots(struct ring *r)
{
    uint32_t count = r->slot_count ? 2 * r->slot_count : SLOT_COUNT_FIRST;
    struct slot *slots = realloc(r->slots, count * sizeof *slots);
    if (!slots) {
        return ERR_NOMEM;
    }
    uint32_t i = r->slot_count;
    r->slots = slots;
    r->slot_count = count;
    for (; i < count; i++) {
        slots[i] = (struct slot){0};
        free_slot(r, &slots[i]);
    }
    return OK;
}

static struct slot *slot_of(const struct ring *r, const struct ring_socket *s)
{
    assert(s->slot < r->slot_count);
    return &r->slots[s->slot];
}

err ring_attach(struct ring *r, struct ring_socket *s, int fd, const struct ring_ops *ops)
{
    *s = (struct ring_socket){.slot = RING_NOWHERE, .send_place = RING_NOWHERE};
    if (r->first_free == RING_NOWHERE && more_slots(r) != OK) {
        return ERR_NOMEM;
    }
    s->slot = r->first_free;
    struct slot *slot = slot_of(r, s);
    r->first_free = slot->next;
    *slot = (struct slot){.socket = s, .ops = ops, .fd = fd};
    return OK;
}

/* Whether its sends can name it by its slot, from now on if it has sent enough. */
static bool is_registered(struct ring *r, struct slot *slot)
{
    uint32_t number = (uint32_t)(slot - r->slots);
    if (LIKELY(slot->registered) || number >= r->registrable_count) {
        return slot->registered;
    }
    if (slot->send_count < REGISTERED_AFTER) {
        slot->send_count++;
        return false;
    }
    slot->registered = io_uring_register_files_update(&r->uring, number, &slot->fd, 1) == 1;
    slot->send_count = 0; /* a refusal is not asked for again at once */
    return slot->registered;
}

static void unregister(struct ring *r, struct slot *slot)
{
    if (slot->registered) {
        int nobody = -1;
        int count = io_uring_register_files_update(&r->uring, (unsigned)(slot - r->slots), &nobody, 1);
        assert(count == 1);
        slot->registered = false;
    }
}

/* ---- receiving ----------------------------------------------------------------------------------------------------- */

/* Where the socket's owner wants the next bytes, and how many; 0: nowhere, or too many others have places. */
static size_t place_of(const struct ring *r, const struct slot *slot, char **ret_place)
{
    size_t bytes = r->place_count < PLACE_COUNT_MAX ? slot->ops->place(slot->socket, ret_place) : 0;
    assert(bytes <= RING_PLACE_BYTES_MAX);
    return bytes;
}

static uint64_t receive_name(const struct ring *r, const struct slot *slot)
{
    return (uint64_t)(slot - r->slots) << KIND_BITS | KIND_RECEIVE;
}

static void arm(struct ring *r, struct slot *slot)
{
    char *place;
    size_t bytes = place_of(r, slot, &place);
    struct io_uring_sqe *request = new_request(r);
    if (bytes > 0) {
        io_uring_prep_recv(request, slot->fd, place, bytes, 0);
        slot->armed = ARMED_PLACE;
        slot->pieces_ahead = PIECES_AFTER_PLACE;
        r->place_count++;
    } else if (slot->pieces_ahead > 0) {
        io_uring_prep_recv(request, slot->fd, NULL, RING_READ_BYTES, 0);
        slot->armed = ARMED_PIECE;
        slot->pieces_ahead--;
    } else {
        io_uring_prep_recv_multishot(request, slot->fd, NULL, 0, 0);
        slot->armed = ARMED_MULTISHOT;
    }
    if (bytes == 0) {
        request->flags |= IOSQE_BUFFER_SELECT;
        request->buf_group = BUFFER_GROUP;
    }
    io_uring_sqe_set_data64(request, receive_name(r, slot));
    slot->submission = r->submission_count;
}

static void stop(struct ring *r, struct slot *slot)
{
    if (slot->armed && !slot->stopping) {
        struct io_uring_sqe *request = new_request(r);
        io_uring_prep_cancel64(request, receive_name(r, slot), 0);
        request->flags |= IOSQE_CQE_SKIP_SUCCESS;
        name_request(request, KIND_CANCEL, 0);
        slot->stopping = true;
    }
}

/* The kernel does not touch the slot's place after this; that the request is over it says later. */
static void stop_at_once(struct ring *r, const struct slot *slot)
{
    struct io_uring_sync_cancel_reg what = {
        .addr = receive_name(r, slot), .fd = -1, .timeout = {.tv_sec = -1, .tv_nsec = -1}};
    int failure;
    do {
        failure = io_uring_register_sync_cancel(&r->uring, &what);
    } while (failure == -EINTR);
    assert(failure == 0 || failure == -ENOENT);
}

static void starve(struct ring *r, struct slot *slot)
{
    uint32_t number = (uint32_t)(slot - r->slots);
    slot->starved = true;
    slot->next = RING_NOWHERE;
    if (r->first_starved == RING_NOWHERE) {
        r->first_starved = number;
    } else {
        r->slots[r->last_starved].next = number;
    }
    r->last_starved = number;
}

/* Those that no longer want to receive, or have gone, leave the queue here. */
static void arm_starved(struct ring *r)
{
    for (unsigned i = 0; i < r->buffer_count && r->first_starved != RING_NOWHERE; i++) {
        struct slot *slot = &r->slots[r->first_starved];
        r->first_starved = slot->next;
        slot->starved = false;
        if (!slot->socket) {
            free_slot(r, slot);
        } else if (slot->wanted) {
            arm(r, slot);
        }
    }
}

void ring_receive(struct ring *r, const struct ring_socket *s)
{
    struct slot *slot = slot_of(r, s);
    slot->wanted = true;
    if (!slot->armed && !slot->starved) {
        arm(r, slot);
    }
}

void ring_stop_receiving(struct ring *r, const struct ring_socket *s)
{
    struct slot *slot = slot_of(r, s);
    slot->wanted = false;
    stop(r, slot);
}

void ring_ask_place(struct ring *r, const struct ring_socket *s)
{
    struct slot *slot = slot_of(r, s);
    char *place;
    if (slot->armed == ARMED_MULTISHOT && place_of(r, slot, &place) > 0) {
        stop(r, slot);
    }
}

void ring_ask_again(struct ring *r, const struct ring_socket *s)
{
    struct slot *slot = slot_of(r, s);
    if (slot->armed == ARMED_MULTISHOT) {
        stop(r, slot); /* and as it is wanted it is armed again, for which the kernel looks */
    }
}

bool ring_is_receiving(const struct ring *r, const struct ring_socket *s)
{
    return slot_of(r, s)->wanted;
}

void ring_detach(struct ring *r, struct ring_socket *s)
{
    if (s->slot == RING_NOWHERE) {
        return;
    }
    struct slot *slot = slot_of(r, s);
    if (slot->armed && slot->submission == r->submission_count) {
        submit(r);
    }
    if (slot->armed == ARMED_PLACE) {
        stop_at_once(r, slot);
    } else {
        stop(r, slot);
    }
    unregister(r, slot);
    slot->socket = NULL;
    slot->wanted = false;
    if (!slot->armed && !slot->starved) {
        free_slot(r, slot);
    }
    if (s->send_place != RING_NOWHERE) {
        r->sends[s->send_place] = NULL;
    }
    *s = (struct ring_socket){.slot = RING_NOWHERE, .send_place = RING_NOWHERE};
}

/* The last word of a request that received. */
static void disarmed(struct ring *r, struct slot *slot, int result)
{
    bool ended = result == 0;
    bool cut_short = result > 0 || result == -ENOBUFS || result == -ECANCELED || result == -EINTR || result == -EAGAIN;
    r->place_count -= slot->armed == ARMED_PLACE;
    slot->armed = ARMED_NOT;
    slot->stopping = false;
    if (!slot->socket) {
        free_slot(r, slot);
    } else if (!ended && !cut_short) {
        slot->wanted = false;
        slot->ops->ended(slot->socket, ERR_SYSTEM);
    } else if (!slot->wanted) {
        return;
    } else if (ended) {
        slot->wanted = false;
        slot->ops->ended(slot->socket, OK);
    } else if (result == -ENOBUFS) {
        provide_up_to(r, (uint32_t)num_min_u64(2 * r->buffer_count, BUFFER_COUNT_MAX));
        starve(r, slot);
    } else {
        arm(r, slot);
    }
}

/* The bytes of a completion that received some; empty for others. */
static slice bytes_of(const struct ring *r, const struct io_uring_cqe *completion)
{
    if (!(completion->flags & IORING_CQE_F_BUFFER) || completion->res <= 0) {
        return S("");
    }
    return slice_make(buffer_at(r, completion->flags >> IORING_CQE_BUFFER_SHIFT), (size_t)completion->res);
}

/* Says what comes next; returns how many completions that is. */
static unsigned announce(struct ring *r)
{
    struct io_uring_cqe *next[ANNOUNCED_COUNT];
    unsigned count = io_uring_peek_batch_cqe(&r->uring, next, ANNOUNCED_COUNT);
    for (unsigned i = 0; i < count; i++) {
        slice bytes = kind_of(next[i]) == KIND_RECEIVE ? bytes_of(r, next[i]) : S("");
        const struct slot *slot = bytes.len > 0 ? &r->slots[which_of(next[i])] : NULL;
        if (slot && slot->socket) {
            slot->ops->coming(slot->socket, bytes);
        }
    }
    return count;
}

/* Whether somebody got something. */
static bool received(struct ring *r, const struct io_uring_cqe *completion)
{
    uint32_t number = which_of(completion);
    bool handed_over = false;
    assert(number < r->slot_count);
    if (completion->flags & IORING_CQE_F_BUFFER) {
        const struct slot *slot = &r->slots[number];
        slice bytes = bytes_of(r, completion);
        if (slot->socket && bytes.len > 0) {
            slot->ops->received(slot->socket, bytes);
            handed_over = true;
        }
        provide(r, completion->flags >> IORING_CQE_BUFFER_SHIFT);
    } else if (r->slots[number].armed == ARMED_PLACE && r->slots[number].socket && completion->res > 0) {
        r->slots[number].ops->placed(r->slots[number].socket, (size_t)completion->res);
    }
    if (!(completion->flags & IORING_CQE_F_MORE)) {
        disarmed(r, &r->slots[number], completion->res);
    }
    return handed_over;
}

/* ---- sending ------------------------------------------------------------------------------------------------------- */

bool ring_send_later(struct ring *r, struct ring_socket *s)
{
    if (s->send_place == RING_NOWHERE) {
        if (r->send_count == SEND_COUNT_MAX) {
            return false;
        }
        s->send_place = r->send_count;
        r->sends[r->send_count++] = s;
    }
    return true;
}

/* How many sends were asked for. */
static unsigned ask_sends(struct ring *r)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < r->send_count; i++) {
        struct slot *slot = r->sends[i] ? slot_of(r, r->sends[i]) : NULL;
        slice bytes = slot ? slot->ops->sending(slot->socket) : S("");
        if (bytes.len > 0) {
            struct io_uring_sqe *request = new_request(r);
            io_uring_prep_send(request, slot->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (is_registered(r, slot)) {
                request->fd = (int)(slot - r->slots);
                request->flags |= IOSQE_FIXED_FILE;
            }
            name_request(request, KIND_SEND, i);
            count++;
        }
    }
    return count;
}

static void sent(const struct ring *r, const struct io_uring_cqe *completion)
{
    struct ring_socket *s = r->sends[which_of(completion)];
    bool nothing = completion->res == -EAGAIN || completion->res == -EINTR;
    slot_of(r, s)->ops->sent(s, nothing ? 0 : completion->res);
}

/* Of `asked_count` sends, whose completions stand behind `old_count` others. */
static void collect_sent(struct ring *r, unsigned asked_count, unsigned old_count)
{
    for (uint32_t i = 0; i < r->send_count; i++) {
        if (r->sends[i]) {
            r->sends[i]->send_place = RING_NOWHERE;
        }
    }
    unsigned head, at = 0;
    const struct io_uring_cqe *completion;
    io_uring_for_each_cqe(&r->uring, head, completion)
    {
        if (at++ >= old_count && asked_count > 0 && kind_of(completion) == KIND_SEND) {
            sent(r, completion);
            asked_count--;
        }
    }
    assert(asked_count == 0);
    r->send_count = 0;
}

/* ---- the turn ------------------------------------------------------------------------------------------------------ */

static void poll_events(struct ring *r)
{
    if (!r->polling) {
        struct io_uring_sqe *request = new_request(r);
        io_uring_prep_poll_add(request, r->epoll_fd, POLLIN);
        name_request(request, KIND_POLL, 0);
        r->polling = true;
    }
}

/* Submits, and sleeps until `count` completions are there. */
static void submit_and_wait(struct ring *r, unsigned count, int64_t wait_ms)
{
    r->submission_count++;
    if (wait_ms == 0) {
        (void)!io_uring_submit_and_get_events(&r->uring);
    } else if (wait_ms < 0) {
        (void)!io_uring_submit_and_wait(&r->uring, count);
    } else {
        struct __kernel_timespec time = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000};
        struct io_uring_cqe *first;
        (void)!io_uring_submit_and_wait_timeout(&r->uring, &first, count, &time, NULL);
    }
}

void ring_enter(struct ring *r, int64_t wait_ms)
{
    enable(r);
    arm_starved(r);
    poll_events(r);
    unsigned old_count = io_uring_cq_ready(&r->uring);
    bool behind = old_count > COMPLETION_COUNT / 2 || io_uring_cq_has_overflow(&r->uring);
    unsigned send_count = behind ? 0 : ask_sends(r);
    bool has_more = behind || old_count > 0 || r->first_starved != RING_NOWHERE;
    submit_and_wait(r, send_count + 1, has_more ? 0 : wait_ms);
    if (io_uring_sq_ready(&r->uring) > 0) {
        submit(r);
    }
    if (!behind) {
        collect_sent(r, send_count, old_count);
    }
}

static bool is_full(const struct turn_clock *turn, int64_t full_ns)
{
    return full_ns > 0 && turn_ns(turn) >= full_ns;
}

/* The turn does not end between announce() and the first received() after it, who is to look at what was announced. */
bool ring_deliver(struct ring *r, const struct turn_clock *turn, int64_t full_ns)
{
    bool has_events = false, handed_over = false;
    size_t bytes = 0;
    unsigned announced = 0;
    for (unsigned left = io_uring_cq_ready(&r->uring);
         left > 0 && bytes < TURN_BYTES && !(handed_over && is_full(turn, full_ns)); left--) {
        if (announced == 0) {
            announced = announce(r);
            handed_over = false;
        }
        announced--;
        struct io_uring_cqe *completion;
        int failure = io_uring_peek_cqe(&r->uring, &completion);
        assert(failure == 0);
        switch (kind_of(completion)) {
        case KIND_RECEIVE:
            bytes += completion->res > 0 ? (size_t)completion->res : 0;
            handed_over |= received(r, completion);
            break;
        case KIND_POLL:
            r->polling = false;
            has_events = true;
            break;
        case KIND_SEND:
        case KIND_CANCEL: break;
        }
        io_uring_cqe_seen(&r->uring, completion);
    }
    return has_events;
}
