/* Who the target is, and reaching it. The choice is a step of its own: it answers at once, from the route and
 * from what is known of its targets. One that fails leaves the rest of `timeouts.connect` to the others. */
#include "relay/session.h"
#include <stdlib.h>

enum {
    SHARE_LEAST_MS = 1000, /* of one among several */
    ROUND_PAUSE_LEAST_MS = 100,
    ROUND_PAUSE_MOST_MS = 1000,
    US_PER_MS = 1000,
};

static void dialed(void *context, enum dial_status status, struct transport *io, const char *detail);

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

static struct targets *targets_of(const struct session *s)
{
    return &s->relay->targets[s->route->index];
}

static uint64_t left_ms(const struct session *s)
{
    uint64_t now_ms = s->relay->now_ms;
    uint64_t until_ms = s->request->search.until_ms;
    return until_ms > now_ms ? until_ms - now_ms : 0;
}

/* What is left, shared among those that were not tried: one that is silent is not to take the others' time.
 * A share is a second at least, and the last one has all of it. */
static uint64_t share_ms(const struct session *s)
{
    uint64_t left = left_ms(s);
    size_t tried = (size_t)__builtin_popcountll(s->request->search.tried);
    uint64_t share = left / (s->route->target_count - tried);
    uint64_t least = left < SHARE_LEAST_MS ? left : SHARE_LEAST_MS;
    return share > least ? share : least;
}

static void reach(struct session *s, unsigned at)
{
    struct targets *targets = targets_of(s);
    uint8_t prelude[DIAL_PRELUDE_MAX];
    struct dial_order order = {
        .target = &s->route->targets[at].address,
        .tls = targets->states[at].tls,
        .prelude = prelude,
        .prelude_bytes = target_proxy_write(s, prelude),
        .egress = &s->route->egress,
        .timeout_ms = share_ms(s),
    };
    s->target_at = (uint8_t)at;
    s->request->dialed_ms = s->relay->now_ms;
    s->request->search.tried |= UINT64_C(1) << at;
    s->request->dial = s->relay->dialer->start(&s->relay->net, &order, s->relay->now_ms, dialed, s);
    if (s->request->dial == NULL) {
        session_end(s, CAUSE_OVERLOAD, NULL);
        return;
    }
    s->at_target = true;
    targets_dialed(targets, at);
}

/* The next one of this round. False: there is none. */
static bool reach_next(struct session *s)
{
    unsigned at =
        targets_choose(targets_of(s), s->route->balance, s->request->search.tried, s->relay->now_ms);
    if (at == TARGETS_NONE) {
        return false;
    }
    reach(s, at);
    return true;
}

/* `connect_retry`: all of them once more, a little later, and a last time just before the time is up. False:
 * it is. */
static bool reach_later(struct session *s)
{
    struct target_search *search = &s->request->search;
    uint64_t left = left_ms(s);
    if (!s->route->connect_retry || left <= ROUND_PAUSE_LEAST_MS) {
        return false;
    }
    uint64_t pause_ms =
        search->pause_ms < left - ROUND_PAUSE_LEAST_MS ? search->pause_ms : left - ROUND_PAUSE_LEAST_MS;
    search->again_ms = s->relay->now_ms + pause_ms;
    search->pause_ms *= 2;
    if (search->pause_ms > ROUND_PAUSE_MOST_MS) {
        search->pause_ms = ROUND_PAUSE_MOST_MS;
    }
    return true;
}

static void connected(struct session *s, struct transport *io)
{
    tally_observe(&session_row(s)->connect, tally_connect_bounds_ms,
        (s->relay->now_ms - s->request->dialed_ms) * US_PER_MS);
    uint32_t failures = targets_reached(targets_of(s), s->target_at);
    if (failures > 0) {
        session_log_target_back(s, failures);
    }
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

/* What we lack ourselves is no fault of the target, and another one would not have it either. */
static void failed(struct session *s, enum dial_status status, const char *detail)
{
    enum cause cause = cause_of(status);
    tally_add(&session_row(s)->target_failed, 1);
    session_log_target_failed(s, cause, detail);
    s->at_target = false;
    if (status == DIAL_OVERLOAD) {
        targets_given_up(targets_of(s), s->target_at);
        session_end(s, cause, NULL);
        return;
    }
    targets_failed(targets_of(s), s->target_at, s->relay->now_ms);
    if (left_ms(s) == 0 || (!reach_next(s) && !reach_later(s))) {
        session_end(s, cause, NULL);
    }
}

static void dialed(void *context, enum dial_status status, struct transport *io, const char *detail)
{
    struct session *s = context;
    s->request->dial = NULL;
    if (status == DIAL_OK) {
        connected(s, io);
    } else {
        failed(s, status, detail);
    }
    session_run(s);
}

/* False: no memory. */
static bool limit_rate(struct session *s)
{
    const struct route_limits *limits = &s->route->limits;
    if (limits->rate_up_bytes == SIZE_OFF && limits->rate_down_bytes == SIZE_OFF) {
        return true;
    }
    s->rate = malloc(sizeof *s->rate);
    if (s->rate != NULL) {
        rate_init(&s->rate->up, limits->rate_up_bytes, s->relay->now_ms);
        rate_init(&s->rate->down, limits->rate_down_bytes, s->relay->now_ms);
    }
    return s->rate != NULL;
}

void target_choose(struct session *s)
{
    if (!limit_rate(s)) {
        session_end(s, CAUSE_OVERLOAD, NULL);
        return;
    }
    s->request->search = (struct target_search){
        .until_ms = s->relay->now_ms + s->route->timeouts.connect_ms, .pause_ms = ROUND_PAUSE_LEAST_MS};
    (void)reach_next(s); /* a route has one at least */
}

void target_again(struct session *s)
{
    s->request->search.tried = 0;
    s->request->search.again_ms = 0;
    (void)reach_next(s);
}

void target_give_up(struct session *s)
{
    if (s->request != NULL && s->request->dial != NULL) {
        s->relay->dialer->cancel(s->request->dial);
        s->request->dial = NULL;
        s->at_target = false;
        targets_given_up(targets_of(s), s->target_at);
    }
}

void target_leave(struct session *s)
{
    if (s->at_target) {
        s->at_target = false;
        targets_left(targets_of(s), s->target_at);
    }
}
