/* A byte queue on the heap: bytes are added at the end and taken from the front.
 * An empty buf is one pointer and owns no memory. Nothing here blocks. */
#ifndef SLUICE_BASE_BUF_H
#define SLUICE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    struct buf_block *block; /* NULL while empty */
};

void buf_init(struct buf *b);
void buf_fini(struct buf *b);

size_t buf_len(const struct buf *b);

/* The bytes that were not taken yet, in one piece; NULL while empty. They may be changed in place. */
uint8_t *buf_data(const struct buf *b);

/* Appends `n` bytes. False when there is no memory (or 2 GiB are passed); the buf is then as it was. */
bool buf_append(struct buf *b, const void *data, size_t n) __attribute__((warn_unused_result));

/* Takes `n` bytes off the front; gives the memory back with the last one. */
void buf_take(struct buf *b, size_t n);

/* How much memory it holds, in bytes of payload. */
size_t buf_cap(const struct buf *b);

#endif
