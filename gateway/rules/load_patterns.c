#include "rules/load_internal.h"

#include <string.h>

/* The text of `item` and the same fit to be shown. */
static bool pattern_text(
    struct loader *l, const struct tree_node *item, struct slice *text, char shown[YAML_TREE_SHOWN_MAX])
{
    if (!load_text(l, item, text)) {
        return false;
    }
    yaml_tree_show(*text, shown);
    return true;
}

static struct slice from_offset(struct slice s, size_t offset)
{
    return (struct slice){s.p + offset, s.len - offset};
}

static bool has(struct slice s, const char *part)
{
    return memmem(s.p, s.len, part, strlen(part)) != NULL;
}

/* Cuts a leading "*." off. */
static bool cut_wildcard(struct slice *host)
{
    if (!slice_starts(*host, SLICE("*."))) {
        return false;
    }
    *host = from_offset(*host, 2);
    return true;
}

/* A star stands for whole names in front of a name, so not in front of an address. */
static bool wildcard_host_is_fine(bool wildcard, struct slice host)
{
    struct ip_addr addr;
    return load_is_host(host) && !(wildcard && (host.p[0] == '[' || ip_parse(host, &addr)));
}

static struct slice without_final_dot(struct slice host)
{
    return host.len > 1 && host.p[host.len - 1] == '.' ? (struct slice){host.p, host.len - 1} : host;
}

/* ---- host */

static void tell_bad_host(struct loader *l, struct place at, struct slice text, const char *shown)
{
    struct endpoint endpoint;
    struct ip_addr addr;
    if (slice_eq(text, SLICE("*")) || slice_eq(text, SLICE("any"))) {
        LOAD_FAULT(l, at, "\"%s\" is not a host: to take every host, leave the key out", shown);
    } else if (has(text, "://")) {
        LOAD_FAULT(l, at, "\"%s\" has a scheme: write the host alone, such as desk.example.com", shown);
    } else if (has(text, "/")) {
        LOAD_FAULT(l, at, "\"%s\" has a path: write the host alone, and the path as path", shown);
    } else if (ip_parse(text, &addr)) {
        LOAD_FAULT(
            l, at, "\"%s\" is an IPv6 address: write it in brackets, as in a URL: \"[%s]\"", shown, shown);
    } else if (!slice_starts(text, SLICE("unix:")) && endpoint_parse(text, &endpoint, NULL)) {
        LOAD_FAULT(
            l, at, "\"%s\" has a port: write the host alone; every port of a listener is taken", shown);
    } else if (has(text, "*")) {
        LOAD_FAULT(
            l, at, "\"%s\" has a star where none can be: write one in front, as in \"*.example.com\"", shown);
    } else {
        LOAD_FAULT(
            l, at, "\"%s\" is not a host: write a name or an address, such as desk.example.com", shown);
    }
}

void load_host(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    (void)spec;
    struct host_pattern *pattern = into;
    struct slice text;
    char shown[YAML_TREE_SHOWN_MAX];
    if (!pattern_text(l, item, &text, shown)) {
        return;
    }
    struct slice name = text;
    pattern->wildcard = cut_wildcard(&name);
    if (slice_eq(text, SLICE("any")) || !wildcard_host_is_fine(pattern->wildcard, name)) {
        tell_bad_host(l, item->at, text, shown);
    } else {
        pattern->name = load_copy_lower(l, without_final_dot(name));
    }
}

/* ---- path */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* A percent escape that stands for a character: requests are compared decoded, but for "%2F". */
static bool has_escape(struct slice path)
{
    for (size_t i = 0; i + 2 < path.len; i++) {
        if (path.p[i] == '%' && is_hex(path.p[i + 1]) && is_hex(path.p[i + 2]) &&
            !slice_eq(SLICE("%2F"), (struct slice){path.p + i, 3})) {
            return true;
        }
    }
    return false;
}

