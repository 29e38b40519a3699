/* The report of a failed assertion. Everything here is async-signal-safe in spirit: no allocation, no stdio buffers, since
 * the heap or a lock may be what is broken. A second failure while reporting aborts at once. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void (*report_more)(int fd);
static int reporting;

struct role role_worker;
struct role role_helper;

void assert_on_failure(void (*report)(int fd))
{
    report_more = report;
}

void assert_failed(const char *condition, const char *file, int line, const char *function)
{
    if (__atomic_exchange_n(&reporting, 1, __ATOMIC_SEQ_CST)) {
        abort();
    }
    char text[512];
    int length = snprintf(text, sizeof text, "larder: bug: %s:%d: %s(): assertion failed: %s\n", file, line, function,
                          condition);
    if (length > (int)sizeof text - 1) {
        length = sizeof text - 1;
    }
    (void)!write(STDERR_FILENO, text, (size_t)length);
    if (report_more) {
        report_more(STDERR_FILENO);
    }
    abort();
}
