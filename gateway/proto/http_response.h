/* The answers of the gateway, built into a caller's array. */
#ifndef SLUICE_PROTO_HTTP_RESPONSE_H
#define SLUICE_PROTO_HTTP_RESPONSE_H

#include "base/text.h"

enum { HTTP_RETRY_AFTER_S = 10 };

/* "Not Found"; "" for a status that is never sent here. */
const char *http_status_text(uint16_t status);

/* A refusal: its one-line body is `phrase` (left out where `head_only`, RFC 9110 9.3.2), and it closes. What
 * a status must carry goes with it: `allow` with 405, Upgrade and Sec-WebSocket-Version with 426, Retry-After
 * with 429 and 503. `date` is an IMF-fixdate; `session` is what the log knows it by; NULL: it has
 * no such name. */
void http_response_refusal(struct text *out, uint16_t status, const char *phrase, const char *allow,
    const char *date, const char *session, bool head_only);

/* RFC 6455 4.2.2 5.; no Sec-WebSocket-Protocol where `subprotocol` is empty. */
void http_response_switching(
    struct text *out, const char *accept_key, struct slice subprotocol, const char *session);

#endif
