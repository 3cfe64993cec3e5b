#include "rules/judge.h"

enum { HTTP_PORT = 80, HTTPS_PORT = 443 };

/* ---- Hosts. */

/* Without the brackets of an IPv6 address, and without a name's final dot. */
static struct slice bare_host(struct slice host)
{
    if (host.len >= 2 && host.p[0] == '[' && host.p[host.len - 1] == ']') {
        return (struct slice){host.p + 1, host.len - 2};
    }
    if (host.len > 0 && host.p[host.len - 1] == '.') {
        host.len--;
    }
    return host;
}

static bool same_host(struct slice a, struct slice b)
{
    return slice_eq_nocase(bare_host(a), bare_host(b));
}

/* A wildcard takes each name below `name`, at any depth, but not `name`. */
static bool host_fits(bool wildcard, struct slice name, struct slice host)
{
    if (!wildcard) {
        return same_host(name, host);
    }
    host = bare_host(host);
    name = bare_host(name);
    return host.len > name.len + 1 && host.p[host.len - name.len - 1] == '.' && slice_ends_nocase(host, name);
}

static bool takes_host(const struct route *route, const struct judge_request *request)
{
    for (size_t i = 0; i < route->host_count; i++) {
        if (host_fits(route->hosts[i].wildcard, route->hosts[i].name, request->host)) {
            return true;
        }
    }
    return route->host_count == 0;
}

/* ---- Path and client address. */

bool judge_path_fits(const struct path_pattern *pattern, struct slice path)
{
    return pattern->any ||
           (pattern->prefix ? slice_starts(path, pattern->path) : slice_eq(path, pattern->path));
}

static bool takes_path(const struct route *route, const struct judge_request *request)
{
    for (size_t i = 0; i < route->path_count; i++) {
        if (judge_path_fits(&route->paths[i], request->path)) {
            return true;
        }
    }
    return route->path_count == 0;
}

static bool takes_client(const struct route *route, const struct judge_request *request)
{
    return route->from_count == 0 ||
           (request->from && ip_net_list_contains(route->from, route->from_count, request->from));
}

/* ---- Origin. */

struct origin {
    struct slice scheme;
    struct slice host;
    uint16_t port;
};

static uint16_t default_port(struct slice scheme)
{
    if (slice_eq_nocase(scheme, SLICE("https"))) {
        return HTTPS_PORT;
    }
    return slice_eq_nocase(scheme, SLICE("http")) ? HTTP_PORT : 0;
}

static bool is_host_text(struct slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '-' && c != '_') {
            return false;
        }
    }
    return host.len > 0;
}

