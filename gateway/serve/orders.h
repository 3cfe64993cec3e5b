/* What a worker does with its live sessions when others ask: lists and ends them for the admin process, and
 * ends those that a new configuration would not admit. It blocks on nothing but memory files. */
#ifndef SLUICE_SERVE_ORDERS_H
#define SLUICE_SERVE_ORDERS_H

#include "relay/relay.h"

struct orders {
    struct relay *relay;
    unsigned slot;
    struct rules *newer;     /* those that it has revoked by; NULL: none */
    struct loop_watch admin; /* fd -1: there is no admin process */
};

void orders_init(struct orders *orders, struct relay *relay, unsigned slot);
void orders_fini(struct orders *orders);

/* Listens to the admin process over `fd`, which it owns from now on, in place of the one before. */
void orders_attend(struct orders *orders, int fd);

/* Revokes by the configuration's text in `fd`, which stays the caller's; `name` is for its diagnostics. */
void orders_revoke(struct orders *orders, int fd, const char *name);

#endif
