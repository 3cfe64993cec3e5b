/* Which routes can never match. Says so only where earlier routes surely take everything: one of them all of
 * it, or each of its parts (a host with a path with a network, and so on, out of its lists) one or another.
 */
#include "rules/load.h"

enum { PARTS_MOST = 1024 }; /* of one route: beyond it, only one that takes everything is looked for */

/* ---- Whether every host, path, client, Origin, offer that `b` takes is taken by `a` too */

static bool name_is_below(struct slice name, struct slice above)
{
    return name.len > above.len + 1 && name.p[name.len - above.len - 1] == '.' &&
           slice_ends_nocase(name, above);
}

/* A wildcard stands for every name below its own, at any depth. */
static bool host_covers(bool a_wildcard, struct slice a, bool b_wildcard, struct slice b)
{
    if (!a_wildcard) {
        return !b_wildcard && slice_eq_nocase(a, b);
    }
    return name_is_below(b, a) || (b_wildcard && slice_eq_nocase(a, b));
}

static bool hosts_cover(const struct route *a, const struct route *b)
{
    if (a->host_count == 0 || b->host_count == 0) {
        return a->host_count == 0;
    }
    for (size_t j = 0; j < b->host_count; j++) {
        const struct host_pattern *inner = &b->hosts[j];
        size_t i = 0;
        while (i < a->host_count &&
               !host_covers(a->hosts[i].wildcard, a->hosts[i].name, inner->wildcard, inner->name)) {
            i++;
        }
        if (i == a->host_count) {
            return false;
        }
    }
    return true;
}

/* Every path starts with a slash (RFC 9112 3.2.1), so the prefix "/" takes any. */
static bool path_covers(const struct path_pattern *a, const struct path_pattern *b)
{
    bool a_any = a->any || (a->prefix && slice_eq(a->path, SLICE("/")));
    if (a_any || b->any) {
        return a_any;
    }
    if (a->prefix) {
        return slice_starts(b->path, a->path);
    }
    return !b->prefix && slice_eq(a->path, b->path);
}

static bool paths_cover(const struct route *a, const struct route *b)
{
    static const struct path_pattern any = {.any = true};
    size_t b_count = b->path_count > 0 ? b->path_count : 1;
    for (size_t j = 0; a->path_count > 0 && j < b_count; j++) {
        const struct path_pattern *inner = b->path_count > 0 ? &b->paths[j] : &any;
        size_t i = 0;
        while (i < a->path_count && !path_covers(&a->paths[i], inner)) {
            i++;
        }
        if (i == a->path_count) {
            return false;
        }
    }
    return true;
}

/* Even 0.0.0.0/0 and ::/0 together leave out the clients of a unix socket. */
static bool clients_cover(const struct route *a, const struct route *b)
{
    if (a->from_count == 0 || b->from_count == 0) {
        return a->from_count == 0;
    }
    for (size_t j = 0; j < b->from_count; j++) {
        size_t i = 0;
        while (i < a->from_count && !ip_net_covers(&a->from[i], &b->from[j])) {
            i++;
        }
        if (i == a->from_count) {
            return false;
        }
    }
    return true;
}

/* `same` depends on each request's Host, so only itself is surely below it. */
static bool origin_covers(const struct origin_pattern *a, const struct origin_pattern *b)
{
    switch (a->kind) {
    case ORIGIN_ANY:
        return true;
    case ORIGIN_SAME:
    case ORIGIN_NONE:
        return b->kind == a->kind;
    case ORIGIN_URL:
        return b->kind == ORIGIN_URL && slice_eq_nocase(a->scheme, b->scheme) && a->port == b->port &&
               host_covers(a->wildcard, a->host, b->wildcard, b->host);
    }
    return false;
}

static bool origins_cover(const struct route *a, const struct route *b)
{
    for (size_t j = 0; j < b->origin_count; j++) {
        size_t i = 0;
        while (i < a->origin_count && !origin_covers(&a->origins[i], &b->origins[j])) {
            i++;
        }
        if (i == a->origin_count) {
            return false;
        }
    }
    return true;
}

