/* Memory accounts, clock, process figures: that they hold together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/mem.h"
#include "os/process.h"
#include "os/thread.h"

static void test_blocks_have_room_for_what_was_asked(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes < 5000; bytes += 7) {
        char *block = mem_alloc(bytes);
        assert_true(mem_block_bytes(block) >= bytes);
        assert_true(mem_good_bytes(bytes) >= bytes);
#ifdef LARDER_JEMALLOC /* else a sanitizer's allocator may answer */
        assert_int_equal(mem_block_bytes(block), mem_good_bytes(bytes));
#endif
        memset(block, 'x', bytes);
        block = mem_realloc(block, bytes * 2);
        assert_int_equal(block[bytes - 1], 'x');
        mem_free(block);
    }
    assert_int_equal(mem_block_bytes(NULL), 0);
    mem_free(NULL);
}

static void test_the_allocator_tells_its_name_and_figures(void **state)
{
    (void)state;
    enum { BIG_BYTES = 8 << 20 };
    struct mem_stats before = mem_stats();
    char *block = mem_alloc(BIG_BYTES);
    memset(block, 1, BIG_BYTES);
    struct mem_stats with = mem_stats();
    assert_non_null(strstr("jemalloc-5.3.0 libc", with.allocator));
    if (before.allocated_bytes) {
        assert_true(with.allocated_bytes >= before.allocated_bytes + BIG_BYTES);
        assert_true(with.active_bytes >= with.allocated_bytes);
    }
    assert_true(with.resident_bytes >= BIG_BYTES);
    mem_free(block);
    mem_purge();
}

#ifdef LARDER_TEST_HOOKS
/* In a child, since the variable is read once: the status tells whether every third attempt failed. */
static void test_allocations_are_refused_when_asked(void **state)
{
    (void)state;
    struct mem_refusals refusals = {.every = 3};
    mem_refusals = &refusals;
    bool got[9];
    for (int i = 0; i < 9; i++) {
        void *block = i % 2 ? mem_alloc(10) : calloc(1, 10);
        got[i] = block;
        mem_free(block);
    }
    refusals.every = 0;
    refusals.once = 2;
    char text[] = "text", *copy = strndup(text, 2);
    char *volatile refused = strndup(text, 2); /* or the compiler leaves out what nobody uses */
    char *again = realloc(copy, 10);
    mem_refusals = NULL;
    for (int i = 0; i < 9; i++) {
        assert_true(got[i] == (i % 3 != 2));
    }
    assert_null(refused);
    assert_non_null(again);
    assert_int_equal(refusals.refused, 4);
    mem_free(again);
}

static void test_the_clock_is_moved_by_its_file(void **state)
{
    (void)state;
    char path[] = "/tmp/larder-clock-XXXXXX";
    int fd = mkstemp(path);
    int64_t offsets[2] = {0, 0};
    assert_int_equal(write(fd, offsets, sizeof offsets), sizeof offsets);
    setenv("LARDER_CLOCK_FILE", path, 1);
    clock_init();
    unsetenv("LARDER_CLOCK_FILE");
    struct now before = clock_now();
    int64_t before_us = clock_wall_us();
    offsets[0] = 3600 * 1000;
    offsets[1] = 60 * 1000;
    assert_int_equal(pwrite(fd, offsets, sizeof offsets, 0), sizeof offsets);
    struct now after = clock_now();
    assert_true(after.wall_ms - before.wall_ms >= offsets[0]);
    assert_true(clock_wall_us() - before_us >= offsets[0] * 1000);
    assert_true(after.mono_ms - before.mono_ms >= offsets[1]);
    assert_true(clock_sleep_ms(INT64_MAX) < 100);
    offsets[0] = offsets[1] = 0;
    assert_int_equal(pwrite(fd, offsets, sizeof offsets, 0), sizeof offsets);
    close(fd);
    unlink(path);
}
#endif

static void test_process_figures(void **state)
{
    (void)state;
    process_start_note();
    assert_true(process_start_wall_ms() > 1600000000000);
    assert_true(process_id() > 0);
    assert_true(process_resident_bytes() > 4096);
    assert_true(process_cpu().user_us + process_cpu().system_us > 0);
    assert_non_null(strstr(process_system_name(), "Linux"));
    assert_true(thread_core_count() >= 1);
    assert_true(thread_id() != 0);
    assert_true(thread_cpu_ns() >= 0);
    uint64_t limit = process_raise_open_files(1);
    assert_true(limit >= 1);
    assert_int_equal(process_raise_open_files(limit), limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_have_room_for_what_was_asked),
        cmocka_unit_test(test_the_allocator_tells_its_name_and_figures),
#ifdef LARDER_TEST_HOOKS
        cmocka_unit_test(test_allocations_are_refused_when_asked),
        cmocka_unit_test(test_the_clock_is_moved_by_its_file),
#endif
        cmocka_unit_test(test_process_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
