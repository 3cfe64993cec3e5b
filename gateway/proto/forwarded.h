/* X-Forwarded-For: a list that each proxy on the way adds an address to, that of who came to it. Anybody can
 * begin such a list with what he likes, so it is read from its end, and only as far as the proxies that wrote
 * it are trusted. A pure function of the bytes. */
#ifndef SLUICE_PROTO_FORWARDED_H
#define SLUICE_PROTO_FORWARDED_H

#include "base/ip.h"
#include "proto/http_request.h"

enum forwarded_verdict {
    FORWARDED_NONE,   /* nothing was forwarded: who connected is the client */
    FORWARDED_CLIENT, /* `client` is */
    FORWARDED_BAD,    /* a trusted proxy has written something that is no address: nobody knows */
};

struct forwarded {
    struct ip_addr client;
    uint16_t port; /* 0: not told */
};

/* To be asked only where who connected is trusted itself. All X-Forwarded-For lines of the request are one
 * list (RFC 9110 5.3), empty elements do not count (5.6.1.2). The client is the rightmost address that is in
 * none of `trusted`; the leftmost where all are trusted. An element is an address, IPv6 with or without
 * brackets, and may have a port behind it. */
enum forwarded_verdict forwarded_read(const struct http_request *r, const char *bytes,
    const struct ip_net *trusted, size_t trusted_count, struct forwarded *found)
    __attribute__((warn_unused_result));

#endif
