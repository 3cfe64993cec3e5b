/* Target to client: what one read brings is one message, its header written just in front, sent at once. Of a
 * stream between plain sockets only the header is written here, and splice(2) sends the rest behind it. */
#include "relay/session.h"
#include <string.h>

static enum flow_status send_control(
    struct session *s, enum ws_opcode opcode, const uint8_t *payload, size_t n)
{
    uint8_t frame[WS_SERVER_HEADER_MAX + WS_CONTROL_MAX];
    if (n > 0) {
        memcpy(frame + WS_SERVER_HEADER_MAX, payload, n);
    }
    size_t header = ws_frame_write_before(frame + WS_SERVER_HEADER_MAX, opcode, n);
    const uint8_t *bytes = frame + WS_SERVER_HEADER_MAX - header;
    return opcode == WS_CLOSE ? flow_write_last(&s->client, &s->down, bytes, header + n)
                              : flow_write(&s->client, &s->down, bytes, header + n);
}

enum flow_status down_control(struct session *s)
{
    enum flow_status status = FLOW_CLEAR;
    if (s->state == SESSION_CLOSING && !s->close_pending) {
        return status; /* nothing follows our Close (RFC 6455 5.5.1), though it may still be on its way */
    }
    if (buf_len(&s->pongs) > 0 && !s->close_seen) {
        status = flow_write(&s->client, &s->down, buf_data(&s->pongs), buf_len(&s->pongs));
        buf_fini(&s->pongs);
    }
    if (status == FLOW_CLEAR && s->ping_pending && !s->close_pending) {
        s->ping_pending = false;
        uint8_t payload[SLOW_PING_LEN];
        slow_ping(s, payload);
        status = send_control(s, WS_PING, payload, sizeof payload);
    }
    if (status == FLOW_CLEAR && s->close_pending) {
        s->close_pending = false;
        uint8_t payload[2 + WS_CLOSE_REASON_MAX];
        size_t n = session_close_payload(s, payload);
        status = send_control(s, WS_CLOSE, payload, n);
    }
    return status;
}

/* `messages: text`: validates, and holds a character back whose end has not come. False: not UTF-8. */
static bool cut_text(struct session *s, uint8_t **bytes, size_t *n)
{
    if (!utf8_feed(&s->down_utf8, *bytes, *n)) {
        return false;
    }
    *bytes -= s->tail_len;
    *n += s->tail_len;
    memcpy(*bytes, s->tail, s->tail_len);
    s->tail_len = (uint8_t)utf8_unfinished(*bytes, *n);
    *n -= s->tail_len;
    memcpy(s->tail, *bytes + *n, s->tail_len);
    return true;
}

static void count(struct session *s, size_t n)
{
    s->down.bytes += n;
    tally_add(&session_row(s)->down_bytes, n);
}

static void send_message(struct session *s, uint8_t *bytes, size_t n)
{
    bool text = s->route->messages == MESSAGES_TEXT;
    s->payload_ms = s->relay->now_ms;
    if (text && !cut_text(s, &bytes, &n)) {
        session_end(s, CAUSE_TARGET_NOT_TEXT, NULL);
        return;
    }
    if (n == 0) {
        return;
    }
    count(s, n);
    size_t header = ws_frame_write_before(bytes, text ? WS_TEXT : WS_BINARY, n);
    closing_client_write(s, flow_write(&s->client, &s->down, bytes - header, header + n));
}

static void target_ended(struct session *s, bool in_order)
{
    s->target.over = true;
    if (!in_order) {
        session_end(s, CAUSE_TARGET_RESET, NULL);
    } else if (s->tail_len > 0) {
        session_end(s, CAUSE_TARGET_NOT_TEXT, NULL);
    } else {
        session_end(s, CAUSE_TARGET_EOF, NULL);
    }
}

