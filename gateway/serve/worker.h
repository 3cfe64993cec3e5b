/* One worker: a process forked by the supervisor, with a loop, its listeners and its sessions. It reads no
 * configuration (but to revoke) and binds nothing; what it does next the supervisor tells it over a control
 * pair. Signals leave it alone, as long as there is a supervisor. */
#ifndef SLUICE_SERVE_WORKER_H
#define SLUICE_SERVE_WORKER_H

#include "serve/generation.h"

struct worker_seat {
    struct board *board;
    unsigned slot;
    struct sockets_share share;
    int control;        /* the supervisor is at the other end */
    uint64_t wakeup_ms; /* its loop turns at least this often, for the watchdog; 0: when there is work */
};

/* Serves the generation as who it is, until it is told to end and its sessions have, or the supervisor is
 * gone and they have. Answers an exit status. */
int worker_run(struct generation *generation, struct worker_seat seat) __attribute__((warn_unused_result));

#endif
