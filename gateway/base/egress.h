/* Which addresses may be connected to. A policy judges addresses, never names: what a name stands for is
 * judged once it has been looked up. Nothing here does I/O or allocates.
 *
 * The network with the longest prefix decides, of those in `allow`, in `deny` and of a few that are never
 * meant as a target: link-local and multicast addresses, the broadcast, "this network", and the metadata
 * services of clouds, which hand out credentials. Of two that are as long, `deny` counts before `allow`, and
 * `allow` before what is built in. So `0.0.0.0/0` lets nobody at a metadata service; its address does. What
 * no network has is allowed, unless there is something in `allow`. */
#ifndef SLUICE_BASE_EGRESS_H
#define SLUICE_BASE_EGRESS_H

#include "base/ip.h"

/* Zeroed, it is the policy of what is built in. */
struct egress {
    struct ip_net *allow;
    size_t allow_count;
    struct ip_net *deny;
    size_t deny_count;
};

enum egress_verdict {
    EGRESS_ALLOWED,
    EGRESS_NOT_IN_ALLOW,
    EGRESS_IN_DENY,
    EGRESS_LINK_LOCAL, /* RFC 3927, RFC 4291 2.5.6 */
    EGRESS_METADATA,
    EGRESS_MULTICAST,    /* RFC 5771, RFC 4291 2.7 */
    EGRESS_BROADCAST,    /* RFC 919 7 */
    EGRESS_THIS_NETWORK, /* 0.0.0.0/8 and ::, by which many systems mean themselves: RFC 1122 3.2.1.3 */
};

/* An IPv4 address within IPv6 (::ffff:a.b.c.d) is judged as IPv4, and by networks of IPv4 alone. */
enum egress_verdict egress_judge(const struct egress *policy, const struct ip_addr *addr);

/* What such an address is, in a phrase: "a link-local address"; "" for EGRESS_ALLOWED. */
const char *egress_phrase(enum egress_verdict verdict);

#endif
