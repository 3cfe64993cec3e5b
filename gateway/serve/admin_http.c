#include "serve/admin_http.h"
#include "base/words.h"
#include "proto/http_head.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ID_DIGITS = 16 };

static void refuse(struct admin_ask *ask, uint16_t status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The first fault is the one that is told. */
static void refuse(struct admin_ask *ask, uint16_t status, const char *format, ...)
{
    if (ask->status != 0) {
        return;
    }
    ask->status = status;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(ask->why, sizeof ask->why, format, args);
    va_end(args);
    /* Parts of the request are quoted; the answer is one line of text that prints. */
    for (char *at = ask->why; *at != '\0'; at++) {
        if (*at < ' ' || *at > '~') {
            *at = '?';
        }
    }
}

static bool in_nets(const struct ip_net *nets, size_t count, const struct ip_addr *addr)
{
    for (size_t i = 0; i < count; i++) {
        if (ip_net_contains(&nets[i], addr)) {
            return true;
        }
    }
    return false;
}

static bool is_loopback(const struct ip_addr *addr)
{
    static const uint8_t six[16] = {[15] = 1};
    return (ip_is_v4(addr) && addr->bytes[12] == 127) || memcmp(addr->bytes, six, sizeof six) == 0;
}

bool admin_http_may_connect(const struct admin_rule *rule, const struct sock_peer *peer)
{
    return peer->is_unix || is_loopback(&peer->addr) || in_nets(rule->allow, rule->allow_count, &peer->addr);
}

static bool is_address(struct slice host)
{
    struct ip_addr ignored;
    if (host.len > 2 && host.p[0] == '[') {
        host = (struct slice){host.p + 1, host.len - 2};
    }
    return ip_parse(host, &ignored);
}

static bool is_monitoring(enum admin_page page)
{
    return page == ADMIN_HEALTH || page == ADMIN_READY || page == ADMIN_METRICS;
}

/* The pages for monitors tell little, and monitors call this machine what they like. */
static void judge_sender(
    const struct admin_context *context, const struct http_head *head, bool monitor, struct admin_ask *ask)
{
    if (head->has_origin) {
        refuse(ask, 403, "requests of web pages (with an Origin header) are not taken here");
    }
    bool known = is_address(head->host) || slice_eq_nocase(head->host, SLICE("localhost")) ||
                 slice_eq_nocase(head->host, slice_from(context->machine)) ||
                 slice_eq_nocase(head->host, slice_from(context->rule->address.host));
    if (!known && !context->peer.is_unix && !monitor) {
        refuse(ask, 421,
            "the Host here is an IP address, localhost or this machine's name: %.*s could be a web page's",
            SLICE_ARG(head->host));
    }
}

static bool read_hex(struct slice s, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;
        if (digit == 16) {
            return false;
        }
        *value = *value << 4 | digit;
    }
    return true;
}

/* 16 hexadecimal digits, as in the log and in the Sluice-Session header. 0 is nobody's, and in a filter it
 * would be everybody's. */
static void read_id(struct slice s, struct admin_ask *ask)
{
    if (s.len != ID_DIGITS || !read_hex(s, &ask->filter.id)) {
        refuse(ask, 400, "a session is named by the 16 hexadecimal digits of its id: /sessions/ID");
    } else if (ask->filter.id == 0) {
        refuse(ask, 404, "no session has this id");
    }
}

static void read_page(const struct http_head *head, struct admin_ask *ask)
{
    static const struct {
        struct slice path;
        enum admin_page page;
    } pages[] = {
        {{"/healthz", 8}, ADMIN_HEALTH},
        {{"/readyz", 7}, ADMIN_READY},
        {{"/metrics", 8}, ADMIN_METRICS},
        {{"/workers", 8}, ADMIN_WORKERS},
        {{"/sessions", 9}, ADMIN_SESSIONS},
    };
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (slice_eq(head->path, pages[i].path)) {
            ask->page = pages[i].page;
            return;
        }
    }
    struct slice folder = SLICE("/sessions/");
    if (slice_starts(head->path, folder)) {
        ask->page = ADMIN_SESSION;
        read_id((struct slice){head->path.p + folder.len, head->path.len - folder.len}, ask);
        return;
    }
    refuse(ask, 404, "here are /healthz, /readyz, /metrics, /sessions, /sessions/ID and /workers");
}

