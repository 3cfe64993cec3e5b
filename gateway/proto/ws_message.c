#include "proto/ws_message.h"
#include <stdlib.h>
#include <string.h>

void ws_message_init(struct ws_message *m, bool takes_text, bool takes_binary, uint64_t message_max)
{
    *m = (struct ws_message){
        .takes_text = takes_text, .takes_binary = takes_binary, .message_max = message_max};
}

void ws_message_fini(struct ws_message *m)
{
    free(m->control);
    m->control = NULL;
}

static void fault(struct ws_step *step, enum ws_fault kind, const char *phrase)
{
    *step = (struct ws_step){.event = WS_EVENT_FAULT, .fault = kind, .phrase = phrase};
}

static bool is_control(uint8_t opcode)
{
    return (opcode & 0x8) != 0;
}

/* What RFC 6455 says of a header's first two bytes by themselves, so that a peer learns of it without sending
 * more. NULL: nothing against them. */
static const char *header_fault(uint8_t first, uint8_t second)
{
    uint8_t opcode = first & 0x0F;
    if ((first & 0x70) == 0 && (second & 0x80) != 0 && opcode <= WS_BINARY) {
        return NULL; /* what nearly every frame is */
    }
    if ((first & 0x70) != 0) {
        return "frame has a reserved bit set and no extension was agreed";
    }
    if ((opcode > WS_BINARY && opcode < WS_CLOSE) || opcode > WS_PONG) {
        return "frame has a reserved opcode";
    }
    if ((second & 0x80) == 0) {
        return "frame from the client is not masked";
    }
    if ((first & 0x80) == 0) {
        return "control frame is fragmented";
    }
    return (second & 0x7F) > WS_CONTROL_MAX ? "control frame is over 125 bytes" : NULL;
}

/* RFC 6455 5.4: a data frame where the message stands. False: `step` has the fault. */
static bool begin_data(struct ws_message *m, const struct ws_frame *frame, struct ws_step *step)
{
    bool continues = frame->opcode == WS_CONTINUATION;
    if (continues && !m->in_message) {
        fault(step, WS_FAULT_FRAME, "continuation frame without a message to continue");
        return false;
    }
    if (!continues && m->in_message) {
        fault(step, WS_FAULT_FRAME, "new message before the fragmented one ended");
        return false;
    }
    if (!continues) {
        m->text = frame->opcode == WS_TEXT;
        m->message_len = 0;
        m->utf8 = (struct utf8){0};
        if (m->text ? !m->takes_text : !m->takes_binary) {
            fault(step, WS_FAULT_TYPE,
                m->text ? "text messages are not taken here" : "binary messages are not taken here");
            return false;
        }
    }
    if (frame->len > m->message_max - m->message_len) {
        fault(step, WS_FAULT_TOO_BIG, "message is over the limit");
        return false;
    }
    m->message_len += frame->len;
    m->in_message = !frame->fin;
    return true;
}

/* The header's bytes as far as they have come: where they stand, or put together where they came in pieces.
 */
static const uint8_t *header_bytes(struct ws_message *m, const uint8_t *in, size_t left, size_t *have)
{
    if (m->header_have == 0 && left >= WS_HEADER_MAX) {
        *have = WS_HEADER_MAX;
        return in;
    }
    size_t add =
        left < (size_t)(WS_HEADER_MAX - m->header_have) ? left : (size_t)(WS_HEADER_MAX - m->header_have);
    memcpy(m->header + m->header_have, in, add);
    *have = m->header_have + add;
    return m->header;
}

/* Reads the header. True once a frame is begun; else `step` says why not. */
static bool begin_frame(struct ws_message *m, uint8_t **in, const uint8_t *end, struct ws_step *step)
{
    struct ws_frame frame;
    size_t used = 0;
    size_t have;
    const uint8_t *header = header_bytes(m, *in, (size_t)(end - *in), &have);
    const char *phrase = have >= 2 ? header_fault(header[0], header[1]) : NULL;
    if (phrase != NULL) {
        fault(step, WS_FAULT_FRAME, phrase);
        return false;
    }
    switch (ws_frame_read(header, have, &frame, &used)) {
    case WS_FRAME_MORE:
        *in += have - m->header_have;
        m->header_have = (uint8_t)have;
        *step = (struct ws_step){.event = WS_EVENT_MORE};
        return false;
    case WS_FRAME_BAD_LEN:
        fault(step, WS_FAULT_FRAME,
            frame.len >> 63 != 0 ? "frame length has its top bit set"
                                 : "frame length is not in its shortest form");
        return false;
    case WS_FRAME_OK:
        break;
    }
    *in += used - m->header_have;
    m->header_have = 0;
    if (!is_control(frame.opcode) && !begin_data(m, &frame, step)) {
        return false;
    }
    memcpy(m->mask, frame.mask, 4);
    m->phase = 0;
    m->opcode = frame.opcode;
    m->fin = frame.fin;
    m->frame_left = frame.len;
    m->control_len = is_control(frame.opcode) ? (uint8_t)frame.len : 0;
    m->in_frame = true;
    return true;
}