static bool may_read(const struct session *s)
{
    return s->state == SESSION_RELAY && !s->target.over && !session_down_blocked(s) &&
           !session_down_limited(s) &&
           ((s->target.ready & LOOP_READ) != 0 || s->target.hung_up ||
               s->target.io->ops->pending(s->target.io) > 0);
}

/* What a read says that brought nothing. */
static void read_nothing(struct session *s, enum io_status status)
{
    switch (status) {
    case IO_OK:
        break;
    case IO_WANT_READ:
    case IO_WANT_WRITE:
        if (s->target.hung_up && s->target.io->ops->pending(s->target.io) == 0) {
            /* It takes nothing and has nothing more to say. */
            target_ended(s, false);
        }
        break;
    case IO_EOF:
        target_ended(s, !s->target.reset);
        break;
    case IO_FAIL:
        target_ended(s, false);
        break;
    }
}

/* One read and what it brings. True when it was filled to the brim. */
static bool read_once(struct session *s, size_t cap)
{
    uint8_t *bytes = s->relay->scratch + RELAY_HEADROOM;
    struct io_result result = s->target.io->ops->read(s->target.io, bytes, cap);
    if (result.status != IO_OK) {
        read_nothing(s, result.status);
        return false;
    }
    if (s->rate != NULL) {
        rate_take(&s->rate->down, result.n, s->relay->now_ms);
    }
    send_message(s, bytes, result.n);
    return result.n == cap;
}

/* Text must be seen, to be validated; and what is held back to a rate is no stream. */
static bool may_splice(const struct session *s, size_t cap)
{
    return flow_is_stream(&s->down, cap) && s->rate == NULL && !s->relay->cannot_splice &&
           s->route->messages != MESSAGES_TEXT && s->target.io->ops->read_pipe != NULL &&
           s->client.io->ops->write_pipe != NULL;
}

static struct splice_pipe *take_pipe(struct session *s)
{
    bool opened;
    struct splice_pipe *pipe = splice_pipe_take(&opened);
    if (opened) {
        session_log_pipe_opened(s, pipe);
    }
    return pipe;
}

/* The same, past this process. */
static bool splice_once(struct session *s, size_t cap)
{
    struct splice_pipe *pipe = take_pipe(s);
    if (pipe == NULL) {
        return read_once(s, cap);
    }
    struct io_result result = s->target.io->ops->read_pipe(s->target.io, pipe, cap);
    if (result.status != IO_OK) {
        splice_pipe_give(pipe);
        s->relay->cannot_splice = splice_is_unable(&result);
        if (s->relay->cannot_splice) {
            return read_once(s, cap);
        }
        read_nothing(s, result.status);
        return false;
    }
    uint8_t head[WS_SERVER_HEADER_MAX];
    size_t len = ws_frame_write_before(head + sizeof head, WS_BINARY, result.n);
    s->payload_ms = s->relay->now_ms;
    count(s, result.n);
    s->relay->spliced_bytes += result.n;
    flow_stream_read(&s->down, result.n);
    closing_client_write(s, flow_write_pipe(&s->client, &s->down, head + sizeof head - len, len, pipe));
    return result.n == cap;
}

void down_step(struct session *s)
{
    if (flow_is_blocked(&s->client, &s->down)) {
        if ((s->client.ready & LOOP_WRITE) == 0) {
            return;
        }
        closing_client_write(s, flow_flush(&s->client, &s->down));
    }
    if (!session_down_blocked(s)) {
        closing_client_write(s, down_control(s));
    }
    /* One read a turn and direction: who has more to give is announced again, after the others. */
    size_t cap = flow_read_bytes(&s->down, s->route->limits.buffer_bytes - WS_SERVER_HEADER_MAX);
    if (s->rate != NULL) {
        cap = rate_allows(&s->rate->down, cap, s->relay->now_ms);
    }
    if (!may_read(s)) {
        return;
    }
    bool filled = may_splice(s, cap) ? splice_once(s, cap) : read_once(s, cap);
    if (filled && !session_down_blocked(s)) {
        flow_read_filled(&s->down);
    }
}
