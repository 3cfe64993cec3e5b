/* The end: what each cause means for the client and for the target (rules/cause.h has the codes), and the
 * patience that lets both have their last bytes. */
#include "base/text.h"
#include "relay/session.h"

/* The end that both sides meant: there is nothing to look up. */
static bool is_normal(const struct session *s)
{
    return s->close_phrase[0] == '\0' || (s->cause == CAUSE_TARGET_EOF && s->close_code == WS_CLOSE_NORMAL);
}

size_t session_close_payload(const struct session *s, uint8_t out[2 + WS_CLOSE_REASON_MAX])
{
    if (is_normal(s)) {
        return ws_close_write(s->close_code, slice_from(s->close_phrase), out);
    }
    char id[SESSION_ID_MAX];
    char array[WS_CLOSE_REASON_MAX + 1];
    struct text reason;
    session_id_format(s, id);
    text_init(&reason, array, sizeof array);
    text_addf(&reason, "%.*s (%s)", CAUSE_PHRASE_MAX, s->close_phrase, id);
    return ws_close_write(s->close_code, text_slice(&reason), out);
}

/* Nothing can be told to the client any more. */
static void client_lost(struct session *s)
{
    flow_drop(&s->client, &s->down);
    s->down.sink_told = true;
    s->close_pending = s->ping_pending = false;
    buf_fini(&s->pongs);
    s->client.hung_up = true;
}

static void target_lost(struct session *s)
{
    flow_drop(&s->target, &s->up);
    s->up.sink_told = true;
    s->target.hung_up = true;
}

void closing_client_write(struct session *s, enum flow_status status)
{
    if (status == FLOW_CLEAR || status == FLOW_BLOCKED) {
        return;
    }
    client_lost(s);
    if (status == FLOW_NO_MEMORY) {
        session_end(s, CAUSE_OVERLOAD, NULL);
    } else if (s->state == SESSION_RELAY && s->up.sink_told) {
        session_end(s, CAUSE_TARGET_RESET, NULL); /* it broke first, and now neither side takes anything */
    } else if (s->state == SESSION_RELAY) {
        liveness_hung_up(s); /* its last words, maybe a Close, are still to be read */
    } else {
        s->client.over = true;
        session_end(s, CAUSE_CLIENT_GONE, NULL);
    }
}

void closing_target_write(struct session *s, enum flow_status status)
{
    if (status == FLOW_CLEAR || status == FLOW_BLOCKED) {
        return;
    }
    target_lost(s);
    if (status == FLOW_NO_MEMORY) {
        session_end(s, CAUSE_OVERLOAD, NULL);
    } else if (s->state == SESSION_RELAY && s->down.sink_told) {
        session_end(s, CAUSE_CLIENT_GONE, NULL); /* it broke first, and now neither side takes anything */
    } else if (s->state == SESSION_RELAY) {
        liveness_hung_up(s); /* what it sent before is still to be read and delivered */
    } else {
        s->target.over = true;
    }
}

bool session_is_over(const struct session *s)
{
    return s->state == SESSION_CLOSING || s->state == SESSION_DONE;
}

static void end_with(struct session *s, enum cause cause, uint16_t code, const char *phrase)
{
    if (session_is_over(s)) {
        return; /* the first cause wins */
    }
    if (!s->upgraded && cause != CAUSE_CLIENT_GONE) {
        request_refuse(s, cause_http_status(cause), phrase, NULL);
        return;
    }
    s->cause = cause;
    s->has_cause = true;
    if (!s->upgraded) {
        session_move(s, SESSION_DONE); /* nobody is left to be refused */
        return;
    }
    session_move(s, SESSION_CLOSING);
    s->down.source_ended = true;
    /* A target that ended its sending may still take: then the client's bytes go up until its Close. */
    s->up.source_ended = cause != CAUSE_TARGET_EOF || s->client.over || s->up.sink_told;
    s->close_code = code;
    s->close_phrase = phrase;
    s->close_pending = code != 0 && !s->down.sink_told;
    if (cause == CAUSE_CLIENT_GONE) {
        client_lost(s);
        s->client.over = true;
        if (s->door->tls != NULL && s->client.io->ops->unsent(s->client.io) == 0) {
            /* Who ended by close_notify is answered by one, where it is taken at once (RFC 8446 6.1). */
            (void)s->client.io->ops->shutdown(s->client.io);
        }
    } else if (cause == CAUSE_TARGET_RESET) {
        target_lost(s);
        s->target.over = true;
    }
}

void session_end(struct session *s, enum cause cause, const char *phrase)
{
    uint16_t code = s->route != NULL ? s->route->close_codes[cause] : cause_close_code(cause);
    end_with(s, cause, code, phrase != NULL ? phrase : cause_phrase(cause));
}

void session_end_by_client(struct session *s, uint16_t code)
{
    s->close_seen = true;
    end_with(s, CAUSE_CLIENT_CLOSE, code,
        code == WS_CLOSE_PROTOCOL_ERROR ? "Close frame with a code that may not be sent"
        : code == WS_CLOSE_BAD_DATA     ? "Close reason is not UTF-8"
                                        : cause_phrase(CAUSE_CLIENT_CLOSE));
    s->up.source_ended = true;
}

