/* Intrusive 4-ary min-heap over int64 keys (deadlines): nodes live inside what they order and know their place, so that any of
 * them can be removed or moved in O(log n). The array of pointers is the heap's own. Not synchronised. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base/err.h"

struct heap_node {
    int64_t key;
    uint32_t place; /* index + 1; 0 while not in a heap */
};

struct heap {
    struct heap_node **nodes;
    uint32_t count;
    uint32_t capacity;
};

void heap_init(struct heap *h);
/* Frees the array; the nodes are not touched. */
void heap_fini(struct heap *h);

/* Adds a node that is in no heap. ERR_NOMEM leaves everything as it was. */
MUST_USE err heap_insert(struct heap *h, struct heap_node *node, int64_t key);
/* Takes a node out; harmless when it is not in. */
void heap_remove(struct heap *h, struct heap_node *node);
/* The node with the smallest key, still in; NULL when empty. */
struct heap_node *heap_first(const struct heap *h);
/* How many keys are at most `key`; looks at no more than four nodes for each. */
uint32_t heap_count_until(const struct heap *h, int64_t key);
/* Gives a node that is in a new key. */
void heap_move(struct heap *h, struct heap_node *node, int64_t key);

static inline bool heap_holds(const struct heap_node *node)
{
    return node->place != 0;
}

#endif
