/* A client's stream of frames, read as messages: masks, fragments, control frames between them, UTF-8,
 * limits.
 *
 * The reader is handed bytes as they come, in pieces of any size, and answers one event a step. Payload
 * streams: no length in a header ever makes memory. The one thing it allocates is the payload of a control
 * frame that came in several pieces (at most 125 bytes), until the frame is whole. */
#ifndef SLUICE_PROTO_WS_MESSAGE_H
#define SLUICE_PROTO_WS_MESSAGE_H

#include "proto/utf8.h"
#include "proto/ws_frame.h"

enum ws_event {
    WS_EVENT_MORE, /* the input is used up */
    WS_EVENT_DATA, /* `len` bytes of payload stand, unmasked, at the output */
    WS_EVENT_PING, /* `payload`, `len` */
    WS_EVENT_PONG,
    WS_EVENT_CLOSE, /* `payload`, `len`; whatever follows is not to be read */
    WS_EVENT_FAULT, /* the stream is broken; do not step again */
};

enum ws_fault {
    WS_FAULT_FRAME,   /* against RFC 6455 5.2, 5.4 or 5.5: `phrase` says how */
    WS_FAULT_UTF8,    /* 8.1 */
    WS_FAULT_TYPE,    /* text where only binary is taken, or the reverse */
    WS_FAULT_TOO_BIG, /* the message, summed over its fragments */
    WS_FAULT_MEMORY,  /* ours */
};

struct ws_step {
    enum ws_event event;
    const uint8_t *payload; /* of a control frame; valid until the next step or the input's end of life */
    size_t len;
    enum ws_fault fault;
    const char *phrase;
};

struct ws_message {
    union {
        uint8_t header[WS_HEADER_MAX]; /* between frames: what has come of the next one's */
        struct {
            uint64_t frame_left; /* within a frame: payload bytes that have not come */
            uint8_t mask[4];
        };
    };
    uint64_t message_len; /* of the current message, with all of the current frame */
    uint64_t message_max; /* UINT64_MAX: no limit */
    uint8_t *control;     /* a control frame's payload that came in part; NULL: none */
    uint8_t header_have;
    uint8_t phase;       /* of the mask */
    uint8_t opcode;      /* of the current frame */
    uint8_t control_len; /* of the current control frame, whole */
    struct utf8 utf8;
    bool in_frame : 1;
    bool fin : 1;
    bool in_message : 1; /* a fragmented message is under way */
    bool text : 1;       /* the current message is */
    bool takes_text : 1;
    bool takes_binary : 1;
};

void ws_message_init(struct ws_message *m, bool takes_text, bool takes_binary, uint64_t message_max);
void ws_message_fini(struct ws_message *m);

/* The short way for the frames that most streams are made of: as many as stand at *in that are messages of
 * their own, binary, whole, and short, and nothing but their payload is to be told of. Moves *in behind them
 * and answers the length of their payloads, which stand unmasked at `out`, as for ws_message_step; 0: there
 * is none.
 */
size_t ws_message_run(struct ws_message *m, uint8_t **in, const uint8_t *end, uint8_t *out);

/* Reads on from *in, which it moves, up to `end`. Data is unmasked to `out`, which may be *in or lie before
 * it (so that payloads of several frames move together); it takes as much of the input as one event needs. */
void ws_message_step(
    struct ws_message *m, uint8_t **in, const uint8_t *end, uint8_t *out, struct ws_step *step);

#endif