static void read_method(struct slice method, struct admin_ask *ask)
{
    bool sessions = ask->page == ADMIN_SESSIONS || ask->page == ADMIN_SESSION;
    ask->head_only = slice_eq(method, SLICE("HEAD"));
    ask->ends = sessions && slice_eq(method, SLICE("DELETE"));
    if (ask->status == 0 && !ask->head_only && !ask->ends && !slice_eq(method, SLICE("GET"))) {
        ask->allow = sessions ? "GET, HEAD, DELETE" : "GET, HEAD";
        refuse(ask, 405, "this page takes %s", ask->allow);
    }
}

/* Names as the rows have them. */
static void filter_by_route(const struct board_head *board, struct slice name, struct admin_ask *ask)
{
    const char *names[TALLY_ROWS + 1] = {0};
    uint32_t used = atomic_load(&board->rows_used);
    if (name.len >= sizeof ask->filter.route) {
        refuse(ask, 400, "route: names of over %zu bytes cannot be asked for: filter by client",
            sizeof ask->filter.route - 1);
        return;
    }
    memcpy(ask->filter.route, name.p, name.len);
    if (used >= TALLY_ROWS) {
        return; /* there are routes without a row */
    }
    for (uint32_t i = 0; i < used; i++) {
        names[i] = board->names[i];
        if (strcmp(names[i], ask->filter.route) == 0) {
            return;
        }
    }
    const char *nearest = words_nearest(name, names);
    refuse(ask, 400, "no route is named \"%s\"%s%s%s", ask->filter.route,
        nearest != NULL ? " (did you mean \"" : "", nearest != NULL ? nearest : "",
        nearest != NULL ? "\"?)" : "");
}

static void filter_by_client(struct slice net, struct admin_ask *ask)
{
    struct ip_net ignored;
    const char *why = "";
    if (!ip_net_parse(net, &ignored, &why)) {
        refuse(ask, 400, "client: \"%.*s\": %s", (int)(net.len < 64 ? net.len : 64), net.p, why);
    } else if (net.len >= sizeof ask->filter.client) {
        refuse(ask, 400, "client: too long");
    } else {
        memcpy(ask->filter.client, net.p, net.len);
    }
}

/* Percent-decodes a value (RFC 3986 2.1). Empty: it is none, or does not fit. */
static struct slice decode(struct slice raw, char *out, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < raw.len && len < cap; i++) {
        char c = raw.p[i];
        if (c == '%') {
            uint64_t byte = 0;
            if (i + 2 >= raw.len || !read_hex((struct slice){raw.p + i + 1, 2}, &byte) || byte == 0) {
                return SLICE("");
            }
            c = (char)byte;
            i += 2;
        }
        out[len++] = c;
    }
    return len < cap ? (struct slice){out, len} : SLICE("");
}

static void refuse_key(struct admin_ask *ask, struct slice key)
{
    static const char *const keys[] = {"route", "client", "all", NULL};
    const char *nearest = words_nearest(key, keys);
    refuse(ask, 400, "unknown key \"%.*s\"%s%s%s", (int)(key.len < 64 ? key.len : 64), key.p,
        nearest != NULL ? " (did you mean \"" : ": there are route and client",
        nearest != NULL ? nearest : "", nearest != NULL ? "\"?)" : "");
}

enum query_key { QUERY_OTHER = 0, QUERY_ROUTE = 1, QUERY_CLIENT = 2, QUERY_ALL = 4 };

static enum query_key query_key(struct slice key, bool ends)
{
    return slice_eq(key, SLICE("route"))         ? QUERY_ROUTE
           : slice_eq(key, SLICE("client"))      ? QUERY_CLIENT
           : slice_eq(key, SLICE("all")) && ends ? QUERY_ALL
                                                 : QUERY_OTHER;
}

