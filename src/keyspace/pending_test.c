/* Pending keys: joining, leaving, voiding and resolving, each exactly once; outcomes. */
#include "keyspace/testing_priv.h"

#include "keyspace/pending.h"

static unsigned woken;

static void wake(struct waiter *w)
{
    assert_non_null(w->outcome);
    assert_null(w->pending);
    woken++;
}

static void test_resolve_wakes_all_but_who_left(void **state)
{
    (void)state;
    struct bench b;
    struct waiter waiters[5] = {0};
    int owner;
    bench_init(&b, 1, 0, EVICTION_NONE);
    struct key k = bench_key(&b, 0, 1);
    shard_lock(k.shard);
    assert_null(pending_find(k.shard, &k));
    struct pending *p = pending_open(k.shard, &k, &owner);
    assert_ptr_equal(pending_find(k.shard, &k), p);
    assert_ptr_equal(p->owner, &owner);
    assert_true(slice_equal(p->key, k.bytes));
    for (unsigned i = 0; i < countof(waiters); i++) {
        waiters[i].wake = wake;
        pending_join(p, &waiters[i]);
    }
    assert_true(pending_leave(&waiters[2]));
    assert_false(pending_leave(&waiters[2]));
    assert_int_equal(p->waiter_count, 4);
    shard_check(k.shard);

    struct content c = content_string(S("loaded"));
    struct outcome *o = outcome_new_value(k.bytes, &c);
    woken = 0;
    pending_resolve(p, o);
    outcome_unref(o);
    assert_int_equal(woken, 4);
    assert_int_equal(p->waiter_count, 0);
    assert_null(waiters[2].outcome);
    for (unsigned i = 0; i < countof(waiters); i++) {
        assert_false(pending_leave(&waiters[i]));
        if (i != 2) {
            assert_true(slice_equal(entry_string(waiters[i].outcome->entry), S("loaded")));
            assert_true(slice_equal(entry_key(waiters[i].outcome->entry), k.bytes));
            outcome_unref(waiters[i].outcome);
        }
    }
    pending_close(p);
    assert_null(pending_find(k.shard, &k));
    shard_check(k.shard);
    shard_unlock(k.shard);
    bench_fini(&b);
}

static void test_a_voided_one_keeps_its_waiters_and_makes_room_for_the_next(void **state)
{
    (void)state;
    struct bench b;
    struct waiter early = {.wake = wake}, late = {.wake = wake};
    bench_init(&b, 1, 0, EVICTION_NONE);
    struct key k = bench_key(&b, 0, 1);
    shard_lock(k.shard);
    struct pending *first = pending_open(k.shard, &k, NULL);
    pending_join(first, &early);
    pending_void(first);
    pending_void(first);
    assert_null(pending_find(k.shard, &k));
    struct pending *second = pending_open(k.shard, &k, NULL);
    pending_join(second, &late);
    assert_ptr_equal(pending_find(k.shard, &k), second);

    woken = 0;
    struct outcome *o = outcome_new_error(ERR_SOURCE, S("no such table"));
    o->voided = true;
    pending_resolve(first, o);
    outcome_unref(o);
    pending_close(first);
    assert_int_equal(woken, 1);
    assert_int_equal(early.outcome->kind, OUTCOME_ERROR);
    assert_int_equal(early.outcome->error, ERR_SOURCE);
    assert_true(slice_equal(early.outcome->text, S("no such table")));
    assert_null(late.outcome);
    outcome_unref(early.outcome);

    assert_ptr_equal(pending_find(k.shard, &k), second);
    assert_true(pending_leave(&late));
    pending_close(second);
    shard_unlock(k.shard);
    bench_fini(&b);
}

static bool is_even(void *argument, slice key)
{
    (*(unsigned *)argument)++;
    return (key.ptr[key.len - 1] - '0') % 2 == 0;
}

static void test_voiding_many(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct bench b;
    static struct pending *pendings[COUNT];
    bench_init(&b, 1, 4 << 20, EVICTION_NONE);
    keyspace_lock_all(b.ks);
    for (unsigned i = 0; i < COUNT; i++) {
        struct key k = bench_key(&b, i < COUNT / 2 ? 0 : 1, i);
        pendings[i] = pending_open(k.shard, &k, NULL);
        assert_ptr_equal(pending_find(k.shard, &k), pendings[i]);
    }
    unsigned asked = 0;
    size_t voided = 0;
    for (unsigned i = 0; i < keyspace_shard_count(b.ks); i++) {
        shard_check(keyspace_shard(b.ks, i));
        voided += pending_void_all(keyspace_shard(b.ks, i), 0, is_even, &asked);
    }
    assert_int_equal(asked, COUNT / 2);
    assert_int_equal(voided, COUNT / 4);
    assert_false(pendings[2]->attached);
    assert_true(pendings[1]->attached);
    keyspace_swap_dbs(b.ks, 0, 5);
    assert_false(pendings[1]->attached);
    assert_true(pendings[COUNT - 1]->attached);
    keyspace_flush_db(b.ks, 1);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_false(pendings[i]->attached);
        pending_close(pendings[i]);
    }
    keyspace_unlock_all(b.ks);
    bench_fini(&b);
}

static void test_outcomes(void **state)
{
    (void)state;
    struct outcome *o = outcome_new_negative();
    assert_int_equal(o->kind, OUTCOME_NEGATIVE);
    assert_ptr_equal(outcome_ref(o), o);
    outcome_unref(o);
    outcome_unref(o);
    outcome_unref(NULL);
    o = outcome_new_error(ERR_SOURCE_DOWN, S(""));
    assert_int_equal(o->text.len, 0);
    outcome_unref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolve_wakes_all_but_who_left),
        cmocka_unit_test(test_a_voided_one_keeps_its_waiters_and_makes_room_for_the_next),
        cmocka_unit_test(test_voiding_many),
        cmocka_unit_test(test_outcomes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
