/* Sockets that the service manager hands over (sd_listen_fds(3), without its library), by their names. */
#ifndef SLUICE_SERVE_HANDED_H
#define SLUICE_SERVE_HANDED_H

#include <stdbool.h>
#include <stddef.h>

enum { HANDED_NAME_MAX = 256, HANDED_WHY_MAX = 256 };

struct handed_socket {
    char name[HANDED_NAME_MAX]; /* LISTEN_FDNAMES has none: "unknown" */
    int fd;
};

struct handed {
    struct handed_socket *sockets;
    size_t count;
};

/* Reads LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES, and takes them out of the environment. The descriptors are
 * made non-blocking, and are not passed on by exec. False: `why` says which is no listening stream socket. */
bool handed_init(struct handed *handed, char why[HANDED_WHY_MAX]) __attribute__((warn_unused_result));
void handed_fini(struct handed *handed);

/* The names there are: "web, admin", or "none". */
void handed_names(const struct handed *handed, char *out, size_t cap);

#endif
