#include "proto/forwarded.h"

static bool read_port(struct slice s, uint16_t *port)
{
    uint64_t value = 0;
    if (!slice_to_u64(s, UINT16_MAX, &value)) {
        return false;
    }
    *port = (uint16_t)value;
    return true;
}

/* `a.b.c.d`, `a.b.c.d:port`, `v6`, `[v6]`, `[v6]:port`. */
static bool read_element(struct slice s, struct forwarded *found)
{
    found->port = 0;
    if (s.p[0] == '[') {
        size_t close = slice_find(s, ']');
        struct slice host = {s.p + 1, close - 1};
        if (close == s.len || slice_find(host, ':') == host.len || !ip_parse(host, &found->client)) {
            return false;
        }
        struct slice rest = {s.p + close + 1, s.len - close - 1};
        return rest.len == 0 ||
               (rest.p[0] == ':' && read_port((struct slice){rest.p + 1, rest.len - 1}, &found->port));
    }
    size_t colon = slice_find(s, ':');
    struct slice behind = {s.p + colon, s.len - colon};
    /* One colon is a port's; an IPv6 address has at least two. */
    if (behind.len > 0) {
        behind = (struct slice){behind.p + 1, behind.len - 1};
        if (slice_find(behind, ':') == behind.len) {
            return ip_parse((struct slice){s.p, colon}, &found->client) && read_port(behind, &found->port);
        }
    }
    return ip_parse(s, &found->client);
}

/* Cuts the last element off *rest; false when *rest is used up. */
static bool last_element(struct slice *rest, struct slice *element)
{
    if (rest->len == 0) {
        return false;
    }
    size_t at = rest->len;
    while (at > 0 && rest->p[at - 1] != ',') {
        at--;
    }
    *element = slice_trim((struct slice){rest->p + at, rest->len - at});
    rest->len = at > 0 ? at - 1 : 0;
    return true;
}

enum forwarded_verdict forwarded_read(const struct http_request *r, const char *bytes,
    const struct ip_net *trusted, size_t trusted_count, struct forwarded *found)
{
    enum forwarded_verdict verdict = FORWARDED_NONE;
    for (size_t i = r->field_count; i > 0; i--) {
        const struct http_field *field = &r->fields[i - 1];
        if (!slice_eq_nocase(http_request_slice(bytes, field->name), SLICE("X-Forwarded-For"))) {
            continue;
        }
        struct slice rest = http_request_slice(bytes, field->value);
        struct slice element;
        while (last_element(&rest, &element)) {
            if (element.len == 0) {
                continue;
            }
            if (!read_element(element, found)) {
                return FORWARDED_BAD;
            }
            verdict = FORWARDED_CLIENT;
            if (!ip_net_list_contains(trusted, trusted_count, &found->client)) {
                return verdict;
            }
        }
    }
    return verdict;
}
