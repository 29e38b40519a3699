/* Belady's optimum: the keys in the cache in a heap, by when they are next asked for. */
#include "main/optimum.h"

#include <stdlib.h>

#include "base/attr.h"
#include "base/heap.h"

struct cached {
    struct heap_node node; /* by its next request, the last one first */
    double bytes;
    size_t missed; /* the window in which it was missed last, plus one */
};

/* For each request, the next one for the same key; INT64_MAX when there is none. */
static int64_t *find_next_requests(const struct trace *t)
{
    int64_t *next = malloc(t->request_count * sizeof *next), *last = malloc(t->key_count * sizeof *last);
    if (next && last) {
        for (uint32_t i = 0; i < t->key_count; i++) {
            last[i] = INT64_MAX;
        }
        for (size_t i = t->request_count; i-- > 0;) {
            next[i] = last[t->requests[i].key];
            last[t->requests[i].key] = (int64_t)i;
        }
    } else {
        free(next);
        next = NULL;
    }
    free(last);
    return next;
}

static void evict_last(struct heap *h, double *used)
{
    struct cached *c = container_of(heap_first(h), struct cached, node);
    heap_remove(h, &c->node);
    *used -= c->bytes;
}

static err run(const struct trace *t, const int64_t *next, struct cached *cached, uint64_t limit_bytes,
               double entry_bytes, size_t window, size_t *ret_hits)
{
    struct heap h;
    double used = 0;
    size_t hits = 0;
    err e = OK;
    heap_init(&h);
    for (size_t i = 0; i < t->request_count && e == OK; i++) {
        struct request r = t->requests[i];
        struct cached *c = &cached[r.key];
        if (heap_holds(&c->node)) {
            hits += c->missed != i / window + 1;
            heap_move(&h, &c->node, -next[i]);
            continue;
        }
        c->missed = i / window + 1;
        c->bytes = entry_bytes + (double)t->keys[r.key].len + r.value_bytes;
        if (c->bytes > (double)limit_bytes) {
            continue;
        }
        while (used + c->bytes > (double)limit_bytes) {
            evict_last(&h, &used);
        }
        used += c->bytes;
        e = heap_insert(&h, &c->node, -next[i]);
    }
    heap_fini(&h);
    *ret_hits = hits;
    return e;
}

err optimum_hits(const struct trace *t, uint64_t limit_bytes, double entry_bytes, size_t window, size_t *ret_hits)
{
    int64_t *next = find_next_requests(t);
    struct cached *cached = calloc(t->key_count, sizeof *cached);
    err e = next && cached ? run(t, next, cached, limit_bytes, entry_bytes, window, ret_hits) : ERR_NOMEM;
    free(cached);
    free(next);
    return e;
}
