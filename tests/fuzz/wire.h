/* A second, slower reading of RFC 6455, which knows nothing of the gateway's: what a stream of frames means.
 * It holds all that it reads, and takes no decision by itself. */
#ifndef SLUICE_TESTS_WIRE_H
#define SLUICE_TESTS_WIRE_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_end {
    WIRE_OPEN,  /* more may come */
    WIRE_CLOSE, /* a whole Close */
    WIRE_FAULT, /* the frame that follows breaks RFC 6455 5 */
};

struct wire {
    struct buf payload; /* of all data frames, also of one that is not whole */
    struct buf pings;   /* each: its length in one byte, its payload */
    struct buf pongs;
    enum wire_end end;
    bool cut;      /* it ends within a frame */
    bool pieces;   /* some message came in more than one frame */
    size_t beyond; /* bytes behind the Close or the fault */
};

/* Reads frames of a client (masked) or of a server; aborts where there is no memory. */
void wire_read(struct wire *wire, const uint8_t *bytes, size_t n, bool masked);
void wire_fini(struct wire *wire);

/* Whether `pongs` answers some of `pings`, in their order. */
bool wire_answers(const struct buf *pings, const struct buf *pongs);

/* The bytes behind the first empty line; their count in *n. NULL: there is none. */
const uint8_t *wire_behind_head(const struct buf *bytes, size_t *n);

#endif
