/* The client's half of RFC 6455, on its own so that the gateway is not measured with its own rod: the
 * upgrade, frames made beforehand, and a reader of frames that checks payload by its place. */
#ifndef SLUICE_BENCH_WS_H
#define SLUICE_BENCH_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Frames of `frame` bytes of the pattern, masked, end to end for one period; raw: the pattern itself. */
struct ws_ring {
    uint8_t *bytes;
    size_t len;
    size_t frame;      /* payload */
    size_t frame_wire; /* with its header */
};

/* `frame` divides PATTERN_LEN. False: no memory. */
bool ws_ring_make(struct ws_ring *ring, size_t frame, bool raw);

enum { WS_HEAD_MAX = 1024, WS_CLOSE_FRAME_LEN = 8 };

/* A request for the upgrade; its length. */
size_t ws_request(char out[WS_HEAD_MAX], const char *path);

/* The frame that closes with 1000. */
extern const uint8_t ws_close_frame[WS_CLOSE_FRAME_LEN];

/* What came from the other side. Zeroed: raw bytes are payload, frames are read where `framed`. */
struct ws_in {
    bool framed;
    bool upgraded;
    bool closed;       /* a Close came */
    uint16_t head_len; /* of the answer to the upgrade, or of a frame's header */
    uint8_t opcode;
    bool in_payload;
    uint64_t left;     /* of this frame's payload */
    uint64_t received; /* payload, checked */
    uint64_t pings;
    char head[WS_HEAD_MAX];
};

/* Takes bytes; NULL: fine, else what is wrong with them. */
const char *ws_take(struct ws_in *in, const uint8_t *bytes, size_t n);

#endif
