/* What an operator does with the live sessions of a relay: lists and ends them. */
#ifndef SLUICE_RELAY_ROSTER_H
#define SLUICE_RELAY_ROSTER_H

#include "relay/relay.h"

/* Which sessions; zero takes every one. */
struct roster_filter {
    uint64_t id;        /* 0: any */
    struct slice route; /* its name; empty: any */
    bool by_client;     /* then not those of unix clients */
    struct ip_net client;
};

/* Writes one JSON object a line to `fd`, which blocks (a memfd), for each live session that the filter takes:
 *   id, client, listener, route, target, host, path, origin, subprotocol   strings
 *   state                                "dial", "relay" or "closing"
 *   age_ms, up_bytes, down_bytes
 *   up_kept, down_kept                   bytes that wait for the target, the client
 *   up_stalled_ms, down_stalled_ms       how long bytes have waited, with the wait under way
 *   ping_ms, client_rtt_us, target_rtt_us   only where known
 *   worker                               this process
 * Host, path and Origin are as asked, cut at 1,024 bytes, without the query. False: errno says why not all of
 * it was written. */
bool relay_list(struct relay *relay, const struct roster_filter *filter, int fd, uint64_t *count)
    __attribute__((warn_unused_result));

/* Ends them with 1008 `killed`; those that wait for their target's answer by HTTP get that cause's status. */
uint64_t relay_kill(struct relay *relay, const struct roster_filter *filter);

#endif
