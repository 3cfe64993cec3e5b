/* What the limits of a gateway with several workers are held against. A worker counts itself in its own slot
 * of shared memory first and then adds up all slots: two that come at once may both be refused, never both
 * admitted over the limit; and a worker that dies takes its share with it, so nothing has to be repaired. */
#ifndef SLUICE_RELAY_CENSUS_H
#define SLUICE_RELAY_CENSUS_H

#include "base/ip.h"
#include "relay/tally.h"
#include "rules/rules.h"

struct census {
    struct tally *own;
    /* Sums over all workers, this one included: `sessions` and `lingering` of one row. */
    void (*row)(const struct census *census, unsigned row, uint64_t *sessions, uint64_t *lingering);
    void (*all)(const struct census *census, uint64_t *sessions, uint64_t *lingering);
    /* Counts one more session of `client` (an IPv6 address by its /64), here; then whether all workers
     * together have at most `max`. When not, it is not counted. False too where there is no room to count
     * another client. */
    bool (*client_enter)(const struct census *census, const struct ip_addr *client, uint64_t max);
    void (*client_leave)(const struct census *census, const struct ip_addr *client);
    /* Takes one new session of `client` from what `rate` allows it, over all workers. */
    bool (*client_new)(
        const struct census *census, const struct ip_addr *client, struct rate_rule rate, uint64_t now_ms);
    void *context;
};

/* What counts as one client: an IPv4 address, or an IPv6 network of 64 bits, which is what a household gets.
 */
struct ip_addr census_client_key(const struct ip_addr *client);

/* One worker alone, in its own memory: for tests, and `own` is then on the heap. NULL: no memory. */
struct census *census_new_alone(void);
void census_free_alone(struct census *census);

#endif