/* One `key=value`; answers which it was. */
static enum query_key read_pair(const struct board_head *board, struct slice pair, struct admin_ask *ask)
{
    char array[CONTROL_NAME_MAX];
    size_t key_len = slice_find(pair, '=');
    struct slice key = {pair.p, key_len};
    struct slice raw = {pair.p + key_len, pair.len - key_len};
    enum query_key which = query_key(key, ask->ends);
    if (which == QUERY_OTHER) {
        refuse_key(ask, key);
        return which;
    }
    struct slice value =
        raw.len > 0 ? decode((struct slice){raw.p + 1, raw.len - 1}, array, sizeof array) : raw;
    if (value.len == 0) {
        refuse(ask, 400, "%.*s: write %.*s=VALUE, percent-encoded", SLICE_ARG(key), SLICE_ARG(key));
    } else if (which == QUERY_ROUTE) {
        filter_by_route(board, value, ask);
    } else if (which == QUERY_CLIENT) {
        filter_by_client(value, ask);
    } else if (!slice_eq(value, SLICE("1"))) {
        refuse(ask, 400, "all: write all=1 to end every session");
    }
    return which;
}

static void read_query(const struct board_head *board, const struct http_head *head, struct admin_ask *ask)
{
    struct slice query = {head->path.p + head->path.len, head->path_and_query.len - head->path.len};
    if (query.len > 0) {
        query = (struct slice){query.p + 1, query.len - 1};
    }
    if (is_monitoring(ask->page)) {
        return; /* monitors have habits */
    }
    if (query.len > 0 && ask->page != ADMIN_SESSIONS) {
        refuse(ask, 400, "this page takes no query");
    }
    unsigned seen = 0;
    struct slice pair;
    while (ask->status == 0 && slice_next(&query, '&', &pair)) {
        enum query_key which = read_pair(board, pair, ask);
        if ((seen & (unsigned)which) != 0) {
            refuse(ask, 400, "a key may be there once");
        }
        seen |= (unsigned)which;
    }
    if (ask->ends && ask->page == ADMIN_SESSIONS && seen == 0) {
        refuse(ask, 400, "which sessions? Write ?route=NAME, ?client=ADDRESS or NET, both, or ?all=1");
    }
}

/* No answer depends on a body, and none is read. */
static void judge_body(const struct http_request *r, const char *bytes, struct admin_ask *ask)
{
    struct slice length;
    size_t lengths = http_request_field(r, bytes, SLICE("Content-Length"), &length);
    struct slice coding;
    if (http_request_field(r, bytes, SLICE("Transfer-Encoding"), &coding) > 0 || lengths > 1 ||
        (lengths == 1 && !slice_eq(length, SLICE("0")))) {
        refuse(ask, 400, "a request here has no body");
    }
}

void admin_http_judge(const struct admin_context *context, const struct http_request *r, const char *bytes,
    struct admin_ask *ask)
{
    *ask = (struct admin_ask){.allow = ""};
    struct http_head head;
    http_head_read(r, bytes, &head);
    if (head.status != 0) {
        refuse(ask, head.status, "%s", head.phrase);
    }
    if (!admin_http_may_connect(context->rule, &context->peer)) {
        refuse(ask, 403, "this address is not in admin.allow");
    }
    struct admin_ask page = {.allow = ""}; /* a stranger is not told what there is */
    read_page(&head, &page);
    ask->page = page.page;
    judge_sender(context, &head, page.status == 0 && is_monitoring(page.page), ask);
    if (page.status != 0) {
        refuse(ask, page.status, "%s", page.why);
    }
    ask->filter = page.filter;
    read_method(http_request_slice(bytes, r->method), ask);
    judge_body(r, bytes, ask);
    if (ask->status == 0) {
        read_query(context->board, &head, ask);
    }
    ask->plain = http_request_has_token(r, bytes, SLICE("Accept"), SLICE("text/plain"));
}
