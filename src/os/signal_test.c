/* Signals as events, the crash report of a child that crashes, and a thread held at a pause point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/pause.h"
#include "os/entropy.h"
#include "os/file.h"
#include "os/pause.h"
#include "os/signal.h"
#include "os/thread.h"

/* ---- events -------------------------------------------------------------------------------------------------------- */

static int numbers[8];
static size_t number_count;

static void arrived(struct signal_watch *s, int number)
{
    (void)s;
    numbers[number_count++] = number;
}

static void test_signals_arrive_on_the_loop(void **state)
{
    (void)state;
    struct loop *loop;
    struct signal_watch watch;
    signal_block();
    assert_int_equal(loop_new(LOOP_EPOLL, &loop), OK);
    assert_int_equal(signal_watch_open(&watch, loop, arrived), OK);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGPIPE);
    loop_turn(loop, -1);
    kill(getpid(), SIGTERM);
    loop_turn(loop, -1);
    loop_turn(loop, 0);
    assert_int_equal(number_count, 2);
    assert_int_equal(numbers[0], SIGUSR1);
    assert_int_equal(numbers[1], SIGTERM);
    signal_watch_close(&watch, loop);
    signal_watch_close(&watch, loop);
    loop_free(loop);
}

/* ---- crashes ------------------------------------------------------------------------------------------------------- */

static void say_more(int fd)
{
    (void)!write(fd, "and more\n", 9);
}

static void crash(void *argument)
{
    (void)argument;
    raise(SIGSEGV);
}

/* Deeper than any stack is. */
static int descend(volatile char *above, int left)
{
    volatile char here[1024];
    here[0] = above[0];
    return left == 0 ? 0 : descend(here, left - 1) + here[0];
}

static void exhaust_the_stack(void *argument)
{
    (void)argument;
    volatile char first = 0;
    descend(&first, 1 << 30);
}

static void crash_in(const char *name, void (*run)(void *))
{
    struct thread t;
    if (thread_start(&t, name, run, NULL) == OK) {
        thread_join(&t);
    }
}

static void crash_in_a_thread(void)
{
    crash_in("crasher", crash);
}

static void crash_without_a_stack(void)
{
    crash_in("deep", exhaust_the_stack);
}

static void crash_by_assertion(void)
{
    bool the_moon_is_cheese = getpid() == 0;
    assert(the_moon_is_cheese);
}

/* What a child that does `act` writes to stderr before SIGNAL ends it. */
static void assert_crash(void (*act)(void), int number, const char *const expected[], size_t expected_count)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit no_core = {0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        for (int i = SIGHUP; i < SIGSYS; i++) {
            signal(i, SIG_DFL); /* the test library has handlers of its own */
        }
        signal_report_crashes(say_more);
        act();
        _exit(0);
    }
    close(ends[1]);
    char text[32768];
    size_t length = 0;
    ssize_t count;
    while ((count = read(ends[0], text + length, sizeof text - 1 - length)) > 0) {
        length += (size_t)count;
    }
    text[length] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), number);
    for (size_t i = 0; i < expected_count; i++) {
        if (!strstr(text, expected[i])) {
            fail_msg("no \"%s\" in: %s", expected[i], text);
        }
    }
}

static void test_a_crash_leaves_a_report(void **state)
{
    (void)state;
    static const char *const by_signal[] = {"(SIGSEGV)", "in thread crasher", "os_signal_test", "and more"};
    assert_crash(crash_in_a_thread, SIGSEGV, by_signal, countof(by_signal));
    static const char *const by_depth[] = {"(SIGSEGV)", "in thread deep", "and more"};
    assert_crash(crash_without_a_stack, SIGSEGV, by_depth, countof(by_depth));
    static const char *const by_assertion[] = {"the_moon_is_cheese", "(SIGABRT)", "and more"};
    assert_crash(crash_by_assertion, SIGABRT, by_assertion, countof(by_assertion));
}

/* ---- pause points -------------------------------------------------------------------------------------------------- */

#ifdef LARDER_TEST_HOOKS
static int passed; /* atomic */

static void pass(void *argument)
{
    (void)argument;
    PAUSE_POINT(nobody_holds_this);
    PAUSE_POINT(gate);
    __atomic_store_n(&passed, 1, __ATOMIC_RELAXED);
}

static void test_a_thread_is_held_at_a_pause_point(void **state)
{
    (void)state;
    char directory[] = "/tmp/larder-pause-XXXXXX", gate[64], reached[64];
    assert_non_null(mkdtemp(directory));
    snprintf(gate, sizeof gate, "%s/gate", directory);
    snprintf(reached, sizeof reached, "%s/gate.reached", directory);
    fclose(fopen(gate, "w"));
    setenv("LARDER_PAUSE_DIR", directory, 1);
    pause_init();
    struct thread t;
    assert_int_equal(thread_start(&t, "pass", pass, NULL), OK);
    while (!file_exists(reached)) {
        usleep(100);
    }
    assert_int_equal(__atomic_load_n(&passed, __ATOMIC_RELAXED), 0);
    unlink(gate);
    thread_join(&t);
    assert_int_equal(passed, 1);
    unsetenv("LARDER_PAUSE_DIR");
    pause_init();
    assert_true(pause_hook == NULL);
    unlink(reached);
    assert_int_equal(rmdir(directory), 0);
}
#endif

static void test_entropy_differs(void **state)
{
    (void)state;
    assert_int_not_equal(entropy_u64(), entropy_u64());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crash_leaves_a_report),
        cmocka_unit_test(test_signals_arrive_on_the_loop),
#ifdef LARDER_TEST_HOOKS
        cmocka_unit_test(test_a_thread_is_held_at_a_pause_point),
#endif
        cmocka_unit_test(test_entropy_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
