#include "base/buf.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_STEP_BYTES = 64 };
#define BUF_MAX_BYTES ((size_t)1 << 31)

struct buf_block {
    uint32_t start; /* first byte not yet taken */
    uint32_t end;   /* one past the last byte */
    uint32_t cap;
    uint8_t bytes[];
};

void buf_init(struct buf *b)
{
    b->block = NULL;
}

void buf_fini(struct buf *b)
{
    free(b->block);
    b->block = NULL;
}

size_t buf_len(const struct buf *b)
{
    return b->block != NULL ? b->block->end - b->block->start : 0;
}

uint8_t *buf_data(const struct buf *b)
{
    return b->block != NULL ? b->block->bytes + b->block->start : NULL;
}

size_t buf_cap(const struct buf *b)
{
    return b->block != NULL ? b->block->cap : 0;
}

/* Exactly what is needed at first, since most of what is kept is kept once; doubled from then on. */
static size_t next_cap(const struct buf *b, size_t need)
{
    size_t cap = (need + BUF_STEP_BYTES - 1) / BUF_STEP_BYTES * BUF_STEP_BYTES;
    size_t doubled = buf_cap(b) * 2;
    if (doubled > BUF_MAX_BYTES) {
        doubled = BUF_MAX_BYTES;
    }
    return cap > doubled ? cap : doubled;
}

/* Room for `n` more behind the end: in a larger block, or by moving to the front of this one. */
static bool make_room(struct buf *b, size_t n)
{
    size_t len = buf_len(b);
    if (len + n <= buf_cap(b)) {
        memmove(b->block->bytes, buf_data(b), len);
        b->block->start = 0;
        b->block->end = (uint32_t)len;
        return true;
    }
    /* Not realloc(3), which would copy what was taken already. */
    size_t cap = next_cap(b, len + n);
    struct buf_block *block = malloc(sizeof *block + cap);
    if (block == NULL) {
        return false;
    }
    if (len > 0) {
        memcpy(block->bytes, buf_data(b), len);
    }
    block->start = 0;
    block->end = (uint32_t)len;
    block->cap = (uint32_t)cap;
    free(b->block);
    b->block = block;
    return true;
}

bool buf_append(struct buf *b, const void *data, size_t n)
{
    if (n == 0) {
        return true;
    }
    if (n > BUF_MAX_BYTES - buf_len(b)) {
        return false;
    }
    if ((b->block == NULL || n > b->block->cap - b->block->end) && !make_room(b, n)) {
        return false;
    }
    memcpy(b->block->bytes + b->block->end, data, n);
    b->block->end += (uint32_t)n;
    return true;
}

void buf_take(struct buf *b, size_t n)
{
    if (n == 0) {
        return;
    }
    assert(n <= buf_len(b));
    b->block->start += (uint32_t)n;
    if (b->block->start == b->block->end) {
        buf_fini(b);
    }
}
