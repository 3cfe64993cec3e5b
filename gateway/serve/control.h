/* What the processes say to each other: SOCK_SEQPACKET pairs, one message a record, descriptors beside it.
 * The supervisor holds one pair to each worker and one to the admin process; the admin process has another
 * pair to each worker, whose end the supervisor hands it (CONTROL_WORKER). A record that cannot be sent at
 * once is an error: they are few and small, and a process that does not read them is stuck. */
#ifndef SLUICE_SERVE_CONTROL_H
#define SLUICE_SERVE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum control_kind {
    /* worker or admin -> supervisor */
    CONTROL_READY, /* it serves */
    /* worker -> supervisor */
    CONTROL_RETIRED, /* it accepts no more */
    /* supervisor -> worker */
    CONTROL_RETIRE, /* accept no more; end with the last session */
    CONTROL_DRAIN,  /* the same, once what waits on listeners is taken; new requests get 503 */
    CONTROL_END,    /* every session ends with 1012 `drain` */
    CONTROL_STOP,   /* end now */
    CONTROL_ADMIN,  /* + fd: the pair to the admin process */
    CONTROL_FINISH, /* what waits on the listener `slot` (an index of its rules) is taken, then it is closed
                     */
    CONTROL_REVOKE, /* + fd: the new configuration's text; sessions that it would not admit end with 1008 */
    /* supervisor -> worker and admin */
    CONTROL_LOG, /* + fd: write the log there from now on */
    /* supervisor -> admin */
    CONTROL_WORKER, /* + fd: the pair to the worker in `slot` */
    CONTROL_SERVE,  /* every worker that there is has been named: accept */
    /* admin -> worker */
    CONTROL_LIST, /* the sessions that `filter` takes */
    CONTROL_KILL, /* ends them with 1008 `killed` */
    /* worker -> admin */
    CONTROL_LISTED, /* + fd: a memfd with one JSON object a line; `count` of them */
    CONTROL_KILLED, /* `count` of them */
};

enum { CONTROL_ROUTE_MAX = 64, CONTROL_CLIENT_MAX = 64, CONTROL_NAME_MAX = 272 };

/* Empty strings and id 0 take every session. */
struct control_filter {
    uint64_t id;
    char route[CONTROL_ROUTE_MAX];
    char client[CONTROL_CLIENT_MAX]; /* an address or a network, as in `from`; checked by who asks */
};

struct control_message {
    enum control_kind kind;
    uint32_t slot;
    uint64_t request; /* the answer carries it back */
    uint64_t count;
    struct control_filter filter;
    char name[CONTROL_NAME_MAX]; /* of the configuration (CONTROL_REVOKE) or of the log (CONTROL_LOG), cut */
};

/* `name` of a message. */
void control_set_name(struct control_message *message, const char *name);
bool control_is_name(const struct control_message *message, const char *name);

/* Both ends non-blocking and close-on-exec. False: errno says why. */
bool control_pair(int ends[2]);

/* `fd` -1: none goes with it; it stays the caller's. False: errno says why. */
bool control_send(int end, const struct control_message *message, int fd) __attribute__((warn_unused_result));

enum control_got { CONTROL_GOT, CONTROL_NOTHING, CONTROL_CLOSED };
/* `*fd` is the callee's, or -1. */
enum control_got control_receive(int end, struct control_message *message, int *fd)
    __attribute__((warn_unused_result));

#endif