void load_path_pattern(
    struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    (void)spec;
    struct path_pattern *pattern = into;
    struct slice text;
    char shown[YAML_TREE_SHOWN_MAX];
    if (!pattern_text(l, item, &text, shown)) {
        return;
    }
    size_t star = slice_find(text, '*');
    bool prefix = star + 1 == text.len && star > 0 && text.p[star - 1] == '/';
    if (text.p[0] != '/') {
        LOAD_FAULT(
            l, item->at, "\"%s\" does not start with a slash: write a path such as /vnc or /vnc/*", shown);
    } else if (star < text.len && !prefix) {
        LOAD_FAULT(l, item->at,
            "\"%s\" has a star where none can be: write it last, behind a slash, as in /vnc/*", shown);
    } else if (has(text, "?")) {
        LOAD_FAULT(l, item->at, "\"%s\" has a query, which is never compared: write the path alone", shown);
    } else if (has_escape(text)) {
        LOAD_FAULT(l, item->at,
            "\"%s\" has an escape, but paths are compared decoded: write the character itself", shown);
    } else {
        pattern->prefix = prefix;
        const char *copy = load_copy(l, (struct slice){text.p, text.len - prefix});
        pattern->path = copy ? slice_from(copy) : SLICE("");
    }
}

/* ---- from */

void load_network(
    struct loader *l, const struct tree_node *item, const char *instead_of_any, struct ip_net *into)
{
    struct slice text;
    char shown[YAML_TREE_SHOWN_MAX];
    const char *why = "is not a network";
    if (!pattern_text(l, item, &text, shown)) {
        return;
    }
    if (slice_eq(text, SLICE("any"))) {
        LOAD_FAULT(l, item->at, "\"any\" is not a network: %s", instead_of_any);
    } else if (!ip_net_parse(text, into, &why)) {
        LOAD_FAULT(l, item->at, "\"%s\" %s", shown, why);
    }
}

void load_from(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    (void)spec;
    load_network(l, item, "to take every client, leave the key out", into);
}

void load_allow(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    (void)spec;
    load_network(l, item, "write [0.0.0.0/0, \"::/0\"] to let everybody in", into);
}

void load_trusted_proxy(
    struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    (void)spec;
    bool is_unix = item->kind == TREE_SCALAR && slice_starts(item->text, SLICE("unix"));
    if (is_unix && slice_eq(item->text, SLICE("unix:"))) {
        return; /* no network: the list's owner takes it out */
    }
    if (is_unix && slice_eq(item->text, SLICE("unix"))) {
        LOAD_FAULT(
            l, item->at, "\"unix\" has no colon: write \"unix:\" for all that connect through a unix socket");
    } else if (is_unix && slice_starts(item->text, SLICE("unix:"))) {
        LOAD_FAULT(
            l, item->at, "has a path: write \"unix:\" alone, for all that connect through a unix socket");
    } else {
        load_network(l, item, "write the addresses that the proxies connect from, such as 10.0.0.5", into);
    }
}

/* ---- origin */

struct origin_scheme {
    struct slice prefix;
    const char *name;
    uint16_t port;
};

static const struct origin_scheme *origin_scheme_of(struct slice text)
{
    static const struct origin_scheme schemes[] = {
        {{"http://", 7}, "http", 80},
        {{"https://", 8}, "https", 443},
    };
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        struct slice prefix = schemes[i].prefix;
        if (text.len >= prefix.len && slice_eq_nocase((struct slice){text.p, prefix.len}, prefix)) {
            return &schemes[i];
        }
    }
    return NULL;
}

/* Cuts ":PORT" off *host. */
static bool cut_port(struct slice *host, uint16_t *port)
{
    size_t bracket = host->len > 0 && host->p[0] == '[' ? slice_find(*host, ']') : 0;
    if (bracket == host->len) {
        return true; /* not a host, which is told later */
    }
    struct slice rest = from_offset(*host, bracket);
    size_t colon = slice_find(rest, ':');
    uint64_t n = 0;
    if (colon == rest.len) {
        return true;
    }
    if (!slice_to_u64(from_offset(rest, colon + 1), UINT16_MAX, &n) || n == 0) {
        return false;
    }
    host->len = bracket + colon;
    *port = (uint16_t)n;
    return true;
}

