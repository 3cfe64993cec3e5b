/* What the service manager is told (sd_notify(3), without its library): one datagram a message, never waits.
 * Without NOTIFY_SOCKET every call does nothing. */
#ifndef SLUICE_SERVE_NOTIFY_H
#define SLUICE_SERVE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd; /* -1: nobody listens */
    struct sockaddr_un address;
    socklen_t address_len;
    uint64_t watchdog_ms; /* WATCHDOG=1 is due within this; 0: no watchdog */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment. */
void notify_init(struct notify *notify);
void notify_fini(struct notify *notify);

/* NAME=VALUE lines. One that the manager does not take at once is lost. */
void notify_say(const struct notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
