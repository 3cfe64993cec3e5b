/* Whole sessions without a kernel: scripted peers behind `struct transport`, a scripted dialer, a clock that
 * the test moves.
 *
 * A side is what one peer does and what it saw. The bench hands a session only those events that it has asked
 * for, so a session that forgets to ask stands still, and bench_run says so. Nothing blocks; what a side
 * gathers is freed by bench_fini. */
#ifndef SLUICE_TESTS_SCRIPT_H
#define SLUICE_TESTS_SCRIPT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/session.h"

#define SCRIPT_ALL SIZE_MAX

enum script_end {
    SCRIPT_STAYS, /* behind its last byte the peer is silent */
    SCRIPT_EOF,
    SCRIPT_RESET, /* the peer's RST comes behind its last byte */
};

/* How a transport behaves, whatever is said over it. */
struct script_habit {
    const char *name;
    size_t read_piece;  /* the most that one read hands out */
    size_t write_piece; /* the most that one write (or flush) gives to the peer */
    size_t
        burst;  /* as TLS: so much is received at once, and what is not handed out is `pending`; 0: none is */
    bool wants; /* every other read and write brings WANT_* */
    bool keeps; /* as TLS: takes all that is written and keeps it `unsent`; so does its shutdown */
};

/* Above 0 while the scripts allocate for themselves: what is counted or refused then is not the session's. */
extern volatile unsigned script_busy; /* volatile: a compiler knows that malloc(3) reads no variables */

extern const struct script_habit script_easy; /* all at once */
extern const struct script_habit script_habits[];
extern const size_t script_habit_count;

struct bench;
struct script_transport;

struct script_side {
    const char *name;
    struct bench *bench;
    struct script_side *other;
    struct script_transport *transport; /* NULL: none yet, or closed */
    struct script_habit habit;
    const char
        *handshake; /* "rw": wants to read, then to write, then is done; at an "s" the peer falls silent */
    int fd;         /* -1: none */

    struct buf said; /* what the peer sent and the gateway has not read */
    size_t held;     /* of it, `pending` */
    enum script_end end;
    bool polite; /* ends when the gateway has ended its direction */

    struct buf heard; /* what the peer received */
    struct buf unsent;
    size_t notify; /* bytes of a close_notify, unsent */
    size_t room;   /* how much more the peer takes before it stalls */

    bool broken; /* each call fails */
    bool unable; /* by splice(2); reading and writing go on */
    bool deaf;   /* each call but read fails: the peer takes nothing any more */
    bool want_next;
    bool notified;
    bool shut;   /* the gateway ended its direction */
    bool closed; /* and this side's descriptor */
    bool reset;  /* by RST */
    unsigned reads;
    size_t most_kept; /* of the flow to this side */
};

struct script_pair {
    struct script_side client;
    struct script_side target;
};

struct bench {
    struct relay relay;
    struct census *census;
    struct wheel wheel;
    struct rules *rules;
    struct log log;
    struct relay_door door;
    struct listen_rule listen; /* the door's */
    struct sock_peer peer;
    uint64_t now_ms;
    bool target_first; /* the target's events before the client's */
    bool streams;      /* every flow is always taken for a stream */

    enum dial_status dial_status; /* what dialing comes to */
    bool dial_holds;              /* and it does not, for now */
    bool dial_null;               /* starting fails */
    struct dial *dial;            /* under way: one at a time */
    unsigned dials;
    uint64_t dial_timeout_ms;
    unsigned dial_target; /* the index of the one dialed last */
    uint64_t dial_down;   /* targets that refuse, a bit each, whatever dial_status says */
    char dialed[256];     /* the indexes of all that were dialed, a digit each */
    uint8_t prelude[DIAL_PRELUDE_MAX];
    size_t prelude_bytes;

    /* The `fail_at`th call of a transport (from 1) fails; 0: none does. */
    unsigned calls;
    unsigned fail_at;
    bool fail_by_eof;           /* a read ends instead; no other call does */
    struct script_side *failed; /* the side of that call */

    char *told; /* the log, read by bench_log */
    bool cut;
};

/* `route` and `top` are lines of YAML, for the one route (indented by 4) and for the file; "" for none. */
void bench_init(struct bench *b, const char *route, const char *top);
/* With routes of its own. */
void bench_init_yaml(struct bench *b, const char *yaml);
/* Fails where a session is left. */
void bench_fini(struct bench *b);

/* The relay ends, with all its sessions; bench_fini follows. */
void bench_cut(struct bench *b);

void pair_init(struct bench *b, struct script_pair *p, const struct script_habit *client,
    const struct script_habit *target);
void pair_fini(struct script_pair *p);

/* The same with script_easy on both sides, and an upgrade, and the target reached. */
void pair_relay(struct bench *b, struct script_pair *p);

/* A client comes. The pair's target is the one that the dialer hands out. */
void bench_accept(struct bench *b, struct script_pair *p);
/* The session of that pair; NULL: it is over. */
struct session *bench_session(struct bench *b, const struct script_pair *p);

/* One turn: every event that is asked for and there, once. False: there was none. */
bool bench_turn(struct bench *b);
/* Turns until nothing is left to do. Fails where this has no end, or where a session waits for nothing. */
void bench_run(struct bench *b);
/* The clock goes on; then bench_run. */
void bench_pass(struct bench *b, uint64_t ms);
/* What the dialer held back comes now. */
void bench_answer_dial(struct bench *b);

/* All lines of the log; the bench's. */
const char *bench_log(struct bench *b);
size_t bench_log_count(struct bench *b, const char *event);
/* The value of `key` in the last line of that event; "" where there is none. */
void bench_log_value(struct bench *b, const char *event, const char *key, char *out, size_t cap);
uint64_t bench_log_number(struct bench *b, const char *event, const char *key);
/* Fails unless there is exactly one session_end, of that cause. */
void bench_assert_cause(struct bench *b, enum cause cause);

/* ---- What peers say. */
void say(struct script_side *side, const void *bytes, size_t n);
void say_text(struct script_side *side, const char *text);
/* A masked frame. */
void say_frame(struct script_side *client, bool fin, enum ws_opcode opcode, const void *payload, size_t n);
void say_close(struct script_side *client, uint16_t code, const char *reason);
/* An upgrade of `path`; `fields` are further lines, each with its CRLF. */
void say_upgrade(struct script_side *client, const char *path, const char *fields);

/* ---- What a client heard. */
struct hearing {
    unsigned status;              /* of the HTTP answer; 0: none */
    char session[SESSION_ID_MAX]; /* of its head; "": none */
    size_t body_at;               /* where its head ends */
    struct buf payload;           /* of all messages */
    size_t messages;
    bool text;              /* the messages were text, and each was UTF-8 */
    char controls[4096];    /* "ping(x) pong(y) close(1000 reason)" in the order they came */
    unsigned close_code;    /* 0: no Close */
    char close_reason[128]; /* without the session's id */
    bool close_has_id;
    bool behind_close; /* frames came behind it */
    bool cut;          /* it ends within a head or a frame */
};

/* Fails where the bytes are no HTTP answer with RFC 6455 frames behind a 101. */
void hearing_of(const struct script_side *client, struct hearing *h);
void hearing_fini(struct hearing *h);

/* Both bytes and length. */
void assert_heard(const struct script_side *side, const void *bytes, size_t n);
void assert_heard_text(const struct script_side *side, const char *text);
/* Fails unless the client heard that Close, as its last frame, and the end. The reason of an abnormal end has
 * the session's id behind it. */
void assert_closed_with(const struct script_side *client, unsigned code, const char *reason);

#endif
