/* The log. Each line is made on the writer's stack and leaves with one write(2), which the system keeps whole for files opened to append
 * and for pipes up to 4 KB: so writers need no lock, and a worker is held up by nothing but the system's buffer.
 *
 * I1: `file_fd` keeps its number from the first file until log_close(): another file is put behind the same number (dup3), so a thread
 *     that is writing never meets a closed or foreign descriptor.
 * I2: what is written is valid text: bytes below 0x20 and backslashes are escaped in text, JSON also replaces what is not UTF-8.
 * Not here: which of the messages are worth a line, and the removal of credentials (log_redact_url() helps whoever logs). */
#include "observe/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/num.h"
#include "observe/metric.h"
#include "os/clock.h"

enum { MESSAGE_BYTES_MAX = 2048, THREAD_NAME_BYTES = 16, TIME_BYTES = 32, PATH_BYTES = 4096 };

static const char *const level_names[] = {"debug", "verbose", "notice", "warning", "error", "nothing"};
static const int journal_priorities[] = {7, 6, 5, 4, 3};

static int level_now = LOG_NOTICE; /* atomic, like the next three */
static int format_now = LOG_TEXT;
static int destination_now = LOG_TO_STDERR;
static int fd_now = STDERR_FILENO;
static int file_fd = -1; /* I1 */
static char file_path[PATH_BYTES];

/* ---- where lines go ---- */

/* systemd names the socket or pipe that it reads, by device and inode, so that a program sees whether its stderr is still that one. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           (unsigned long long)st.st_dev == device && (unsigned long long)st.st_ino == inode;
}

/* Opens `path` behind file_fd (I1). */
static err open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return ERR_SYSTEM;
    }
    if (file_fd < 0) {
        file_fd = fd;
        return OK;
    }
    int moved = dup3(fd, file_fd, O_CLOEXEC);
    int saved = errno;
    close(fd);
    errno = saved;
    return moved < 0 ? ERR_SYSTEM : OK;
}

err log_open(const struct log_options *options)
{
    const char *file = options->file ? options->file : "";
    enum log_destination destination = options->destination;
    if (destination == LOG_TO_AUTO) {
        destination = *file ? LOG_TO_FILE : stderr_is_journal() ? LOG_TO_JOURNAL : LOG_TO_STDERR;
    }
    if (destination == LOG_TO_FILE) {
        if (!*file || strlen(file) >= sizeof file_path) {
            return ERR_INVALID;
        }
        err e = open_file(file);
        if (e != OK) {
            return e;
        }
        memmove(file_path, file, strlen(file) + 1);
    }
    __atomic_store_n(&level_now, (int)options->level, __ATOMIC_RELAXED);
    __atomic_store_n(&format_now, (int)options->format, __ATOMIC_RELAXED);
    __atomic_store_n(&destination_now, (int)destination, __ATOMIC_RELAXED);
    __atomic_store_n(&fd_now, destination == LOG_TO_FILE ? file_fd : STDERR_FILENO, __ATOMIC_RELEASE);
    return OK;
}

err log_reopen(void)
{
    return __atomic_load_n(&destination_now, __ATOMIC_RELAXED) == LOG_TO_FILE ? open_file(file_path) : OK;
}

void log_close(void)
{
    log_set_level(LOG_NOTICE);
    log_set_format(LOG_TEXT);
    __atomic_store_n(&destination_now, LOG_TO_STDERR, __ATOMIC_RELAXED);
    __atomic_store_n(&fd_now, STDERR_FILENO, __ATOMIC_RELEASE);
    if (file_fd >= 0) {
        close(file_fd);
        file_fd = -1;
    }
}

void log_set_level(enum log_level level)
{
    __atomic_store_n(&level_now, (int)level, __ATOMIC_RELAXED);
}

void log_set_format(enum log_format format)
{
    __atomic_store_n(&format_now, (int)format, __ATOMIC_RELAXED);
}

bool log_wants(enum log_level level)
{
    assert(level < LOG_NOTHING);
    return (int)level >= __atomic_load_n(&level_now, __ATOMIC_RELAXED);
}

err log_level_parse(slice name, enum log_level *ret_level)
{
    for (size_t i = 0; i < countof(level_names); i++) {
        if (slice_equal_nocase(name, slice_of(level_names[i]))) {
            *ret_level = (enum log_level)i;
            return OK;
        }
    }
    return ERR_INVALID;
}

