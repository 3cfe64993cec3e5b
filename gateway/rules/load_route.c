#include "base/text.h"
#include "rules/load_internal.h"
#include "rules/load_keys.h"

#include <string.h>

enum { ROUTE_NAME_MAX = 64 };

/* ---- Values that only routes have */

static void load_name(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct slice text;
    if (!load_text(l, value, &text)) {
        return;
    }
    if (text.len > ROUTE_NAME_MAX) {
        LOAD_FAULT(l, value->at, "is too long: at most %d bytes", ROUTE_NAME_MAX);
        return;
    }
    const char *name = load_copy(l, text);
    if (name) {
        memcpy((char *)into + spec->offset, &name, sizeof name);
    }
}

/* RFC 6455 7.4.2 and the IANA registry; 1004 to 1006 and 1015 never go on the wire. */
static bool is_code_to_send(uint64_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void load_close_code(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    uint64_t n = 0;
    if (!load_number(l, value, UINT16_MAX, "a Close code, such as 1000 or 4000", &n)) {
        return;
    }
    if (!is_code_to_send(n)) {
        LOAD_FAULT(l, value->at,
            "%llu may not be sent (RFC 6455 7.4): write 1000 to 1003, 1007 to 1014 or 3000 to 4999",
            (unsigned long long)n);
        return;
    }
    uint16_t code = (uint16_t)n;
    memcpy((char *)into + spec->offset, &code, sizeof code);
}

/* A cause whose row has no code of its own has none to override. */
#define CLOSE_CODE_KEY(constant, cause, code, status, level, phrase)                                         \
    {.name = (cause),                                                                                        \
        .load = load_close_code,                                                                             \
        .offset = (size_t)(constant) * sizeof(uint16_t),                                                     \
        .refusal = (constant) == CAUSE_CLIENT_CLOSE                                                          \
                       ? "has no code of its own: the client's is sent back (RFC 6455 5.5.1); take it out"   \
                   : (constant) == CAUSE_CLIENT_GONE                                                         \
                       ? "has no code: the client has left and nothing is sent; take it out"                 \
                       : NULL},

static const struct key_spec close_code_keys[] = {CAUSE_TABLE(CLOSE_CODE_KEY){.name = NULL}};

/* ---- Mappings in a route */

static const struct key_spec target_tls_keys[] = {
    KEY_PATH("ca", struct target_tls_rule, ca, ca_at),
    {.name = "server_name",
        .load = load_server_name,
        .offset = offsetof(struct target_tls_rule, server_name)},
    {.name = "verify", .load = load_bool, .offset = offsetof(struct target_tls_rule, verify)},
    KEY_PATH("cert", struct target_tls_rule, cert, cert_at),
    KEY_PATH("key", struct target_tls_rule, key, key_at),
    {.name = NULL},
};

struct target_tls_rule *load_target_tls_new(struct loader *l)
{
    struct target_tls_rule *tls = load_alloc(l, sizeof *tls);
    if (tls) {
        tls->verify = true;
    }
    return tls;
}

static void tell_lonely(
    struct loader *l, const struct tree_node *map, const char *key, const char *other, const char *what)
{
    const struct tree_node *node = yaml_tree_find(map, slice_from(key));
    if (!node || yaml_tree_find(map, slice_from(other))) {
        return;
    }
    size_t entered = load_enter(l, key);
    LOAD_FAULT(l, node->key_at, "needs %s: write %s: FILE, %s", other, other, what);
    load_leave(l, entered);
}

static void load_target_tls(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct target_tls_rule *tls = load_target_tls_new(l);
    if (!tls) {
        return;
    }
    memcpy((char *)into + spec->offset, &tls, sizeof tls);
    load_map(l, value, spec->keys, tls);
    if (value->kind != TREE_MAP) {
        return;
    }
    tell_lonely(l, value, "cert", "key", "the certificate's private key");
    tell_lonely(l, value, "key", "cert", "the certificate of that key");
}

static const struct key_spec timeout_keys[] = {
    KEYS_ROUTE_TIMEOUTS(struct route_timeouts, ),
    KEY_REFUSED("handshake",
        "is one limit for all routes, since it runs before the route is known: write it under "
        "timeouts at the top level"),
    KEY_REFUSED("drain",
        "is one time for all sessions, since it is the gateway that ends: write it under timeouts at the top "
        "level"),
    {.name = NULL},
};

const struct key_spec load_rate_keys[] = {
    {.name = "up",
        .load = load_size,
        .offset = offsetof(struct route_limits, rate_up_bytes),
        .least = RATE_LEAST,
        .most = RATE_MOST,
        .may_be_off = true},
    {.name = "down",
        .load = load_size,
        .offset = offsetof(struct route_limits, rate_down_bytes),
        .least = RATE_LEAST,
        .most = RATE_MOST,
        .may_be_off = true},
    {.name = NULL},
};

static const struct key_spec limit_keys[] = {
    KEY_COUNT("sessions", struct route_limits, sessions),
    KEYS_ROUTE_LIMITS(struct route_limits, ),
    KEY_REFUSED("request",
        "is one limit for all routes, since it is read before the route is known: write it under "
        "limits at the top level"),
    KEY_LIMITS_RATE(0),
    KEY_REFUSED("sessions_per_client",
        "is one limit for all routes, since it counts a client's sessions on all of them: write it under "
        "limits at the top level"),
    KEY_REFUSED("new_sessions_per_client",
        "is one limit for all routes, since it counts a client's sessions on all of them: write it under "
        "limits at the top level"),
    {.name = NULL},
};

static const struct word messages_words[] = {
    {"binary", MESSAGES_BINARY}, {"text", MESSAGES_TEXT}, {"any", MESSAGES_ANY}, {NULL, 0}};
static const struct word unreachable_words[] = {
    {"close", ON_UNREACHABLE_CLOSE}, {"http", ON_UNREACHABLE_HTTP}, {NULL, 0}};
static const struct word balance_words[] = {{"first", BALANCE_FIRST}, {"round_robin", BALANCE_ROUND_ROBIN},
    {"least_sessions", BALANCE_LEAST_SESSIONS}, {NULL, 0}};
static const struct word target_proxy_words[] = {
    {"off", TARGET_PROXY_OFF}, {"v1", TARGET_PROXY_V1}, {"v2", TARGET_PROXY_V2}, {NULL, 0}};
static const struct word abort_words[] = {
    {"fin", ON_CLIENT_ABORT_FIN}, {"reset", ON_CLIENT_ABORT_RESET}, {NULL, 0}};

/* ---- A route */

const struct key_spec load_route_keys[] = {
    {.name = "name", .load = load_name, .offset = offsetof(struct route, name)},
    KEY_LIST("host", struct route, hosts, host_count, load_host),
    KEY_LIST("path", struct route, paths, path_count, load_path_pattern),
    KEY_LIST("origin", struct route, origins, origin_count, load_origin),
    KEY_LIST("subprotocol", struct route, subprotocols, subprotocol_count, load_subprotocol),
    KEY_LIST("from", struct route, from, from_count, load_from),
    {.name = "target",
        .load = load_targets,
        .offset = offsetof(struct route, targets),
        .count_offset = offsetof(struct route, target_count),
        .item_size = sizeof(struct target_rule),
        .load_item = load_target_item},
    {.name = "target_tls",
        .load = load_target_tls,
        .offset = offsetof(struct route, target_tls),
        .keys = target_tls_keys},
    KEY_WORD("balance", struct route, balance, balance_words),
    {.name = "connect_retry", .load = load_bool, .offset = offsetof(struct route, connect_retry)},
    KEY_WORD("target_proxy_protocol", struct route, target_proxy, target_proxy_words),
    {.name = "egress",
        .load = load_egress,
        .offset = offsetof(struct route, egress),
        .keys = load_egress_keys},
    KEY_PATH("files", struct route, files, files_at),
    KEY_WORD("messages", struct route, messages, messages_words),
    KEY_WORD("on_unreachable", struct route, on_unreachable, unreachable_words),
    KEY_WORD("on_client_abort", struct route, on_client_abort, abort_words),
    {.name = "close_codes",
        .load = load_mapping,
        .offset = offsetof(struct route, close_codes),
        .keys = close_code_keys},
    {.name = "timeouts",
        .load = load_mapping,
        .offset = offsetof(struct route, timeouts),
        .keys = timeout_keys},
    {.name = "limits", .load = load_mapping, .offset = offsetof(struct route, limits), .keys = limit_keys},
    {.name = NULL},
};

static struct origin_pattern default_origins[] = {{.kind = ORIGIN_SAME}, {.kind = ORIGIN_NONE}};
static struct subprotocol_pattern default_subprotocols[] = {
    {.kind = SUBPROTOCOL_ANY}, {.kind = SUBPROTOCOL_NONE}};

bool load_route_init(struct loader *l, struct route *route, unsigned index)
{
    char array[32];
    struct text t;
    text_init(&t, array, sizeof array);
    text_addf(&t, "routes[%u]", index);
    route->index = index;
    route->name = load_copy(l, text_slice(&t));
    route->origins = default_origins;
    route->origin_count = sizeof default_origins / sizeof *default_origins;
    route->subprotocols = default_subprotocols;
    route->subprotocol_count = sizeof default_subprotocols / sizeof *default_subprotocols;
    route->balance = BALANCE_FIRST;
    route->target_proxy = TARGET_PROXY_OFF;
    route->messages = MESSAGES_BINARY;
    route->on_unreachable = ON_UNREACHABLE_CLOSE;
    route->on_client_abort = ON_CLIENT_ABORT_FIN;
    for (unsigned i = 0; i < CAUSE_COUNT; i++) {
        route->close_codes[i] = cause_close_code((enum cause)i);
    }
    route->timeouts = l->defaults.timeouts;
    route->limits = l->defaults.limits;
    route->egress = l->defaults.egress;
    return route->name != NULL;
}

/* The faults of keys that do not go together. */

static void tell_key(struct loader *l, const struct tree_node *map, const char *key, const char *text)
{
    const struct tree_node *node = yaml_tree_find(map, slice_from(key));
    if (!node) {
        return;
    }
    size_t entered = load_enter(l, key);
    LOAD_FAULT(l, node->key_at, "%s", text);
    load_leave(l, entered);
}

static void check_files(struct loader *l, const struct tree_node *map)
{
    static const char *const of_targets[] = {"origin", "subprotocol", "target_tls", "balance",
        "connect_retry", "target_proxy_protocol", "egress", "messages", "on_unreachable", "on_client_abort",
        "close_codes", "timeouts", "limits"};
    if (yaml_tree_find(map, SLICE("target"))) {
        tell_key(l, map, "files", "does not go with target: a route has one of them, so write two routes");
        return;
    }
    for (size_t i = 0; i < sizeof of_targets / sizeof *of_targets; i++) {
        tell_key(l, map, of_targets[i], "does nothing on a route with files: take it out");
    }
}

static bool has_tls_target(const struct route *route)
{
    for (size_t i = 0; i < route->target_count; i++) {
        if (route->targets[i].scheme == TARGET_TLS) {
            return true;
        }
    }
    return false;
}

static void check_target_tls(struct loader *l, const struct tree_node *map, struct route *route)
{
    if (!route->targets) {
        return; /* its fault has been told */
    }
    const struct tree_node *node = yaml_tree_find(map, slice_from("target_tls"));
    if (!has_tls_target(route)) {
        size_t entered = load_enter(l, "target_tls");
        if (node != NULL) {
            LOAD_WARN(l, node->key_at, "does nothing unless the target is tls://HOST:PORT");
        }
        load_leave(l, entered);
        route->target_tls = NULL;
    } else if (!route->target_tls) {
        route->target_tls = load_target_tls_new(l);
    }
}

static void check_egress(struct loader *l, const struct tree_node *map, const struct route *route)
{
    const struct tree_node *node = yaml_tree_find(map, SLICE("target"));
    size_t entered = load_enter(l, "target");
    for (size_t i = 0; i < route->target_count; i++) {
        size_t below = node->kind == TREE_LIST ? load_enter_index(l, (unsigned)i) : l->key_len;
        load_egress_check(l, &route->targets[i], &route->egress);
        load_leave(l, below);
    }
    load_leave(l, entered);
}

void load_route_item(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    struct route *route = into;
    route->at = item->at;
    if (item->kind == TREE_SCALAR) {
        load_tell_scalar(l, item, spec, "target", load_target_scheme(item->text));
        return;
    }
    if (!load_route_init(l, route, (unsigned)(route - l->rules->routes))) {
        return;
    }
    load_map(l, item, spec->keys, route);
    if (item->kind != TREE_MAP) {
        return;
    }
    if (yaml_tree_find(item, SLICE("files"))) {
        check_files(l, item);
    } else if (yaml_tree_find(item, SLICE("target"))) {
        check_target_tls(l, item, route);
        check_egress(l, item, route);
    } else if (!load_was_meant(item, spec->keys, "target") && !load_was_meant(item, spec->keys, "files")) {
        LOAD_FAULT(
            l, item->at, "has neither target nor files: write one, such as target: tcp://127.0.0.1:5900");
    }
    if (route->timeouts.ping_ms == DURATION_OFF || route->timeouts.pong_ms == DURATION_OFF) {
        route->timeouts.ping_ms = route->timeouts.pong_ms = DURATION_OFF;
    }
}

/* Names tell routes apart in the log. */
void load_routes(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    const struct rules *rules = into;
    load_list(l, value, spec, into);
    for (size_t i = 1; i < rules->route_count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct route *a = &rules->routes[i], *b = &rules->routes[j];
            if (!a->name || !b->name || strcmp(a->name, b->name) != 0) {
                continue;
            }
            size_t entered = load_enter_index(l, (unsigned)i);
            LOAD_FAULT(l, a->at,
                "has the name of routes[%zu], \"%s\": names tell routes apart, so write another", j, a->name);
            load_leave(l, entered);
            break;
        }
    }
}
