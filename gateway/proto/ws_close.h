/* Close frames: which codes may be on the wire, what a received one says, and how ours is built.
 * RFC 6455 5.5.1, 7.1.5, 7.4; the IANA registry for 1012 to 1014. */
#ifndef SLUICE_PROTO_WS_CLOSE_H
#define SLUICE_PROTO_WS_CLOSE_H

#include "base/slice.h"

enum {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_PROTOCOL_ERROR = 1002,
    WS_CLOSE_BAD_DATA = 1007,
    WS_CLOSE_REASON_MAX = 123,
};

/* 1000 to 1003, 1007 to 1014, 3000 to 4999. 1004 is reserved; 1005, 1006 and 1015 never go on the wire. */
bool ws_close_code_may_be_sent(uint64_t code);

/* The code to answer a received Close with: its own; 1000 for none; 1002 for one that may not be sent and for
 * a payload of one byte; 1007 for a reason that is not UTF-8. */
uint16_t ws_close_answer(const uint8_t *payload, size_t len);

/* Writes a Close payload: the code and the reason, cut at 123 bytes between characters. Answers its length.
 */
size_t ws_close_write(uint16_t code, struct slice reason, uint8_t out[2 + WS_CLOSE_REASON_MAX]);

#endif