const char *log_level_name(enum log_level level)
{
    assert(level <= LOG_NOTHING);
    return level_names[level];
}

/* ---- how a line is made ---- */

/* A line in the making. One byte is kept for the newline; what does not fit is left out and `cut` is set. */
struct line {
    char bytes[LOG_LINE_BYTES_MAX];
    size_t len;
    size_t len_max;
    bool cut;
};

static void line_append(struct line *l, slice bytes)
{
    if (l->cut || bytes.len > l->len_max - l->len) {
        l->cut = true;
        return;
    }
    if (bytes.len) {
        memcpy(l->bytes + l->len, bytes.ptr, bytes.len);
    }
    l->len += bytes.len;
}

static void line_append_i64(struct line *l, int64_t number)
{
    char digits[NUM_I64_CHARS];
    line_append(l, slice_make(digits, num_format_i64(number, digits)));
}

/* Length of the UTF-8 character at the start of `text`, 0 when there is none. */
static size_t utf8_bytes(slice text)
{
    for (size_t len = 1; len <= 4 && len <= text.len; len++) {
        if (slice_is_utf8(slice_sub(text, 0, len))) {
            return len;
        }
    }
    return 0;
}

/* Printable characters as they are, the rest as \n \r \t and \xhh (text) or \u00hh (JSON, where quotes and backslashes are escaped, too).
 * A character goes in whole or not at all. */
static void line_append_escaped(struct line *l, slice text, bool json)
{
    while (text.len > 0 && !l->cut) {
        unsigned char byte = (unsigned char)text.ptr[0];
        size_t len = utf8_bytes(text);
        char piece[8];
        if (byte == '\n' || byte == '\r' || byte == '\t') {
            line_append(l, byte == '\n' ? S("\\n") : byte == '\r' ? S("\\r") : S("\\t"));
        } else if (byte < 0x20 || byte == 0x7f || (len == 0 && !json)) {
            snprintf(piece, sizeof piece, json ? "\\u%04x" : "\\x%02x", byte);
            line_append(l, slice_of(piece));
        } else if (len == 0) {
            line_append(l, S("\xef\xbf\xbd"));
        } else if (json && (byte == '"' || byte == '\\')) {
            line_append(l, byte == '"' ? S("\\\"") : S("\\\\"));
        } else {
            line_append(l, slice_sub(text, 0, len));
        }
        text = slice_sub(text, len ? len : 1, SIZE_MAX);
    }
}

static void line_append_json(struct line *l, slice text)
{
    line_append(l, S("\""));
    line_append_escaped(l, text, true);
    line_append(l, S("\""));
}

/* A value of a field in text: in quotes when it has blanks, quotes or an equals sign, or is empty. */
static void line_append_value(struct line *l, slice text)
{
    bool plain = text.len > 0;
    for (size_t i = 0; i < text.len && plain; i++) {
        plain = (unsigned char)text.ptr[i] > ' ' && text.ptr[i] != '"' && text.ptr[i] != '=' && text.ptr[i] != '\\';
    }
    if (plain) {
        line_append_escaped(l, text, false);
    } else {
        line_append_json(l, text);
    }
}

