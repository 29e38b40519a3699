/* The optimum against every choice of victims that there is, on small traces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "main/optimum.h"

enum { KEYS = 6, REQUESTS = 14 };

/* The most hits that requests from `at` on can have when the keys of the set `cached` are in a cache of `places`. */
static size_t best(const struct request *requests, size_t at, unsigned cached, unsigned places)
{
    if (at == REQUESTS) {
        return 0;
    }
    unsigned key = 1u << requests[at].key;
    if (cached & key) {
        return 1 + best(requests, at + 1, cached, places);
    }
    if ((unsigned)__builtin_popcount(cached) < places) {
        return best(requests, at + 1, cached | key, places);
    }
    size_t most = 0;
    for (unsigned left = cached; left; left &= left - 1) {
        size_t hits = best(requests, at + 1, (cached & ~(left & -left)) | key, places);
        most = hits > most ? hits : most;
    }
    return most;
}

static void test_nothing_is_better(void **state)
{
    (void)state;
    static slice keys[KEYS] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"e", 1}, {"f", 1}};
    struct random r;
    random_init(&r, 1, 2);
    for (unsigned round = 0; round < 300; round++) {
        struct request requests[REQUESTS];
        for (size_t i = 0; i < REQUESTS; i++) {
            requests[i] = (struct request){.key = (uint32_t)random_below(&r, KEYS), .value_bytes = 9};
        }
        struct trace t = {.requests = requests, .request_count = REQUESTS, .keys = keys, .key_count = KEYS};
        unsigned places = 1 + round % 4;
        size_t hits;
        assert_int_equal(optimum_hits(&t, places * 15 + 14, 5, 1, &hits), OK);
        assert_int_equal(hits, best(requests, 0, 0, places));
    }
}

static void test_what_does_not_fit_is_not_kept(void **state)
{
    (void)state;
    slice keys[] = {S("large"), S("small")};
    struct request requests[] = {{1, 10}, {0, 1000}, {1, 10}, {0, 1000}};
    struct trace t = {.requests = requests, .request_count = 4, .keys = keys, .key_count = 2};
    size_t hits;
    assert_int_equal(optimum_hits(&t, 100, 0, 1, &hits), OK);
    assert_int_equal(hits, 1);
    assert_int_equal(optimum_hits(&t, 100, 0, 4, &hits), OK);
    assert_int_equal(hits, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_better),
        cmocka_unit_test(test_what_does_not_fit_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
