/* What happens when time is up: the handshake, a silent client, an idle or an old session, a slow end. */
#include "base/clock.h"
#include "relay/session.h"

void liveness_heard(struct session *s)
{
    s->heard_ms = s->relay->now_ms;
    s->pinged_ms = 0;
}

void liveness_hung_up(struct session *s)
{
    if (s->state == SESSION_RELAY && s->deadline_ms == CLOCK_NEVER) {
        s->deadline_ms = s->relay->now_ms + s->route->timeouts.close_ms;
        liveness_mark(s);
    }
}

static bool passed(uint64_t since_ms, uint64_t span_ms, uint64_t now_ms)
{
    return span_ms != DURATION_OFF && now_ms - since_ms >= span_ms;
}

void liveness_ask_target(struct session *s)
{
    if (s->state != SESSION_RELAY || s->target_asked) {
        return;
    }
    const struct route_timeouts *timeouts = &s->route->timeouts;
    if (timeouts->pong_ms != DURATION_OFF && passed(s->begun_ms, timeouts->ping_ms, s->relay->now_ms)) {
        s->target_asked = true;
        sock_keep_alive(s->target.io->fd, timeouts->ping_ms, timeouts->pong_ms);
    }
}

bool liveness_target_is_gone(const struct session *s)
{
    const struct route_timeouts *timeouts = s->route != NULL ? &s->route->timeouts : NULL;
    return s->state == SESSION_RELAY && timeouts->ping_ms != DURATION_OFF &&
           timeouts->pong_ms != DURATION_OFF &&
           sock_is_unanswered(s->target.io->fd, timeouts->ping_ms + timeouts->pong_ms);
}

/* Changes as a side's system takes bytes: the low half of their number. On a unix socket nothing is
 * acknowledged: there it is what has left the queue. */
static uint32_t taken(const struct session_side *side, const struct session_flow *flow)
{
    uint64_t acked = sock_acked_bytes(side->io->fd);
    return (uint32_t)(acked != 0 ? acked
                                 : flow->bytes - flow_kept_bytes(flow) - sock_unacked_bytes(side->io->fd));
}

void liveness_mark(struct session *s)
{
    s->marked = true;
    if (s->client.io != NULL) {
        s->client.mark = taken(&s->client, &s->down);
    }
    if (s->target.io != NULL) {
        s->target.mark = taken(&s->target, &s->up);
    }
}

static bool waits(const struct session_side *side, const struct session_flow *flow)
{
    return side->io != NULL && (flow_is_blocked(side, flow) || sock_unacked_bytes(side->io->fd) > 0);
}

bool liveness_moves(struct session *s)
{
    uint32_t client_mark = s->client.mark;
    uint32_t target_mark = s->target.mark;
    liveness_mark(s);
    return (waits(&s->client, &s->down) && s->client.mark != client_mark) ||
           (waits(&s->target, &s->up) && s->target.mark != target_mark);
}

static void ping(struct session *s)
{
    s->ping_pending = true;
    s->pinged_ms = s->relay->now_ms;
    s->taken_mark = taken(&s->client, &s->down);
}

/* A slow client is a living one: as long as its system takes bytes that stand before the ping, the ping has
 * not reached it. And where the target stalls the client, its answer is not read: only TCP can tell then
 * (LOOP_HANGUP). */
static bool may_still_answer(struct session *s)
{
    if (session_up_blocked(s)) {
        return true;
    }
    uint32_t now_taken = taken(&s->client, &s->down);
    bool moved = now_taken != s->taken_mark;
    s->taken_mark = now_taken;
    return moved && waits(&s->client, &s->down);
}

/* `limits.rate` lets the rest come bit by bit: between two of them nothing waits anywhere. */
static bool comes_at_its_rate(const struct session *s)
{
    return s->rate != NULL && !passed(s->payload_ms, s->route->timeouts.close_ms, s->relay->now_ms);
}

static void relay_expired(struct session *s)
{
    const struct route_timeouts *timeouts = &s->route->timeouts;
    uint64_t now_ms = s->relay->now_ms;
    if (now_ms >= s->deadline_ms && (liveness_moves(s) || comes_at_its_rate(s))) {
        s->deadline_ms = now_ms + timeouts->close_ms; /* slow, and alive: the end is still to be read */
    } else if (now_ms >= s->deadline_ms) {
        session_end(s, s->target.hung_up ? CAUSE_TARGET_RESET : CAUSE_CLIENT_GONE, NULL);
        s->deadline_ms = now_ms; /* its time to end was this one */
        liveness_mark(s);
    } else if (passed(s->begun_ms, timeouts->session_ms, now_ms)) {
        session_end(s, CAUSE_SESSION_LIMIT, NULL);
    } else if (passed(s->payload_ms, timeouts->idle_ms, now_ms)) {
        session_end(s, CAUSE_IDLE, NULL);
    } else if (s->pinged_ms == 0) {
        ping(s);
    } else if (may_still_answer(s)) {
        s->pinged_ms = now_ms;
    } else {
        session_end(s, CAUSE_CLIENT_TIMEOUT, NULL);
    }
}

static void request_expired(struct session *s)
{
    if (s->request != NULL && s->request->served && buf_len(&s->request->bytes) == 0) {
        session_hang_up(s); /* a kept connection that was not used again */
    } else {
        request_refuse(s, 408, "request was not complete in time", NULL);
    }
}

/* Most ends need no patience. One that does is looked at when half of its time is over, and then again. */
static void closing_expired(struct session *s)
{
    uint64_t close_ms = session_close_ms(s);
    if (!s->marked) {
        liveness_mark(s);
        s->deadline_ms += close_ms - close_ms / 2;
    } else if (!s->relay->draining && liveness_moves(s)) {
        s->deadline_ms = s->relay->now_ms + close_ms;
    } else {
        session_log_unacknowledged(s);
        session_move(s, SESSION_DONE);
    }
}

void liveness_expired(struct session *s)
{
    switch (s->state) {
    case SESSION_PROXY:
        proxy_refuse(s, "PROXY header was not complete in time");
        break;
    case SESSION_TLS:
        session_tls_failed(s, "handshake was not complete in time");
        break;
    case SESSION_REQUEST:
        request_expired(s);
        break;
    case SESSION_FILE:
        files_expired(s);
        break;
    case SESSION_DIAL:
        if (s->relay->now_ms >= s->deadline_ms) {
            /* An answer by HTTP is awaited: `handshake` ends before `connect` did. */
            session_end(s, CAUSE_TARGET_TIMEOUT, NULL);
        } else {
            target_again(s);
        }
        break;
    case SESSION_RELAY:
        relay_expired(s);
        break;
    case SESSION_CLOSING:
        closing_expired(s);
        break;
    case SESSION_DONE:
        break;
    }
}
