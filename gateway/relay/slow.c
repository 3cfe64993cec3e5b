/* Who is slow: the client's answers to our pings, the time that each side left bytes waiting, and what TCP
 * measured. Times within a session are milliseconds since its begin in 32 bits, which may wrap: only spans
 * below 49 days are ever taken. */
#include "base/text.h"
#include "relay/session.h"
#include <string.h>

enum { US_PER_MS = 1000 };

static uint32_t age_ms(const struct session *s)
{
    return (uint32_t)(s->relay->now_ms - s->begun_ms);
}

static void ping_text(uint32_t at_ms, char out[SLOW_PING_LEN + 1])
{
    struct text text;
    text_init(&text, out, SLOW_PING_LEN + 1);
    text_addf(&text, "%08x", at_ms);
}

void slow_ping(struct session *s, uint8_t payload[SLOW_PING_LEN])
{
    char text[SLOW_PING_LEN + 1];
    s->ping_at_ms = age_ms(s);
    s->ping_awaited = true;
    ping_text(s->ping_at_ms, text);
    memcpy(payload, text, SLOW_PING_LEN);
}

void slow_pong(struct session *s, const uint8_t *payload, size_t n)
{
    char text[SLOW_PING_LEN + 1];
    ping_text(s->ping_at_ms, text);
    if (!s->ping_awaited || n != SLOW_PING_LEN || memcmp(payload, text, n) != 0) {
        return;
    }
    s->ping_awaited = false;
    s->ping_known = true;
    s->ping_ms = age_ms(s) - s->ping_at_ms;
    s->ping_max_ms = s->ping_ms > s->ping_max_ms ? s->ping_ms : s->ping_max_ms;
    tally_observe(&session_row(s)->ping, tally_ping_bounds_ms, (uint64_t)s->ping_ms * US_PER_MS);
}

uint32_t slow_stalled_ms(const struct session *s, const struct session_flow *flow)
{
    return flow->stalled_ms + (flow->stalls ? age_ms(s) - flow->stalls_from_ms : 0);
}

static void set_stall(struct session *s, struct session_flow *flow, tally_count *count, bool stalls)
{
    if (stalls == flow->stalls) {
        return;
    }
    if (stalls) {
        flow->stalls_from_ms = age_ms(s);
    } else {
        tally_add(count, slow_stalled_ms(s, flow) - flow->stalled_ms);
        flow->stalled_ms = slow_stalled_ms(s, flow);
    }
    flow->stalls = stalls;
}

/* A side that bytes wait for is asked when it can be written to, and no other is. */
static bool is_awaited(const struct session_side *sink)
{
    return sink->io != NULL && (sink->watch.interest & LOOP_WRITE) != 0;
}

void slow_note_stalls(struct session *s)
{
    set_stall(s, &s->up, &session_row(s)->up_stalled_ms, is_awaited(&s->target));
    set_stall(s, &s->down, &session_row(s)->down_stalled_ms, is_awaited(&s->client));
}

void slow_end_stalls(struct session *s)
{
    set_stall(s, &s->up, &session_row(s)->up_stalled_ms, false);
    set_stall(s, &s->down, &session_row(s)->down_stalled_ms, false);
}

struct sock_facts slow_tcp(const struct session_side *side)
{
    return side->io != NULL ? sock_tcp_facts(side->io->fd) : side->facts;
}
