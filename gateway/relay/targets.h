/* What a relay knows of the targets of each route: how many sessions each has, and which are passed over for
 * a while because they could not be reached. Its own worker's knowledge alone; nothing here does I/O.
 *
 * A target whose connection failed is passed over for a second, and for twice as long each time it fails
 * again, up to a minute. Behind that time one session tries it; it counts as well again when that session has
 * reached it. A session for which all are passed over tries them nevertheless, the one first whose time ends
 * first: nobody is turned away from a target that may be there. */
#ifndef SLUICE_RELAY_TARGETS_H
#define SLUICE_RELAY_TARGETS_H

#include "net/tls.h"
#include "rules/rules.h"

enum {
    TARGETS_NONE = 0xFF,
    TARGETS_PAUSE_LEAST_MS = 1000,
    TARGETS_PAUSE_MOST_MS = 60 * 1000,
};

struct target_state {
    struct tls_client *tls; /* NULL: plain */
    uint64_t rests_until_ms;
    uint32_t sessions; /* now, from their dialing on */
    uint32_t dialing;  /* of them: not reached yet */
    uint32_t failures; /* in a row, each behind the rest that the one before it brought; 0: it is well */
};

struct targets {
    struct target_state *states; /* NULL: a route with files */
    unsigned count;
    unsigned next; /* `round_robin`: where to go on */
};

/* One for each route, by route->index; targets_free frees it. NULL: no memory, or TLS files that cannot be
 * used (`why` says). Blocks on those files. */
struct targets *targets_new(const struct rules *rules, char why[TLS_WHY_MAX]);
void targets_free(struct targets *targets, size_t route_count);

/* Which to try, of those that are not in the set `tried` (bit by index); TARGETS_NONE: it has them all. */
unsigned targets_choose(struct targets *targets, enum balance balance, uint64_t tried, uint64_t now_ms);

/* A session dials the target `at`, and what came of it. targets_reached answers how many failures it had in a
 * row; targets_failed and targets_given_up end the session's share in it, as targets_left does later. */
void targets_dialed(struct targets *targets, unsigned at);
uint32_t targets_reached(struct targets *targets, unsigned at);
void targets_failed(struct targets *targets, unsigned at, uint64_t now_ms);
void targets_given_up(struct targets *targets, unsigned at);
void targets_left(struct targets *targets, unsigned at);

#endif
