/* Objects of one size, cut from blocks and used again: no heap header each, and no holes between long-lived
 * objects where short-lived memory was. Blocks are given back only by pool_fini. Not thread-safe. */
#ifndef SLUICE_BASE_POOL_H
#define SLUICE_BASE_POOL_H

#include <stddef.h>

struct pool_block;

struct pool {
    size_t object_bytes;
    struct pool_block *blocks;
    void *unused; /* a chain through the objects themselves */
};

#define POOL_OF(type) ((struct pool){.object_bytes = sizeof(type)})

/* A zeroed object; NULL when there is no memory. */
void *pool_take(struct pool *pool) __attribute__((warn_unused_result));
void pool_give(struct pool *pool, void *object);

/* Every object, taken or not, is gone afterwards. */
void pool_fini(struct pool *pool);

#endif
