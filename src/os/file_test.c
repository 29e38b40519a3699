/* Files: limits to the byte, replacement that keeps permissions and links and leaves nothing beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"

static char directory[] = "/tmp/larder-file-XXXXXX";

static int enter_directory(void **state)
{
    (void)state;
    return !mkdtemp(directory) || chdir(directory);
}

static int leave_directory(void **state)
{
    (void)state;
    unlink("f");
    unlink("link");
    return chdir("/") || rmdir(directory); /* fails when something was left */
}

static void assert_contains(const char *path, const char *expected)
{
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(file_read(path, &b, NULL), OK);
    assert_true(slice_equal(buf_slice(&b), slice_of(expected)));
    buf_fini(&b);
}

static unsigned permissions_of(const char *path)
{
    struct stat file;
    assert_int_equal(lstat(path, &file), 0);
    return file.st_mode & 07777;
}

static void test_replacing(void **state)
{
    (void)state;
    assert_false(file_exists("f"));
    assert_int_equal(file_replace("f", S("one"), 0640, NULL), OK);
    assert_true(file_exists("f"));
    assert_int_equal(permissions_of("f"), 0640);
    assert_contains("f", "one");
    assert_int_equal(symlink("f", "link"), 0);
    assert_int_equal(file_replace("link", S("two"), 0600, NULL), OK);
    assert_contains("f", "two");
    assert_int_equal(permissions_of("f"), 0640);
    struct buf why;
    buf_init(&why, 1000);
    assert_int_equal(file_replace("absent/f", S("three"), 0600, &why), ERR_SYSTEM);
    assert_true(slice_equal(buf_slice(&why), S("No such file or directory")));
    buf_fini(&why);
}

static void test_reading_within_a_limit(void **state)
{
    (void)state;
    char bytes[5000];
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(file_replace("f", slice_make(bytes, sizeof bytes), 0600, NULL), OK);
    struct buf b, why;
    buf_init(&why, 1000);
    buf_init(&b, sizeof bytes);
    assert_int_equal(file_read("f", &b, NULL), OK);
    assert_int_equal(b.len, sizeof bytes);
    buf_fini(&b);
    buf_init(&b, sizeof bytes + 1);
    buf_append(&b, S("ab"));
    assert_int_equal(file_read("f", &b, &why), ERR_LIMIT);
    assert_true(slice_equal(buf_slice(&b), S("ab")));
    assert_true(slice_equal(buf_slice(&why), S("the file is too large")));
    assert_int_equal(file_read("absent", &b, &why), ERR_NOT_FOUND);
    assert_int_equal(file_read(".", &b, &why), ERR_SYSTEM);
    buf_fini(&b);
    buf_fini(&why);
}

static void test_absolute_paths(void **state)
{
    (void)state;
    struct buf path;
    char expected[100];
    buf_init(&path, 100);
    assert_int_equal(file_absolute("a/b", &path), OK);
    snprintf(expected, sizeof expected, "%s/a/b", directory);
    assert_true(slice_equal(buf_slice(&path), slice_of(expected)));
    buf_truncate(&path, 0);
    assert_int_equal(file_absolute("/a/b", &path), OK);
    assert_true(slice_equal(buf_slice(&path), S("/a/b")));
    buf_fini(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replacing),
        cmocka_unit_test(test_reading_within_a_limit),
        cmocka_unit_test(test_absolute_paths),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
