/* A strict RFC 9112 request head, read where it lies. Nothing is copied or allocated: what is found is kept
 * as places in the caller's bytes, which may grow and move between calls.
 *
 * Strict: lines end in CRLF, no folded lines, no blank before a colon, no control characters, HTTP/1.1 alone.
 * One empty line before the request is passed over (RFC 9112 2.2). */
#ifndef SLUICE_PROTO_HTTP_REQUEST_H
#define SLUICE_PROTO_HTTP_REQUEST_H

#include "base/slice.h"

enum { HTTP_FIELDS_MAX = 100 };

/* A place in the request's bytes. */
struct http_span {
    uint32_t at;
    uint32_t len;
};

struct http_field {
    struct http_span name;
    struct http_span value; /* without the blanks around it */
};

enum http_progress {
    HTTP_MORE, /* the head is not all there */
    HTTP_DONE, /* `head_len` bytes were the head */
    HTTP_BAD,  /* answer `status`, with `phrase` in its body */
};

struct http_request {
    uint32_t scanned; /* no line ends before here but those that were read */
    uint32_t line_at; /* where the line under way begins */
    uint32_t head_len;
    struct http_span method;
    struct http_span target;
    uint16_t field_count;
    uint16_t status;    /* of HTTP_BAD: 400, 414 or 431 */
    const char *phrase; /* of HTTP_BAD */
    struct http_field fields[HTTP_FIELDS_MAX];
};

void http_request_init(struct http_request *r);

/* Goes on with all that has come so far: `bytes` begins where the first call's did. `limit` bounds the whole
 * head, in bytes; the request line alone is bounded by it too (414), else 431. */
enum http_progress http_request_read(struct http_request *r, const char *bytes, size_t len, size_t limit);

struct slice http_request_slice(const char *bytes, struct http_span span);

/* How many fields of that name there are (case is ignored); *first is the first one's value, or empty. */
size_t http_request_field(
    const struct http_request *r, const char *bytes, struct slice name, struct slice *first);

/* Whether a field that lists tokens, such as Connection, has `token` among them, in any case (RFC
 * 9110 5.6.1). */
bool http_request_has_token(
    const struct http_request *r, const char *bytes, struct slice name, struct slice token);

/* RFC 9110 5.6.2. */
bool http_is_token(struct slice s);

#endif
