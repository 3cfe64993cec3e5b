/* The listening sockets, which outlive workers and configurations: a connection that waits in a queue is lost
 * when its socket is closed, so none is closed while an address is still listened on.
 *
 * A TCP address has a socket for each worker (SO_REUSEPORT), and keeps those that it has when the number of
 * workers falls: what is left of them serves all. A unix socket, and one that the service manager handed
 * over, is shared by all workers. An address is known by what the configuration calls it, so port 0 keeps the
 * port that it got. */
#ifndef SLUICE_SERVE_SOCKETS_H
#define SLUICE_SERVE_SOCKETS_H

#include "base/list.h"
#include "rules/rules.h"
#include "serve/handed.h"

enum { SOCKETS_WHY_MAX = 512, SOCKETS_BOUND_MAX = 512 };

struct socket_entry {
    struct list link;
    char address[ENDPOINT_TEXT_MAX]; /* as the configuration has it: what it is known by, with */
    unsigned nth;
    char bound[SOCKETS_BOUND_MAX]; /* in force, with the real port */
    struct endpoint endpoint;
    bool handed;     /* the descriptors are struct handed's */
    bool per_worker; /* else each worker serves all of them */
    int *fds;
    size_t count;
    size_t begun;   /* of them, from the front: those that have a queue */
    size_t served;  /* and those that workers have been given for good: sockets_commit */
    unsigned users; /* configurations that listen here */
    uint32_t mode;  /* of a unix socket's file; 0: by the umask */
};

struct sockets {
    struct list entries;
    struct handed handed;
};

/* Takes `handed` over. */
void sockets_init(struct sockets *sockets, struct handed handed);
/* Closes everything, and removes the files of unix sockets. */
void sockets_fini(struct sockets *sockets);

/* Closes every descriptor of this process: others may still take what waits. The files of unix sockets stay
 * until sockets_fini. */
void sockets_close(struct sockets *sockets);

/* What is wanted. */
struct sockets_wish {
    const struct endpoint *address; /* of no use with an fd_name */
    const char *fd_name;            /* NULL: an address */
    unsigned nth;                   /* of those at port 0 of one host, which are each another */
    size_t workers;
    uint32_t mode; /* of a unix socket's file, from its first moment on; 0: by the umask */
};

/* The entry of an address or of a handed socket, opened where there is none yet, with a socket for each
 * worker (those of a TCP address behind the first have no queue until sockets_begin). One more user. NULL:
 * `why` says. */
struct socket_entry *sockets_use(struct sockets *sockets, struct sockets_wish wish, char why[SOCKETS_WHY_MAX])
    __attribute__((warn_unused_result));

/* Gives every socket of the entry its queue. False: `why` says. */
bool sockets_begin(struct socket_entry *entry, char why[SOCKETS_WHY_MAX]) __attribute__((warn_unused_result));

/* All of its sockets are served from now on, and a unix socket's file has this mode (0: the one it has). */
void sockets_commit(struct socket_entry *entry, uint32_t mode);

/* One user fewer. Without users the address is given up; sockets that were not committed are closed in any
 * case. */
void sockets_leave(struct socket_entry *entry);

/* Which worker it is, of how many; and whether of those that serve, or of those that are to. */
struct sockets_share {
    size_t index;
    size_t workers;
    bool committed;
};

/* Whether that worker serves the entry's socket `i`. */
bool sockets_is_served(const struct socket_entry *entry, size_t i, struct sockets_share share);

/* For a child: closes every descriptor of `sockets` but those that it serves in the `count` entries of
 * `kept`. */
void sockets_close_others(
    struct sockets *sockets, struct socket_entry *const *kept, size_t count, struct sockets_share share);

#endif
