#include "base/endpoint.h"
#include "base/ip.h"
#include <stdio.h>
#include <string.h>

enum { LABEL_MAX = 63 };

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of letters, digits, '-' and '_' (RFC 1123 2.1, and what resolvers take beside it); one dot may end
 * it. */
static bool is_host_name(struct slice name)
{
    if (name.len > 0 && name.p[name.len - 1] == '.') {
        name.len--;
    }
    size_t label = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
        } else if (!is_name_byte(name.p[i]) || ++label > LABEL_MAX) {
            return false;
        }
    }
    return label > 0;
}

/* "10.0.0.300" would otherwise be looked up as a name. */
static bool looks_numeric(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] != '.' && (name.p[i] < '0' || name.p[i] > '9')) {
            return false;
        }
    }
    return name.len > 0;
}

static const char *unix_fault(struct slice path, struct endpoint *out)
{
    if (path.len == 0) {
        return "has no path: write unix:/path/to/socket";
    }
    if (memchr(path.p, '\0', path.len)) {
        return "has a NUL byte in its path";
    }
    if (path.len > ENDPOINT_PATH_MAX) {
        return "has a path that is too long for a unix socket: at most 107 bytes";
    }
    out->kind = ENDPOINT_UNIX;
    memcpy(out->path, path.p, path.len);
    return NULL;
}

static const char *bracketed_fault(struct slice host, struct ip_addr *addr)
{
    if (slice_find(host, '%') < host.len) {
        return "has a zone in its address, which is not supported";
    }
    if (!ip_parse(host, addr) || slice_find(host, ':') == host.len) {
        return "has no IPv6 address in its brackets: write one such as [::1]:8080";
    }
    return NULL;
}

static const char *plain_host_fault(struct slice host)
{
    struct ip_addr addr;
    if (host.len == 0) {
        return NULL;
    }
    if (slice_eq(host, SLICE("*"))) {
        return "has a star for its host: write :PORT for every address";
    }
    if (slice_find(host, ':') < host.len) {
        return "has more than one colon: write an IPv6 address in brackets, as in [::1]:8080";
    }
    if (looks_numeric(host) ? !ip_parse(host, &addr) : !is_host_name(host)) {
        return "has a host that is neither a name nor an address: write HOST:PORT, [V6]:PORT or :PORT";
    }
    return NULL;
}

/* The port is behind the last colon; a bracket behind that one means that there is none. */
static bool split_port(struct slice s, struct slice *host, struct slice *port)
{
    for (size_t i = s.len; i > 0 && s.p[i - 1] != ']'; i--) {
        if (s.p[i - 1] == ':') {
            *host = (struct slice){s.p, i - 1};
            *port = (struct slice){s.p + i, s.len - i};
            return true;
        }
    }
    return false;
}

static const char *inet_fault(struct slice s, struct endpoint *out)
{
    struct slice host, port;
    struct ip_addr addr;
    uint64_t number = 0;
    for (size_t i = 0; i + 3 <= s.len; i++) {
        if (memcmp(s.p + i, "://", 3) == 0) {
            return "has a scheme, which does not belong here: write HOST:PORT";
        }
    }
    if (ip_parse(s, &addr)) {
        return slice_find(s, ':') < s.len
                   ? "has no port: write an IPv6 address in brackets and its port, as in [::1]:8080"
                   : "has no port: write HOST:PORT";
    }
    if (!split_port(s, &host, &port)) {
        return "has no port: write HOST:PORT, [V6]:PORT, :PORT or unix:/path";
    }
    if (!slice_to_u64(port, UINT16_MAX, &number)) {
        return "has a bad port: write a number from 0 to 65535 behind the colon";
    }
    const char *fault;
    if (host.len >= 2 && host.p[0] == '[' && host.p[host.len - 1] == ']') {
        host = (struct slice){host.p + 1, host.len - 2};
        fault = bracketed_fault(host, &addr);
    } else {
        fault = plain_host_fault(host);
    }
    if (!fault && host.len > ENDPOINT_HOST_MAX) {
        fault = "has a host that is too long: at most 255 bytes";
    }
    if (fault) {
        return fault;
    }
    out->kind = ENDPOINT_INET;
    out->port = (uint16_t)number;
    memcpy(out->host, host.p, host.len);
    return NULL;
}

bool endpoint_parse(struct slice s, struct endpoint *out, const char **why)
{
    struct endpoint parsed = {0};
    const struct slice scheme = SLICE("unix:");
    const char *fault = slice_starts(s, scheme)
                            ? unix_fault((struct slice){s.p + scheme.len, s.len - scheme.len}, &parsed)
                            : inet_fault(s, &parsed);
    if (fault) {
        if (why) {
            *why = fault;
        }
        return false;
    }
    *out = parsed;
    return true;
}

void endpoint_format(const struct endpoint *e, char out[ENDPOINT_TEXT_MAX])
{
    switch (e->kind) {
    case ENDPOINT_UNIX:
        snprintf(out, ENDPOINT_TEXT_MAX, "unix:%s", e->path);
        return;
    case ENDPOINT_INET: {
        bool v6 = strchr(e->host, ':') != NULL;
        snprintf(out, ENDPOINT_TEXT_MAX, v6 ? "[%s]:%u" : "%s:%u", e->host, (unsigned)e->port);
        return;
    }
    }
}
