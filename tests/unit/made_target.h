/* Sockets for the tests to dial: on loopback with a port of the system's, or in the folder of made_certs. */
#ifndef SLUICE_TESTS_MADE_TARGET_H
#define SLUICE_TESTS_MADE_TARGET_H

#include <stdint.h>

enum { MADE_TARGET_CROWD = 64 };

struct made_target {
    int fd;
    uint16_t port;
    char text[160];               /* as an endpoint */
    int crowd[MADE_TARGET_CROWD]; /* who fills its backlog; 0: nobody */
};

/* A negative backlog: bound, but not listening, so that it refuses. */
struct made_target made_target_listening(int backlog);
struct made_target made_target_listening_unix(const char *file, int backlog);

/* Listening with a backlog that is full: nobody more gets in, and nobody is refused. */
struct made_target made_target_crowded(void);
struct made_target made_target_crowded_unix(void);

/* The target's end of a connection that is there or about to be. */
int made_target_accept(const struct made_target *target);

void made_target_end(const struct made_target *target);

#endif
