/* TLS by OpenSSL: contexts for listeners and for targets, and the transport over them. The one place, with
 * net/digest, where OpenSSL is known. No function here blocks, but the loading of files. */
#ifndef SLUICE_NET_TLS_H
#define SLUICE_NET_TLS_H

#include "base/slice.h"
#include "net/transport.h"

enum { TLS_WHY_MAX = 256 };

/* ---- A listener's side: TLS 1.2 and 1.3, certificates picked by SNI (exact names before wildcards, the
 * first certificate where none fits; RSA and ECDSA certificates for the same names are offered together),
 * session tickets, ALPN http/1.1 (a client that offers ALPN without it gets no_application_protocol, RFC
 * 7301 3.2), no renegotiation, no compression. */
struct tls_server;

struct tls_server *tls_server_new(bool tls13_only);
void tls_server_free(struct tls_server *server);

/* Session tickets are made with these keys and taken under them, so that others who share them resume the
 * sessions. To be called before certificates are added; `tickets` outlives the server. */
struct tls_tickets;
void tls_server_share_tickets(struct tls_server *server, const struct tls_tickets *tickets);

/* Which file of a pair is at fault. A key that does not belong to its certificate is. */
enum tls_blamed { TLS_BLAMED_CERT, TLS_BLAMED_KEY };

/* Adds a PEM certificate (with its chain) and its key. False: `why` says which file and what is wrong, and
 * *blamed, where it is not NULL, which of the two it is. */
bool tls_server_add_certificate(struct tls_server *server, const char *cert_file, const char *key_file,
    char why[TLS_WHY_MAX], enum tls_blamed *blamed);

/* Asks clients for a certificate that `ca_file` vouches for; `require` ends the handshake without one. */
bool tls_server_ask_client(
    struct tls_server *server, const char *ca_file, bool require, char why[TLS_WHY_MAX]);

/* Connections may have the kernel encrypt what they send (kTLS). Each tries that in its handshake; where the
 * kernel, OpenSSL or the cipher does not allow it, OpenSSL encrypts as always. */
void tls_server_use_ktls(struct tls_server *server);

/* NULL: the kernel has TLS; else a phrase that says why not. The system is asked once. */
const char *tls_ktls_missing(void);

/* A transport in the accepting role over a connected non-blocking socket, which it owns from now on. The
 * server outlives its handshake, and it stays on this thread. NULL when there is no memory (the socket is
 * then still the caller's). */
struct transport *tls_accept_new(struct tls_server *server, int fd) __attribute__((warn_unused_result));

/* What the handshake told of a client; the texts are the peer's own words. */
enum { TLS_NAME_MAX = 256 };

struct tls_facts {
    char server_name[TLS_NAME_MAX]; /* the SNI; "": none */
    const char *version;            /* "TLSv1.3"; static storage */
    bool resumed;
    bool has_cert; /* the client's, of this handshake or of the one that is resumed */
    bool verified;
    char common_name[TLS_NAME_MAX]; /* in it, UTF-8; "": none, or one of 256 bytes or more */
};

/* Once its handshake is done. False: not a TLS transport. */
bool tls_facts_of(const struct transport *t, struct tls_facts *out);

/* ---- A target's side. */
struct tls_client;

struct tls_client_options {
    const char *ca_file;              /* NULL: the system's authorities */
    const char *cert_file, *key_file; /* our own certificate, or both NULL */
    const char *server_name;          /* a name (sent as SNI and verified) or an address (verified alone) */
    bool verify;
};

struct tls_client *tls_client_new(const struct tls_client_options *options, char why[TLS_WHY_MAX]);
/* The same authorities and the same certificate of ours, shared, for a target of another name. */
struct tls_client *tls_client_sibling(
    const struct tls_client *client, const char *server_name, char why[TLS_WHY_MAX]);
void tls_client_free(struct tls_client *client);
struct transport *tls_connect_new(struct tls_client *client, int fd) __attribute__((warn_unused_result));

/* ---- For `sluice check`. */

/* Who shows the certificate to whom. */
enum tls_role { TLS_ROLE_SERVER, TLS_ROLE_CLIENT };

/* Looks at a certificate and its key, each also where the other is bad; NULL: that one is not looked at.
 * `tell` hears of every fault, with which the pair cannot be used (unreadable, not PEM, not its key), and of
 * every warning: it can be used, but the other side will hardly take it (expired or not yet valid; of a key
 * type, on a curve or for a purpose that no peer accepts). */
void tls_check_pair(const char *cert_file, const char *key_file, enum tls_role role,
    void (*tell)(void *context, enum tls_blamed file, bool warning, const char *why), void *context);

/* False: the file cannot be used; `why` says why. True with a non-empty `why`: a warning. */
bool tls_check_ca(const char *ca_file, char why[TLS_WHY_MAX]);

#endif
