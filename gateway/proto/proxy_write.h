/* A PROXY protocol header for a target: who the client is, before anything else is sent (proxy-protocol.txt
 * of HAProxy, the sections named here are its own). Written into the caller's array; nothing is allocated. */
#ifndef SLUICE_PROTO_PROXY_WRITE_H
#define SLUICE_PROTO_PROXY_WRITE_H

#include "base/ip.h"

enum {
    PROXY_WRITE_V1_MAX = 107,
    PROXY_WRITE_V2_MAX = 768,
};

struct proxy_facts {
    bool known; /* the four below; false (a client on a unix socket): v1 UNKNOWN, v2 LOCAL */
    struct ip_addr source, destination;
    uint16_t source_port, destination_port;

    /* For v2 alone. An empty slice, or one that is too long to be what it should be: not told. */
    struct slice authority;   /* the name that the client asked for by SNI, at most 255 bytes */
    struct slice unique_id;   /* at most 128 bytes (2.2.3) */
    bool tls;                 /* the client speaks TLS; the rest only then */
    struct slice tls_version; /* "TLSv1.3", at most 16 bytes */
    bool has_client_cert;     /* the TLS session has a certificate of the client's */
    bool resumed;             /* it was given on an earlier connection of that session */
    bool verified;            /* and was found good */
    struct slice client_cn;   /* the common name in it, UTF-8, at most 255 bytes */
};

/* 2.1, CRLF included. Answers the length. Where one of the addresses is IPv6, both are written so. */
size_t proxy_write_v1(const struct proxy_facts *facts, uint8_t out[PROXY_WRITE_V1_MAX]);

/* 2.2, with PP2_TYPE_AUTHORITY, PP2_TYPE_SSL, PP2_TYPE_UNIQUE_ID and PP2_TYPE_CRC32C. Answers the length. */
size_t proxy_write_v2(const struct proxy_facts *facts, uint8_t out[PROXY_WRITE_V2_MAX]);

#endif
