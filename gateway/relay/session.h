/* One session, as the files of relay/ share it: a client, a target, two flows, one cause.
 *
 * After each event `session_run` goes as far as it can; what to wait for and until when is then derived from
 * the state, in session_wants.c, and nowhere else. session_move is the one place that changes the lifecycle.
 */
#ifndef SLUICE_RELAY_SESSION_H
#define SLUICE_RELAY_SESSION_H

#include "base/buf.h"
#include "proto/http_request.h"
#include "proto/ws_close.h"
#include "proto/ws_message.h"
#include "relay/rate.h"
#include "relay/relay.h"
#include "rules/judge.h"

/*  constant         name       what may come next */
#define SESSION_STATES(X)                                                                                    \
    X(SESSION_PROXY, "proxy", NEXT(SESSION_TLS) | NEXT(SESSION_REQUEST) | NEXT(SESSION_DONE))                \
    X(SESSION_TLS, "tls", NEXT(SESSION_REQUEST) | NEXT(SESSION_DONE))                                        \
    X(SESSION_REQUEST, "request",                                                                            \
        NEXT(SESSION_FILE) | NEXT(SESSION_DIAL) | NEXT(SESSION_CLOSING) | NEXT(SESSION_DONE))                \
    X(SESSION_FILE, "file", NEXT(SESSION_REQUEST) | NEXT(SESSION_CLOSING) | NEXT(SESSION_DONE))              \
    X(SESSION_DIAL, "dial", NEXT(SESSION_RELAY) | NEXT(SESSION_CLOSING) | NEXT(SESSION_DONE))                \
    X(SESSION_RELAY, "relay", NEXT(SESSION_CLOSING) | NEXT(SESSION_DONE))                                    \
    X(SESSION_CLOSING, "closing", NEXT(SESSION_DONE))                                                        \
    X(SESSION_DONE, "done", 0)

enum session_state {
#define SESSION_CONSTANT(constant, name, next) constant,
    SESSION_STATES(SESSION_CONSTANT)
#undef SESSION_CONSTANT
};

/* How it is counted. */
enum session_place { PLACE_NONE, PLACE_SESSION, PLACE_LINGERING };

enum { SESSION_ID_MAX = 17 }; /* an id's text, with its NUL */

/* One end of the session. */
struct session_side {
    struct transport *io; /* NULL: none yet, or no more */
    union {
        struct loop_watch watch; /* with `io` */
        struct sock_facts facts; /* once a session's connection is closed: the last of it */
    };
    uint32_t mark;    /* how much its system had taken, when session.marked */
    uint8_t ready;    /* LOOP_* bits of the event being handled */
    uint8_t wants;    /* LOOP_* bits that a TLS handshake waits for */
    bool over : 1;    /* nothing more will be read: its end or its failure was seen */
    bool hung_up : 1; /* its end was announced while it was not being read */
    bool reset : 1; /* a write has told so, and with that the kernel has forgotten it: a read will say EOF */
};

/* One direction. `kept`, and behind it `pipe`, is what the sink would not take: while there is any, the
 * source is not read. */
struct session_flow {
    struct buf kept;
    uint64_t bytes;       /* payload handed to the sink */
    uint32_t undelivered; /* of it, with frame headers: not taken before the sink was lost */
    uint32_t stalled_ms;  /* how long bytes have waited for the sink, but for the wait under way */
    uint32_t stalls_from_ms;
    uint8_t read_log2;     /* how much the source is asked for at once; 0: nothing was learnt yet */
    uint8_t pipe;          /* a splice_handle; SPLICE_NONE while it would hold nothing */
    bool stalls : 1;       /* bytes wait for the sink */
    bool source_ended : 1; /* no more payload will come, or none is wanted */
    bool sink_told : 1;    /* the sink knows that the flow is over, or can be told nothing any more */
};

/* A file on its way to the client. */
struct file_answer {
    int fd;      /* -1: none */
    bool last;   /* the connection ends with it */
    uint64_t at; /* the next byte to send */
    uint64_t end;
};

