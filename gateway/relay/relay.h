/* What the sessions of one worker share: loop, timers, rules, counters and the one buffer for reading.
 * Single-threaded; nothing is locked. */
#ifndef SLUICE_RELAY_RELAY_H
#define SLUICE_RELAY_RELAY_H

#include "base/list.h"
#include "base/pool.h"
#include "net/dial.h"
#include "net/sock.h"
#include "net/splice.h"
#include "relay/asked.h"
#include "relay/census.h"
#include "relay/targets.h"
#include "rules/rules.h"

enum {
    RELAY_READ_MAX_LOG2 = 18,
    RELAY_READ_MAX = 1 << RELAY_READ_MAX_LOG2, /* one read: a session's share of a turn in one direction */
    RELAY_HANDSHAKES = 8,                      /* steps of TLS handshakes in one turn */
    RELAY_HEADROOM = 64, /* in front of what is read: a frame header, an unfinished character */
};

/* Where a client came in. */
struct relay_door {
    const char *name;       /* the address bound, for the log */
    struct tls_server *tls; /* NULL: plain */
    const struct listen_rule *rule;
};

/* How targets are reached; the tests put their own here. */
struct relay_dialer {
    struct dial *(*start)(const struct dial_host *host, const struct dial_order *order, uint64_t now_ms,
        dial_done_fn *done, void *context);
    void (*cancel)(struct dial *dial);
};

struct relay {
    struct dial_host net; /* loop, wheel and resolver */
    struct log *log;
    const struct rules *rules;
    const struct rules
        *newer; /* of a reload that revokes: what `rules` take must pass these, too. NULL: none */
    struct targets *targets; /* [route_count], by route->index */
    /* What is counted, and what the limits are held against. Targets that do not end their connection behind
     * our FIN keep it for `timeouts.close`: those that linger have as many places again, so that the
     * connections to targets are bounded too. */
    const struct census *census;
    struct tally_row **rows;  /* [route_count], by route->index; in census->own */
    uint64_t now_ms;          /* read once a turn */
    unsigned handshakes_left; /* in this turn */
    const struct relay_dialer *dialer;
    struct pool pool; /* of sessions */
    struct list all;  /* every session */
    struct asked_book asked;
    struct list again;       /* those with bytes that poll will not announce */
    uint8_t *scratch;        /* RELAY_HEADROOM + RELAY_READ_MAX bytes; in use only within a step */
    uint64_t next_id;        /* a random start in the upper half, a count in the lower */
    uint64_t connections;    /* length of `all` */
    uint64_t crowd;          /* the most there were since memory was given back */
    uint64_t opening;        /* of them have no target yet */
    uint64_t rush;           /* the most of those since then */
    struct wheel_timer trim; /* until memory is given back */
    uint64_t trimmed_ms;     /* when it was; 0: never */
    bool leaving;            /* no more is accepted: kept connections end with the answer under way */
    bool refusing;           /* and new sessions get 503 */
    bool draining;           /* and those that there were have ended */
    bool cannot_splice;      /* the kernel has refused it */
    uint64_t spliced_bytes;  /* of downloads, past this process */
};

/* `rules`, `log`, `net` and `census` outlive the relay. `rows` has each route's row of the tally by its
 * index, below TALLY_ROWS, and is not kept; NULL: each has that of its index. False: no memory, or a target's
 * TLS files cannot be used (`why` says). */
bool relay_init(struct relay *relay, const struct rules *rules, struct log *log, struct dial_host net,
    const struct census *census, const unsigned *rows, char why[TLS_WHY_MAX]);

/* For a process that was forked from the one that called relay_init: what each has for itself. */
void relay_begin(
    struct relay *relay, struct dial_host net, const struct census *census, const unsigned *rows);

/* Ends every session at once (`drain`). What can be told without waiting is: a Close frame, a FIN. */
void relay_fini(struct relay *relay);

/* Takes a connected, non-blocking socket for good. */
void relay_accept(struct relay *relay, const struct relay_door *door, int fd, const struct sock_peer *peer);

/* The same over any transport. */
void relay_accept_transport(
    struct relay *relay, const struct relay_door *door, struct transport *io, const struct sock_peer *peer);

/* Begins a turn: the time, and the budgets that all sessions share. */
void relay_turn(struct relay *relay, uint64_t now_ms);

/* Steps the sessions that poll would not wake; true when some are left for the next turn. */
bool relay_run_again(struct relay *relay);

/* No more will be accepted: connections that were kept for another request end. */
void relay_leave(struct relay *relay);

/* The same, and new sessions are refused with 503. */
void relay_refuse(struct relay *relay);

/* Closes connections whose request has not come. */
void relay_hush(struct relay *relay);

/* Ends every session with 1012 `drain`, and refuses new ones with 503. */
void relay_drain(struct relay *relay);

/* Ends every session that no route of `rules` would take, by its request and its client's address, with 1008
 * `revoked`; answers how many. A request that comes later is refused where `rules` would refuse it: they
 * outlive the relay, or the next call. */
uint64_t relay_revoke(struct relay *relay, const struct rules *rules);

#endif
