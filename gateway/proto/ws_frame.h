/* One frame of RFC 6455 5.2 on the wire: its header in both directions, and the mask. Nothing is kept here.
 */
#ifndef SLUICE_PROTO_WS_FRAME_H
#define SLUICE_PROTO_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum ws_opcode {
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xA,
};

enum {
    WS_HEADER_MAX = 14,        /* 2 + 8 of length + 4 of mask */
    WS_SERVER_HEADER_MAX = 10, /* without a mask */
    WS_CONTROL_MAX = 125,      /* payload of a control frame, RFC 6455 5.5 */
};

struct ws_frame {
    uint8_t opcode; /* 4 bits, unchecked */
    uint8_t rsv;    /* 3 bits */
    bool fin;
    bool masked;
    uint8_t mask[4];
    uint64_t len;
};

enum ws_frame_status {
    WS_FRAME_OK,
    WS_FRAME_MORE,    /* the header is not all there */
    WS_FRAME_BAD_LEN, /* not the shortest form, or the top bit is set (RFC 6455 5.2) */
};

/* Reads a header of `have` bytes at most. On WS_FRAME_OK *used is its length. Answers WS_FRAME_MORE only when
 * more bytes are needed to tell. */
enum ws_frame_status ws_frame_read(const uint8_t *bytes, size_t have, struct ws_frame *frame, size_t *used);

/* Writes the header of an unmasked, final frame so that it ends just before `payload`, and answers its
 * length: 2, 4 or 10. There must be room for WS_SERVER_HEADER_MAX bytes in front. */
size_t ws_frame_write_before(uint8_t *payload, enum ws_opcode opcode, uint64_t len);

/* XORs `n` bytes from `from` into `to` with the mask, beginning at byte `phase` (0..3) of it, and answers the
 * phase behind them. `to` may be `from`, or any place before it (the ranges may overlap), or apart from it.
 * RFC 6455 5.3. */
unsigned ws_frame_mask(uint8_t *to, const uint8_t *from, size_t n, const uint8_t mask[4], unsigned phase);

/* The same for a whole payload, with the mask just before it, where short ones come one after the other. */
static inline void ws_frame_mask_short(uint8_t *to, const uint8_t *from, size_t n)
{
    typedef uint64_t lane __attribute__((vector_size(16)));
    uint32_t mask;
    memcpy(&mask, from - 4, 4);
    uint64_t word = (uint64_t)mask << 32 | mask;
    lane wide = {word, word};
    size_t i = 0;
    /* Loaded before they are stored: `to` may lie a little before `from`. */
    for (; n - i >= 2 * sizeof wide; i += 2 * sizeof wide) {
        lane pair[2];
        memcpy(pair, from + i, sizeof pair);
        pair[0] ^= wide;
        pair[1] ^= wide;
        memcpy(to + i, pair, sizeof pair);
    }
    for (; n - i >= sizeof word; i += sizeof word) {
        uint64_t eight;
        memcpy(&eight, from + i, sizeof eight);
        eight ^= word;
        memcpy(to + i, &eight, sizeof eight);
    }
    for (; i < n; i++, word >>= 8) {
        to[i] = (uint8_t)(from[i] ^ word);
    }
}

#endif
