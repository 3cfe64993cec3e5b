/* The client's end of a connection: TCP, or TLS 1.3 over it by OpenSSL. Non-blocking, made to be cheap: one
 * system call moves what there is, for TLS too, so that the generator is not the limit.
 *
 * All links share one buffer for reading; the bytes that link_read shows are good until the next call. */
#ifndef SLUICE_BENCH_LINK_H
#define SLUICE_BENCH_LINK_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINK_READ_MAX = 256 * 1024 };

enum link_status { LINK_OK, LINK_LATER, LINK_ENDED, LINK_BROKEN };

struct link {
    int fd;
    SSL *ssl;           /* NULL: plain */
    SSL_SESSION *known; /* the newest ticket; kept from one connection to the next */
    uint8_t *kept;      /* records that the kernel did not take yet */
    size_t kept_from;
    size_t kept_to;
};

/* Once, before the rest. `cipher`: the one suite to offer, or NULL for OpenSSL's own list. */
void link_init(bool tls, const char *cipher);

/* Starts connecting to 127.0.0.1. False: it cannot be, and errno says why. */
bool link_open(struct link *link, uint16_t port, bool tls, bool resume);

/* After connecting: LINK_LATER until TLS is up. */
enum link_status link_handshake(struct link *link);

/* One read: LINK_OK with `*n` > 0 bytes at `*bytes`, or `*n` == 0 where a record has not come whole yet. */
enum link_status link_read(struct link *link, uint8_t **bytes, size_t *n);

/* LINK_OK: `*taken` of the bytes are on their way (maybe none). */
enum link_status link_write(struct link *link, const uint8_t *bytes, size_t n, size_t *taken);

/* Whether it waits for EPOLLOUT with bytes of its own. */
bool link_unsent(const struct link *link);

/* Says that nothing more comes: close_notify and FIN. */
void link_shut(struct link *link);

void link_close(struct link *link);

#endif
