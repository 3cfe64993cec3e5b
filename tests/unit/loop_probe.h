/* A watch that notes what it is told, for the tests of net/loop. Whatever goes wrong fails the test. */
#ifndef SLUICE_UNIT_LOOP_PROBE_H
#define SLUICE_UNIT_LOOP_PROBE_H

#include "net/loop.h"

struct probe {
    struct loop_watch watch;
    struct loop *loop;
    unsigned calls;
    unsigned ready; /* of the last call */
    void (*act)(struct probe *probe);
    struct probe *other; /* for `act` */
    int peer;            /* the other end; -1: none */
};

/* Over `fd`, which it owns, and `peer` too, unless -1. */
struct probe *loop_probe_new(struct loop *loop, int fd, int peer);
/* Over one end of a pair of stream sockets. */
struct probe *loop_probe_pair(struct loop *loop);
/* Takes it out of the loop first. */
void loop_probe_free(struct probe *probe);

void loop_probe_want(struct probe *probe, unsigned interest);
/* Makes it readable, from the other end. */
void loop_probe_send(struct probe *probe);
/* One turn that does not wait; `probe` is called `calls` times, with `ready`. */
void loop_probe_turn(struct probe *probe, unsigned calls, unsigned ready);

#endif
