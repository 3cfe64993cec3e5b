/* IP addresses and networks as values. IPv4 is kept as IPv4-mapped IPv6 (RFC 4291 2.5.5.2), so that one
 * comparison serves both families. */
#ifndef SLUICE_BASE_IP_H
#define SLUICE_BASE_IP_H

#include "base/slice.h"

struct ip_addr {
    uint8_t bytes[16]; /* network order */
};

struct ip_net {
    struct ip_addr addr;
    uint8_t prefix; /* 0..128, counted in the mapped form: a.b.c.d/8 has 104 */
};

enum { IP_TEXT_MAX = 46 };

/* "10.0.0.1", "::1"; no brackets, no port, no zone. */
bool ip_parse(struct slice s, struct ip_addr *out);

/* "10.0.0.0/8", "fd00::/8", or an address alone (one host). False when bad, or bits are set behind the
 * prefix; then *why (may be NULL) says what is wrong in a phrase. */
bool ip_net_parse(struct slice s, struct ip_net *out, const char **why);

bool ip_net_contains(const struct ip_net *net, const struct ip_addr *addr);

/* Whether `addr` is in one of `count` networks. */
bool ip_net_list_contains(const struct ip_net *nets, size_t count, const struct ip_addr *addr);

/* Whether every address of `inner` is one of `outer`. */
bool ip_net_covers(const struct ip_net *outer, const struct ip_net *inner);

bool ip_is_v4(const struct ip_addr *addr);
void ip_format(const struct ip_addr *addr, char out[IP_TEXT_MAX]);

#endif