static enum ws_event control_event(uint8_t opcode)
{
    return opcode == WS_CLOSE ? WS_EVENT_CLOSE : opcode == WS_PING ? WS_EVENT_PING : WS_EVENT_PONG;
}

/* A control frame that is whole in the input is unmasked where it stands; one in pieces is collected. */
static void step_control(struct ws_message *m, uint8_t **in, const uint8_t *end, struct ws_step *step)
{
    size_t n = (size_t)(end - *in);
    if (n > m->frame_left) {
        n = (size_t)m->frame_left;
    }
    size_t before = m->control_len - (size_t)m->frame_left;
    uint8_t *to = *in;
    if (n < m->control_len) {
        if (m->control == NULL && (m->control = malloc(WS_CONTROL_MAX)) == NULL) {
            fault(step, WS_FAULT_MEMORY, "gateway is out of memory");
            return;
        }
        to = m->control + before;
    }
    m->phase = (uint8_t)ws_frame_mask(to, *in, n, m->mask, m->phase);
    *in += n;
    m->frame_left -= n;
    if (m->frame_left > 0) {
        *step = (struct ws_step){.event = WS_EVENT_MORE};
        return;
    }
    m->in_frame = false;
    *step =
        (struct ws_step){.event = control_event(m->opcode), .payload = to - before, .len = m->control_len};
}

static void step_data(
    struct ws_message *m, uint8_t **in, const uint8_t *end, uint8_t *out, struct ws_step *step)
{
    size_t n = (size_t)(end - *in);
    if (n > m->frame_left) {
        n = (size_t)m->frame_left;
    }
    m->phase = (uint8_t)ws_frame_mask(out, *in, n, m->mask, m->phase);
    *in += n;
    m->frame_left -= n;
    bool frame_ends = m->frame_left == 0;
    if (m->text) {
        if (!utf8_feed(&m->utf8, out, n) || (frame_ends && m->fin && !utf8_whole(&m->utf8))) {
            fault(step, WS_FAULT_UTF8, "text message is not UTF-8");
            return;
        }
    }
    m->in_frame = !frame_ends;
    *step = (struct ws_step){.event = WS_EVENT_DATA, .len = n};
}

/* The first two bytes of a masked, final binary frame, and with the longer form of its length. */
enum { SHORT_FIRST = 0x80 | WS_BINARY, SHORT_SECOND = 0x80, SHORT_MIDDLE = 0x80 | 126, SHORT_MAX = 2048 };

/* Where the payload of a short frame begins; NULL: it is another kind, or not whole. At least WS_HEADER_MAX
 * bytes stand at `in`. */
static inline const uint8_t *short_payload(const uint8_t *in, const uint8_t *end, size_t *len)
{
    if (in[0] != SHORT_FIRST || in[1] < SHORT_SECOND || in[1] > SHORT_MIDDLE) {
        return NULL;
    }
    const uint8_t *payload = in + 6;
    *len = in[1] & 0x7FU;
    if (in[1] == SHORT_MIDDLE) {
        payload = in + 8;
        *len = (size_t)in[2] << 8 | in[3];
        if (*len < 126 || *len > SHORT_MAX) {
            return NULL;
        }
    }
    return *len <= (size_t)(end - payload) ? payload : NULL;
}

size_t ws_message_run(struct ws_message *m, uint8_t **in, const uint8_t *end, uint8_t *out)
{
    const uint8_t *at = *in;
    uint8_t *to = out;
    if (m->in_frame || m->in_message || m->header_have > 0 || !m->takes_binary) {
        return 0;
    }
    while (end - at >= WS_HEADER_MAX) {
        size_t len;
        const uint8_t *payload = short_payload(at, end, &len);
        if (payload == NULL || len > m->message_max) {
            break;
        }
        ws_frame_mask_short(to, payload, len);
        to += len;
        at = payload + len;
    }
    *in += at - *in;
    return (size_t)(to - out);
}

void ws_message_step(
    struct ws_message *m, uint8_t **in, const uint8_t *end, uint8_t *out, struct ws_step *step)
{
    if (!m->in_frame) {
        if (m->control != NULL) {
            ws_message_fini(m); /* its event was answered by the step before */
        }
        if (*in == end) {
            *step = (struct ws_step){.event = WS_EVENT_MORE};
            return;
        }
        if (!begin_frame(m, in, end, step)) {
            return;
        }
    }
    if (is_control(m->opcode)) {
        step_control(m, in, end, step);
    } else if (*in == end && m->frame_left > 0) {
        *step = (struct ws_step){.event = WS_EVENT_MORE};
    } else {
        step_data(m, in, end, out, step);
    }
}
