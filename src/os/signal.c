/* Signals as events, and the last words of a process that crashed.
 *
 * The report uses only what is safe in a handler: write(), and backtrace(), whose library is loaded beforehand by calling it once. A
 * second fault while it is written, or one in another thread, does not write a second report. The handler is reset when it is entered, so
 * raising the signal again ends the process with the right status and a core, where cores are wanted. */
#include "os/signal.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/assert.h"

enum { FRAME_COUNT_MAX = 64, CRASH_STACK_BYTES = 64 * 1024 };

/* ---- signals as events --------------------------------------------------------------------------------------------- */

static sigset_t asking(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    return set;
}

void signal_block(void)
{
    sigset_t set = asking();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void ready(struct watch *w, unsigned events)
{
    (void)events;
    struct signal_watch *s = container_of(w, struct signal_watch, watch);
    struct signalfd_siginfo one;
    if (read(w->fd, &one, sizeof one) == sizeof one) { /* more come in the next turn */
        s->arrived(s, (int)one.ssi_signo);
    }
}

err signal_watch_open(struct signal_watch *s, struct loop *l, void (*arrived)(struct signal_watch *s, int number))
{
    sigset_t set = asking();
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        return ERR_SYSTEM;
    }
    *s = (struct signal_watch){.arrived = arrived};
    err e = loop_watch(l, &s->watch, fd, LOOP_READ, ready);
    if (e) {
        close(fd);
    }
    return e;
}

void signal_watch_close(struct signal_watch *s, struct loop *l)
{
    if (s->watch.ready) {
        loop_unwatch(l, &s->watch);
        close(s->watch.fd);
    }
}

/* ---- the crash report ---------------------------------------------------------------------------------------------- */

static void (*report_more)(int fd);
static int reporting;

static void report(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!__atomic_exchange_n(&reporting, 1, __ATOMIC_SEQ_CST)) {
        char thread[16] = "?";
        char text[256];
        void *frames[FRAME_COUNT_MAX];
        pthread_getname_np(pthread_self(), thread, sizeof thread);
        int length =
            snprintf(text, sizeof text, "larder: crashed: signal %d (SIG%s) at address %p in thread %s, version %s\n",
                     number, sigabbrev_np(number), info->si_addr, thread, LARDER_VERSION);
        (void)!write(STDERR_FILENO, text, (size_t)length);
        backtrace_symbols_fd(frames, backtrace(frames, FRAME_COUNT_MAX), STDERR_FILENO);
        if (report_more) {
            report_more(STDERR_FILENO);
        }
    }
    raise(number);
}

void signal_report_crashes(void (*more)(int fd))
{
    static char stack[CRASH_STACK_BYTES];
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    report_more = more;
    void *frame;
    (void)backtrace(&frame, 1);
    stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    int failure = sigaltstack(&own, NULL);
    assert(failure == 0);
    struct sigaction action = {.sa_sigaction = report,
                               .sa_flags = (int)(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER)};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < countof(crashes); i++) {
        sigaction(crashes[i], &action, NULL);
    }
}
