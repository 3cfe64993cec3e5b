#include "base/arena.h"
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK_BYTES = 16 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t used_bytes;
    size_t cap_bytes;
    alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *a)
{
    a->blocks = NULL;
}

void arena_fini(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
}

static struct arena_block *block_new(size_t cap_bytes)
{
    struct arena_block *block = calloc(1, sizeof(*block) + cap_bytes);
    if (block) {
        block->cap_bytes = cap_bytes;
    }
    return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size = (size + align - 1) / align * align;
    struct arena_block *block = a->blocks;
    if (!block || block->cap_bytes - block->used_bytes < size) {
        block = block_new(size > ARENA_BLOCK_BYTES ? size : ARENA_BLOCK_BYTES);
        if (!block) {
            return NULL;
        }
        /* A large piece must not hide the room that is left in the block before it. */
        if (size > ARENA_BLOCK_BYTES && a->blocks) {
            block->next = a->blocks->next;
            a->blocks->next = block;
        } else {
            block->next = a->blocks;
            a->blocks = block;
        }
    }
    void *piece = block->bytes + block->used_bytes;
    block->used_bytes += size;
    return piece;
}

char *arena_copy(struct arena *a, struct slice s)
{
    if (s.len == SIZE_MAX) {
        return NULL;
    }
    char *copy = arena_alloc(a, s.len + 1);
    if (copy && s.len > 0) {
        memcpy(copy, s.p, s.len);
    }
    return copy;
}
