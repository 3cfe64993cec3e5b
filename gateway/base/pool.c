#include "base/pool.h"
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Under a sanitizer each object is a heap object of its own, so that a use after its end is seen. */
#ifdef __SANITIZE_ADDRESS__

void *pool_take(struct pool *pool)
{
    return calloc(1, pool->object_bytes);
}

void pool_give(struct pool *pool, void *object)
{
    (void)pool;
    free(object);
}

void pool_fini(struct pool *pool)
{
    (void)pool;
}

#else

enum { BLOCK_BYTES = 64 * 1024 - 32 };

struct pool_block {
    struct pool_block *next;
    alignas(max_align_t) uint8_t objects[];
};

static size_t stride_of(const struct pool *pool)
{
    size_t align = sizeof(void *);
    return (pool->object_bytes + align - 1) / align * align;
}

static void chain(struct pool *pool, void *object)
{
    memcpy(object, &pool->unused, sizeof pool->unused);
    pool->unused = object;
}

static void grow(struct pool *pool)
{
    struct pool_block *block = malloc(BLOCK_BYTES);
    if (block == NULL) {
        return;
    }
    block->next = pool->blocks;
    pool->blocks = block;
    size_t count = (BLOCK_BYTES - sizeof *block) / stride_of(pool);
    while (count-- > 0) {
        chain(pool, block->objects + count * stride_of(pool));
    }
}

void *pool_take(struct pool *pool)
{
    if (pool->unused == NULL) {
        grow(pool);
    }
    void *object = pool->unused;
    if (object != NULL) {
        memcpy(&pool->unused, object, sizeof pool->unused);
        memset(object, 0, pool->object_bytes);
    }
    return object;
}

void pool_give(struct pool *pool, void *object)
{
    chain(pool, object);
}

void pool_fini(struct pool *pool)
{
    while (pool->blocks != NULL) {
        struct pool_block *block = pool->blocks;
        pool->blocks = block->next;
        free(block);
    }
    pool->unused = NULL;
}

#endif
