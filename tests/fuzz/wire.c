#include "wire.h"
#include <stdlib.h>
#include <string.h>

enum { CONTINUATION = 0, CLOSE = 8, PING = 9, PONG = 10, CONTROL_MAX = 125, CHUNK = 512 };

struct header {
    bool fin;
    unsigned opcode;
    uint64_t len;
    uint8_t mask[4];
    size_t bytes;
};

static void add(struct buf *to, const void *bytes, size_t n)
{
    if (n > 0 && !buf_append(to, bytes, n)) {
        abort();
    }
}

/* The first two bytes alone. */
static bool begins_well(uint8_t first, uint8_t second, bool masked, bool open)
{
    unsigned opcode = first & 0x0FU;
    bool known = opcode <= 2 || (opcode >= CLOSE && opcode <= PONG);
    bool control = opcode >= CLOSE;
    bool whole = (first & 0x80U) != 0 && (second & 0x7FU) <= CONTROL_MAX;
    bool in_turn = (opcode == CONTINUATION) == open;
    return (first & 0x70U) == 0 && known && (second >> 7 != 0) == masked && (control ? whole : in_turn);
}

enum verdict { GOOD, MORE, BAD };

static enum verdict read_header(const uint8_t *p, size_t n, bool masked, bool open, struct header *h)
{
    if (n < 2) {
        return MORE;
    }
    if (!begins_well(p[0], p[1], masked, open)) {
        return BAD;
    }
    unsigned len7 = p[1] & 0x7FU;
    size_t wide = len7 == 126 ? 2 : len7 == 127 ? 8 : 0;
    h->bytes = 2 + wide + (masked ? 4 : 0);
    if (n < h->bytes) {
        return MORE;
    }
    h->fin = (p[0] & 0x80U) != 0;
    h->opcode = p[0] & 0x0FU;
    h->len = wide == 0 ? len7 : 0;
    for (size_t i = 0; i < wide; i++) {
        h->len = h->len << 8 | p[2 + i];
    }
    memset(h->mask, 0, sizeof h->mask);
    if (masked) {
        memcpy(h->mask, p + 2 + wide, sizeof h->mask);
    }
    bool shortest = wide == 0 || (wide == 2 ? h->len > CONTROL_MAX : h->len > 0xFFFF);
    return shortest && h->len >> 63 == 0 ? GOOD : BAD;
}

static void add_payload(struct buf *to, const struct header *h, const uint8_t *bytes, size_t n)
{
    uint8_t chunk[CHUNK];
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t len = n - at < CHUNK ? n - at : CHUNK;
        for (size_t i = 0; i < len; i++) {
            chunk[i] = bytes[at + i] ^ h->mask[i % sizeof h->mask];
        }
        add(to, chunk, len);
    }
}

static void add_control(struct wire *wire, const struct header *h, const uint8_t *bytes)
{
    struct buf *to = h->opcode == PING ? &wire->pings : &wire->pongs;
    uint8_t len = (uint8_t)h->len;
    add(to, &len, 1);
    add_payload(to, h, bytes, len);
}

void wire_read(struct wire *wire, const uint8_t *bytes, size_t n, bool masked)
{
    *wire = (struct wire){0};
    bool open = false;
    for (size_t at = 0; at < n && wire->end == WIRE_OPEN;) {
        struct header h = {0};
        switch (read_header(bytes + at, n - at, masked, open, &h)) {
        case MORE:
            wire->cut = true;
            return;
        case BAD:
            wire->end = WIRE_FAULT;
            wire->beyond = n - at;
            return;
        case GOOD:
            at += h.bytes;
        }
        size_t there = h.len < n - at ? (size_t)h.len : n - at;
        wire->cut = there < h.len;
        if (h.opcode < CLOSE) {
            open = !h.fin;
            wire->pieces = wire->pieces || open;
            add_payload(&wire->payload, &h, bytes + at, there);
        } else if (!wire->cut && h.opcode == CLOSE) {
            wire->end = WIRE_CLOSE;
            wire->beyond = n - at - there;
        } else if (!wire->cut) {
            add_control(wire, &h, bytes + at);
        }
        at += there;
    }
}

void wire_fini(struct wire *wire)
{
    buf_fini(&wire->payload);
    buf_fini(&wire->pings);
    buf_fini(&wire->pongs);
}

bool wire_answers(const struct buf *pings, const struct buf *pongs)
{
    const uint8_t *ping = buf_data(pings);
    const uint8_t *pong = buf_data(pongs);
    size_t left = buf_len(pings);
    for (size_t n = buf_len(pongs); n > 0;) {
        while (left > 0 && (ping[0] != pong[0] || memcmp(ping, pong, 1U + pong[0]) != 0)) {
            left -= 1U + ping[0];
            ping += 1U + ping[0];
        }
        if (left == 0) {
            return false;
        }
        left -= 1U + ping[0];
        ping += 1U + ping[0];
        n -= 1U + pong[0];
        pong += 1U + pong[0];
    }
    return true;
}

const uint8_t *wire_behind_head(const struct buf *bytes, size_t *n)
{
    size_t len = buf_len(bytes);
    const uint8_t *end = len > 0 ? memmem(buf_data(bytes), len, "\r\n\r\n", 4) : NULL;
    *n = end != NULL ? len - (size_t)(end + 4 - buf_data(bytes)) : 0;
    return end != NULL ? end + 4 : NULL;
}
