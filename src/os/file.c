/* Reading and replacing whole files. */
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void explain(struct buf *why, const char *text)
{
    if (why) {
        buf_append(why, slice_of(text));
    }
}

static err system_failed(struct buf *why)
{
    int reason = errno;
    explain(why, strerror(reason));
    return reason == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* Appends until the end of the file. At the limit one more byte is tried, to tell a file that just fits from a larger one. */
static err read_to_end(int fd, struct buf *b, struct buf *why)
{
    for (;;) {
        err e = buf_reserve(b, 1);
        if (e && e != ERR_LIMIT) {
            explain(why, "out of memory");
            return e;
        }
        char beyond;
        ssize_t count = e ? read(fd, &beyond, 1) : read(fd, b->bytes + b->len, b->capacity - b->len);
        if (count == 0) {
            return OK;
        }
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return system_failed(why);
        }
        if (e) {
            explain(why, "the file is too large");
            return e;
        }
        b->len += (size_t)count;
    }
}

err file_read(const char *path, struct buf *ret_bytes, struct buf *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return system_failed(why);
    }
    size_t before = ret_bytes->len;
    err e = read_to_end(fd, ret_bytes, why);
    if (e) {
        buf_truncate(ret_bytes, before);
    }
    close(fd);
    return e;
}

/* ---- replacing ----------------------------------------------------------------------------------------------------- */

static bool write_all(int fd, slice bytes)
{
    while (bytes.len > 0) {
        ssize_t count = write(fd, bytes.ptr, bytes.len);
        if (count < 0 && errno != EINTR) {
            return false;
        }
        if (count > 0) {
            bytes = slice_sub(bytes, (size_t)count, SIZE_MAX);
        }
    }
    return true;
}

static bool write_file(const char *path, slice bytes, unsigned permissions)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    bool done = fchmod(fd, permissions) == 0 && write_all(fd, bytes) && fsync(fd) == 0;
    int reason = errno;
    done = close(fd) == 0 && done;
    errno = reason;
    return done;
}

static bool sync_directory_of(const char *path)
{
    char directory[PATH_MAX];
    const char *name = strrchr(path, '/');
    snprintf(directory, sizeof directory, "%.*s", name ? (int)(name - path + 1) : 1, name ? path : ".");
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool done = fsync(fd) == 0;
    int reason = errno;
    close(fd);
    errno = reason;
    return done;
}

err file_replace(const char *path, slice bytes, unsigned permissions, struct buf *why)
{
    char target[PATH_MAX], beside[PATH_MAX];
    if (!realpath(path, target) && snprintf(target, sizeof target, "%s", path) >= (int)sizeof target) {
        explain(why, "the path is too long");
        return ERR_LIMIT;
    }
    if (snprintf(beside, sizeof beside, "%s.new-%d", target, (int)getpid()) >= (int)sizeof beside) {
        explain(why, "the path is too long");
        return ERR_LIMIT;
    }
    struct stat old;
    if (stat(target, &old) == 0) {
        permissions = old.st_mode & 07777;
    }
    if (!write_file(beside, bytes, permissions) || rename(beside, target) != 0) {
        explain(why, strerror(errno));
        unlink(beside);
        return ERR_SYSTEM;
    }
    if (!sync_directory_of(target)) {
        explain(why, strerror(errno));
        return ERR_SYSTEM;
    }
    return OK;
}

/* ---- paths --------------------------------------------------------------------------------------------------------- */

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

err file_absolute(const char *path, struct buf *ret_path)
{
    char whole[2 * PATH_MAX], directory[PATH_MAX];
    if (path[0] != '/' && !getcwd(directory, sizeof directory)) {
        return ERR_SYSTEM;
    }
    int count = path[0] == '/' ? snprintf(whole, sizeof whole, "%s", path)
                               : snprintf(whole, sizeof whole, "%s/%s", directory, path);
    if (count >= (int)sizeof whole) {
        return ERR_LIMIT;
    }
    err e = buf_reserve(ret_path, (size_t)count);
    if (e == OK) {
        buf_append(ret_path, slice_make(whole, (size_t)count));
    }
    return e;
}
