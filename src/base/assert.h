/* Assertions that are always on. A failed one is a bug of Larder: it prints what was claimed and where, then everything that
 * was registered with assert_on_failure() (what each thread was doing), and aborts. One condition each.
 * Include this one, never <assert.h>. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "base/attr.h"

#define assert(condition) (LIKELY(condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__, __func__))
/* A branch that cannot be reached. */
#define unreachable() assert_failed("unreachable", __FILE__, __LINE__, __func__)

#ifndef static_assert
#define static_assert _Static_assert
#endif

/* Prints the report to stderr and aborts. Any thread; does not allocate. */
NORETURN void assert_failed(const char *condition, const char *file, int line, const char *function);

/* Registers the one function that adds to the report (it must not allocate or lock). Set once at start. */
void assert_on_failure(void (*report)(int fd));

#endif
