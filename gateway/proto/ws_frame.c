#include "proto/ws_frame.h"
#include <string.h>

static uint64_t big_endian(const uint8_t *bytes, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

enum ws_frame_status ws_frame_read(const uint8_t *bytes, size_t have, struct ws_frame *frame, size_t *used)
{
    if (have < 2) {
        return WS_FRAME_MORE;
    }
    frame->fin = (bytes[0] & 0x80) != 0;
    frame->rsv = (uint8_t)(bytes[0] >> 4 & 0x7);
    frame->opcode = bytes[0] & 0xF;
    frame->masked = (bytes[1] & 0x80) != 0;
    frame->len = bytes[1] & 0x7F;
    size_t at = 2;
    if (frame->len >= 126) {
        size_t width = frame->len == 126 ? 2 : 8;
        uint64_t least = frame->len == 126 ? 126 : 65536;
        if (have < at + width) {
            return WS_FRAME_MORE;
        }
        frame->len = big_endian(bytes + at, width);
        if (frame->len < least || frame->len >> 63 != 0) {
            return WS_FRAME_BAD_LEN;
        }
        at += width;
    }
    if (frame->masked) {
        if (have < at + 4) {
            return WS_FRAME_MORE;
        }
        memcpy(frame->mask, bytes + at, 4);
        at += 4;
    }
    *used = at;
    return WS_FRAME_OK;
}

size_t ws_frame_write_before(uint8_t *payload, enum ws_opcode opcode, uint64_t len)
{
    uint8_t first = (uint8_t)(0x80 | opcode);
    if (len < 126) {
        payload[-2] = first;
        payload[-1] = (uint8_t)len;
        return 2;
    }
    size_t width = len < 65536 ? 2 : 8;
    uint8_t *header = payload - 2 - width;
    header[0] = first;
    header[1] = width == 2 ? 126 : 127;
    for (size_t i = 0; i < width; i++) {
        header[2 + i] = (uint8_t)(len >> 8 * (width - 1 - i));
    }
    return 2 + width;
}

/* Wide lanes that the compiler maps to the vectors of the machine. A whole block is loaded before it is
 * stored: that is what makes moving to a lower, overlapping place right. */
typedef uint64_t lane __attribute__((vector_size(16)));
enum { BLOCK = 4 * sizeof(lane) };

unsigned ws_frame_mask(uint8_t *to, const uint8_t *from, size_t n, const uint8_t mask[4], unsigned phase)
{
    uint8_t turned[8] = {
        mask[phase & 3], mask[(phase + 1) & 3], mask[(phase + 2) & 3], mask[(phase + 3) & 3]};
    memcpy(turned + 4, turned, 4);
    uint64_t word;
    memcpy(&word, turned, 8);
    lane wide = {word, word};
    size_t i = 0;
    for (; n - i >= BLOCK; i += BLOCK) {
        lane block[4];
        memcpy(block, from + i, BLOCK);
        block[0] ^= wide;
        block[1] ^= wide;
        block[2] ^= wide;
        block[3] ^= wide;
        memcpy(to + i, block, BLOCK);
    }
    for (; n - i >= 8; i += 8) {
        uint64_t eight;
        memcpy(&eight, from + i, 8);
        eight ^= word;
        memcpy(to + i, &eight, 8);
    }
    for (; i < n; i++) {
        to[i] = from[i] ^ turned[i & 7];
    }
    return (phase + (unsigned)(n & 3)) & 3;
}
