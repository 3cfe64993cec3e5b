/* The keys of TLS session tickets (RFC 5077 4, RFC 8446 4.6.1), in memory that several processes share, so
 * that a session of one worker resumes on another, and behind a reload. One process makes and rotates them.
 */
#ifndef SLUICE_NET_TLS_TICKETS_H
#define SLUICE_NET_TLS_TICKETS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { TLS_TICKETS_KEPT = 3, TLS_TICKETS_ROTATE_MS = 3600 * 1000 };

struct tls_ticket_key {
    unsigned char name[16];
    unsigned char aes[32];
    unsigned char mac[32];
};

struct tls_tickets {
    _Atomic uint64_t changes; /* odd while they change */
    struct tls_ticket_key
        keys[TLS_TICKETS_KEPT]; /* the first makes new tickets; the others are still taken */
};

/* A new first key, the oldest is forgotten. One process alone. False: no randomness. */
bool tls_tickets_rotate(struct tls_tickets *tickets);

#endif
