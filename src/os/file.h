/* Whole files: the configuration, secrets, small state. The journal and snapshots write their own way. Everything here blocks: at start or
 * on a helper. `why` is a buffer that a failure appends a reason to, one line without its end; NULL when nobody asks. */
#ifndef OS_FILE_H
#define OS_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* Appends the whole file to ret_bytes, whose bytes_max is the limit. ERR_NOT_FOUND, ERR_LIMIT, ERR_NOMEM, ERR_SYSTEM; then ret_bytes is as
 * before. */
MUST_USE err file_read(const char *path, struct buf *ret_bytes, struct buf *why);

/* Replaces the file by `bytes` or leaves it as it was, also across a crash: writes beside it, syncs, renames, syncs the directory. A file
 * that is replaced keeps its permissions, a new one gets `permissions`; behind a symbolic link the file is replaced and not the link.
 * ERR_SYSTEM; ERR_LIMIT for an endless path. */
MUST_USE err file_replace(const char *path, slice bytes, unsigned permissions, struct buf *why);

bool file_exists(const char *path);

/* Appends the path with the working directory before it when it is relative; links and dots stay. ERR_SYSTEM, or what the buffer says. */
MUST_USE err file_absolute(const char *path, struct buf *ret_path);

#endif
