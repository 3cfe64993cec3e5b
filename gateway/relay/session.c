#include "relay/session.h"
#include "base/clock.h"
#include "base/text.h"
#include <assert.h>
#include <stdlib.h>

/* Of one turn: a lifecycle has fewer, but a client may have many requests for files waiting. */
enum { STEPS_MAX = 16, US_PER_MS = 1000 };
enum { CROWD_LEAST = 32, TRIM_PAUSE_MS = 100, TRIM_REST_MS = 1000 };

#define NEXT(state) (1U << (state))

static const struct {
    const char *name;
    unsigned next;
} lifecycle[] = {
#define SESSION_ROW(constant, name, next) {name, next},
    SESSION_STATES(SESSION_ROW)
#undef SESSION_ROW
};

const char *session_state_name(enum session_state state)
{
    return lifecycle[state].name;
}

void session_id_format(const struct session *s, char out[SESSION_ID_MAX])
{
    struct text id;
    text_init(&id, out, SESSION_ID_MAX);
    text_add_hex64(&id, s->id);
}

uint64_t session_close_ms(const struct session *s)
{
    return s->route != NULL ? s->route->timeouts.close_ms : s->relay->rules->close_ms;
}

/* The fixed deadline that a state brings with it. */
static uint64_t deadline_of(const struct session *s, enum session_state state)
{
    uint64_t now_ms = s->relay->now_ms;
    switch (state) {
    case SESSION_PROXY:
    case SESSION_TLS:
    case SESSION_REQUEST:
        return s->begun_ms + s->relay->rules->handshake_ms;
    case SESSION_FILE:
        return now_ms + s->relay->rules->handshake_ms; /* moved on as the client takes bytes */
    case SESSION_DIAL: /* dial has its own, `connect`; an answer by HTTP is still under `handshake` */
        return s->route->on_unreachable == ON_UNREACHABLE_CLOSE ? CLOCK_NEVER
                                                                : s->begun_ms + s->relay->rules->handshake_ms;
    case SESSION_CLOSING:
        return now_ms + session_close_ms(s) / 2; /* liveness.c gives the other half */
    case SESSION_RELAY:
    case SESSION_DONE:
        break;
    }
    return CLOCK_NEVER;
}

void session_conclude(struct session *s)
{
    if (s->place != PLACE_SESSION) {
        return;
    }
    slow_end_stalls(s);
    place_linger(s);
    if (!s->has_cause) {
        return; /* it was refused */
    }
    tally_add(&session_row(s)->ended[s->cause], 1);
    tally_observe(
        &session_row(s)->session, tally_session_bounds_ms, (s->relay->now_ms - s->begun_ms) * US_PER_MS);
    if (closing_waits_to_reset(s)) {
        s->up.undelivered += (uint32_t)sock_unacked_bytes(s->target.io->fd);
    }
    flow_drop(&s->target, &s->up);
    flow_drop(&s->client, &s->down);
    session_log_end(s);
}

/* What a crowd took lies between what stays, and malloc(3) would keep it: once most have gone, or are through
 * the handshakes, the system has it back; a moment later, so that a crowd that comes and goes costs little,
 * and not soon again: that walks the heap of all those who stay, some 30 ms for 10,000. */
static void crowd_shrinks(struct relay *relay, uint64_t now, uint64_t *most)
{
    if (*most >= CROWD_LEAST && now <= *most / 4) {
        *most = now;
        if (!wheel_armed(&relay->trim)) {
            uint64_t soon_ms = relay->now_ms + TRIM_PAUSE_MS;
            uint64_t rested_ms = relay->trimmed_ms + TRIM_REST_MS;
            wheel_arm(relay->net.wheel, &relay->trim, soon_ms > rested_ms ? soon_ms : rested_ms);
        }
    }
}

static void crowd_grows(uint64_t *now, uint64_t *most)
{
    ++*now;
    *most = *now > *most ? *now : *most;
}