/* The way to a target, from the verdict until one is reached. */
struct target_search {
    uint64_t tried;    /* of the route's targets, in this round: a bit each */
    uint64_t until_ms; /* `timeouts.connect`, of all tries together */
    uint64_t again_ms; /* `connect_retry`: when the next round begins; 0: one is under way */
    uint32_t pause_ms; /* behind the next round */
};

/* What only the time before the relaying needs. */
struct session_request {
    struct http_request http;
    struct buf bytes;        /* the head under way and what came behind it; in SESSION_PROXY its header */
    struct buf answer;       /* the 101, until it is sent */
    struct file_answer file; /* in SESSION_FILE */
    struct dial *dial;       /* in SESSION_DIAL, between two rounds and else NULL */
    uint64_t dialed_ms;      /* when the target was dialed last */
    struct target_search search;
    struct sock_peer through; /* who is at the other end, proxy or client: `peer` but for X-Forwarded-For */
    bool served;              /* a file was served on this connection: its end is no refusal */
};

struct session {
    struct relay *relay;
    const struct relay_door *door;
    const struct route *route; /* NULL before the verdict */
    struct list link;          /* in relay->all */
    struct list again;         /* in relay->again, or alone */
    struct wheel_timer timer;
    struct session_side client;
    struct session_side target;
    struct session_flow up;          /* client to target */
    struct session_flow down;        /* target to client */
    struct session_request *request; /* before the relaying, else NULL */
    struct asked *asked;             /* from the verdict on */
    struct session_rate *rate;       /* NULL: no limit in either direction */
    struct ws_message message;       /* the client's frames, from the 101 on */
    struct utf8 down_utf8;           /* `messages: text`: the target's bytes */
    uint8_t tail[4];                 /* the beginning of a character of the target's */
    uint8_t tail_len;

    enum session_state state : 8;
    enum cause cause : 8; /* from CLOSING on, where has_cause */
    enum session_place place : 8;
    uint8_t target_at;        /* of the route's targets: the one dialed last */
    bool has_cause : 1;       /* false in CLOSING: a refusal or the end of a files connection */
    bool client_counted : 1;  /* among its client's */
    bool at_target : 1;       /* it counts in relay->targets */
    bool marked : 1;          /* each side's mark was taken for the deadline in force */
    bool handshake_waits : 1; /* for its share of a turn */
    bool upgraded : 1;        /* the 101 was sent */
    bool close_seen : 1;      /* the client's Close came: what follows is not read as frames */
    bool close_pending : 1;   /* our Close is to be sent once what stands before it is */
    bool ping_pending : 1;
    bool ping_awaited : 1; /* the newest ping was not answered yet */
    bool ping_known : 1;
    bool target_asked : 1; /* the system asks the target whether it lives */
    uint16_t close_code;
    struct sock_peer peer; /* the client, whoever it came through */
    union {
        uint32_t taken_mark;      /* in RELAY: how much the client's system had taken when pinged */
        uint32_t discarded_bytes; /* in CLOSING: the target's that nobody wants any more */
    };
    const char *close_phrase;
    struct buf pongs; /* frames that answer pings, until they can be sent */

    uint64_t id;
    uint64_t begun_ms;    /* accepted, or free for another request */
    uint64_t deadline_ms; /* of the state, where it has a fixed one; else CLOCK_NEVER */
    uint64_t heard_ms;    /* the client's last byte */
    uint64_t payload_ms;  /* the last payload, either way */
    uint64_t pinged_ms;   /* our ping that waits for any byte; 0: none */
    uint32_t ping_at_ms;  /* our newest ping's; slow.c has these */
    uint32_t ping_ms;     /* the last round trip, where ping_known */
    uint32_t ping_max_ms; /* and the longest */
};
_Static_assert(sizeof(struct session) <= 424, "an idle session takes half a KiB with what it points to");

