/* Every end of a session has one cause, and this table is where its Close code is chosen.
 *
 * The name is the same word in the log, in the metrics and in `close_codes` of a route. A code of 0 means
 * that no fixed code goes with the cause: `client_close` echoes (proto/ws_close), `client_gone` sends none.
 * The status is what an HTTP answer carries where the session ends before its 101. */
#ifndef SLUICE_RULES_CAUSE_H
#define SLUICE_RULES_CAUSE_H

#include "base/log.h"
#include "base/slice.h"

/* Of a Close frame's 125 bytes two are the code (RFC 6455 5.5), and 19 the session's id behind the phrase. */
enum { CAUSE_PHRASE_MAX = 104 };

/*    constant             name                  code  status  level        phrase (ASCII) */
#define CAUSE_TABLE(X)                                                                                       \
    X(CAUSE_CLIENT_CLOSE, "client_close", 0, 0, LOG_INFO, "")                                                \
    X(CAUSE_CLIENT_GONE, "client_gone", 0, 0, LOG_INFO, "client went away without a Close frame")            \
    X(CAUSE_CLIENT_TIMEOUT, "client_timeout", 1011, 408, LOG_INFO, "no byte from the client after a ping")   \
    X(CAUSE_BAD_FRAME, "bad_frame", 1002, 400, LOG_INFO, "frame breaks RFC 6455")                            \
    X(CAUSE_BAD_UTF8, "bad_utf8", 1007, 400, LOG_INFO, "text message is not UTF-8")                          \
    X(CAUSE_BAD_MESSAGE_TYPE, "bad_message_type", 1003, 400, LOG_INFO,                                       \
        "this kind of message is not taken here")                                                            \
    X(CAUSE_MESSAGE_TOO_BIG, "message_too_big", 1009, 400, LOG_INFO, "message is over the limit")            \
    X(CAUSE_TARGET_EOF, "target_eof", 1000, 502, LOG_INFO, "target ended the connection")                    \
    X(CAUSE_TARGET_RESET, "target_reset", 1014, 502, LOG_WARNING, "target reset the connection")             \
    X(CAUSE_TARGET_REFUSED, "target_refused", 1014, 502, LOG_WARNING, "target refused the connection")       \
    X(CAUSE_TARGET_UNREACHABLE, "target_unreachable", 1014, 502, LOG_WARNING, "target cannot be reached")    \
    X(CAUSE_TARGET_TIMEOUT, "target_timeout", 1014, 504, LOG_WARNING, "target did not answer in time")       \
    X(CAUSE_TARGET_DNS, "target_dns", 1014, 502, LOG_WARNING, "target's name cannot be looked up")           \
    X(CAUSE_TARGET_TLS, "target_tls", 1014, 502, LOG_WARNING, "TLS with the target failed")                  \
    X(CAUSE_IDLE, "idle", 1001, 408, LOG_INFO, "session was idle for too long")                              \
    X(CAUSE_SESSION_LIMIT, "session_limit", 1008, 503, LOG_INFO, "session reached its longest time")         \
    X(CAUSE_TARGET_NOT_TEXT, "target_not_text", 1014, 502, LOG_WARNING,                                      \
        "target sent bytes that are not UTF-8")                                                              \
    X(CAUSE_DRAIN, "drain", 1012, 503, LOG_INFO, "gateway is restarting")                                    \
    X(CAUSE_OVERLOAD, "overload", 1013, 503, LOG_ERROR, "gateway is out of memory or descriptors")           \
    X(CAUSE_REVOKED, "revoked", 1008, 403, LOG_INFO, "a new configuration does not admit it")                \
    X(CAUSE_KILLED, "killed", 1008, 403, LOG_INFO, "an operator ended the session")                          \
    X(CAUSE_INTERNAL, "internal", 1011, 500, LOG_ERROR, "internal error")

enum cause {
#define CAUSE_CONSTANT(constant, name, code, status, level, phrase) constant,
    CAUSE_TABLE(CAUSE_CONSTANT)
#undef CAUSE_CONSTANT
};

enum {
#define CAUSE_ONE(constant, name, code, status, level, phrase) +1
    CAUSE_COUNT = 0 CAUSE_TABLE(CAUSE_ONE)
#undef CAUSE_ONE
};

const char *cause_name(enum cause cause);
uint16_t cause_close_code(enum cause cause);
uint16_t cause_http_status(enum cause cause);
enum log_level cause_log_level(enum cause cause);
const char *cause_phrase(enum cause cause);

/* The cause of that name; false when there is none. */
bool cause_from_name(struct slice name, enum cause *out);

#endif