/* `any` needs one offer at least, so it does not cover `none`. */
static bool subprotocol_covers(const struct subprotocol_pattern *a, const struct subprotocol_pattern *b)
{
    switch (a->kind) {
    case SUBPROTOCOL_ANY:
        return b->kind != SUBPROTOCOL_NONE;
    case SUBPROTOCOL_NONE:
        return b->kind == SUBPROTOCOL_NONE;
    case SUBPROTOCOL_NAME:
        return b->kind == SUBPROTOCOL_NAME && slice_eq(a->name, b->name);
    }
    return false;
}

static bool subprotocols_cover(const struct route *a, const struct route *b)
{
    for (size_t j = 0; j < b->subprotocol_count; j++) {
        size_t i = 0;
        while (i < a->subprotocol_count && !subprotocol_covers(&a->subprotocols[i], &b->subprotocols[j])) {
            i++;
        }
        if (i == a->subprotocol_count) {
            return false;
        }
    }
    return true;
}

/* ---- Routes */

/* Plain GETs ask for no Origin and no subprotocol, and a WebSocket route answers them (426), so it hides a
 * `files` route behind it; a `files` route takes no upgrade, so it hides no WebSocket route. */
static bool hides(const struct route *a, const struct route *b)
{
    if (!hosts_cover(a, b) || !paths_cover(a, b) || !clients_cover(a, b)) {
        return false;
    }
    if (a->files != NULL || b->files != NULL) {
        return b->files != NULL;
    }
    return origins_cover(a, b) && subprotocols_cover(a, b);
}

static size_t take_digit(size_t *n, size_t base)
{
    size_t digit = *n % base;
    *n /= base;
    return digit;
}

/* The part of that number: a route like `b` with one entry of each of its lists. False: there are no more. */
static bool part_of(const struct route *b, size_t n, struct route *part)
{
    *part = *b;
    if (b->host_count > 0) {
        part->hosts += take_digit(&n, b->host_count);
        part->host_count = 1;
    }
    if (b->path_count > 0) {
        part->paths += take_digit(&n, b->path_count);
        part->path_count = 1;
    }
    if (b->from_count > 0) {
        part->from += take_digit(&n, b->from_count);
        part->from_count = 1;
    }
    if (b->files == NULL) {
        part->origins += take_digit(&n, b->origin_count);
        part->origin_count = 1;
        part->subprotocols += take_digit(&n, b->subprotocol_count);
        part->subprotocol_count = 1;
    }
    return n == 0;
}

static const struct route *first_that_hides(
    const struct rules *rules, size_t before, const struct route *route)
{
    for (size_t i = 0; i < before; i++) {
        if (hides(&rules->routes[i], route)) {
            return &rules->routes[i];
        }
    }
    return NULL;
}

static bool is_hidden_in_parts(const struct rules *rules, size_t j)
{
    struct route part;
    size_t n = 0;
    while (n < PARTS_MOST && part_of(&rules->routes[j], n, &part)) {
        if (first_that_hides(rules, j, &part) == NULL) {
            return false;
        }
        n++;
    }
    return n < PARTS_MOST;
}

/* `by` is NULL where there are several. */
static void warn(const struct route *hidden, const struct route *by, struct faults *faults)
{
    char key[32];
    struct text t;
    text_init(&t, key, sizeof key);
    text_addf(&t, "routes[%u]", hidden->index);
    if (by == NULL) {
        faults_warn(faults, hidden->at, key,
            "never matches, since those before it together take all that it would: put this one before them");
    } else if (hidden->files && !by->files) {
        faults_warn(faults, hidden->at, key,
            "serves no file, since routes[%u] at line %u takes every GET here and answers 426: put this one "
            "before it",
            by->index, by->at.line);
    } else {
        faults_warn(faults, hidden->at, key,
            "never matches, since routes[%u] at line %u takes all that it would: put this one before it",
            by->index, by->at.line);
    }
}

void rules_warn_hidden(const struct rules *rules, struct faults *faults)
{
    for (size_t j = 1; j < rules->route_count; j++) {
        const struct route *by = first_that_hides(rules, j, &rules->routes[j]);
        if (by != NULL || is_hidden_in_parts(rules, j)) {
            warn(&rules->routes[j], by, faults);
        }
    }
}