/* ---- session.c: the lifecycle. */
const char *session_state_name(enum session_state state);
/* What the client, the log and an operator know it by: 16 hexadecimal digits. */
void session_id_format(const struct session *s, char out[SESSION_ID_MAX]);
/* The target's transport, and its place in the loop. */
void session_watch_target(struct session *s, struct transport *io);
/* Closes a side's connection, by RST where `reset`. */
void session_close_side(struct session *s, struct session_side *side, bool reset);
/* `timeouts.close`, of the route where there is one. */
uint64_t session_close_ms(const struct session *s);
/* Changes the lifecycle: the one place where its deadline and its counters are set. */
void session_move(struct session *s, enum session_state to);
/* Nothing stands before TLS or the request any more. */
void session_begin(struct session *s);
/* Both sides are told: what was relayed is known, and its line is logged. Once. */
void session_conclude(struct session *s);
/* A handshake that failed, or was not done in time: it is over. */
void session_tls_failed(struct session *s, const char *reason);
/* Goes as far as it can, then waits (or is freed: do not touch `s` afterwards). */
void session_run(struct session *s);

/* What its route counts; only where there is one. */
static inline struct tally_row *session_row(const struct session *s)
{
    return s->relay->rows[s->route->index];
}

/* ---- places.c: what `limits` says of how many there may be. */
struct place_verdict {
    uint16_t status; /* 0: it has a place; else what to answer */
    const char *phrase;
};
struct place_verdict place_take(struct session *s) __attribute__((warn_unused_result));
/* The session is over; its target's connection lingers until place_leave. */
void place_linger(struct session *s);
/* Its target's connection is gone: its place is free. Once. */
void place_leave(struct session *s);

/* ---- session_wants.c: pure functions of the state. */
unsigned session_client_interest(const struct session *s);
unsigned session_target_interest(const struct session *s);
uint64_t session_next_due_ms(const struct session *s);
/* It can go on, and poll would not tell: bytes wait in a transport or behind a request, a file is under way,
 * or a handshake waits for its share. */
bool session_must_run_again(const struct session *s);
/* The sink has not taken all that it was given: its source is not to be read. */
bool session_up_blocked(const struct session *s);
bool session_down_blocked(const struct session *s);
/* `limits.rate`: the source is not to be read for now, whatever the sink takes. */
bool session_up_limited(const struct session *s);
bool session_down_limited(const struct session *s);

/* ---- proxy.c: who the client is where proxies stand in front. */
/* Whether a connection may be taken at all; one that may not was logged and counted. */
bool proxy_admits(struct relay *relay, const struct relay_door *door, const struct sock_peer *peer);
void proxy_step(struct session *s);
/* In SESSION_PROXY: closes the connection by RST. */
void proxy_refuse(struct session *s, const char *reason);
/* Finds the client of a request whose head was read. False: it cannot be told, and the request is refused. */
bool proxy_forwarded(struct session *s) __attribute__((warn_unused_result));

/* ---- relay.c */
/* Hands out every session once; `visit` may end it. */
void relay_each(struct relay *relay, void (*visit)(struct session *s, void *context), void *context);

/* ---- request.c: from the first byte to the verdict. */
void request_step(struct session *s);
/* What a session has before the relaying, if it is not there yet. False: no memory. */
bool request_begin(struct session *s) __attribute__((warn_unused_result));
/* While the target is dialed: takes what the client sends early, as far as there is room for a request. */
void request_dial_step(struct session *s);
bool request_has_room(const struct session *s);
/* Answers a refusal and closes; before the 101 alone. */
void request_refuse(struct session *s, uint16_t status, const char *phrase, const char *allow);
/* Sends the 101. */
void request_switch(struct session *s);
/* Frees what a session has before the relaying, if anything. */
void request_free(struct session *s);
/* Forgets the request; what came behind its head is read as frames. */
void request_done(struct session *s);