void session_move(struct session *s, enum session_state to)
{
    assert((lifecycle[s->state].next & NEXT(to)) != 0);
    target_give_up(s);
    if (s->state < SESSION_RELAY && to >= SESSION_RELAY) {
        crowd_shrinks(s->relay, --s->relay->opening, &s->relay->rush);
    }
    s->state = to;
    s->deadline_ms = deadline_of(s, to);
    switch (to) {
    case SESSION_RELAY:
        s->heard_ms = s->payload_ms = s->relay->now_ms;
        break;
    case SESSION_DONE:
        session_conclude(s);
        place_leave(s);
        break;
    case SESSION_CLOSING:
        s->marked = false;
        s->discarded_bytes = 0;
        break;
    case SESSION_PROXY:
    case SESSION_TLS:
    case SESSION_REQUEST:
    case SESSION_FILE:
    case SESSION_DIAL:
        break;
    }
}

void session_begin(struct session *s)
{
    s->client.wants = LOOP_READ;
    session_move(s, s->door->tls != NULL ? SESSION_TLS : SESSION_REQUEST);
}

void session_close_side(struct session *s, struct session_side *side, bool reset)
{
    if (side->io != NULL) {
        struct sock_facts facts = {0};
        if (s->place == PLACE_SESSION) {
            facts = slow_tcp(side);
        }
        loop_forget_closing(s->relay->net.loop, &side->watch);
        side->io->ops->close(side->io, reset);
        side->io = NULL;
        side->facts = facts; /* where the watch was */
    }
}

static void session_free(struct session *s)
{
    struct relay *relay = s->relay;
    session_close_side(s, &s->client, false);
    /* Its time was up before it could be told. A FIN would pass what it has for the whole. */
    session_close_side(s, &s->target, closing_resets_target(s) || s->up.undelivered > 0);
    request_free(s);
    asked_give(&s->relay->asked, s->asked);
    flow_fini(&s->up);
    flow_fini(&s->down);
    buf_fini(&s->pongs);
    ws_message_fini(&s->message);
    free(s->rate);
    wheel_cancel(&s->timer);
    list_remove(&s->again);
    list_remove(&s->link);
    tally_take(&relay->census->own->connections, 1);
    pool_give(&relay->pool, s);
    crowd_shrinks(relay, --relay->connections, &relay->crowd);
}

void session_tls_failed(struct session *s, const char *reason)
{
    session_log_tls_failed(s, reason);
    tally_add(&s->relay->census->own->tls_failed, 1);
    session_move(s, SESSION_DONE);
}

/* RFC 6455 calls it the opening handshake; the part below HTTP. */
static void tls_step(struct session *s)
{
    /* A private key's signature takes about a millisecond: a crowd at the door must not stop those inside. */
    s->handshake_waits = s->relay->handshakes_left == 0;
    if (s->handshake_waits) {
        return;
    }
    s->relay->handshakes_left--;
    struct io_result result = s->client.io->ops->handshake(s->client.io);
    switch (result.status) {
    case IO_OK:
        s->client.wants = 0;
        session_move(s, SESSION_REQUEST);
        return;
    case IO_WANT_READ:
        s->client.wants = LOOP_READ;
        return;
    case IO_WANT_WRITE:
        s->client.wants = LOOP_WRITE;
        return;
    case IO_EOF:
    case IO_FAIL:
        session_tls_failed(s, s->client.io->ops->fault(s->client.io));
        return;
    }
}

static void step(struct session *s)
{
    switch (s->state) {
    case SESSION_PROXY:
        proxy_step(s);
        break;
    case SESSION_TLS:
        tls_step(s);
        break;
    case SESSION_REQUEST:
        request_step(s);
        break;
    case SESSION_FILE:
        files_step(s);
        break;
    case SESSION_DIAL:
        request_dial_step(s);
        break;
    case SESSION_RELAY:
        up_step(s);
        if (s->state == SESSION_RELAY) {
            down_step(s);
        }
        break;
    case SESSION_CLOSING:
        closing_step(s);
        break;
    case SESSION_DONE:
        break;
    }
}

