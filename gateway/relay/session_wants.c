/* What a session waits for, and until when: derived from its state after each step, and nowhere else. */
#include "base/clock.h"
#include "relay/session.h"

/* For what nothing announces. */
enum { LOOK_AGAIN_MS = 16 };

static uint64_t after(uint64_t since_ms, uint64_t span_ms)
{
    return span_ms == DURATION_OFF ? CLOCK_NEVER : since_ms + span_ms;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool session_up_blocked(const struct session *s)
{
    /* A target that takes nothing any more is only read to its end: what the client sends must wait for that.
     */
    return flow_is_blocked(&s->target, &s->up) || (s->state == SESSION_RELAY && s->up.sink_told);
}

bool session_down_blocked(const struct session *s)
{
    return flow_is_blocked(&s->client, &s->down) || s->down.sink_told;
}

/* When a direction that is limited may be read again; CLOCK_NEVER: it may be now. */
static uint64_t up_due_ms(const struct session *s)
{
    bool reads = s->rate != NULL && !s->up.source_ended;
    return reads ? rate_due_ms(&s->rate->up, s->relay->now_ms) : CLOCK_NEVER;
}

static uint64_t down_due_ms(const struct session *s)
{
    bool reads = s->rate != NULL && s->state == SESSION_RELAY;
    return reads ? rate_due_ms(&s->rate->down, s->relay->now_ms) : CLOCK_NEVER;
}

bool session_up_limited(const struct session *s)
{
    return up_due_ms(s) != CLOCK_NEVER;
}

bool session_down_limited(const struct session *s)
{
    return down_due_ms(s) != CLOCK_NEVER;
}

static unsigned read_or_hangup(const struct session_side *side, bool blocked)
{
    if (!blocked) {
        return LOOP_READ;
    }
    return side->hung_up ? 0 : LOOP_HANGUP;
}

unsigned session_client_interest(const struct session *s)
{
    unsigned write = flow_is_blocked(&s->client, &s->down) ? LOOP_WRITE : 0;
    switch (s->state) {
    case SESSION_PROXY:
        return LOOP_READ;
    case SESSION_TLS:
        return s->handshake_waits ? 0U : s->client.wants;
    case SESSION_REQUEST:
        return write | LOOP_READ;
    case SESSION_FILE:
        return write | read_or_hangup(&s->client, true);
    case SESSION_DIAL:
        return write | (s->client.over || !request_has_room(s) ? 0U : LOOP_READ);
    case SESSION_RELAY:
        return write |
               (s->client.over ? 0
                               : read_or_hangup(&s->client, session_up_blocked(s) || session_up_limited(s)));
    case SESSION_CLOSING:
        return write | (s->client.over ? 0
                                       : read_or_hangup(&s->client,
                                             !s->up.source_ended &&
                                                 (session_up_blocked(s) || session_up_limited(s))));
    case SESSION_DONE:
        break;
    }
    return 0;
}

unsigned session_target_interest(const struct session *s)
{
    unsigned write = flow_is_blocked(&s->target, &s->up) ? LOOP_WRITE : 0;
    switch (s->state) {
    case SESSION_RELAY:
        return write | (s->target.over || session_down_blocked(s) || session_down_limited(s) ? 0 : LOOP_READ);
    case SESSION_CLOSING:
        return write | (s->target.over ? 0 : LOOP_READ);
    case SESSION_PROXY:
    case SESSION_TLS:
    case SESSION_REQUEST:
    case SESSION_FILE:
    case SESSION_DIAL:
    case SESSION_DONE:
        break;
    }
    return 0;
}

uint64_t session_next_due_ms(const struct session *s)
{
    if (closing_waits_to_reset(s)) {
        return sooner(s->deadline_ms, s->relay->now_ms + LOOK_AGAIN_MS);
    }
    if (s->state == SESSION_DIAL && s->request->search.again_ms != 0) {
        return sooner(s->deadline_ms, s->request->search.again_ms);
    }
    uint64_t due_ms = sooner(s->deadline_ms, sooner(up_due_ms(s), down_due_ms(s)));
    if (s->state != SESSION_RELAY) {
        return due_ms;
    }
    const struct route_timeouts *timeouts = &s->route->timeouts;
    due_ms = sooner(due_ms, after(s->payload_ms, timeouts->idle_ms));
    due_ms = sooner(due_ms, after(s->begun_ms, timeouts->session_ms));
    if (timeouts->ping_ms == DURATION_OFF || timeouts->pong_ms == DURATION_OFF) {
        return due_ms;
    }
    return sooner(due_ms,
        s->pinged_ms != 0 ? after(s->pinged_ms, timeouts->pong_ms) : after(s->heard_ms, timeouts->ping_ms));
}

static bool has_pending(const struct session_side *side)
{
    return side->io != NULL && side->io->ops->pending(side->io) > 0;
}

bool session_must_run_again(const struct session *s)
{
    if (s->state == SESSION_TLS) {
        return s->handshake_waits;
    }
    if (s->state == SESSION_FILE) {
        return !session_down_blocked(s);
    }
    if (s->state == SESSION_REQUEST && s->request != NULL && s->request->http.scanned == 0 &&
        buf_len(&s->request->bytes) > 0) {
        return true; /* the next request came with the one before */
    }
    return ((session_client_interest(s) & LOOP_READ) != 0 && has_pending(&s->client)) ||
           ((session_target_interest(s) & LOOP_READ) != 0 && has_pending(&s->target));
}