/* ---- target.c: who the target is, and reaching it. */
void target_choose(struct session *s);
/* The time for another round has come. */
void target_again(struct session *s);
/* Ends the dialing, if there is any. */
void target_give_up(struct session *s);
/* Its connection is gone: it counts no more. Any number of times. */
void target_leave(struct session *s);
/* The one that was dialed last; the first one before that. */
static inline const struct target_rule *target_of(const struct session *s)
{
    return &s->route->targets[s->target_at];
}

/* ---- target_proxy.c */
/* The header that the route's targets get first; answers its length, 0: none. */
size_t target_proxy_write(const struct session *s, uint8_t out[DIAL_PRELUDE_MAX]);

/* ---- flow.c: bytes to a side. */
enum flow_status {
    FLOW_CLEAR,     /* all of it is in the kernel's hands */
    FLOW_BLOCKED,   /* the rest is kept, and the flow waits */
    FLOW_BROKEN,    /* the sink takes nothing any more */
    FLOW_NO_MEMORY, /* what the sink did not take could not be kept: the flow has a hole and must end */
};
/* Only while nothing is kept or unsent. */
enum flow_status flow_write(struct session_side *sink, struct session_flow *flow, const void *data, size_t n)
    __attribute__((warn_unused_result));
/* The same, where the sink is told of the flow's end as soon as all was taken. */
enum flow_status flow_write_last(struct session_side *sink, struct session_flow *flow, const void *data,
    size_t n) __attribute__((warn_unused_result));
enum flow_status flow_flush(struct session_side *sink, struct session_flow *flow)
    __attribute__((warn_unused_result));
/* A message that the pipe holds, with its header before it; the pipe is the flow's from now on. */
enum flow_status flow_write_pipe(struct session_side *sink, struct session_flow *flow, const void *head,
    size_t n, struct splice_pipe *pipe) __attribute__((warn_unused_result));
/* How much waits here. */
size_t flow_kept_bytes(const struct session_flow *flow);
/* How much to ask the source for: a lot while the sink takes all of it at once, since the system calls are
 * the price of relaying; little once it does not, so that a slow session keeps little. Never above
 * `max_bytes`. */
size_t flow_read_bytes(const struct session_flow *flow, size_t max_bytes);
/* A read was filled to the brim, and the sink has taken it. */
void flow_read_filled(struct session_flow *flow);
/* The source gives, and the sink takes, as much as one read can bring, and `cap` lets it bring enough: what
 * splice(2) is for. */
bool flow_is_stream(const struct session_flow *flow, size_t cap);
/* A stream's read brought `n` bytes: with few it is none any more. */
void flow_stream_read(struct session_flow *flow, size_t n);
/* Gives up what is kept: the sink is lost, or its time is up. */
void flow_drop(const struct session_side *sink, struct session_flow *flow);
void flow_fini(struct session_flow *flow);
bool flow_is_blocked(const struct session_side *sink, const struct session_flow *flow);

/* ---- up.c, down.c: the two pumps. */
void up_step(struct session *s);
/* Reads `bytes` as frames, in place. */
void up_frames(struct session *s, uint8_t *bytes, size_t n);
void down_step(struct session *s);
/* Sends what stands between frames: a pong, a ping, our Close. */
enum flow_status down_control(struct session *s) __attribute__((warn_unused_result));

/* ---- closing.c: the end. */
/* The first cause wins; later ones change nothing. `phrase` NULL: the cause's own. */
void session_end(struct session *s, enum cause cause, const char *phrase);
/* It ends already: another cause would change nothing. */
bool session_is_over(const struct session *s);
/* The client sent Close: `code` goes back. */
void session_end_by_client(struct session *s, uint16_t code);
/* The payload of our Close frame, and its length. Behind the reason of an abnormal end stands the session's
 * id: what a user sees leads to the line in the log. */
