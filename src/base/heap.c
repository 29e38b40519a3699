/* Invariants: (I1) nodes[i]->place == i + 1; (I2) a parent's key is not larger than its children's. */
#include "base/heap.h"

#include <stdlib.h>

#include "base/assert.h"

enum { ARITY = 4, CAPACITY_MIN = 16 };

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_fini(struct heap *h)
{
    free(h->nodes);
    heap_init(h);
}

static void put(struct heap *h, uint32_t index, struct heap_node *node)
{
    h->nodes[index] = node;
    node->place = index + 1;
}

static void sift_up(struct heap *h, uint32_t index)
{
    struct heap_node *node = h->nodes[index];
    while (index > 0) {
        uint32_t parent = (index - 1) / ARITY;
        if (h->nodes[parent]->key <= node->key) {
            break;
        }
        put(h, index, h->nodes[parent]);
        index = parent;
    }
    put(h, index, node);
}

static void sift_down(struct heap *h, uint32_t index)
{
    struct heap_node *node = h->nodes[index];
    for (;;) {
        uint32_t first = index * ARITY + 1;
        if (first >= h->count) {
            break;
        }
        uint32_t last = first + ARITY < h->count ? first + ARITY : h->count;
        uint32_t least = first;
        for (uint32_t child = first + 1; child < last; child++) {
            if (h->nodes[child]->key < h->nodes[least]->key) {
                least = child;
            }
        }
        if (node->key <= h->nodes[least]->key) {
            break;
        }
        put(h, index, h->nodes[least]);
        index = least;
    }
    put(h, index, node);
}

err heap_insert(struct heap *h, struct heap_node *node, int64_t key)
{
    assert(!heap_holds(node));
    if (h->count == h->capacity) {
        uint32_t capacity = h->capacity ? h->capacity * 2 : CAPACITY_MIN;
        struct heap_node **nodes = realloc(h->nodes, capacity * sizeof *nodes);
        if (!nodes) {
            return ERR_NOMEM;
        }
        h->nodes = nodes;
        h->capacity = capacity;
    }
    node->key = key;
    put(h, h->count++, node);
    sift_up(h, h->count - 1);
    return OK;
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (!heap_holds(node)) {
        return;
    }
    uint32_t index = node->place - 1;
    assert(h->nodes[index] == node);
    node->place = 0;
    struct heap_node *last = h->nodes[--h->count];
    if (last == node) {
        return;
    }
    put(h, index, last);
    sift_down(h, index);
    sift_up(h, last->place - 1);
}

struct heap_node *heap_first(const struct heap *h)
{
    return h->count ? h->nodes[0] : NULL;
}

static uint32_t count_below(const struct heap *h, uint32_t index, int64_t key)
{
    if (index >= h->count || h->nodes[index]->key > key) {
        return 0;
    }
    uint32_t count = 1;
    for (uint32_t i = 1; i <= ARITY; i++) {
        count += count_below(h, index * ARITY + i, key);
    }
    return count;
}

uint32_t heap_count_until(const struct heap *h, int64_t key)
{
    return count_below(h, 0, key);
}

void heap_move(struct heap *h, struct heap_node *node, int64_t key)
{
    assert(heap_holds(node));
    node->key = key;
    sift_down(h, node->place - 1);
    sift_up(h, node->place - 1);
}
