#include "ws.h"
#include "pattern.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Any key makes the gateway unmask; a new one for each frame would only cost the generator. */
static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};

const uint8_t ws_close_frame[WS_CLOSE_FRAME_LEN] = {
    0x88, 0x82, 0x37, 0xfa, 0x21, 0x3d, 0x03 ^ 0x37, 0xe8 ^ 0xfa}; /* 1000 is 0x03e8 */

/* RFC 6455 5.2: final, binary, masked. */
static size_t write_header(uint8_t *out, size_t frame)
{
    size_t n = 2;
    out[0] = 0x82;
    if (frame < 126) {
        out[1] = (uint8_t)(0x80 | frame);
    } else if (frame < 65536) {
        out[1] = 0x80 | 126;
        out[n++] = (uint8_t)(frame >> 8);
        out[n++] = (uint8_t)frame;
    } else {
        out[1] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) {
            out[n++] = (uint8_t)((uint64_t)frame >> shift);
        }
    }
    memcpy(out + n, key, sizeof key);
    return n + sizeof key;
}

bool ws_ring_make(struct ws_ring *ring, size_t frame, bool raw)
{
    enum { HEADER_MAX = 14 };
    size_t count = PATTERN_LEN / frame;
    ring->bytes = malloc(count * (frame + HEADER_MAX));
    if (ring->bytes == NULL) {
        return false;
    }
    ring->frame = frame;
    ring->len = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *payload = pattern_at((uint64_t)i * frame);
        ring->len += raw ? 0 : write_header(ring->bytes + ring->len, frame);
        for (size_t k = 0; k < frame; k++) {
            ring->bytes[ring->len++] = raw ? payload[k] : payload[k] ^ key[k % 4];
        }
    }
    ring->frame_wire = ring->len / count;
    return true;
}

size_t ws_request(char out[WS_HEAD_MAX], const char *path)
{
    int n = snprintf(out, WS_HEAD_MAX,
        "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        path);
    return n < 0 || n >= WS_HEAD_MAX ? 0 : (size_t)n;
}

/* RFC 6455 4.1: 101, and the answer to the key above. */
static const char *take_answer(struct ws_in *in, const uint8_t **bytes, const uint8_t *end)
{
    while (*bytes < end && in->head_len < WS_HEAD_MAX - 1) {
        in->head[in->head_len++] = (char)*(*bytes)++;
        in->head[in->head_len] = '\0';
        if (in->head_len < 4 || memcmp(in->head + in->head_len - 4, "\r\n\r\n", 4) != 0) {
            continue;
        }
        if (strncmp(in->head, "HTTP/1.1 101 ", 13) != 0 ||
            strstr(in->head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == NULL) {
            return "the upgrade was refused";
        }
        in->upgraded = true;
        in->head_len = 0;
        return NULL;
    }
    return in->head_len == WS_HEAD_MAX - 1 ? "the answer to the upgrade is too long" : NULL;
}

/* RFC 6455 5.2: no reserved bit, no mask, and the shortest length or not: that is not looked at. */
static const char *take_header(struct ws_in *in, const uint8_t **bytes, const uint8_t *end)
{
    const uint8_t *head = (const uint8_t *)in->head;
    while (*bytes < end) {
        in->head[in->head_len++] = (char)*(*bytes)++;
        if (in->head_len < 2) {
            continue;
        }
        uint8_t length = head[1] & 0x7f;
        size_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
        if (in->head_len < 2 + extra) {
            continue;
        }
        in->opcode = head[0] & 0x0f;
        in->left = extra == 0 ? length : 0;
        for (size_t i = 0; i < extra; i++) {
            in->left = in->left << 8 | head[2 + i];
        }
        in->head_len = 0;
        in->closed = in->closed || in->opcode == 0x8;
        in->pings += in->opcode == 0x9;
        in->in_payload = in->left > 0;
        bool known = in->opcode == 0x0 || in->opcode == 0x2 || in->opcode == 0x8 || in->opcode == 0x9;
        return (head[0] & 0x70) != 0 || (head[1] & 0x80) != 0 || !known ? "a frame is malformed" : NULL;
    }
    return NULL;
}

static const char *take_payload(struct ws_in *in, const uint8_t **bytes, size_t n)
{
    size_t part = !in->framed || in->left > n ? n : (size_t)in->left;
    if (!in->framed || in->opcode == 0x0 || in->opcode == 0x2) {
        if (!pattern_holds(in->received, *bytes, part)) {
            return "a byte is not what was sent";
        }
        in->received += part;
    }
    *bytes += part;
    if (in->framed) {
        in->left -= part;
        in->in_payload = in->left > 0;
    }
    return NULL;
}

const char *ws_take(struct ws_in *in, const uint8_t *bytes, size_t n)
{
    const uint8_t *end = bytes + n;
    const char *wrong = NULL;
    while (bytes < end && wrong == NULL) {
        if (!in->framed || in->in_payload) {
            wrong = take_payload(in, &bytes, (size_t)(end - bytes));
        } else if (!in->upgraded) {
            wrong = take_answer(in, &bytes, end);
        } else {
            wrong = take_header(in, &bytes, end);
        }
    }
    return wrong;
}