/* States what to wait for. A loop or a timer that refuses is our fault, and there is nothing to wait with. */
static bool settle(struct session *s)
{
    struct loop *loop = s->relay->net.loop;
    if (s->client.io != NULL && !loop_want(loop, &s->client.watch, session_client_interest(s))) {
        return false;
    }
    if (s->target.io != NULL && !loop_want(loop, &s->target.watch, session_target_interest(s))) {
        return false;
    }
    if (s->place == PLACE_SESSION) {
        slow_note_stalls(s);
    }
    /* A timer that fires too early finds nothing expired and comes back here: most steps need not touch it.
     */
    uint64_t due_ms = session_next_due_ms(s);
    if (!wheel_armed(&s->timer) || s->timer.due_ms > due_ms) {
        wheel_arm(s->relay->net.wheel, &s->timer, due_ms);
    }
    if (session_must_run_again(s)) {
        if (list_empty(&s->again)) {
            list_push_back(&s->relay->again, &s->again);
        }
    } else {
        list_remove(&s->again);
    }
    return true;
}

void session_run(struct session *s)
{
    enum session_state before;
    int steps = STEPS_MAX;
    do {
        before = s->state;
        step(s);
    } while (s->state != before && s->state != SESSION_DONE && --steps > 0);
    s->client.ready = 0;
    s->target.ready = 0;
    if (s->state != SESSION_DONE && !settle(s)) {
        if (s->state <= SESSION_FILE) { /* no line will tell of its end */
            session_log_dropped(s->relay, s->door, &s->peer);
        }
        if (!s->has_cause) {
            s->has_cause = true;
            s->cause = CAUSE_OVERLOAD;
        }
        session_move(s, SESSION_DONE);
    }
    if (s->state == SESSION_DONE) {
        session_free(s);
    }
}

static void note_ready(struct session_side *side, unsigned ready)
{
    if ((ready & LOOP_HANGUP) != 0) {
        side->hung_up = true;
    }
    side->ready = (uint8_t)ready;
}

static void client_ready(struct loop_watch *watch, unsigned ready)
{
    struct session *s = CONTAINER_OF(watch, struct session, client.watch);
    note_ready(&s->client, ready);
    session_run(s);
}

static void target_ready(struct loop_watch *watch, unsigned ready)
{
    struct session *s = CONTAINER_OF(watch, struct session, target.watch);
    note_ready(&s->target, ready);
    session_run(s);
}

static void timer_fired(struct wheel_timer *timer, uint64_t now_ms)
{
    struct session *s = CONTAINER_OF(timer, struct session, timer);
    s->relay->now_ms = now_ms;
    liveness_ask_target(s);
    if (liveness_target_is_gone(s)) {
        session_give_up_target(s);
    } else if (session_next_due_ms(s) <= now_ms) {
        liveness_expired(s);
    }
    session_run(s);
}

void session_watch_target(struct session *s, struct transport *io)
{
    s->target.io = io;
    s->target.reset = io->reset;
    loop_watch_init(&s->target.watch, io->fd, target_ready);
}

void relay_accept_transport(
    struct relay *relay, const struct relay_door *door, struct transport *io, const struct sock_peer *peer)
{
    struct session *s = pool_take(&relay->pool);
    if (s == NULL) {
        session_log_dropped(relay, door, peer);
        io->ops->close(io, false);
        return;
    }
    s->relay = relay;
    s->door = door;
    s->peer = *peer;
    s->id = relay->next_id++;
    s->begun_ms = relay->now_ms;
    s->client.io = io;
    list_init(&s->again);
    list_push_back(&relay->all, &s->link);
    crowd_grows(&relay->connections, &relay->crowd);
    crowd_grows(&relay->opening, &relay->rush);
    tally_add(&relay->census->own->connections, 1);
    tally_add(&relay->census->own->accepted, 1);
    loop_watch_init(&s->client.watch, io->fd, client_ready);
    wheel_timer_init(&s->timer, timer_fired);
    s->state = SESSION_PROXY;
    s->deadline_ms = deadline_of(s, SESSION_PROXY);
    if (!door->rule->proxy_protocol) {
        session_begin(s);
    }
    session_run(s);
}

void relay_accept(struct relay *relay, const struct relay_door *door, int fd, const struct sock_peer *peer)
{
    if (!proxy_admits(relay, door, peer)) {
        transport_close_fd(fd, true);
        return;
    }
    struct transport *io = door->tls != NULL ? tls_accept_new(door->tls, fd) : transport_plain_new(fd);
    if (io == NULL) {
        session_log_dropped(relay, door, peer);
        transport_close_fd(fd, false);
        return;
    }
    relay_accept_transport(relay, door, io, peer);
}
