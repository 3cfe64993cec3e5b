#include "relay/targets.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* ---- Making them. */

static struct tls_client *first_tls(
    const struct target_tls_rule *rule, const char *name, char why[TLS_WHY_MAX])
{
    struct tls_client_options options = {
        .ca_file = rule->ca,
        .cert_file = rule->cert,
        .key_file = rule->key,
        .server_name = name,
        .verify = rule->verify,
    };
    return tls_client_new(&options, why);
}

/* The authorities are megabytes: a route's targets share them. */
static bool init_tls(struct targets *targets, const struct route *route, char why[TLS_WHY_MAX])
{
    struct tls_client *elder = NULL;
    for (unsigned i = 0; i < targets->count; i++) {
        if (route->targets[i].scheme != TARGET_TLS) {
            continue;
        }
        const struct target_tls_rule *rule = route->target_tls;
        const char *name = rule->server_name != NULL ? rule->server_name : route->targets[i].address.host;
        targets->states[i].tls =
            elder == NULL ? first_tls(rule, name, why) : tls_client_sibling(elder, name, why);
        if (targets->states[i].tls == NULL) {
            return false;
        }
        elder = targets->states[i].tls;
    }
    return true;
}

static bool init_route(struct targets *targets, const struct route *route, char why[TLS_WHY_MAX])
{
    if (route->targets == NULL) {
        return true;
    }
    uint32_t start = 0;
    if (getrandom(&start, sizeof start, 0) != sizeof start) {
        start = 0; /* the workers then begin with the same one, and part as sessions come */
    }
    targets->count = (unsigned)route->target_count;
    targets->next = start % targets->count;
    targets->states = calloc(targets->count, sizeof *targets->states);
    return targets->states != NULL && init_tls(targets, route, why);
}

struct targets *targets_new(const struct rules *rules, char why[TLS_WHY_MAX])
{
    (void)snprintf(why, TLS_WHY_MAX, "out of memory");
    struct targets *targets = calloc(rules->route_count, sizeof *targets);
    for (size_t i = 0; targets != NULL && i < rules->route_count; i++) {
        if (!init_route(&targets[i], &rules->routes[i], why)) {
            targets_free(targets, rules->route_count);
            return NULL;
        }
    }
    return targets;
}

void targets_free(struct targets *targets, size_t route_count)
{
    for (size_t i = 0; targets != NULL && i < route_count; i++) {
        for (unsigned k = 0; targets[i].states != NULL && k < targets[i].count; k++) {
            tls_client_free(targets[i].states[k].tls);
        }
        free(targets[i].states);
    }
    free(targets);
}

/* ---- Choosing. */

static bool is_passed_over(const struct target_state *state, uint64_t now_ms)
{
    return state->failures > 0 && (now_ms < state->rests_until_ms || state->dialing > 0);
}

/* The first in order, beginning with `from`, that is neither in `tried` nor passed over. */
static unsigned first_well(const struct targets *targets, unsigned from, uint64_t tried, uint64_t now_ms)
{
    for (unsigned i = 0; i < targets->count; i++) {
        unsigned at = (from + i) % targets->count;
        if ((tried >> at & 1) == 0 && !is_passed_over(&targets->states[at], now_ms)) {
            return at;
        }
    }
    return TARGETS_NONE;
}

static unsigned least_used(const struct targets *targets, uint64_t tried, uint64_t now_ms)
{
    unsigned least = TARGETS_NONE;
    for (unsigned at = 0; at < targets->count; at++) {
        const struct target_state *state = &targets->states[at];
        if ((tried >> at & 1) == 0 && !is_passed_over(state, now_ms) &&
            (least == TARGETS_NONE || state->sessions < targets->states[least].sessions)) {
            least = at;
        }
    }
    return least;
}

static unsigned soonest(const struct targets *targets, uint64_t tried)
{
    unsigned first = TARGETS_NONE;
    for (unsigned at = 0; at < targets->count; at++) {
        if ((tried >> at & 1) == 0 && (first == TARGETS_NONE || targets->states[at].rests_until_ms <
                                                                    targets->states[first].rests_until_ms)) {
            first = at;
        }
    }
    return first;
}

unsigned targets_choose(struct targets *targets, enum balance balance, uint64_t tried, uint64_t now_ms)
{
    unsigned at = TARGETS_NONE;
    switch (balance) {
    case BALANCE_FIRST:
        at = first_well(targets, 0, tried, now_ms);
        break;
    case BALANCE_ROUND_ROBIN:
        at = first_well(targets, targets->next, tried, now_ms);
        if (at != TARGETS_NONE) {
            targets->next = (at + 1) % targets->count;
        }
        break;
    case BALANCE_LEAST_SESSIONS:
        at = least_used(targets, tried, now_ms);
        break;
    }
    return at != TARGETS_NONE ? at : soonest(targets, tried);
}

/* ---- What comes of it. */

void targets_dialed(struct targets *targets, unsigned at)
{
    targets->states[at].sessions++;
    targets->states[at].dialing++;
}

uint32_t targets_reached(struct targets *targets, unsigned at)
{
    struct target_state *state = &targets->states[at];
    uint32_t failures = state->failures;
    state->dialing--;
    state->failures = 0;
    state->rests_until_ms = 0;
    return failures;
}

void targets_failed(struct targets *targets, unsigned at, uint64_t now_ms)
{
    struct target_state *state = &targets->states[at];
    targets_given_up(targets, at);
    if (now_ms < state->rests_until_ms) {
        return; /* of the same outage: a crowd that fails at once is one failure */
    }
    uint64_t pause_ms = TARGETS_PAUSE_LEAST_MS;
    for (uint32_t i = 0; i < state->failures && pause_ms < TARGETS_PAUSE_MOST_MS; i++) {
        pause_ms *= 2;
    }
    state->failures++;
    state->rests_until_ms = now_ms + (pause_ms < TARGETS_PAUSE_MOST_MS ? pause_ms : TARGETS_PAUSE_MOST_MS);
}

void targets_given_up(struct targets *targets, unsigned at)
{
    targets->states[at].sessions--;
    targets->states[at].dialing--;
}

void targets_left(struct targets *targets, unsigned at)
{
    targets->states[at].sessions--;
}
