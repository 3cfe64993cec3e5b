#include "proto/http_head.h"
#include <string.h>

static void refuse(struct http_head *head, uint16_t status, const char *phrase)
{
    if (head->status == 0) {
        head->status = status;
        head->phrase = phrase;
    }
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_host_character(char c)
{
    /* RFC 3986 3.2.2: unreserved and sub-delims. */
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("-._~!$&'()*+,;=", c) != NULL);
}

/* host [":" port]; an IPv6 literal in brackets. */
static bool read_authority(struct http_head *head, struct slice s)
{
    size_t host_len;
    if (s.len > 0 && s.p[0] == '[') {
        size_t close = slice_find(s, ']');
        if (close == s.len || close == 1) {
            return false;
        }
        for (size_t i = 1; i < close; i++) {
            if (memchr("0123456789abcdefABCDEF:.", s.p[i], 24) == NULL) {
                return false;
            }
        }
        host_len = close + 1;
    } else {
        host_len = slice_find(s, ':');
        for (size_t i = 0; i < host_len; i++) {
            bool encoded = s.p[i] == '%' && i + 2 < host_len && is_hex(s.p[i + 1]) && is_hex(s.p[i + 2]);
            if (!encoded && !is_host_character(s.p[i])) {
                return false;
            }
        }
    }
    if (host_len == 0) {
        return false;
    }
    head->authority = s;
    head->host = (struct slice){s.p, host_len};
    struct slice rest = {s.p + host_len, s.len - host_len};
    if (rest.len == 0) {
        return true;
    }
    uint64_t port = 0;
    if (rest.p[0] != ':') {
        return false;
    }
    if (rest.len > 1) { /* "host:" has no port, RFC 3986 3.2.3 */
        if (!slice_to_u64((struct slice){rest.p + 1, rest.len - 1}, 65535, &port)) {
            return false;
        }
        head->has_port = true;
        head->port = (uint16_t)port;
    }
    return true;
}

/* RFC 9112 3.2: origin-form, or absolute-form whose authority is the Host's. */
static void read_target(struct http_head *head, struct slice target)
{
    static const struct slice schemes[] = {{"http://", 7}, {"https://", 8}, {"ws://", 5}, {"wss://", 6}};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        struct slice prefix = {target.p, target.len < schemes[i].len ? target.len : schemes[i].len};
        if (!slice_eq_nocase(prefix, schemes[i])) {
            continue;
        }
        struct slice rest = {target.p + prefix.len, target.len - prefix.len};
        size_t slash = slice_find(rest, '/');
        if (!slice_eq_nocase((struct slice){rest.p, slash}, head->authority)) {
            refuse(head, 400, "request target names another host than the Host header");
            return;
        }
        target = slash == rest.len ? SLICE("/") : (struct slice){rest.p + slash, rest.len - slash};
        break;
    }
    if (target.len == 0 || target.p[0] != '/') {
        /* "*" of OPTIONS and HOST:PORT of CONNECT are right there, RFC 9112 3.2. */
        if (head->method != HTTP_OTHER_METHOD) {
            refuse(head, 400, "request target is not a path");
        }
        return;
    }
    if (slice_find(target, '#') != target.len) {
        refuse(head, 400, "request target has a fragment");
        return;
    }
    head->path_and_query = target;
    head->path = (struct slice){target.p, slice_find(target, '?')};
}

static void read_host(const struct http_request *r, const char *bytes, struct http_head *head)
{
    struct slice host;
    size_t hosts = http_request_field(r, bytes, SLICE("Host"), &host);
    if (hosts != 1) {
        refuse(
            head, 400, hosts == 0 ? "request has no Host header" : "request has more than one Host header");
    } else if (!read_authority(head, host)) {
        refuse(head, 400, "Host header is not HOST or HOST:PORT");
    }
}

static void read_body(const struct http_request *r, const char *bytes, struct http_head *head)
{
    struct slice ignored;
    if (head->method == HTTP_OTHER_METHOD) {
        return; /* the method is what is wrong with it */
    }
    if (http_request_field(r, bytes, SLICE("Content-Length"), &ignored) != 0 ||
        http_request_field(r, bytes, SLICE("Transfer-Encoding"), &ignored) != 0) {
        refuse(head, 400, "request has a body (Content-Length or Transfer-Encoding)");
    }
}

