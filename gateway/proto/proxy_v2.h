/* The numbers of version 2 of the PROXY protocol (2.2 of proxy-protocol.txt), for its reader and its writer.
 */
#ifndef SLUICE_PROTO_PROXY_V2_H
#define SLUICE_PROTO_PROXY_V2_H

#define PROXY_V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

enum {
    PROXY_V2_SIGNATURE_LEN = 12,
    PROXY_V2_START = 16, /* signature, command, family, length */
    PROXY_V2_TLV_START = 3,

    /* The byte behind the signature. */
    PROXY_V2_LOCAL = 0x20,
    PROXY_V2_PROXY = 0x21,

    /* And the next: family and transport. */
    PROXY_V2_UNSPEC = 0x00,
    PROXY_V2_TCP4 = 0x11,
    PROXY_V2_TCP6 = 0x21,
    PROXY_V2_UNIX_STREAM = 0x31,

    PROXY_V2_TCP4_LEN = 12,
    PROXY_V2_TCP6_LEN = 36,
    PROXY_V2_UNIX_LEN = 216,

    PROXY_V2_TYPE_AUTHORITY = 0x02,
    PROXY_V2_TYPE_CRC32C = 0x03,
    PROXY_V2_TYPE_UNIQUE_ID = 0x05,
    PROXY_V2_TYPE_SSL = 0x20,
    PROXY_V2_SUBTYPE_SSL_VERSION = 0x21,
    PROXY_V2_SUBTYPE_SSL_CN = 0x22,

    PROXY_V2_CLIENT_SSL = 0x01,
    PROXY_V2_CLIENT_CERT_CONN = 0x02, /* it gave a certificate on this connection */
    PROXY_V2_CLIENT_CERT_SESS = 0x04, /* in this TLS session, which may be resumed */
};

#endif
