/* Whether one more session has its place: in the gateway, on its route, and among its client's. */
#include "relay/session.h"

/* Counts with this one. Targets that linger have as many places again. */
static bool is_over(uint64_t sessions, uint64_t lingering, uint64_t limit)
{
    return limit != SIZE_OFF && (sessions > limit || sessions + lingering > 2 * limit);
}

static bool gateway_is_full(const struct session *s)
{
    const struct census *census = s->relay->census;
    uint64_t sessions = 0;
    uint64_t lingering = 0;
    if (s->relay->rules->sessions_max != SIZE_OFF) {
        census->all(census, &sessions, &lingering);
    }
    return is_over(sessions, lingering, s->relay->rules->sessions_max);
}

static bool route_is_full(const struct session *s)
{
    const struct census *census = s->relay->census;
    uint64_t sessions = 0;
    uint64_t lingering = 0;
    if (s->route->limits.sessions != SIZE_OFF) {
        census->row(census, (unsigned)(session_row(s) - census->own->rows), &sessions, &lingering);
    }
    return is_over(sessions, lingering, s->route->limits.sessions);
}

static bool client_enters(struct session *s)
{
    uint64_t max = s->relay->rules->sessions_per_client_max;
    if (max == SIZE_OFF || s->peer.is_unix) {
        return true;
    }
    s->client_counted = s->relay->census->client_enter(s->relay->census, &s->peer.addr, max);
    return s->client_counted;
}

static bool client_comes_too_often(const struct session *s)
{
    struct rate_rule rate = s->relay->rules->new_sessions_per_client;
    return rate.count > 0 && !s->peer.is_unix &&
           !s->relay->census->client_new(s->relay->census, &s->peer.addr, rate, s->relay->now_ms);
}

static void client_leaves(struct session *s)
{
    if (s->client_counted) {
        s->client_counted = false;
        s->relay->census->client_leave(s->relay->census, &s->peer.addr);
    }
}

/* The rate is asked last: what is refused for want of a place takes nothing from it. */
static struct place_verdict judge_place(struct session *s)
{
    if (!client_enters(s)) {
        return (struct place_verdict){429, "this client has as many sessions as it may"};
    }
    if (gateway_is_full(s)) {
        return (struct place_verdict){503, "gateway has as many sessions as it may"};
    }
    if (route_is_full(s)) {
        return (struct place_verdict){503, "this route has as many sessions as it may"};
    }
    if (client_comes_too_often(s)) {
        return (struct place_verdict){429, "this client begins sessions faster than it may"};
    }
    return (struct place_verdict){0, NULL};
}

static void count_out(struct session *s)
{
    client_leaves(s);
    tally_take(&s->relay->census->own->sessions, 1);
    tally_take(&session_row(s)->sessions, 1);
}

struct place_verdict place_take(struct session *s)
{
    tally_add(&s->relay->census->own->sessions, 1);
    tally_add(&session_row(s)->sessions, 1);
    struct place_verdict verdict = judge_place(s);
    if (verdict.status != 0) {
        count_out(s);
    } else {
        s->place = PLACE_SESSION;
    }
    return verdict;
}

void place_linger(struct session *s)
{
    s->place = PLACE_LINGERING;
    count_out(s);
    tally_add(&s->relay->census->own->lingering, 1);
    tally_add(&session_row(s)->lingering, 1);
}

void place_leave(struct session *s)
{
    target_leave(s);
    if (s->place == PLACE_LINGERING) {
        s->place = PLACE_NONE;
        tally_take(&s->relay->census->own->lingering, 1);
        tally_take(&session_row(s)->lingering, 1);
    }
}
