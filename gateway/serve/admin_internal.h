/* What the files of the admin process share. */
#ifndef SLUICE_SERVE_ADMIN_INTERNAL_H
#define SLUICE_SERVE_ADMIN_INTERNAL_H

#include "base/list.h"
#include "net/loop.h"
#include "net/wheel.h"
#include "serve/admin_http.h"
#include <stdio.h>

enum {
    ADMIN_CONNECTIONS = 64,
    ADMIN_REQUEST_MAX = 8192,          /* bytes of a request's head */
    ADMIN_LIFE_MS = 10 * 1000,         /* of a connection */
    ADMIN_LAST_WORDS_MS = 1000,        /* to take an answer that comes when that time is up, and to end */
    ADMIN_GATHERS = 8,                 /* questions to the workers at once */
    ADMIN_WORKER_MS = 2 * 1000,        /* for a worker to answer */
    ADMIN_LIST_MAX = 64 * 1024 * 1024, /* bytes of one worker's list */
    ADMIN_HEAD_MAX = 1024,
    ADMIN_MACHINE_MAX = 256,
};

/* The pair to a worker. */
struct admin_link {
    struct admin *admin;
    struct loop_watch watch;
    unsigned slot;
};

struct admin {
    const struct rules *rules;
    struct log *log;
    const struct board *board;
    struct loop *loop;
    struct wheel wheel;
    uint64_t now_ms; /* read once a turn */
    struct loop_watch listener;
    struct wheel_timer pause; /* of accepting, without descriptors */
    struct loop_watch control;
    bool over; /* the supervisor closed its end */
    struct list connections;
    unsigned connection_count;
    struct list gathers;
    unsigned gather_count;
    uint64_t next_request;
    struct admin_link *links[BOARD_SLOTS]; /* NULL: none */
    char machine[ADMIN_MACHINE_MAX];
};

/* READING -> (GATHERING ->) WRITING -> ENDING */
enum admin_step { ADMIN_READING, ADMIN_GATHERING, ADMIN_WRITING, ADMIN_ENDING };

struct admin_connection {
    struct list link;
    struct admin *admin;
    struct loop_watch watch;
    struct wheel_timer timer;
    struct sock_peer peer;
    enum admin_step step;
    struct admin_ask ask;
    struct admin_gather *gather; /* not NULL in GATHERING alone */
    char head[ADMIN_HEAD_MAX];   /* of the answer */
    size_t head_len;
    char *body;
    size_t body_len;
    size_t sent; /* of both */
    struct http_request parse;
    size_t request_len;
    char request[ADMIN_REQUEST_MAX];
};

/* admin_connection.c */

/* Takes the descriptor, whatever comes of it. */
void admin_connection_start(struct admin *admin, int fd, const struct sock_peer *peer);
void admin_connection_free(struct admin_connection *c);
/* Begins to send an answer; `body` (malloc'ed, may be NULL with 0 bytes) is the connection's from now on. */
void admin_connection_answer(
    struct admin_connection *c, uint16_t status, const char *type, char *body, size_t body_len);
/* The same, one line of text that says why. */
void admin_connection_refuse(struct admin_connection *c, uint16_t status, const char *why);

/* admin_gather.c: a question to every worker, and its answers. */

/* Asks what `c->ask` says. Answers the connection at once where too many questions are under way. */
void admin_gather_start(struct admin_connection *c);
/* Gives up on it; the connection is not answered. */
void admin_gather_free(struct admin_gather *gather);
/* A worker answered; `fd` (-1: none) is its list, and stays the caller's. */
void admin_gather_answered(struct admin *admin, unsigned slot, const struct control_message *message, int fd);
/* A worker is gone, and its sessions with it: nobody waits for it any more. */
void admin_gather_gone(struct admin *admin, unsigned slot);

/* admin.c */
void admin_connection_over(struct admin *admin);
/* Takes all that the supervisor has said, so that a question goes to every worker that was there before it.
 */
void admin_listen(struct admin *admin);

#endif
