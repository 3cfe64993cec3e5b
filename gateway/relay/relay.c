#include "relay/relay.h"
#include "base/clock.h"
#include "relay/session.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

static const struct relay_dialer real_dialer = {dial_start, dial_cancel};

static void init_rows(struct relay *relay, const unsigned *rows)
{
    for (unsigned i = 0; i < relay->rules->route_count; i++) {
        unsigned own = i < TALLY_ROWS ? i : TALLY_ROWS - 1;
        relay->rows[i] = &relay->census->own->rows[rows != NULL ? rows[i] : own];
    }
}

/* Ids need to differ between processes and runs, not to be secret. */
static void seed_ids(struct relay *relay)
{
    uint32_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) {
        seed = (uint32_t)clock_wall_ms() ^ (uint32_t)getpid() << 16;
    }
    relay->next_id = (uint64_t)seed << 32 | 1; /* 0 is nobody's */
}

static void give_memory_back(struct wheel_timer *timer, uint64_t now_ms)
{
    CONTAINER_OF(timer, struct relay, trim)->trimmed_ms = now_ms;
    (void)malloc_trim(0);
}

bool relay_init(struct relay *relay, const struct rules *rules, struct log *log, struct dial_host net,
    const struct census *census, const unsigned *rows, char why[TLS_WHY_MAX])
{
    *relay = (struct relay){.net = net, .log = log, .rules = rules, .census = census, .dialer = &real_dialer};
    relay->pool = POOL_OF(struct session);
    list_init(&relay->all);
    list_init(&relay->again);
    wheel_timer_init(&relay->trim, give_memory_back);
    relay_turn(relay, clock_now_ms());
    relay->rows = calloc(rules->route_count, sizeof *relay->rows);
    relay->scratch = malloc(RELAY_HEADROOM + RELAY_READ_MAX);
    relay->targets = targets_new(rules, why);
    bool fine = relay->targets != NULL;
    if (fine && (relay->rows == NULL || relay->scratch == NULL)) {
        (void)snprintf(why, TLS_WHY_MAX, "out of memory");
        fine = false;
    }
    if (fine) {
        seed_ids(relay);
        init_rows(relay, rows);
    } else {
        relay_fini(relay);
        return false;
    }
    return true;
}

void relay_begin(struct relay *relay, struct dial_host net, const struct census *census, const unsigned *rows)
{
    relay->net = net;
    relay->census = census;
    init_rows(relay, rows);
    seed_ids(relay);
    relay_turn(relay, clock_now_ms());
}

void relay_turn(struct relay *relay, uint64_t now_ms)
{
    relay->now_ms = now_ms;
    relay->handshakes_left = RELAY_HANDSHAKES;
}

bool relay_run_again(struct relay *relay)
{
    struct list round;
    relay->handshakes_left = RELAY_HANDSHAKES; /* those that waited have a share of their own */
    list_move(&relay->again, &round);
    while (!list_empty(&round)) {
        struct session *s = CONTAINER_OF(round.next, struct session, again);
        list_remove(&s->again);
        session_run(s);
    }
    return !list_empty(&relay->again);
}

void relay_each(struct relay *relay, void (*visit)(struct session *s, void *context), void *context)
{
    /* Each is taken from the front and put behind the others, so that every one has its turn once. */
    for (uint64_t left = relay->connections; left > 0; left--) {
        struct session *s = CONTAINER_OF(relay->all.next, struct session, link);
        list_remove(&s->link);
        list_push_back(&relay->all, &s->link);
        visit(s, context);
    }
}

static void drain(struct session *s, void *context)
{
    (void)context;
    if (s->state == SESSION_DIAL || s->state == SESSION_RELAY) {
        session_end(s, CAUSE_DRAIN, NULL);
    } else if (s->state == SESSION_REQUEST || s->state == SESSION_TLS || s->state == SESSION_PROXY) {
        session_move(s, SESSION_DONE);
    } else if (s->state == SESSION_FILE) {
        s->deadline_ms = s->relay->now_ms + s->relay->rules->close_ms;
    }
    session_run(s);
}

/* In order, with close_notify; a request that is under way must not be answered by an RST that eats it. */
static void end_kept(struct session *s, void *context)
{
    (void)context;
    if (s->state == SESSION_REQUEST && s->request != NULL && s->request->served &&
        buf_len(&s->request->bytes) == 0) {
        session_hang_up(s);
        session_run(s);
    }
}

void relay_leave(struct relay *relay)
{
    relay->leaving = true;
    relay_each(relay, end_kept, NULL);
}

void relay_refuse(struct relay *relay)
{
    relay->refusing = true;
    relay_leave(relay);
}

static void hush(struct session *s, void *context)
{
    (void)context;
    if (s->state == SESSION_REQUEST || s->state == SESSION_TLS || s->state == SESSION_PROXY) {
        session_move(s, SESSION_DONE);
        session_run(s);
    }
}

void relay_hush(struct relay *relay)
{
    relay_each(relay, hush, NULL);
}

void relay_drain(struct relay *relay)
{
    relay->leaving = relay->refusing = relay->draining = true;
    relay_each(relay, drain, NULL);
}

void relay_fini(struct relay *relay)
{
    relay_drain(relay); /* what can be told at once is told */
    while (!list_empty(&relay->all)) {
        struct session *s = CONTAINER_OF(relay->all.next, struct session, link);
        if (!s->has_cause) {
            s->has_cause = true;
            s->cause = CAUSE_DRAIN;
        }
        session_move(s, SESSION_DONE);
        session_run(s);
    }
    wheel_cancel(&relay->trim);
    targets_free(relay->targets, relay->rules->route_count);
    pool_fini(&relay->pool);
    free(relay->rows);
    free(relay->scratch);
    *relay = (struct relay){0};
}