/* RFC 6455 4.2.1 5.: base64 of 16 bytes is 22 characters and "==", and the last of the 22 carries 4 bits that
 * must be zero. */
static bool is_key(struct slice key)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (key.len != 24 || key.p[22] != '=' || key.p[23] != '=') {
        return false;
    }
    size_t value = 0;
    for (size_t i = 0; i < 22; i++) {
        const char *at = memchr(alphabet, key.p[i], 64);
        if (at == NULL) {
            return false;
        }
        value = (size_t)(at - alphabet);
    }
    return value % 16 == 0;
}

static void read_upgrade(const struct http_request *r, const char *bytes, struct http_head *head)
{
    struct slice version;
    size_t keys = http_request_field(r, bytes, SLICE("Sec-WebSocket-Key"), &head->key);
    size_t versions = http_request_field(r, bytes, SLICE("Sec-WebSocket-Version"), &version);
    if (keys > 1) {
        refuse(head, 400, "request has more than one Sec-WebSocket-Key");
    }
    if (versions > 1) {
        refuse(head, 400, "request has more than one Sec-WebSocket-Version");
    }
    if (!head->upgrade) {
        return;
    }
    if (!slice_eq(version, SLICE("13"))) {
        refuse(head, 426, "only WebSocket version 13 is spoken here");
    } else if (!is_key(head->key)) {
        refuse(head, 400, "Sec-WebSocket-Key is not 16 bytes in base64");
    }
}

void http_head_read(const struct http_request *r, const char *bytes, struct http_head *head)
{
    *head = (struct http_head){.phrase = ""};
    struct slice method = http_request_slice(bytes, r->method);
    head->method = slice_eq(method, SLICE("GET"))    ? HTTP_GET
                   : slice_eq(method, SLICE("HEAD")) ? HTTP_HEAD
                                                     : HTTP_OTHER_METHOD;
    read_host(r, bytes, head);
    if (head->status == 0) {
        read_target(head, http_request_slice(bytes, r->target));
    }
    size_t origins = http_request_field(r, bytes, SLICE("Origin"), &head->origin);
    if (origins > 1) {
        refuse(head, 400, "request has more than one Origin header");
    }
    head->has_origin = origins > 0;
    head->wants_close = http_request_has_token(r, bytes, SLICE("Connection"), SLICE("close"));
    head->upgrade = head->method == HTTP_GET &&
                    http_request_has_token(r, bytes, SLICE("Upgrade"), SLICE("websocket")) &&
                    http_request_has_token(r, bytes, SLICE("Connection"), SLICE("Upgrade"));
    read_body(r, bytes, head);
    read_upgrade(r, bytes, head);
}

static bool list_has(struct slice list, struct slice token)
{
    struct slice element;
    while (slice_next(&list, ',', &element)) {
        if (slice_eq(element, token)) {
            return true;
        }
    }
    return false;
}

bool http_head_subprotocols(
    const struct http_request *r, const char *bytes, char *out, size_t cap, struct slice *joined)
{
    bool present = false;
    *joined = (struct slice){out, 0};
    for (size_t i = 0; i < r->field_count; i++) {
        if (!slice_eq_nocase(http_request_slice(bytes, r->fields[i].name), SLICE("Sec-WebSocket-Protocol"))) {
            continue;
        }
        present = true;
        struct slice rest = http_request_slice(bytes, r->fields[i].value);
        struct slice element;
        while (slice_next(&rest, ',', &element)) {
            if (element.len == 0) {
                continue; /* RFC 9110 5.6.1.2 */
            }
            size_t comma = joined->len > 0;
            if (!http_is_token(element) || (comma != 0 && list_has(*joined, element)) ||
                joined->len + comma + element.len > cap) {
                return false;
            }
            if (comma != 0) {
                out[joined->len++] = ',';
            }
            memcpy(out + joined->len, element.p, element.len);
            joined->len += element.len;
        }
    }
    return !present || joined->len > 0;
}
