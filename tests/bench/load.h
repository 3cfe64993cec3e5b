/* The load generator: connections of one kind through a relay to the back end, and what they cost the relay.
 * Single-threaded; a fault of any connection ends the run, loudly. */
#ifndef SLUICE_BENCH_LOAD_H
#define SLUICE_BENCH_LOAD_H

#include "counters.h"
#include "link.h"
#include "measure.h"
#include "ws.h"
#include <stdbool.h>
#include <stdint.h>

enum kind {
    KIND_PINGPONG, /* a frame out, the same back, again */
    KIND_UPLOAD,   /* frames, as fast as they are taken; to `sink` */
    KIND_DOWNLOAD, /* from `source` */
    KIND_ECHO,     /* frames out without waiting for those that come back */
    KIND_CHURN,    /* connect, one frame there and back, close, again */
    KIND_IDLE,     /* one frame there and back, then silence */
};

struct options {
    const char *path;     /* of the request for the upgrade */
    const char *counters; /* the back end's */
    const char *cipher;   /* the one TLS suite to offer; NULL: OpenSSL's list */
    uint16_t port;
    bool ws;
    bool tls;
    bool resume;
    enum kind kind;
    unsigned connections;
    unsigned idle; /* so many idle ones join for a second window, and leave for a third */
    unsigned frame_bytes;
    unsigned seconds_ms; /* of a window */
    unsigned warm_ms;
    pid_t gateway;
};

enum state { STATE_NEW, STATE_CONNECTING, STATE_TLS, STATE_UPGRADE, STATE_OPEN, STATE_CLOSING, STATE_DONE };

struct conn {
    struct link link;
    enum state state;
    enum kind kind;
    uint32_t events;    /* what epoll waits for */
    bool close_said;    /* nothing more is sent */
    uint64_t wire_sent; /* of the ring, payload with headers */
    uint64_t wire_goal; /* and so far it shall go */
    uint64_t since_ns;  /* when this round trip began */
    struct ws_in in;
};

struct load {
    struct options options;
    struct ws_ring ring;
    struct counters *counters;
    int poller;
    uint64_t now_ns; /* read once a turn */
    struct conn *conns;
    unsigned count;     /* those started */
    unsigned opening;   /* not open yet */
    unsigned done;      /* closed for good */
    bool stopping;      /* no new round trips */
    bool measuring;     /* a window is open: round trips count */
    uint64_t trips;     /* round trips, or lives of churning connections */
    uint64_t received;  /* payload, over all connections */
    uint64_t past_sent; /* payload, of lives before the present one */
    uint64_t handshakes;
    uint64_t resumed;
    const char *cipher; /* of the last handshake; NULL without TLS */
    struct measure_times times;
};

/* Starts a connection; it says when it is open by load->opening. */
void conn_start(struct load *load, struct conn *conn, enum kind kind);

/* What epoll saw of it. */
void conn_step(struct load *load, struct conn *conn, uint32_t events);

/* No more round trips: after the frame that is on its way, the end of its goal. */
void conn_stop(struct load *load, struct conn *conn);

/* Closes in good order, once all is sent. */
void conn_finish(struct load *load, struct conn *conn);

/* Payload of whole frames. */
uint64_t conn_payload_sent(const struct load *load, const struct conn *conn);

_Noreturn void load_fail(const struct load *load, const struct conn *conn, const char *why);

#endif
