#include "proto/http_request.h"
#include <string.h>

void http_request_init(struct http_request *r)
{
    memset(r, 0, offsetof(struct http_request, fields));
}

struct slice http_request_slice(const char *bytes, struct http_span span)
{
    return (struct slice){bytes + span.at, span.len};
}

static enum http_progress bad(struct http_request *r, uint16_t status, const char *phrase)
{
    r->status = status;
    r->phrase = phrase;
    return HTTP_BAD;
}

static bool is_tchar(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool http_is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_tchar((unsigned char)s.p[i])) {
            return false;
        }
    }
    return s.len > 0;
}

static struct http_span span_of(const char *bytes, struct slice s)
{
    return (struct http_span){(uint32_t)(s.p - bytes), (uint32_t)s.len};
}

/* RFC 9112 3: method SP request-target SP HTTP-version. */
static enum http_progress request_line(struct http_request *r, const char *bytes, struct slice line)
{
    size_t first = slice_find(line, ' ');
    struct slice method = {line.p, first};
    if (first == line.len || !http_is_token(method)) {
        return bad(r, 400, "request line does not begin with a method");
    }
    struct slice rest = {line.p + first + 1, line.len - first - 1};
    size_t second = slice_find(rest, ' ');
    struct slice target = {rest.p, second};
    if (second == rest.len || target.len == 0) {
        return bad(r, 400, "request line is not METHOD TARGET HTTP/1.1");
    }
    for (size_t i = 0; i < target.len; i++) {
        if (target.p[i] <= ' ' || target.p[i] >= 0x7F) {
            return bad(r, 400, "request target has a character that must be percent-encoded");
        }
    }
    struct slice version = {rest.p + second + 1, rest.len - second - 1};
    if (!slice_eq(version, SLICE("HTTP/1.1"))) {
        bool http = slice_starts(version, SLICE("HTTP/"));
        return bad(r, 400, http ? "only HTTP/1.1 is spoken here" : "request line does not end in HTTP/1.1");
    }
    r->method = span_of(bytes, method);
    r->target = span_of(bytes, target);
    return HTTP_MORE;
}

/* RFC 9112 5: field-name ":" OWS field-value OWS. */
static enum http_progress field_line(struct http_request *r, const char *bytes, struct slice line)
{
    if (line.p[0] == ' ' || line.p[0] == '\t') {
        return bad(r, 400, "header line is folded");
    }
    size_t colon = slice_find(line, ':');
    struct slice name = {line.p, colon};
    if (colon == line.len || !http_is_token(name)) {
        return bad(r, 400, "header line is not NAME: VALUE");
    }
    if (r->field_count == HTTP_FIELDS_MAX) {
        return bad(r, 431, "too many header lines");
    }
    struct slice value = slice_trim((struct slice){line.p + colon + 1, line.len - colon - 1});
    r->fields[r->field_count++] = (struct http_field){span_of(bytes, name), span_of(bytes, value)};
    return HTTP_MORE;
}

static enum http_progress one_line(
    struct http_request *r, const char *bytes, struct slice line, uint32_t next_at)
{
    if (r->method.len > 0) {
        if (line.len == 0) {
            r->head_len = next_at;
            return HTTP_DONE;
        }
        return field_line(r, bytes, line);
    }
    if (line.len == 0) {
        return r->line_at == 0 ? HTTP_MORE : bad(r, 400, "request line is empty");
    }
    return request_line(r, bytes, line);
}

/* RFC 9110 5.5: no control character but HTAB; CR only just before the LF that ends a line. */
static const char *character_fault(const char *bytes, size_t at, bool first_line)
{
    unsigned char c = (unsigned char)bytes[at];
    if (c == '\n') {
        return at > 0 && bytes[at - 1] == '\r' ? NULL : "line ends in LF without CR";
    }
    if (at > 0 && bytes[at - 1] == '\r') {
        return "CR without LF";
    }
    if ((c < ' ' && c != '\t' && c != '\r') || c == 0x7F) {
        return at == 0 && c == 0x16 ? "this looks like TLS, and this listener speaks plain HTTP"
                                    : "control character in the request";
    }
    return first_line && c >= 0x80 ? "request line has a character that must be percent-encoded" : NULL;
}

static enum http_progress over_limit(struct http_request *r)
{
    return r->method.len > 0 ? bad(r, 431, "request header is over the limit")
                             : bad(r, 414, "request line is over the limit");
}

enum http_progress http_request_read(struct http_request *r, const char *bytes, size_t len, size_t limit)
{
    size_t end = len < limit ? len : limit;
    while (r->scanned < end) {
        const char *fault = character_fault(bytes, r->scanned, r->method.len == 0);
        if (fault != NULL) {
            return bad(r, 400, fault);
        }
        uint32_t at = r->scanned++;
        if (bytes[at] != '\n') {
            continue;
        }
        struct slice line = {bytes + r->line_at, at - 1 - r->line_at};
        enum http_progress progress = one_line(r, bytes, line, at + 1);
        if (progress != HTTP_MORE) {
            return progress;
        }
        r->line_at = at + 1;
    }
    return end == limit ? over_limit(r) : HTTP_MORE;
}

size_t http_request_field(
    const struct http_request *r, const char *bytes, struct slice name, struct slice *first)
{
    size_t count = 0;
    *first = SLICE("");
    for (size_t i = 0; i < r->field_count; i++) {
        if (slice_eq_nocase(http_request_slice(bytes, r->fields[i].name), name)) {
            if (count++ == 0) {
                *first = http_request_slice(bytes, r->fields[i].value);
            }
        }
    }
    return count;
}

bool http_request_has_token(
    const struct http_request *r, const char *bytes, struct slice name, struct slice token)
{
    for (size_t i = 0; i < r->field_count; i++) {
        if (!slice_eq_nocase(http_request_slice(bytes, r->fields[i].name), name)) {
            continue;
        }
        struct slice rest = http_request_slice(bytes, r->fields[i].value);
        struct slice element;
        while (slice_next(&rest, ',', &element)) {
            if (slice_eq_nocase(element, token)) {
                return true;
            }
        }
    }
    return false;
}
