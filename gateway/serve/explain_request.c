#include "serve/explain_request.h"
#include "base/text.h"
#include "proto/http_head.h"
#include "proto/http_path.h"
#include "proto/http_request.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct url {
    bool secure;
    bool upgrade;
    struct slice authority;
    struct slice path_and_query; /* may lack its first slash */
};

__attribute__((format(printf, 2, 3))) static bool bad(char why[EXPLAIN_WHY_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, EXPLAIN_WHY_MAX, format, args);
    va_end(args);
    return false;
}

/* ---- URL (RFC 3986 3, RFC 6455 3). */

static bool split_scheme(struct slice text, struct url *url, struct slice *rest)
{
    static const struct {
        struct slice prefix;
        bool secure, upgrade;
    } schemes[] = {
        {{"ws://", 5}, false, true},
        {{"wss://", 6}, true, true},
        {{"http://", 7}, false, false},
        {{"https://", 8}, true, false},
    };
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        struct slice prefix = schemes[i].prefix;
        if (text.len < prefix.len || !slice_eq_nocase((struct slice){text.p, prefix.len}, prefix)) {
            continue;
        }
        url->secure = schemes[i].secure;
        url->upgrade = schemes[i].upgrade;
        *rest = (struct slice){text.p + prefix.len, text.len - prefix.len};
        return true;
    }
    return false;
}

/* What no browser would put into a request as it stands. */
static bool has_odd_byte(struct slice s, unsigned char first_fine)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < first_fine || c >= 0x7f) {
            return true;
        }
    }
    return false;
}

static bool split_url(const char *text, struct url *url, char why[EXPLAIN_WHY_MAX])
{
    struct slice rest;
    struct slice whole = slice_from(text);
    if (!split_scheme(whole, url, &rest)) {
        return bad(
            why, "URL has none of the schemes that are known: write ws://, wss://, http:// or https://");
    }
    if (has_odd_byte(rest, '!')) {
        return bad(why, "URL has a blank, a control character or a byte that is not ASCII: "
                        "write it percent-encoded (%%20), and a host as xn--...");
    }
    if (slice_find(rest, '#') < rest.len) {
        return bad(why, "URL has a fragment, which is never sent: leave out \"#\" and what follows");
    }
    size_t end = 0;
    while (end < rest.len && rest.p[end] != '/' && rest.p[end] != '?') {
        end++;
    }
    url->authority = (struct slice){rest.p, end};
    url->path_and_query = (struct slice){rest.p + end, rest.len - end};
    if (end == 0) {
        return bad(why, "URL has no host: write %.*sHOST/PATH", (int)(rest.p - whole.p), whole.p);
    }
    if (slice_find(url->authority, '@') < end) {
        return bad(
            why, "URL has a user before its host, which is never sent: leave out what is before \"@\"");
    }
    return true;
}

/* The Host header leaves out the port that the scheme stands for. */
static struct slice host_header(const struct url *url)
{
    static const struct slice defaults[2][2] = {{{":80", 3}, {":", 1}}, {{":443", 4}, {":", 1}}};
    struct slice s = url->authority;
    for (size_t i = 0; i < 2; i++) {
        struct slice suffix = defaults[url->secure][i];
        if (slice_ends_nocase(s, suffix)) {
            return (struct slice){s.p, s.len - suffix.len};
        }
    }
    return s;
}

/* ---- The request. */

static bool add_field(struct text *head, const char *name, const char *value, char why[EXPLAIN_WHY_MAX])
{
    if (!value) {
        return true;
    }
    if (has_odd_byte(slice_from(value), ' ')) {
        return bad(why, "%s has a control character or a byte that is not ASCII", name);
    }
    text_addf(head, "%s: %s\r\n", name, value);
    return true;
}

static bool write_head(struct explain_request *request, const struct explain_options *options,
    const struct url *url, struct slice *head, char why[EXPLAIN_WHY_MAX])
{
    struct text text;
    struct slice host = host_header(url);
    struct slice path = url->path_and_query;
    bool slash = path.len > 0 && path.p[0] == '/';
    text_init(&text, request->head, sizeof(request->head));
    text_add(&text, slash ? SLICE("GET ") : SLICE("GET /"));
    text_add(&text, path);
    text_add(&text, SLICE(" HTTP/1.1\r\nHost: "));
    text_add(&text, host);
    text_add(&text, SLICE("\r\n"));
    if (url->upgrade) {
        text_add(&text, SLICE("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"));
    }
    if (!add_field(&text, "Origin", options->origin, why) ||
        !add_field(&text, "Sec-WebSocket-Protocol", options->subprotocol, why)) {
        return false;
    }
    text_add(&text, SLICE("\r\n"));
    if (text.cut) {
        return bad(why, "URL and options make a request of more than %d bytes", EXPLAIN_HEAD_MAX);
    }
    *head = text_slice(&text);
    return true;
}

static bool read_head(
    struct explain_request *request, struct slice head, size_t limit, char why[EXPLAIN_WHY_MAX])
{
    struct http_request fields;
    struct http_head found;
    http_request_init(&fields);
    if (http_request_read(&fields, head.p, head.len, limit) != HTTP_DONE) {
        return bad(why, "such a request is answered with %u: %s", (unsigned)fields.status,
            fields.phrase ? fields.phrase : "");
    }
    http_head_read(&fields, head.p, &found);
    if (found.status != 0) {
        return bad(why, "such a request is answered with %u: %s", (unsigned)found.status, found.phrase);
    }

    struct judge_request *asked = &request->asked;
    size_t path_len;
    if (!http_path_decode(found.path, request->path, sizeof(request->path), &path_len)) {
        return bad(why, "URL has a bad escape in its path: write %% and two hex digits, but not %%00");
    }
    /* As a live one: the header is nothing to a request that is no upgrade. */
    if (found.upgrade && !http_head_subprotocols(&fields, head.p, request->subprotocols,
                             sizeof(request->subprotocols), &asked->subprotocols)) {
        return bad(why, "--subprotocol is no list of names: write names such as binary or mqtt, each once, "
                        "with commas between them");
    }
    asked->upgrade = found.upgrade;
    asked->host = found.host;
    asked->port = found.port;
    asked->path = (struct slice){request->path, path_len};
    asked->has_origin = found.has_origin;
    asked->origin = found.origin;
    request->host_header = found.authority;
    return true;
}

bool explain_request_has_listener(const struct rules *rules, bool tls)
{
    for (size_t i = 0; i < rules->listen_count; i++) {
        if ((rules->listens[i].tls != NULL) == tls) {
            return true;
        }
    }
    return false;
}

bool explain_request_make(struct explain_request *request, const struct explain_options *options,
    const struct rules *rules, char why[EXPLAIN_WHY_MAX])
{
    struct url url = {0};
    struct slice head;
    const char *from = options->from ? options->from : "127.0.0.1";
    request->asked = (struct judge_request){0};
    if (!ip_parse(slice_from(from), &request->from)) {
        return bad(why, "--from is no IP address: write one such as 192.0.2.7 or 2001:db8::7");
    }
    if (!split_url(options->url, &url, why) || !write_head(request, options, &url, &head, why)) {
        return false;
    }
    request->secure = url.secure;
    request->asked.from = &request->from;
    /* Without a TLS listener a secure request can only have come through something that ends TLS before us.
     */
    request->asked.tls = url.secure && explain_request_has_listener(rules, true);
    return read_head(request, head, rules->request_bytes, why);
}
