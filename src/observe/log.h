/* The log: one line an event, to stderr, a file or the journal, as text or as JSON.
 *
 *     2026-01-31T10:20:30.123Z notice  worker-3 source: the source answers again source=shop after_ms=5000
 *     {"time":"2026-01-31T10:20:30.123Z","level":"notice","thread":"worker-3","room":"source","message":"...","source":"shop","after_ms":5000}
 *
 * A line is made in a local buffer and written with one write(2), so lines of different threads never mix and no lock is held while
 * writing; a line over LOG_LINE_BYTES_MAX is cut, and says so. To a journal a line of text begins with its priority, <5>, and has no time.
 * Who logs leaves out credentials; log_redact_url() helps. The room that knows why something was asked logs it, once. */
#ifndef OBSERVE_LOG_H
#define OBSERVE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum { LOG_LINE_BYTES_MAX = 4096 };

enum log_level { LOG_DEBUG, LOG_VERBOSE, LOG_NOTICE, LOG_WARNING, LOG_ERROR, LOG_NOTHING };
enum log_format { LOG_TEXT, LOG_JSON };
/* AUTO: the file if one is named, else the journal if stderr is one ($JOURNAL_STREAM), else stderr. */
enum log_destination { LOG_TO_AUTO, LOG_TO_STDERR, LOG_TO_FILE, LOG_TO_JOURNAL };

struct log_options {
    enum log_level level; /* lines below are dropped; LOG_NOTHING drops all */
    enum log_format format;
    enum log_destination destination;
    const char *file; /* NULL or "" for none; copied */
};

/* Opens the log, or changes it; on failure (ERR_SYSTEM with errno: the file cannot be opened; ERR_INVALID: FILE without a name) it
 * stays as it was. Until the first call notices and above go to stderr as text. By one thread at a time, others may log meanwhile. */
MUST_USE err log_open(const struct log_options *options);
/* Opens the file anew by its name (after logrotate moved it); on failure the old file stays in use. Nothing for the other destinations. */
MUST_USE err log_reopen(void);
/* Back to the state before log_open(). */
void log_close(void);
/* Atomic; any thread. */
void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
/* Whether a line of this level would be written. */
bool log_wants(enum log_level level);

/* Writes one line. `room` names who speaks ("source"); `format` is a sentence without newline. Any thread; errno is kept. */
void log_write(enum log_level level, const char *room, const char *format, ...) PRINTF_LIKE(3, 4);

/* A named value behind the message, for programs that read the log. */
struct log_field {
    const char *name; /* a C identifier */
    enum { LOG_FIELD_TEXT, LOG_FIELD_NUMBER } kind;
    slice text;
    int64_t number;
};
#define LOG_FIELD_SLICE(field, value)                            \
    {                                                            \
        .name = (field), .kind = LOG_FIELD_TEXT, .text = (value) \
    }
#define LOG_FIELD_I64(field, value)                                  \
    {                                                                \
        .name = (field), .kind = LOG_FIELD_NUMBER, .number = (value) \
    }
/* The two arguments `fields, field_count`: LOG_FIELDS(LOG_FIELD_SLICE("source", name), LOG_FIELD_I64("after_ms", ms)). */
#define LOG_FIELDS(...) (const struct log_field[]){__VA_ARGS__}, countof(((const struct log_field[]){__VA_ARGS__}))

void log_write_fields(enum log_level level, const char *room, const struct log_field *fields, size_t field_count,
                      const char *format, ...) PRINTF_LIKE(5, 6);

/* At most one line a second of one kind. Static, all zero at first; any threads. */
struct log_limit {
    int64_t next_mono_ms; /* atomic */
    uint64_t suppressed;  /* atomic: held back since the last one written */
};
/* As log_write(), unless one was written through the same limit less than a second ago. The next that is written tells how many were
 * held back (field suppressed=N). */
void log_write_limited(struct log_limit *limit, enum log_level level, const char *room, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* The level that `loglevel` names; ERR_INVALID for another word. */
MUST_USE err log_level_parse(slice name, enum log_level *ret_level);
const char *log_level_name(enum log_level level);

/* Appends `url` with the password of its user part, and the values of query parameters named like one (password, token, secret, key),
 * replaced by ***. */
void log_redact_url(slice url, struct buf *ret_text);

#endif