static void load_origin_url(struct loader *l, const struct tree_node *item,
    const struct origin_scheme *scheme, struct slice text, const char *shown, struct origin_pattern *pattern)
{
    struct slice host = from_offset(text, scheme->prefix.len);
    size_t slash = slice_find(host, '/');
    if (slash < host.len) {
        LOAD_FAULT(l, item->at, "\"%s\" has a path, but an Origin has none: write %s://%.*s", shown,
            scheme->name, (int)(slash > 64 ? 64 : slash), host.p);
        return;
    }
    pattern->kind = ORIGIN_URL;
    pattern->scheme = slice_from(scheme->name);
    pattern->port = scheme->port;
    pattern->wildcard = cut_wildcard(&host);
    if (!cut_port(&host, &pattern->port)) {
        LOAD_FAULT(
            l, item->at, "\"%s\" has a bad port: write 1 to 65535, or none for the scheme's own", shown);
    } else if (has(host, "*")) {
        LOAD_FAULT(l, item->at,
            "\"%s\" has a star where none can be: write one in front, as in https://*.example.com", shown);
    } else if (!wildcard_host_is_fine(pattern->wildcard, host)) {
        LOAD_FAULT(
            l, item->at, "\"%s\" has no good host: write an origin such as https://www.example.com", shown);
    } else {
        pattern->host = load_copy_lower(l, without_final_dot(host));
    }
}

void load_origin(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    (void)spec;
    struct origin_pattern *pattern = into;
    struct slice text;
    char shown[YAML_TREE_SHOWN_MAX];
    if (!pattern_text(l, item, &text, shown)) {
        return;
    }
    const struct origin_scheme *scheme = origin_scheme_of(text);
    if (slice_eq(text, SLICE("same"))) {
        pattern->kind = ORIGIN_SAME;
    } else if (slice_eq(text, SLICE("any"))) {
        pattern->kind = ORIGIN_ANY;
    } else if (slice_eq(text, SLICE("none"))) {
        pattern->kind = ORIGIN_NONE;
    } else if (scheme) {
        load_origin_url(l, item, scheme, text, shown, pattern);
    } else if (has(text, "://")) {
        LOAD_FAULT(
            l, item->at, "\"%s\" has another scheme than http and https, which browsers never send", shown);
    } else if (slice_eq(text, SLICE("*"))) {
        LOAD_FAULT(l, item->at, "\"*\" is not an origin: write any to take every one");
    } else if (load_is_host(text) && has(text, ".")) {
        LOAD_FAULT(l, item->at, "\"%s\" has no scheme: write https://%s", shown, shown);
    } else {
        LOAD_FAULT(l, item->at,
            "\"%s\" is not an origin: write same, any, none or one such as https://www.example.com", shown);
    }
}

/* ---- subprotocol */

/* A token of RFC 9110 5.6.2, which is what Sec-WebSocket-Protocol may carry (RFC 6455 4.1 10.). */
static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && !memchr("!#$%&'*+-.^_`|~", c, 15)) {
            return false;
        }
    }
    return s.len > 0;
}

void load_subprotocol(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    (void)spec;
    struct subprotocol_pattern *pattern = into;
    struct slice text;
    char shown[YAML_TREE_SHOWN_MAX];
    if (!pattern_text(l, item, &text, shown)) {
        return;
    }
    if (slice_eq(text, SLICE("any"))) {
        pattern->kind = SUBPROTOCOL_ANY;
    } else if (slice_eq(text, SLICE("none"))) {
        pattern->kind = SUBPROTOCOL_NONE;
    } else if (slice_eq(text, SLICE("*"))) {
        LOAD_FAULT(l, item->at, "\"*\" is not a subprotocol: write any to take every one");
    } else if (is_token(text)) {
        const char *copy = load_copy(l, text);
        pattern->kind = SUBPROTOCOL_NAME;
        pattern->name = copy ? slice_from(copy) : SLICE("");
    } else {
        LOAD_FAULT(l, item->at,
            "\"%s\" is not a subprotocol: write any, none or a name of letters, digits and -._~ "
            "without spaces, several as a list",
            shown);
    }
}
