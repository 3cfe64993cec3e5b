#include "relay/relay.h"
#include "base/clock.h"
#include "relay/session.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static const struct relay_dialer real_dialer = {dial_start, dial_cancel};

static struct tls_client *target_tls_new(const struct route *route, char why[TLS_WHY_MAX])
{
    const struct target_tls_rule *rule = route->target_tls;
    struct tls_client_options options = {
        .ca_file = rule->ca,
        .cert_file = rule->cert,
        .key_file = rule->key,
        .server_name = rule->server_name != NULL ? rule->server_name : route->targets[0].address.host,
        .verify = rule->verify,
    };
    return tls_client_new(&options, why);
}

static bool init_target_tls(struct relay *relay, char why[TLS_WHY_MAX])
{
    for (size_t i = 0; i < relay->rules->route_count; i++) {
        const struct route *route = &relay->rules->routes[i];
        if (route->targets != NULL && route->targets[0].scheme == TARGET_TLS) {
            relay->target_tls[i] = target_tls_new(route, why);
            if (relay->target_tls[i] == NULL) {
                return false;
            }
        }
    }
    return true;
}

static void init_rows(struct relay *relay, const unsigned *rows)
{
    for (unsigned i = 0; i < relay->rules->route_count; i++) {
        unsigned own = i < TALLY_ROWS ? i : TALLY_ROWS - 1;
        relay->rows[i] = &relay->census->own->rows[rows != NULL ? rows[i] : own];
    }
}

bool relay_init(struct relay *relay, const struct rules *rules, struct log *log, struct dial_host net,
    const struct census *census, const unsigned *rows, char why[TLS_WHY_MAX])
{
    *relay = (struct relay){.net = net, .log = log, .rules = rules, .census = census, .dialer = &real_dialer};
    relay->pool = POOL_OF(struct session);
    list_init(&relay->all);
    list_init(&relay->again);
    relay_turn(relay, clock_now_ms());
    relay->target_tls = calloc(rules->route_count, sizeof *relay->target_tls);
    relay->rows = calloc(rules->route_count, sizeof *relay->rows);
    relay->scratch = malloc(RELAY_HEADROOM + RELAY_READ_MAX);
    (void)snprintf(why, TLS_WHY_MAX, "out of memory");
    bool fine = relay->target_tls != NULL && relay->rows != NULL && relay->scratch != NULL;
    uint32_t seed = 0;
    if (fine && getrandom(&seed, sizeof seed, 0) != sizeof seed) {
        seed = (uint32_t)clock_wall_ms(); /* ids need to differ between runs, not to be secret */
    }
    relay->next_id = (uint64_t)seed << 32;
    if (fine) {
        init_rows(relay, rows);
    }
    if (!fine || !init_target_tls(relay, why)) {
        relay_fini(relay);
        return false;
    }
    return true;
}

void relay_fini(struct relay *relay)
{
    while (!list_empty(&relay->all)) {
        struct session *s = CONTAINER_OF(relay->all.next, struct session, link);
        if (!s->has_cause) {
            s->has_cause = true;
            s->cause = CAUSE_DRAIN;
        }
        session_move(s, SESSION_DONE);
        session_run(s);
    }
    for (size_t i = 0; relay->target_tls != NULL && i < relay->rules->route_count; i++) {
        tls_client_free(relay->target_tls[i]);
    }
    pool_fini(&relay->pool);
    free(relay->target_tls);
    free(relay->rows);
    free(relay->scratch);
    *relay = (struct relay){0};
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

static void drain(struct session *s)
{
    if (s->state == SESSION_DIAL || s->state == SESSION_RELAY) {
        session_end(s, CAUSE_DRAIN, NULL);
    } else if (s->state == SESSION_REQUEST || s->state == SESSION_TLS) {
        session_move(s, SESSION_DONE);
    } else if (s->state == SESSION_FILE) {
        s->deadline_ms = s->relay->now_ms + s->relay->rules->close_ms;
    }
    session_run(s);
}

void relay_drain(struct relay *relay)
{
    relay->draining = true;
    /* Each is taken from the front and put behind the others, so that every one has its turn once. */
    for (uint64_t left = relay->connections; left > 0; left--) {
        struct session *s = CONTAINER_OF(relay->all.next, struct session, link);
        list_remove(&s->link);
        list_push_back(&relay->all, &s->link);
        drain(s);
    }
}
