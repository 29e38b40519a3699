/* Lists, heap, buffer, arena, hash and random: their invariants under random use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/random.h"

struct item {
    struct list link;
    struct heap_node node;
    int number;
};

static void test_list(void **state)
{
    (void)state;
    struct list head, other;
    struct item items[4];
    list_init(&head);
    list_init(&other);
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        list_push_back(i < 2 ? &head : &other, &items[i].link);
    }
    list_splice(&head, &other);
    assert_true(list_empty(&other));
    int expected = 0;
    LIST_EACH (node, &head) {
        assert_int_equal(container_of(node, struct item, link)->number, expected++);
        list_remove(node);
    }
    assert_int_equal(expected, 4);
    assert_true(list_empty(&head));
    assert_null(list_pop_front(&head));
}

static void test_heap_sorts_whatever_is_moved_or_removed(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct random random;
    random_init(&random, 1, 2);
    struct heap heap;
    heap_init(&heap);
    struct item *items = calloc(COUNT, sizeof *items);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(heap_insert(&heap, &items[i].node, (int64_t)random_below(&random, 500)), OK);
    }
    for (int i = 0; i < COUNT; i += 3) {
        heap_move(&heap, &items[i].node, (int64_t)random_below(&random, 500));
    }
    for (int i = 1; i < COUNT; i += 3) {
        heap_remove(&heap, &items[i].node);
        heap_remove(&heap, &items[i].node);
    }
    uint32_t until[500] = {0};
    for (uint32_t i = 0; i < heap.count; i++) {
        for (int64_t key = heap.nodes[i]->key; key < 500; key++) {
            until[key]++;
        }
    }
    for (int64_t key = -1; key < 500; key++) {
        assert_int_equal(heap_count_until(&heap, key), key < 0 ? 0 : until[key]);
    }
    int64_t last = -1;
    int count = 0;
    for (struct heap_node *node; (node = heap_first(&heap)); count++) {
        assert_true(node->key >= last);
        last = node->key;
        heap_remove(&heap, node);
    }
    assert_int_equal(count, COUNT - 333);
    heap_fini(&heap);
    free(items);
}

static void test_buf(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    buf_append(&buf, S("abc"));
    buf_append_i64(&buf, -42);
    buf_printf(&buf, "[%0300d]", 7);
    assert_int_equal(buf.len, 3 + 3 + 302);
    buf_consume(&buf, 3);
    assert_true(slice_equal(slice_sub(buf_slice(&buf), 0, 3), S("-42")));
    buf_truncate(&buf, 0);
    buf_append_quoted(&buf, S("a\"\\\n\x01z"));
    assert_true(slice_equal(buf_slice(&buf), S("\"a\\\"\\\\\\n\\x01z\"")));
    assert_false(buf_failed(&buf));
    assert_null(buf_extend(&buf, 1001));
    assert_true(buf_failed(&buf));
    size_t len = buf.len;
    buf_append(&buf, S("ignored"));
    assert_int_equal(buf.len, len);
    buf_fini(&buf);
}

static void test_arena(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    for (int turn = 0; turn < 3; turn++) {
        for (size_t bytes = 1; bytes < 10000; bytes = bytes * 3 + 1) {
            unsigned char *at = arena_alloc(&arena, bytes);
            assert_non_null(at);
            assert_int_equal((uintptr_t)at % 16, 0);
            memset(at, 0xaa, bytes);
        }
        assert_true(slice_equal(arena_copy(&arena, S("hello")), S("hello")));
        assert_non_null(arena_copy(&arena, S("")).ptr);
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

static void test_hash(void **state)
{
    (void)state;
    assert_true(hash_plain(S("Hello world")) == 0xb6acb9d84a38ff74u);
    struct hash_key one, two;
    unsigned char seed[16] = {1};
    hash_key_init(&one, seed);
    seed[0] = 2;
    hash_key_init(&two, seed);
    assert_true(hash_keyed(&one, S("key")) == hash_keyed(&one, S("key")));
    assert_true(hash_keyed(&one, S("key")) != hash_keyed(&two, S("key")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list), cmocka_unit_test(test_heap_sorts_whatever_is_moved_or_removed),
        cmocka_unit_test(test_buf),  cmocka_unit_test(test_arena),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