/* "[...]" of an IPv6 address, to its bracket; what is inside is compared and not understood. */
static size_t bracketed_len(struct slice s)
{
    if (s.len == 0 || s.p[0] != '[') {
        return 0;
    }
    size_t close = slice_find(s, ']');
    for (size_t i = 1; i < close; i++) {
        char c = s.p[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (!hex && c != ':' && c != '.') {
            return 0;
        }
    }
    return close < s.len && close > 1 ? close + 1 : 0;
}

/* `scheme://host[:port]` and nothing more (RFC 6454 6.2), of http or https. Anything else names no place that
 * a pattern could mean: "null", several origins, one with a path or a user. */
static bool parse_origin(struct slice s, struct origin *out)
{
    size_t colon = slice_find(s, ':');
    out->scheme = (struct slice){s.p, colon};
    out->port = default_port(out->scheme);
    if (out->port == 0) {
        return false;
    }
    struct slice rest = {s.p + colon, s.len - colon};
    if (!slice_starts(rest, SLICE("://"))) {
        return false;
    }
    rest = (struct slice){rest.p + 3, rest.len - 3};
    size_t bracketed = bracketed_len(rest);
    size_t host_len = bracketed ? bracketed : slice_find(rest, ':');
    out->host = (struct slice){rest.p, host_len};
    if (!bracketed && !is_host_text(out->host)) {
        return false;
    }
    if (host_len == rest.len) {
        return true;
    }
    uint64_t port;
    struct slice digits = {rest.p + host_len + 1, rest.len - host_len - 1};
    if (rest.p[host_len] != ':' || !slice_to_u64(digits, UINT16_MAX, &port) || port == 0) {
        return false;
    }
    out->port = (uint16_t)port;
    return true;
}

/* A Host header without a port means the default of the scheme that the browser used. That is the Origin's,
 * and not this listener's where TLS ended in front of it. */
static bool same_port(const struct origin *origin, const struct judge_request *request)
{
    return origin->port == (request->port ? request->port : default_port(origin->scheme));
}

static bool is_same_origin(const struct origin *origin, const struct judge_request *request)
{
    if (request->tls && !slice_eq_nocase(origin->scheme, SLICE("https"))) {
        return false;
    }
    return same_host(origin->host, request->host) && same_port(origin, request);
}

static bool origin_fits(const struct origin_pattern *pattern, const struct judge_request *request)
{
    struct origin origin;
    switch (pattern->kind) {
    case ORIGIN_ANY:
        return true;
    case ORIGIN_NONE:
        return !request->has_origin;
    case ORIGIN_SAME:
        return request->has_origin && parse_origin(request->origin, &origin) &&
               is_same_origin(&origin, request);
    case ORIGIN_URL:
        return request->has_origin && parse_origin(request->origin, &origin) &&
               slice_eq_nocase(origin.scheme, pattern->scheme) && origin.port == pattern->port &&
               host_fits(pattern->wildcard, pattern->host, origin.host);
    }
    return false;
}

static bool takes_origin(const struct route *route, const struct judge_request *request)
{
    for (size_t i = 0; i < route->origin_count; i++) {
        if (origin_fits(&route->origins[i], request)) {
            return true;
        }
    }
    return false;
}

/* ---- Subprotocol. */

/* The client's `name`, or its first one where `name` is empty; false when it offers no such thing. */
static bool find_offered(struct slice offered, struct slice name, struct slice *found)
{
    while (slice_next(&offered, ',', found)) {
        if (found->len > 0 && (name.len == 0 || slice_eq(*found, name))) {
            return true;
        }
    }
    return false;
}

static bool takes_subprotocol(
    const struct route *route, const struct judge_request *request, struct slice *subprotocol)
{
    const struct slice offered = request->subprotocols;
    struct slice found;
    for (size_t i = 0; i < route->subprotocol_count; i++) {
        const struct subprotocol_pattern *pattern = &route->subprotocols[i];
        bool fits = false;
        switch (pattern->kind) {
        case SUBPROTOCOL_NAME:
            fits = find_offered(offered, pattern->name, &found);
            break;
        case SUBPROTOCOL_ANY:
            fits = find_offered(offered, SLICE("binary"), &found) || find_offered(offered, SLICE(""), &found);
            break;
        case SUBPROTOCOL_NONE:
            fits = !find_offered(offered, SLICE(""), &found);
            found = SLICE("");
            break;
        }
        if (fits) {
            *subprotocol = found;
            return true;
        }
    }
    return false;
}

/* ---- Verdicts. */

enum judge_step judge_route(
    const struct route *route, const struct judge_request *request, struct slice *subprotocol)
{
    *subprotocol = SLICE("");
    if (!takes_host(route, request)) {
        return JUDGE_HOST;
    }
    /* A folder of files is no WebSocket: an upgrade that a route before it refused is not given a page
     * instead. */
    if (!takes_path(route, request) || (route->files != NULL && request->upgrade)) {
        return JUDGE_PATH;
    }
    if (!takes_client(route, request)) {
        return JUDGE_FROM;
    }
    if (!request->upgrade) {
        return JUDGE_TAKEN;
    }
    if (!takes_origin(route, request)) {
        return JUDGE_ORIGIN;
    }
    if (!takes_subprotocol(route, request, subprotocol)) {
        return JUDGE_SUBPROTOCOL;
    }
    return JUDGE_TAKEN;
}

struct judgement judge(const struct rules *rules, const struct judge_request *request)
{
    struct judgement verdict = {.reached = JUDGE_HOST};
    for (size_t i = 0; i < rules->route_count; i++) {
        enum judge_step step = judge_route(&rules->routes[i], request, &verdict.subprotocol);
        if (step > verdict.reached) {
            verdict.reached = step;
        }
        if (step == JUDGE_TAKEN) {
            verdict.route = &rules->routes[i];
            break;
        }
    }
    verdict.status = judge_status(verdict.reached);
    return verdict;
}

uint16_t judge_status(enum judge_step step)
{
    switch (step) {
    case JUDGE_HOST:
        return 421;
    case JUDGE_PATH:
        return 404;
    case JUDGE_FROM:
    case JUDGE_ORIGIN:
        return 403;
    case JUDGE_SUBPROTOCOL:
        return 400;
    case JUDGE_TAKEN:
        return 0;
    }
    return 0;
}

const char *judge_phrase(enum judge_step step)
{
    switch (step) {
    case JUDGE_HOST:
        return "nothing is served for this host";
    case JUDGE_PATH:
        return "nothing is served at this path";
    case JUDGE_FROM:
        return "this client's address is not allowed here";
    case JUDGE_ORIGIN:
        return "this origin is not allowed here";
    case JUDGE_SUBPROTOCOL:
        return "none of the subprotocols that are taken here is offered";
    case JUDGE_TAKEN:
        return "";
    }
    return "";
}
