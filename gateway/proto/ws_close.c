#include "proto/ws_close.h"
#include "proto/utf8.h"
#include <string.h>

bool ws_close_code_may_be_sent(uint64_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

uint16_t ws_close_answer(const uint8_t *payload, size_t len)
{
    if (len == 0) {
        return WS_CLOSE_NORMAL;
    }
    if (len == 1) {
        return WS_CLOSE_PROTOCOL_ERROR;
    }
    uint16_t code = (uint16_t)(payload[0] << 8 | payload[1]);
    if (!ws_close_code_may_be_sent(code)) {
        return WS_CLOSE_PROTOCOL_ERROR;
    }
    struct utf8 reason = {0};
    if (!utf8_feed(&reason, payload + 2, len - 2) || !utf8_whole(&reason)) {
        return WS_CLOSE_BAD_DATA;
    }
    return code;
}

size_t ws_close_write(uint16_t code, struct slice reason, uint8_t out[2 + WS_CLOSE_REASON_MAX])
{
    size_t len = reason.len;
    if (len > WS_CLOSE_REASON_MAX) {
        len = WS_CLOSE_REASON_MAX;
        len -= utf8_unfinished((const uint8_t *)reason.p, len);
    }
    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    if (len > 0) {
        memcpy(out + 2, reason.p, len);
    }
    return 2 + len;
}
