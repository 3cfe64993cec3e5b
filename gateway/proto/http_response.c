#include "proto/http_response.h"
#include <string.h>

const char *http_status_text(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *text;
    } known[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {206, "Partial Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {414, "URI Too Long"},
        {416, "Range Not Satisfiable"},
        {421, "Misdirected Request"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].status == status) {
            return known[i].text;
        }
    }
    return "";
}

void http_response_refusal(struct text *out, uint16_t status, const char *phrase, const char *allow,
    const char *date, const char *session, bool head_only)
{
    text_addf(out, "HTTP/1.1 %u %s\r\n", status, http_status_text(status));
    text_addf(out, "Date: %s\r\n", date);
    if (session != NULL) {
        text_addf(out, "Sluice-Session: %s\r\n", session);
    }
    text_addf(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n", strlen(phrase) + 1);
    if (status == 405) {
        text_addf(out, "Allow: %s\r\n", allow);
    }
    if (status == 426) {
        text_addf(out, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    }
    if (status == 429 || status == 503) {
        text_addf(out, "Retry-After: %d\r\n", HTTP_RETRY_AFTER_S);
    }
    text_addf(out, "Connection: close\r\n\r\n");
    if (!head_only) {
        text_addf(out, "%s\n", phrase);
    }
}

void http_response_switching(
    struct text *out, const char *accept_key, struct slice subprotocol, const char *session)
{
    text_add(out, SLICE("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: "));
    text_add_cstr(out, accept_key);
    text_add(out, SLICE("\r\nSluice-Session: "));
    text_add_cstr(out, session);
    if (subprotocol.len > 0) {
        text_add(out, SLICE("\r\nSec-WebSocket-Protocol: "));
        text_add(out, subprotocol);
    }
    text_add(out, SLICE("\r\n\r\n"));
}
