/* One worker: a loop, its listeners and its sessions, until it is told to stop. It neither reads the
 * configuration nor binds, so that another process can do both and hand it the sockets. */
#ifndef SLUICE_SERVE_WORKER_H
#define SLUICE_SERVE_WORKER_H

#include "base/log.h"
#include "rules/rules.h"

enum { EXIT_FINE = 0, EXIT_CANNOT_RUN = 1, EXIT_USAGE = 2 };

struct worker_socket {
    int fd;                        /* listening, non-blocking; -1 once the worker has closed it */
    char bound[ENDPOINT_TEXT_MAX]; /* the address in force */
};

/* Keeps the signals that worker_run waits for, so that none of them ends the process before. */
void worker_block_signals(void);

/* Serves on sockets[i] what rules->listens[i] says, logs `ready`, and returns an exit status: when SIGTERM or
 * SIGINT came and the sessions have ended (or at a second signal), or at once when it cannot run. The sockets
 * are closed as soon as no more is accepted. */
int worker_run(const struct rules *rules, struct log *log, struct worker_socket *sockets);

#endif