size_t session_close_payload(const struct session *s, uint8_t out[2 + WS_CLOSE_REASON_MAX]);
/* Closes a connection that is no session: after a refusal, or a files connection's end. */
void session_hang_up(struct session *s);
/* While relaying: the target is gone, and was not heard to go. */
void session_give_up_target(struct session *s);
void closing_step(struct session *s);
/* The target is to see RST in place of FIN (`on_client_abort`), and was told nothing yet. */
bool closing_resets_target(const struct session *s);
/* It will be, once it has taken what the kernel still holds for it; nothing announces that. */
bool closing_waits_to_reset(const struct session *s);
/* What a write to a side came to, where it is more than FLOW_CLEAR or FLOW_BLOCKED. While relaying, a broken
 * side is still read to its end, which tells the cause; the time for that is `timeouts.close`. */
void closing_client_write(struct session *s, enum flow_status status);
void closing_target_write(struct session *s, enum flow_status status);

/* ---- liveness.c: what happens when a deadline is up. */
void liveness_expired(struct session *s);
/* No frame asks a target whether it lives: the system does, at the pace at which clients are asked. It is
 * told to when the session's first timer fires, which is soon enough and spares short sessions the calls. */
void liveness_ask_target(struct session *s);
/* Where bytes are under way, it is not: whether those were not answered for `ping` and `pong` together.
 * Looked at when a timer fires, which is about once in `ping`, or in `pong` while the client is held back. */
bool liveness_target_is_gone(const struct session *s);
/* A byte came from the client. */
void liveness_heard(struct session *s);
/* Whether a side that has bytes waiting, here or in the kernel, has taken some since this was asked last (or
 * since liveness_mark). */
bool liveness_moves(struct session *s);
void liveness_mark(struct session *s);
/* The time that a side whose end was announced is still given, while it cannot be read. */
void liveness_hung_up(struct session *s);

/* ---- slow.c: who is slow. */
enum { SLOW_PING_LEN = 8 };
/* Our ping leaves now. What it carries tells its answer from a Pong that nobody asked for (RFC 6455 5.5.3).
 */
void slow_ping(struct session *s, uint8_t payload[SLOW_PING_LEN]);
void slow_pong(struct session *s, const uint8_t *payload, size_t n);
/* How long the relay had bytes that the flow's sink would not take, up to now. */
uint32_t slow_stalled_ms(const struct session *s, const struct session_flow *flow);
/* Looks at what the session waits for, once that is stated; while it is counted as one. */
void slow_note_stalls(struct session *s);
void slow_end_stalls(struct session *s);
/* What TCP measured on a side's connection, or had when it was closed. */
struct sock_facts slow_tcp(const struct session_side *side);

/* ---- files.c: `files` routes. */
struct http_head;
/* `path` is the decoded one; it lies in the relay's scratch. */
void files_answer(struct session *s, const struct http_head *head, struct slice path);
void files_step(struct session *s);
/* The client has not taken what it was sent in time, as far as can be seen from here. */
void files_expired(struct session *s);
void files_end(struct session_request *request);

/* ---- session_log.c */
void session_log_end(const struct session *s);
/* A request that was answered with `status`. */
void session_log_refused(const struct session *s, uint16_t status, const char *phrase);
/* After session_end: the kernel still held bytes for a side when its time was up. */
void session_log_unacknowledged(const struct session *s);
/* A connection that there is no memory to serve. */
void session_log_dropped(struct relay *relay, const struct relay_door *door, const struct sock_peer *peer);
/* Before there is a session, or in SESSION_PROXY. */
void session_log_proxy_refused(
    struct relay *relay, const struct relay_door *door, const struct sock_peer *peer, const char *reason);
void session_log_tls_failed(const struct session *s, const char *reason);
/* A file that was promised and not sent to its end. */
void session_log_file_cut(const struct session *s, const char *reason);
/* A pipe was opened for a stream; at `debug`. */
void session_log_pipe_opened(const struct session *s, const struct splice_pipe *pipe);
void session_log_target_failed(const struct session *s, enum cause cause, const char *detail);
/* It was reached behind so many failures in a row. */
void session_log_target_back(const struct session *s, uint32_t failures);

#endif
