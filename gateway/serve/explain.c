#include "serve/explain.h"
#include "rules/load.h"
#include "serve/explain_request.h"
#include <stdio.h>

enum { STATUS_TAKEN = 0, STATUS_BAD = 2, STATUS_REFUSED = 3 };

/* ---- What a route wants, as its configuration has it. */

static void print_between(size_t index)
{
    if (index > 0) {
        printf(", ");
    }
}

static void print_hosts(const struct route *route)
{
    for (size_t i = 0; i < route->host_count; i++) {
        print_between(i);
        printf("%s%.*s", route->hosts[i].wildcard ? "*." : "", SLICE_ARG(route->hosts[i].name));
    }
}

static void print_paths(const struct route *route)
{
    for (size_t i = 0; i < route->path_count; i++) {
        const struct path_pattern *pattern = &route->paths[i];
        print_between(i);
        printf("%.*s%s", SLICE_ARG(pattern->path), pattern->any || pattern->prefix ? "*" : "");
    }
}

static void print_networks(const struct route *route)
{
    for (size_t i = 0; i < route->from_count; i++) {
        const struct ip_net *net = &route->from[i];
        bool v4 = ip_is_v4(&net->addr) && net->prefix >= 96;
        char text[IP_TEXT_MAX];
        ip_format(&net->addr, text);
        print_between(i);
        printf("%s", text);
        if (net->prefix < 128) {
            printf("/%d", v4 ? net->prefix - 96 : net->prefix);
        }
    }
}

static void print_origin_url(const struct origin_pattern *pattern)
{
    uint16_t usual = slice_eq(pattern->scheme, SLICE("https")) ? 443 : 80;
    printf(
        "%.*s://%s%.*s", SLICE_ARG(pattern->scheme), pattern->wildcard ? "*." : "", SLICE_ARG(pattern->host));
    if (pattern->port != usual) {
        printf(":%u", (unsigned)pattern->port);
    }
}

static void print_origins(const struct route *route, const struct explain_request *request)
{
    for (size_t i = 0; i < route->origin_count; i++) {
        print_between(i);
        switch (route->origins[i].kind) {
        case ORIGIN_SAME:
            printf("same (as the Host, %.*s)", SLICE_ARG(request->host_header));
            break;
        case ORIGIN_ANY:
            printf("any");
            break;
        case ORIGIN_NONE:
            printf("none");
            break;
        case ORIGIN_URL:
            print_origin_url(&route->origins[i]);
            break;
        }
    }
}

static void print_subprotocols(const struct route *route)
{
    for (size_t i = 0; i < route->subprotocol_count; i++) {
        const struct subprotocol_pattern *pattern = &route->subprotocols[i];
        print_between(i);
        switch (pattern->kind) {
        case SUBPROTOCOL_NAME:
            printf("%.*s", SLICE_ARG(pattern->name));
            break;
        case SUBPROTOCOL_ANY:
            printf("any");
            break;
        case SUBPROTOCOL_NONE:
            printf("none");
            break;
        }
    }
}

/* ---- Why not. */

/* Nothing in a URL that somebody was sent may steer the terminal on which it is explained: what is no
 * printable ASCII is written as in a URL, as is `also`. */
static void print_escaped(struct slice value, char also)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c < ' ' || c >= 0x7f || (also && value.p[i] == also)) {
            printf("%%%02X", (unsigned)c);
        } else {
            putchar(c);
        }
    }
}

static void print_value(struct slice value)
{
    print_escaped(value, '\0');
}

/* A decoded path, in which a percent sign is one that was escaped. */
static void print_path(struct slice path)
{
    print_escaped(path, '%');
}

static void print_or_none(struct slice value)
{
    print_value(value.len > 0 ? value : SLICE("none"));
}

static void print_from(const struct explain_request *request)
{
    char text[IP_TEXT_MAX];
    ip_format(&request->from, text);
    printf("%s", text);
}

static bool fits_a_path(const struct route *route, struct slice path)
{
    for (size_t i = 0; i < route->path_count; i++) {
        if (judge_path_fits(&route->paths[i], path)) {
            return true;
        }
    }
    return route->path_count == 0;
}

static void print_why_not(
    const struct route *route, enum judge_step step, const struct explain_request *request)
{
    const struct judge_request *asked = &request->asked;
    switch (step) {
    case JUDGE_HOST:
        printf("no: host is ");
        print_value(asked->host);
        printf(", the route takes ");
        print_hosts(route);
        break;
    case JUDGE_PATH:
        if (route->files && asked->upgrade && fits_a_path(route, asked->path)) {
            printf("no: it has files, and takes no WebSocket upgrade");
            break;
        }
        printf("no: path is ");
        print_path(asked->path);
        printf(", the route takes ");
        print_paths(route);
        break;
    case JUDGE_FROM:
        printf("no: from is ");
        print_from(request);
        printf(", the route takes ");
        print_networks(route);
        break;
    case JUDGE_ORIGIN:
        printf("no: origin is ");
        print_value(!asked->has_origin       ? SLICE("none")
                    : asked->origin.len == 0 ? SLICE("empty")
                                             : asked->origin);
        printf(", the route takes ");
        print_origins(route, request);
        break;
    case JUDGE_SUBPROTOCOL:
        printf("no: subprotocol is ");
        print_or_none(asked->subprotocols);
        printf(", the route takes ");
        print_subprotocols(route);
        break;
    case JUDGE_TAKEN:
        printf("takes it");
        break;
    }
    printf("\n");
}

