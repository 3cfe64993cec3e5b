/* Who the target is, and reaching it. The choice is a step of its own: it answers at once, from the route. */
#include "relay/session.h"

enum { US_PER_MS = 1000 };

static enum cause cause_of(enum dial_status status)
{
    switch (status) {
    case DIAL_REFUSED:
        return CAUSE_TARGET_REFUSED;
    case DIAL_UNREACHABLE:
        return CAUSE_TARGET_UNREACHABLE;
    case DIAL_TIMEOUT:
        return CAUSE_TARGET_TIMEOUT;
    case DIAL_DNS:
        return CAUSE_TARGET_DNS;
    case DIAL_TLS:
        return CAUSE_TARGET_TLS;
    case DIAL_OVERLOAD:
        return CAUSE_OVERLOAD;
    case DIAL_OK:
        break;
    }
    return CAUSE_INTERNAL;
}

static void connected(struct session *s, struct transport *io)
{
    tally_observe(&session_row(s)->connect, tally_connect_bounds_ms,
        (s->relay->now_ms - s->request->dialed_ms) * US_PER_MS);
    session_watch_target(s, io);
    session_move(s, SESSION_RELAY);
    if (!s->upgraded) {
        request_switch(s);
    }
    request_done(s);
    if (s->client.over) {
        session_end(s, CAUSE_CLIENT_GONE, NULL);
        s->up.source_ended = true;
    }
}

static void dialed(void *context, enum dial_status status, struct transport *io, const char *detail)
{
    struct session *s = context;
    s->request->dial = NULL;
    if (status == DIAL_OK) {
        connected(s, io);
    } else {
        enum cause cause = cause_of(status);
        tally_add(&session_row(s)->target_failed, 1);
        session_log_target_failed(s, cause, detail);
        session_end(s, cause, NULL);
    }
    session_run(s);
}

static void reach(struct session *s, const struct target_rule *target, struct tls_client *tls)
{
    s->request->dialed_ms = s->relay->now_ms;
    s->request->dial = s->relay->dialer->start(
        &s->relay->net, &target->address, tls, s->relay->now_ms, s->route->timeouts.connect_ms, dialed, s);
    if (s->request->dial == NULL) {
        session_end(s, CAUSE_OVERLOAD, NULL);
    }
}

void target_choose(struct session *s)
{
    reach(s, s->route->targets, s->relay->target_tls[s->route->index]);
}
