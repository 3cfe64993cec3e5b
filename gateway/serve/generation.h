/* A configuration with all that it needs to serve: its rules, log, sockets, TLS contexts and user. Opening it
 * reads files and may look names up; whatever fails undoes the rest, so a reload that fails changed nothing.
 * The supervisor opens it as who it is, before workers drop their privileges, and keeps it for those that it
 * forks later. */
#ifndef SLUICE_SERVE_GENERATION_H
#define SLUICE_SERVE_GENERATION_H

#include "base/log.h"
#include "net/tls.h"
#include "relay/relay.h"
#include "serve/board.h"
#include "serve/privileges.h"
#include "serve/sockets.h"
#include "serve/supervisor.h"

enum { GENERATION_WHY_MAX = 1024 };

struct generation_fault {
    int status; /* EXIT_CANNOT_RUN or EXIT_USAGE */
    char text[GENERATION_WHY_MAX];
};

struct generation {
    uint32_t number; /* from 1 */
    uint32_t workers;
    struct rules *rules;
    struct log log;
    struct identity identity;
    struct socket_entry **entries; /* [entry_count]: of rules->listens, and behind them that of `admin` */
    size_t entry_count;
    struct tls_server **tls; /* [listen_count]; NULL: plain */
    struct tls_tickets *tickets;
    unsigned *rows; /* [route_count] of the board */
    struct census census;
    struct relay relay; /* begun by each worker for itself */
    bool log_opened, relay_opened;
    bool committed; /* it serves */
};

/* Takes `rules` over. NULL: `fault` says what is wrong. A warning about the log goes to standard error. */
struct generation *generation_open(struct rules *rules, uint32_t number, struct board *board,
    struct sockets *sockets, struct generation_fault *fault) __attribute__((warn_unused_result));

/* Its addresses have their queues from now on. False: `fault` says. */
bool generation_begin(struct generation *generation, struct generation_fault *fault)
    __attribute__((warn_unused_result));

/* It serves: what it opened is kept for those behind it. */
void generation_commit(struct generation *generation);

/* Forgets certificates, keys and what else is for those that relay: for a process that does not. */
void generation_forget_keys(struct generation *generation);

/* Gives up what no other generation uses. */
void generation_free(struct generation *generation);

/* NULL where there is no admin listener. */
struct socket_entry *generation_admin(const struct generation *generation);

/* The addresses bound, `listen` and `admin`, into a line. */
void generation_log_listen(const struct generation *generation, struct log_line *line);

/* The log lines `sandbox` and `ready`. */
void generation_log_ready(struct generation *generation);

#endif
