/* Signals. Those that ask something of the server (SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2) are blocked everywhere and read by one loop as
 * events; SIGPIPE is ignored; those that mean a bug (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) leave a report on stderr and then end the
 * process as they would have. */
#ifndef OS_SIGNAL_H
#define OS_SIGNAL_H

#include "os/loop.h"

/* First thing in main(), before other threads start: they inherit it. */
void signal_block(void);

struct signal_watch {
    struct watch watch;
    void (*arrived)(struct signal_watch *s, int number);
};
/* Has the blocked signals delivered on this loop; one watch a process. ERR_SYSTEM, ERR_NOMEM. */
MUST_USE err signal_watch_open(struct signal_watch *s, struct loop *l,
                               void (*arrived)(struct signal_watch *s, int number));
void signal_watch_close(struct signal_watch *s, struct loop *l);

/* Installs the crash report: signal, address, thread, backtrace, then what `more` (NULL: nothing) writes; it must not allocate or lock.
 * From the main thread, which gets a stack of its own for it; other threads have theirs from thread_start(). */
void signal_report_crashes(void (*more)(int fd));

#endif