/* ---- The answer. */

/* Whether one listens there, or may: where something stands in front, its port is another. */
static bool port_may_be_listened_on(const struct rules *rules, uint16_t port)
{
    for (size_t i = 0; i < rules->listen_count; i++) {
        const struct endpoint *address = &rules->listens[i].address;
        bool unknown = rules->listens[i].fd_name || address->kind == ENDPOINT_UNIX || address->port == 0;
        if (unknown || address->port == port) {
            return true;
        }
    }
    return false;
}

static void print_request(
    const struct explain_request *request, const struct explain_options *options, const struct rules *rules)
{
    print_value(slice_from(options->url));
    printf(" from ");
    print_from(request);
    printf("%s\n", options->from ? "" : " (assumed: no --from was given)");
    if (!request->asked.upgrade && (options->origin || options->subprotocol)) {
        printf("note: a request without an upgrade is not asked for its origin or subprotocol\n");
    }
    if (request->secure && !request->asked.tls) {
        printf("note: no listener has tls: it is taken that TLS ends in front of the gateway\n");
    }
    if (!request->secure && !explain_request_has_listener(rules, false)) {
        printf("note: every listener has tls: a plain request like this would not get in\n");
    }
    uint16_t port = request->asked.port; /* 0: the URL names none */
    if (port != 0 && request->secure == request->asked.tls && !port_may_be_listened_on(rules, port)) {
        printf("note: no listener has port %u\n", (unsigned)port);
    }
}

static const char *balance_name(enum balance balance)
{
    switch (balance) {
    case BALANCE_FIRST:
        return "first: the next one where one cannot be reached";
    case BALANCE_ROUND_ROBIN:
        return "round_robin: each session the next one";
    case BALANCE_LEAST_SESSIONS:
        return "least_sessions: the one that has the fewest";
    }
    return "";
}

static void print_targets(const struct route *route)
{
    for (size_t i = 0; i < route->target_count; i++) {
        printf("target: %s\n", route->targets[i].text);
    }
    if (route->target_count > 1) {
        printf("balance: %s\n", balance_name(route->balance));
    }
}

static void print_taken(const struct judgement *verdict, const struct explain_request *request)
{
    const struct route *route = verdict->route;
    if (route->files) {
        printf("folder: %s\n", route->files);
        printf("HTTP 200 where the file is there, 404 where it is not\n");
        return;
    }
    print_targets(route);
    if (!request->asked.upgrade) {
        printf("HTTP 426: a WebSocket route needs an upgrade (ws:// or wss://)\n");
        return;
    }
    printf("subprotocol: ");
    print_or_none(verdict->subprotocol);
    printf("\nHTTP 101");
    switch (route->on_unreachable) {
    case ON_UNREACHABLE_CLOSE:
        break;
    case ON_UNREACHABLE_HTTP:
        printf(", or 502 or 504 where the target cannot be reached");
        break;
    }
    printf("\n");
}

static int explain(
    const struct explain_request *request, const struct explain_options *options, const struct rules *rules)
{
    print_request(request, options, rules);
    struct judgement verdict = judge(rules, &request->asked);
    for (size_t i = 0; i < rules->route_count; i++) {
        const struct route *route = &rules->routes[i];
        struct slice subprotocol;
        enum judge_step step = judge_route(route, &request->asked, &subprotocol);
        printf("%s:%u: %s: ", options->file, route->at.line, route->name);
        print_why_not(route, step, request);
        if (step == JUDGE_TAKEN) {
            break;
        }
    }
    if (verdict.route) {
        print_taken(&verdict, request);
        return STATUS_TAKEN;
    }
    printf("HTTP %u: %s\n", (unsigned)verdict.status, judge_phrase(verdict.reached));
    return STATUS_REFUSED;
}

int explain_run(const struct explain_options *options)
{
    struct faults faults;
    struct explain_request request;
    char why[EXPLAIN_WHY_MAX];
    int status = STATUS_BAD;
    faults_init(&faults);
    struct rules *rules = rules_load_file(options->file, &faults);
    faults_print(&faults, options->file, stderr);
    if (rules && explain_request_make(&request, options, rules, why)) {
        status = explain(&request, options, rules);
    } else if (rules) {
        fprintf(stderr, "sluice explain: %s\n", why);
    }
    if (rules) {
        rules_free(rules);
    }
    faults_fini(&faults);
    return status;
}
