/* Any bytes as a client's stream of frames: whole and in pieces they tell the same story, and no step reads,
 * writes or keeps what is not its own. */
#include "proto/ws_message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SETTINGS = 2, INPUT_MAX = 1 << 14 };

static void require(bool fact)
{
    if (!fact)
        abort();
}

/* What a relay sees of a stream: payload, and every control frame and the fault as a record. */
struct story {
    uint8_t payload[INPUT_MAX];
    size_t payload_len;
    uint8_t records[4 * INPUT_MAX];
    size_t records_len;
    bool over;
    bool not_utf8;
};

static void record(struct story *story, const void *bytes, size_t n)
{
    require(story->records_len + n <= sizeof story->records);
    if (n > 0)
        memcpy(story->records + story->records_len, bytes, n);
    story->records_len += n;
}

static void record_control(struct story *story, const struct ws_step *step)
{
    require(step->len <= WS_CONTROL_MAX);
    const uint8_t head[2] = {(uint8_t)step->event, (uint8_t)step->len};
    record(story, head, 2);
    record(story, step->payload, step->len);
    story->over = step->event == WS_EVENT_CLOSE;
}

static void record_fault(struct story *story, const struct ws_step *step)
{
    require(step->phrase != NULL && step->phrase[0] != '\0' && step->fault != WS_FAULT_MEMORY);
    const uint8_t head[2] = {WS_EVENT_FAULT, (uint8_t)step->fault};
    record(story, head, 2);
    record(story, step->phrase, strlen(step->phrase));
    story->over = true;
    story->not_utf8 = step->fault == WS_FAULT_UTF8;
}

/* One piece, in memory of just its size; payload moves together at its front, as in the relay. Whole input
 * goes by steps alone, so that the short way is held against them. */
static void feed(struct ws_message *m, const uint8_t *bytes, size_t n, bool by_runs, struct story *story)
{
    uint8_t *piece = malloc(n);
    require(piece != NULL);
    memcpy(piece, bytes, n);
    uint8_t *in = piece, *out = piece;
    struct ws_step step = {.event = WS_EVENT_DATA};
    for (size_t steps = 0; step.event != WS_EVENT_MORE && !story->over; steps++) {
        if (by_runs) {
            out += ws_message_run(m, &in, piece + n, out);
            require(in <= piece + n && out <= in);
        }
        const uint8_t *before = in;
        ws_message_step(m, &in, piece + n, out, &step);
        require(in >= before && in <= piece + n && steps <= n + 1);
        switch (step.event) {
        case WS_EVENT_DATA:
            require(step.len <= (size_t)(in - before) && m->control == NULL);
            out += step.len;
            break;
        case WS_EVENT_PING:
        case WS_EVENT_PONG:
        case WS_EVENT_CLOSE:
            record_control(story, &step);
            break;
        case WS_EVENT_FAULT:
            record_fault(story, &step);
            break;
        case WS_EVENT_MORE:
            require(in == piece + n);
            break;
        }
        require(out <= in);
    }
    memcpy(story->payload + story->payload_len, piece, (size_t)(out - piece));
    story->payload_len += (size_t)(out - piece);
    free(piece);
}

/* In pieces whose sizes come from `seed`; 0: whole. */
static void run(const uint8_t *settings, const uint8_t *bytes, size_t n, uint32_t seed, struct story *story)
{
    struct ws_message m;
    uint64_t message_max = (settings[0] & 4) != 0 ? (uint64_t)(settings[0] >> 3) * 4 : UINT64_MAX;
    ws_message_init(&m, (settings[0] & 1) == 0, (settings[0] & 2) == 0, message_max);
    story->payload_len = story->records_len = 0;
    story->over = story->not_utf8 = false;
    for (size_t at = 0; at < n && !story->over;) {
        seed = seed * 1664525 + 1013904223;
        size_t most = (seed & 0x10000) != 0 ? 4 : 40;
        size_t piece = seed == 1013904223 ? n : 1 + (seed >> 17) % most;
        piece = piece < n - at ? piece : n - at;
        feed(&m, bytes + at, piece, seed != 1013904223, story);
        at += piece;
    }
    ws_message_fini(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct story whole, pieces;
    if (size < SETTINGS || size > INPUT_MAX)
        return 0;
    run(data, data + SETTINGS, size - SETTINGS, 0, &whole);
    run(data, data + SETTINGS, size - SETTINGS, data[1] + 1U, &pieces);
    require(whole.payload_len <= size && pieces.payload_len <= size);
    require(whole.over == pieces.over && whole.records_len == pieces.records_len);
    require(memcmp(whole.records, pieces.records, whole.records_len) == 0);
    /* Of a text that turns out not to be one, more may be handed out the smaller the pieces are. */
    require(whole.payload_len == pieces.payload_len ||
            (whole.not_utf8 && whole.payload_len < pieces.payload_len));
    require(memcmp(whole.payload, pieces.payload, whole.payload_len) == 0);
    return 0;
}
