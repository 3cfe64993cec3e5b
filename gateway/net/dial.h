/* One connection to a target: look-up, every address in turn (staggered by 250 ms, families interleaved,
 * RFC 8305), bytes to send first and TLS where asked for, all of it within one deadline. */
#ifndef SLUICE_NET_DIAL_H
#define SLUICE_NET_DIAL_H

#include "base/egress.h"
#include "base/endpoint.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "net/tls.h"
#include "net/transport.h"
#include "net/wheel.h"

enum dial_status {
    DIAL_OK,
    DIAL_REFUSED,     /* ECONNREFUSED from every address, or from one and no answer worth more */
    DIAL_UNREACHABLE, /* no route, no such socket file, no permission, denied by the policy, ... */
    DIAL_TIMEOUT,     /* the deadline passed: look-up, connect, prelude or TLS */
    DIAL_DNS,         /* no such name, or the look-up failed */
    DIAL_TLS,         /* the handshake failed: not verified, or refused by the target */
    DIAL_OVERLOAD,    /* out of descriptors, memory or local ports, on our side */
};

/* On DIAL_OK `transport` is the callee's: connected, handshaken, TCP_NODELAY set. Else it is NULL and
 * `detail` says more, for the log ("10.0.0.5:5900: Connection refused"); it lives for the call. */
typedef void dial_done_fn(
    void *context, enum dial_status status, struct transport *transport, const char *detail);

struct dial_host {
    struct loop *loop;
    struct wheel *wheel;
    struct resolver *resolver;
};

/* What to reach, and how; it is copied. */
struct dial_order {
    const struct endpoint *target;
    struct tls_client *tls; /* NULL: plain. Outlives the dial */
    /* Sent whole to the address that connects, in the clear, ahead of TLS and of all else. */
    const void *prelude;
    size_t prelude_bytes; /* at most DIAL_PRELUDE_MAX; 0: none */
    /* Asked of each address just before it is connected to. Outlives the dial; NULL: what is built in. */
    const struct egress *egress;
    uint64_t timeout_ms; /* from now on */
};

enum { DIAL_PRELUDE_MAX = 1024 };

struct dial;

/* `done` is called once, from a later turn of the loop or of the wheel and never from inside dial_start,
 * unless the dial is cancelled. NULL when there is no memory. */
struct dial *dial_start(const struct dial_host *host, const struct dial_order *order, uint64_t now_ms,
    dial_done_fn *done, void *context);

/* Ends it and frees it; `done` will not be called. Not after `done` was. */
void dial_cancel(struct dial *dial);

#endif
