/* One dial's inside, shared by dial.c (its life, the look-up, TLS, the outcome) and dial_connect.c (addresses
 * and attempts). Nobody else includes this. */
#ifndef SLUICE_NET_DIAL_INTERNAL_H
#define SLUICE_NET_DIAL_INTERNAL_H

#include "base/text.h"
#include "net/dial.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    DIAL_ADDRESSES_MAX = 16, /* of what a look-up answers; the rest is not tried */
    DIAL_DETAIL_MAX = 512,
};

struct dial_address {
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } of;
};

/* A connect(2) under way. */
struct dial_attempt {
    struct dial *dial;
    struct loop_watch watch;
    size_t address; /* which one */
    bool open;
};

enum dial_phase {
    DIAL_LOOKING_UP,
    DIAL_CONNECTING,
    DIAL_SENDING_PRELUDE,
    DIAL_SHAKING_HANDS,
    DIAL_SETTLED, /* the outcome is known and waits for a turn of its own */
};

struct dial {
    struct dial_host host;
    struct endpoint target;
    struct tls_client *tls;
    const struct egress *egress;
    dial_done_fn *done;
    void *context;
    enum dial_phase phase;
    bool starting; /* inside dial_start: nothing may be told yet */

    struct wheel_timer deadline;
    struct wheel_timer next; /* the next attempt, or the settled outcome */
    uint64_t timeout_ms;     /* for the telling */

    struct resolve_job *job; /* while LOOKING_UP, of a name */
    struct dial_address addresses[DIAL_ADDRESSES_MAX];
    size_t address_count;
    struct dial_attempt attempts[DIAL_ADDRESSES_MAX]; /* by address; of a unix target the first */
    size_t tried;                                     /* addresses so far */
    size_t open_count;

    struct transport *transport; /* from SENDING_PRELUDE on */
    struct loop_watch watch;     /* on it */

    enum dial_status outcome; /* the failure worth most so far; DIAL_OK: none */
    struct text detail;
    char detail_array[DIAL_DETAIL_MAX];

    size_t prelude_bytes;
    size_t prelude_sent;
    uint8_t prelude[];
};

/* Takes up to DIAL_ADDRESSES_MAX addresses, families interleaved (RFC 8305 4). */
void dial_connect_take(struct dial *dial, const struct addrinfo *found);

/* Tries the next address (of a unix target: the only one, again), or settles where none is left. */
void dial_connect_next(struct dial *dial, uint64_t now_ms);

/* Notes for every attempt that is still open that it got no answer. */
void dial_connect_note_open(struct dial *dial);

/* Ends every attempt that is still open. */
void dial_connect_stop(struct dial *dial);

/* What an attempt that connected is handed to. */
/* `reset`: and already reset, which asking has made the kernel forget. */
void dial_connected(struct dial *dial, int fd, bool reset);

/* Notes a failure: the one worth most becomes the outcome, all are told in the detail. */
void dial_note(struct dial *dial, enum dial_status status, const char *where, const char *what);

/* Ends the dial with the outcome noted. Nothing may touch the dial behind it. */
void dial_settle(struct dial *dial, uint64_t now_ms);

#endif
