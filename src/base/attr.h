/* Attributes that make a signature tell the truth: what may be ignored, what is printf-like, and, for clang's thread-safety
 * analysis, which thread a function runs on and which lock it needs. Under gcc the latter are empty; `scripts/check-threads`
 * compiles everything with clang and -Wthread-safety, so a wrong one fails the test command. */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#define NORETURN __attribute__((noreturn))
#define NOINLINE __attribute__((noinline))
/* Has all that it calls compiled in, but for what is NOINLINE: for the loops that every request goes through. */
#define FLATTEN __attribute__((flatten))
/* Seldom called: kept out of its callers, whose registers and stack it would take. */
#define COLD __attribute__((cold, noinline))
/* Reads what others may be changing and judges afterwards whether it was whole: the sanitizers cannot know that. */
#define READS_UNLOCKED __attribute__((no_sanitize("thread", "address")))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define CACHE_LINE_BYTES 64
#define ALIGNED(bytes) __attribute__((aligned(bytes)))
#define countof(array) (sizeof(array) / sizeof((array)[0]))
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#if defined(__clang__)
#define LOCK_TYPE(name) __attribute__((capability(name)))
#define ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define TRY_ACQUIRES(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#define HOLDS(...) __attribute__((requires_capability(__VA_ARGS__)))
#define ASSERTS_HELD(...) __attribute__((assert_capability(__VA_ARGS__)))
#define UNCHECKED_LOCKS __attribute__((no_thread_safety_analysis))
#else
#define LOCK_TYPE(name)
#define ACQUIRES(...)
#define TRY_ACQUIRES(...)
#define RELEASES(...)
#define HOLDS(...)
#define ASSERTS_HELD(...)
#define UNCHECKED_LOCKS
#endif

/* Roles: which kind of thread a function runs on. A thread's entry function takes its role with role_assume_*(). */
struct LOCK_TYPE("role") role {
    char unused;
};
extern struct role role_worker; /* serves connections, never blocks */
extern struct role role_helper; /* may block or wait for others */
#define ON(role_name) HOLDS(role_##role_name)

static inline void role_assume_worker(void) ASSERTS_HELD(role_worker);
static inline void role_assume_helper(void) ASSERTS_HELD(role_helper);
static inline void role_assume_worker(void)
{
}
static inline void role_assume_helper(void)
{
}

#endif
