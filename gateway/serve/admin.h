/* The admin process: health, metrics and live sessions over HTTP/1.1, one request a connection. It reads the
 * shared board, asks workers over control pairs, and holds nothing that a session needs: it may die at any
 * time. Single-threaded; bounded in connections, in what one may send and in how long it may take. */
#ifndef SLUICE_SERVE_ADMIN_H
#define SLUICE_SERVE_ADMIN_H

#include "base/log.h"
#include "rules/rules.h"
#include "serve/board.h"

/* Serves `socket_fd`, a listening and non-blocking socket, until `control_fd`, a control pair's end, is
 * closed at the other side. Both stay the caller's. Says CONTROL_READY once it serves. Blocks the signals
 * that end or reload the service: what to do about them is told through `control_fd`. Answers the exit
 * status. */
int admin_run(const struct rules *rules, struct log *log, const struct board *board, int socket_fd,
    int control_fd) __attribute__((warn_unused_result));

#endif
