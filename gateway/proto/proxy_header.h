/* The PROXY protocol, version 1 and 2, as a proxy in front of us sends it before anything else: who its
 * client is (proxy-protocol.txt of HAProxy, the sections named here are its own). A pure function of the
 * bytes: nothing is copied or allocated.
 *
 * Strict: a sender is a program that the operator trusts, so what is not exactly as the text has it is no
 * header at all. */
#ifndef SLUICE_PROTO_PROXY_HEADER_H
#define SLUICE_PROTO_PROXY_HEADER_H

#include "base/ip.h"

enum {
    PROXY_HEADER_MAX = 4096, /* bytes of a header in all; the text allows 16 + 65535 */
};

enum proxy_progress {
    PROXY_MORE, /* the header is not all there, and every byte given belongs to it */
    PROXY_DONE, /* `len` bytes were the header, what follows is the client's */
    PROXY_BAD,  /* it is none: `phrase` says why */
};

enum proxy_source {
    PROXY_SOURCE_OWN,  /* v1 UNKNOWN, v2 LOCAL or no family: the connection's own address counts */
    PROXY_SOURCE_INET, /* `source` and `destination` */
    PROXY_SOURCE_UNIX, /* a unix socket: there is no address */
};

struct proxy_header {
    const char *phrase;
    size_t len;
    enum proxy_source kind;
    struct ip_addr source, destination;
    uint16_t source_port, destination_port;
    struct slice tlvs; /* v2: checked, for proxy_header_tlv; empty where the family is none */
};

/* `bytes` are all that came so far. With PROXY_MORE all of them can be taken off the connection; of what has
 * been seen behind the header nothing may be. The same bytes, in however many pieces, come to the same. At
 * PROXY_HEADER_MAX bytes the answer is never PROXY_MORE. The checksum of a v2 header is checked where it has
 * one (2.2.4). */
enum proxy_progress proxy_header_read(const uint8_t *bytes, size_t len, struct proxy_header *header)
    __attribute__((warn_unused_result));

/* Cuts the next TLV off *rest (2.2.2); also for the TLVs inside PP2_TYPE_SSL. False: none is left, or what is
 * left is none. */
bool proxy_header_tlv(struct slice *rest, uint8_t *type, struct slice *value);

#endif
