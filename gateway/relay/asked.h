/* What live sessions had asked for. Sessions of one page ask for the same: they share one copy, which is gone
 * with the last of them. Single-threaded. */
#ifndef SLUICE_RELAY_ASKED_H
#define SLUICE_RELAY_ASKED_H

#include "base/slice.h"

/* Slices of somebody's bytes. */
struct asked_words {
    struct slice authority; /* the Host as sent */
    size_t host_len;        /* of it, without a port */
    uint16_t port;          /* 0: it has none */
    bool has_origin;
    struct slice path; /* still encoded, without the query */
    struct slice origin;
    struct slice subprotocols; /* offered, joined by "," */
    struct slice subprotocol;  /* the one that was answered; empty: none */
};

struct asked;

/* All that a relay's sessions asked; starts as NULL. */
struct asked_book {
    void *root;
};

/* A copy, or the one that is there already; it is given back by asked_give. NULL: no memory. */
struct asked *asked_take(struct asked_book *book, const struct asked_words *words)
    __attribute__((warn_unused_result));
/* NULL is fine. */
void asked_give(struct asked_book *book, struct asked *asked);

/* Valid as long as `asked` is. */
struct asked_words asked_words(const struct asked *asked);

#endif
