#include "base/egress.h"

enum { MAPPED_BITS = 96 };

struct built_in {
    struct ip_net net;
    enum egress_verdict verdict;
};

#define V4(a, b, c, d, bits)                                                                                 \
    {                                                                                                        \
        {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (a), (b), (c), (d)}}, MAPPED_BITS + (bits)               \
    }

static const struct built_in built_in[] = {
    {V4(0, 0, 0, 0, 8), EGRESS_THIS_NETWORK},
    {{{{0}}, 128}, EGRESS_THIS_NETWORK},
    {V4(169, 254, 0, 0, 16), EGRESS_LINK_LOCAL},
    {{{{0xfe, 0x80}}, 10}, EGRESS_LINK_LOCAL},
    /* The same by NAT64 (RFC 6052 2.1), which has no business there. */
    {{{{0x00, 0x64, 0xff, 0x9b, [12] = 169, 254}}, 112}, EGRESS_LINK_LOCAL},
    {V4(224, 0, 0, 0, 4), EGRESS_MULTICAST},
    {{{{0xff}}, 8}, EGRESS_MULTICAST},
    {V4(255, 255, 255, 255, 32), EGRESS_BROADCAST},
    /* Amazon, Google, Azure, Oracle and most others; Amazon and Google by IPv6; Alibaba; Azure's host;
       Oracle. */
    {V4(169, 254, 169, 254, 32), EGRESS_METADATA},
    {{{{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, 0x54}}, 128}, EGRESS_METADATA},
    {{{{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, 0x54}}, 128}, EGRESS_METADATA},
    {V4(100, 100, 100, 200, 32), EGRESS_METADATA},
    {V4(168, 63, 129, 16, 32), EGRESS_METADATA},
    {V4(192, 0, 0, 192, 32), EGRESS_METADATA},
};

/* The longest so far and what it says. */
struct judgement {
    unsigned prefix;
    enum egress_verdict verdict;
};

static void weigh(struct judgement *so_far, const struct ip_net *net, const struct ip_addr *addr,
    enum egress_verdict verdict)
{
    if (ip_is_v4(addr) && net->prefix < MAPPED_BITS) {
        return; /* ::/0 speaks of IPv6 alone */
    }
    if (net->prefix >= so_far->prefix && ip_net_contains(net, addr)) {
        *so_far = (struct judgement){net->prefix, verdict};
    }
}

enum egress_verdict egress_judge(const struct egress *policy, const struct ip_addr *addr)
{
    struct judgement judgement = {0, policy->allow_count > 0 ? EGRESS_NOT_IN_ALLOW : EGRESS_ALLOWED};
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
        weigh(&judgement, &built_in[i].net, addr, built_in[i].verdict);
    }
    for (size_t i = 0; i < policy->allow_count; i++) {
        weigh(&judgement, &policy->allow[i], addr, EGRESS_ALLOWED);
    }
    for (size_t i = 0; i < policy->deny_count; i++) {
        weigh(&judgement, &policy->deny[i], addr, EGRESS_IN_DENY);
    }
    return judgement.verdict;
}

const char *egress_phrase(enum egress_verdict verdict)
{
    switch (verdict) {
    case EGRESS_ALLOWED:
        break;
    case EGRESS_NOT_IN_ALLOW:
        return "not in its allow";
    case EGRESS_IN_DENY:
        return "in its deny";
    case EGRESS_LINK_LOCAL:
        return "a link-local address";
    case EGRESS_METADATA:
        return "a cloud's metadata service";
    case EGRESS_MULTICAST:
        return "a multicast address";
    case EGRESS_BROADCAST:
        return "the broadcast address";
    case EGRESS_THIS_NETWORK:
        return "no address of a host";
    }
    return "";
}
