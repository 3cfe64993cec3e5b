/* Client to target: frames are read, unmasked in place and put together, and leave in one write. */
#include "proto/ws_close.h"
#include "relay/session.h"

static enum cause cause_of_fault(enum ws_fault fault)
{
    switch (fault) {
    case WS_FAULT_FRAME:
        return CAUSE_BAD_FRAME;
    case WS_FAULT_UTF8:
        return CAUSE_BAD_UTF8;
    case WS_FAULT_TYPE:
        return CAUSE_BAD_MESSAGE_TYPE;
    case WS_FAULT_TOO_BIG:
        return CAUSE_MESSAGE_TOO_BIG;
    case WS_FAULT_MEMORY:
        return CAUSE_OVERLOAD;
    }
    return CAUSE_INTERNAL;
}

enum { PONGS_MAX = 2048 }; /* bytes of them that wait for the client */

/* Each ping is answered, in order; of more than may wait the newest alone (RFC 6455 5.5.3). */
static void note_ping(struct session *s, const struct ws_step *step)
{
    uint8_t header[WS_SERVER_HEADER_MAX];
    size_t n = ws_frame_write_before(header + sizeof header, WS_PONG, step->len);
    if (buf_len(&s->pongs) + n + step->len > PONGS_MAX) {
        buf_fini(&s->pongs);
    }
    if (!buf_append(&s->pongs, header + sizeof header - n, n) ||
        !buf_append(&s->pongs, step->payload, step->len)) {
        buf_fini(&s->pongs); /* no memory, and no half of a frame */
    }
}

static void deliver(struct session *s, const uint8_t *payload, size_t n)
{
    if (n == 0 || s->up.sink_told) {
        return;
    }
    s->payload_ms = s->relay->now_ms;
    s->up.bytes += n;
    tally_add(&session_row(s)->up_bytes, n);
    closing_target_write(s, flow_write(&s->target, &s->up, payload, n));
}

/* What came of reading frames, once their payload is delivered. */
static void conclude(struct session *s, const struct ws_step *last, uint16_t close_code)
{
    if (last->event == WS_EVENT_CLOSE) {
        session_end_by_client(s, close_code);
    } else if (last->event == WS_EVENT_FAULT) {
        session_end(s, cause_of_fault(last->fault), last->phrase);
        s->up.source_ended = true;
    }
}

void up_frames(struct session *s, uint8_t *bytes, size_t n)
{
    uint8_t *in = bytes;
    uint8_t *out = bytes;
    uint16_t close_code = 0;
    struct ws_step step;
    do {
        out += ws_message_run(&s->message, &in, bytes + n, out);
        ws_message_step(&s->message, &in, bytes + n, out, &step);
        if (step.event == WS_EVENT_DATA) {
            out += step.len;
        } else if (step.event == WS_EVENT_PING) {
            note_ping(s, &step);
        } else if (step.event == WS_EVENT_PONG) {
            slow_pong(s, step.payload, step.len);
        } else if (step.event == WS_EVENT_CLOSE) {
            close_code = ws_close_answer(step.payload, step.len);
        }
    } while (step.event != WS_EVENT_MORE && step.event != WS_EVENT_CLOSE && step.event != WS_EVENT_FAULT);
    deliver(s, bytes, (size_t)(out - bytes));
    conclude(s, &step, close_code);
}

static bool may_read(const struct session *s)
{
    return !s->client.over && !s->up.source_ended && !session_up_blocked(s) && !session_up_limited(s) &&
           ((s->client.ready & LOOP_READ) != 0 || s->client.io->ops->pending(s->client.io) > 0);
}

/* One read and what it brings. True when it was filled to the brim. */
static bool read_once(struct session *s, size_t cap)
{
    uint8_t *bytes = s->relay->scratch + RELAY_HEADROOM;
    struct io_result result = s->client.io->ops->read(s->client.io, bytes, cap);
    s->client.ready &=
        (uint8_t)~LOOP_READ; /* one read for one announcement, also where a Close ends the relaying */
    switch (result.status) {
    case IO_OK:
        liveness_heard(s);
        if (s->rate != NULL) {
            rate_take(&s->rate->up, result.n, s->relay->now_ms);
        }
        up_frames(s, bytes, result.n);
        return result.n == cap;
    case IO_WANT_READ:
    case IO_WANT_WRITE:
        return false;
    case IO_EOF:
    case IO_FAIL:
        s->client.over = true;
        session_end(s, CAUSE_CLIENT_GONE, NULL);
        s->up.source_ended = true;
        return false;
    }
    return false;
}

void up_step(struct session *s)
{
    if (flow_is_blocked(&s->target, &s->up)) {
        if ((s->target.ready & LOOP_WRITE) != 0) {
            closing_target_write(s, flow_flush(&s->target, &s->up));
        }
    }
    /* One read a turn and direction: who has more to give is announced again, after the others. */
    size_t cap = flow_read_bytes(&s->up, s->route->limits.buffer_bytes);
    if (s->rate != NULL) {
        cap = rate_allows(&s->rate->up, cap, s->relay->now_ms);
    }
    if (may_read(s) && read_once(s, cap) && !session_up_blocked(s)) {
        flow_read_filled(&s->up);
    }
    if (s->client.hung_up && session_up_blocked(s)) {
        liveness_hung_up(s);
    }
}