static slice time_text(char text[static TIME_BYTES])
{
    int64_t ms = clock_wall_ms();
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t len = strftime(text, TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    len += (size_t)snprintf(text + len, TIME_BYTES - len, ".%03dZ", (int)(ms % 1000));
    return slice_make(text, len);
}

struct event {
    enum log_level level;
    slice room;
    slice thread;
    slice message;
    const struct log_field *fields;
    size_t field_count;
};

static void line_make_json(struct line *l, const struct event *e)
{
    static const slice ending = {"}", 1};
    char time[TIME_BYTES];
    l->len_max -= ending.len + sizeof("\",\"cut\":true");
    line_append(l, S("{\"time\":"));
    line_append_json(l, time_text(time));
    line_append(l, S(",\"level\":"));
    line_append_json(l, slice_of(log_level_name(e->level)));
    line_append(l, S(",\"thread\":"));
    line_append_json(l, e->thread);
    line_append(l, S(",\"room\":"));
    line_append_json(l, e->room);
    line_append(l, S(",\"message\":"));
    line_append_json(l, e->message);
    size_t whole = l->len; /* up to here the line could end */
    bool message_cut = l->cut;
    for (size_t i = 0; i < e->field_count && !l->cut; i++) {
        const struct log_field *field = &e->fields[i];
        line_append(l, S(",\""));
        line_append(l, slice_of(field->name));
        line_append(l, S("\":"));
        if (field->kind == LOG_FIELD_NUMBER) {
            line_append_i64(l, field->number);
        } else {
            line_append_json(l, field->text);
        }
        whole = l->cut ? whole : l->len;
    }
    bool cut = l->cut;
    l->len_max = sizeof l->bytes - 1;
    l->cut = false;
    if (cut) {
        l->len = message_cut ? l->len : whole;
        line_append(l, message_cut ? S("\",\"cut\":true") : S(",\"cut\":true"));
    }
    line_append(l, ending);
}

static void line_make_text(struct line *l, const struct event *e, bool journal)
{
    static const slice ending = {" ...", 4};
    l->len_max -= ending.len;
    char text[TIME_BYTES];
    if (journal) {
        snprintf(text, sizeof text, "<%d>", journal_priorities[e->level]);
        line_append(l, slice_of(text));
    } else {
        line_append(l, time_text(text));
        snprintf(text, sizeof text, " %-7s ", log_level_name(e->level));
        line_append(l, slice_of(text));
    }
    line_append(l, e->thread);
    line_append(l, S(" "));
    line_append(l, e->room);
    line_append(l, S(": "));
    line_append_escaped(l, e->message, false);
    for (size_t i = 0; i < e->field_count && !l->cut; i++) {
        const struct log_field *field = &e->fields[i];
        line_append(l, S(" "));
        line_append(l, slice_of(field->name));
        line_append(l, S("="));
        if (field->kind == LOG_FIELD_NUMBER) {
            line_append_i64(l, field->number);
        } else {
            line_append_value(l, field->text);
        }
    }
    if (l->cut) {
        l->len_max += ending.len;
        l->cut = false;
        line_append(l, ending);
    }
}

/* Makes the line and writes it. A write that is cut short (a full disk) or fails is counted and not tried again. */
static void write_event(const struct event *e)
{
    int saved = errno;
    struct line l = {.len_max = sizeof l.bytes - 1};
    bool journal = __atomic_load_n(&destination_now, __ATOMIC_RELAXED) == LOG_TO_JOURNAL;
    if (__atomic_load_n(&format_now, __ATOMIC_RELAXED) == LOG_JSON) {
        line_make_json(&l, e);
    } else {
        line_make_text(&l, e, journal);
    }
    l.bytes[l.len++] = '\n';
    ssize_t written;
    do {
        written = write(__atomic_load_n(&fd_now, __ATOMIC_ACQUIRE), l.bytes, l.len);
    } while (written < 0 && errno == EINTR);
    metric_add(written == (ssize_t)l.len ? METRIC_log_lines : METRIC_log_lines_lost, 1);
    errno = saved;
}

/* ---- what others call ---- */

static void write_formatted(enum log_level level, const char *room, const struct log_field *fields, size_t field_count,
                            const char *format, va_list arguments) PRINTF_LIKE(5, 0);
static void write_formatted(enum log_level level, const char *room, const struct log_field *fields, size_t field_count,
                            const char *format, va_list arguments)
{
    char message[MESSAGE_BYTES_MAX];
    int len = vsnprintf(message, sizeof message, format, arguments);
    if (len < 0) {
        len = 0;
    }
    size_t message_bytes = (size_t)len < sizeof message ? (size_t)len : sizeof message - 1;
    char thread[THREAD_NAME_BYTES];
    if (pthread_getname_np(pthread_self(), thread, sizeof thread) != 0) {
        thread[0] = '\0';
    }
    write_event(&(struct event){
        .level = level,
        .room = slice_of(room),
        .thread = slice_of(thread),
        .message = slice_make(message, message_bytes),
        .fields = fields,
        .field_count = field_count,
    });
}

void log_write(enum log_level level, const char *room, const char *format, ...)
{
    if (!log_wants(level)) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    write_formatted(level, room, NULL, 0, format, arguments);
    va_end(arguments);
}

void log_write_fields(enum log_level level, const char *room, const struct log_field *fields, size_t field_count,
                      const char *format, ...)
{
    if (!log_wants(level)) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    write_formatted(level, room, fields, field_count, format, arguments);
    va_end(arguments);
}

/* Whether this line may be written; then *ret_suppressed is what was held back since the last. One thread of many wins a second. */
static bool limit_pass(struct log_limit *limit, uint64_t *ret_suppressed)
{
    int64_t now = clock_mono_ms();
    int64_t next = __atomic_load_n(&limit->next_mono_ms, __ATOMIC_RELAXED);
    if (now < next || !__atomic_compare_exchange_n(&limit->next_mono_ms, &next, now + 1000, false, __ATOMIC_RELAXED,
                                                   __ATOMIC_RELAXED)) {
        __atomic_fetch_add(&limit->suppressed, 1, __ATOMIC_RELAXED);
        metric_add(METRIC_log_lines_suppressed, 1);
        return false;
    }
    *ret_suppressed = __atomic_exchange_n(&limit->suppressed, 0, __ATOMIC_RELAXED);
    return true;
}

void log_write_limited(struct log_limit *limit, enum log_level level, const char *room, const char *format, ...)
{
    uint64_t suppressed;
    if (!log_wants(level) || !limit_pass(limit, &suppressed)) {
        return;
    }
    struct log_field field = LOG_FIELD_I64("suppressed", (int64_t)suppressed);
    va_list arguments;
    va_start(arguments, format);
    write_formatted(level, room, &field, suppressed > 0, format, arguments);
    va_end(arguments);
}

/* ---- credentials ---- */

static bool is_secret_name(slice name)
{
    static const slice secrets[] = {{"password", 8},      {"passwd", 6},      {"pass", 4},   {"token", 5},
                                    {"secret", 6},        {"key", 3},         {"apikey", 6}, {"api_key", 7},
                                    {"access_token", 12}, {"sslpassword", 11}};
    for (size_t i = 0; i < countof(secrets); i++) {
        if (slice_equal_nocase(name, secrets[i])) {
            return true;
        }
    }
    return false;
}

/* Copies the query behind '?', with the values of secret names replaced. */
static void redact_query(slice query, struct buf *ret_text)
{
    while (query.len > 0) {
        size_t end = 0;
        while (end < query.len && query.ptr[end] != '&' && query.ptr[end] != ';' && query.ptr[end] != '#') {
            end++;
        }
        slice pair = slice_sub(query, 0, end);
        size_t equals = slice_find_byte(pair, '=');
        if (equals != SIZE_MAX && is_secret_name(slice_sub(pair, 0, equals))) {
            buf_append(ret_text, slice_sub(pair, 0, equals + 1));
            buf_append(ret_text, S("***"));
        } else {
            buf_append(ret_text, pair);
        }
        buf_append(ret_text, slice_sub(query, end, 1));
        query = slice_sub(query, end + 1, SIZE_MAX);
    }
}

void log_redact_url(slice url, struct buf *ret_text)
{
    /* The user part ends at the last '@' before the path; its password begins at its first ':'. */
    size_t authority = 0;
    for (size_t i = 0; i + 2 < url.len; i++) {
        if (memcmp(url.ptr + i, "://", 3) == 0) {
            authority = i + 3;
            break;
        }
    }
    size_t at = SIZE_MAX;
    for (size_t i = authority; authority > 0 && i < url.len && url.ptr[i] != '/' && url.ptr[i] != '?'; i++) {
        if (url.ptr[i] == '@') {
            at = i;
        }
    }
    size_t from = 0;
    if (at != SIZE_MAX) {
        slice user = slice_sub(url, authority, at - authority);
        size_t colon = slice_find_byte(user, ':');
        if (colon != SIZE_MAX) {
            buf_append(ret_text, slice_sub(url, 0, authority + colon + 1));
            buf_append(ret_text, S("***"));
            from = at;
        }
    }
    slice rest = slice_sub(url, from, SIZE_MAX);
    size_t question = slice_find_byte(rest, '?');
    buf_append(ret_text, slice_sub(rest, 0, question == SIZE_MAX ? SIZE_MAX : question + 1));
    if (question != SIZE_MAX) {
        redact_query(slice_sub(rest, question + 1, SIZE_MAX), ret_text);
    }
}