void session_hang_up(struct session *s)
{
    s->up.source_ended = true;
    s->down.source_ended = true;
    session_move(s, SESSION_CLOSING);
}

/* What the system holds for it goes too: it would be sent on for minutes, with a FIN behind it, and to a
 * target that comes back that would be all there was. */
void session_give_up_target(struct session *s)
{
    s->up.undelivered += (uint32_t)sock_unacked_bytes(s->target.io->fd);
    session_end(s, CAUSE_TARGET_RESET, NULL);
    session_close_side(s, &s->target, true);
}

/* Reads what nobody wants any more, so that no RST eats what was sent: one read a turn. How much it was. */
static size_t discard(struct session *s, struct session_side *side)
{
    struct io_result result =
        side->io->ops->read(side->io, s->relay->scratch + RELAY_HEADROOM, RELAY_READ_MAX);
    side->over = result.status == IO_EOF || result.status == IO_FAIL;
    side->reset = side->reset || result.status == IO_FAIL;
    return result.status == IO_OK ? result.n : 0;
}

static bool is_readable(const struct session_side *side)
{
    return !side->over && ((side->ready & LOOP_READ) != 0 || side->io->ops->pending(side->io) > 0);
}

/* Ends our direction of a side whose flow is over and delivered. */
static void finish_sending(struct session_side *side, struct session_flow *flow)
{
    switch (side->io->ops->shutdown(side->io).status) {
    case IO_OK:
    case IO_EOF:
        flow->sink_told = true;
        break;
    case IO_WANT_READ:
    case IO_WANT_WRITE:
        break; /* its last bytes are unsent: asked again once they are gone */
    case IO_FAIL:
        flow->sink_told = true;
        side->over = true;
        break;
    }
}

static void close_client(struct session *s)
{
    struct session_side *client = &s->client;
    if (flow_is_blocked(client, &s->down) && (client->ready & LOOP_WRITE) != 0) {
        closing_client_write(s, flow_flush(client, &s->down));
    }
    if (!s->down.sink_told && !flow_is_blocked(client, &s->down)) {
        closing_client_write(s, down_control(s));
    }
    if (!s->down.sink_told && !flow_is_blocked(client, &s->down)) {
        finish_sending(client, &s->down);
    }
    if (!s->up.source_ended) {
        up_step(s);
    } else if (is_readable(client)) {
        (void)discard(s, client);
    }
    if (client->over) {
        s->up.source_ended = true; /* also where a write found it out: the target must not wait for more */
    }
    if (client->over && s->down.sink_told) {
        session_close_side(s, client, false);
    }
}

bool closing_resets_target(const struct session *s)
{
    return s->has_cause && (s->cause == CAUSE_CLIENT_GONE || s->cause == CAUSE_CLIENT_TIMEOUT) &&
           s->route->on_client_abort == ON_CLIENT_ABORT_RESET && !s->up.sink_told;
}

/* A reset takes back what the kernel has not delivered yet. */
bool closing_waits_to_reset(const struct session *s)
{
    return s->state == SESSION_CLOSING && s->target.io != NULL && closing_resets_target(s) &&
           !s->target.reset && !flow_is_blocked(&s->target, &s->up) &&
           sock_unacked_bytes(s->target.io->fd) > 0;
}

/* More than both systems hold of a target that stops once it sees our FIN. */
enum { DISCARD_MAX = 16 << 20 };

/* A target that sends on and on, with all that is for it in its hands. Reading it until the time is up would
 * cost us its whole speed, and a client nothing: coming and going. */
static bool has_no_end(const struct session *s)
{
    return s->up.sink_told && s->discarded_bytes >= DISCARD_MAX && sock_unacked_bytes(s->target.io->fd) == 0;
}

static void discard_target(struct session *s)
{
    size_t n = discard(s, &s->target);
    s->discarded_bytes += s->discarded_bytes < DISCARD_MAX ? (uint32_t)n : 0;
}

static void close_target(struct session *s)
{
    struct session_side *target = &s->target;
    if (flow_is_blocked(target, &s->up) && (target->ready & LOOP_WRITE) != 0) {
        closing_target_write(s, flow_flush(target, &s->up));
    }
    if (!s->up.sink_told && s->up.source_ended && !flow_is_blocked(target, &s->up)) {
        if (!closing_resets_target(s)) {
            finish_sending(target, &s->up);
        } else if (!closing_waits_to_reset(s)) {
            session_close_side(s, target, true);
            return;
        }
    }
    if (is_readable(target)) {
        discard_target(s);
    }
    if (target->over && s->up.sink_told) {
        session_close_side(s, target, false);
    } else if (has_no_end(s)) {
        session_close_side(s, target, true);
    }
}

void closing_step(struct session *s)
{
    if (s->client.io != NULL) {
        close_client(s);
    }
    if (s->target.io != NULL) {
        close_target(s);
    }
    bool target_told = s->target.io == NULL || s->up.sink_told;
    if (s->up.source_ended && target_told && s->down.sink_told) {
        session_conclude(s); /* what is left is to wait for their FIN */
    }
    if (s->target.io == NULL && s->up.source_ended && s->down.sink_told) {
        place_leave(s);
    }
    if (s->client.io == NULL && s->target.io == NULL) {
        session_move(s, SESSION_DONE);
    }
}
