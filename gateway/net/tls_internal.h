/* What the tls_*.c files share among themselves: certificates from PEM files, and the transport over an SSL
 * object that a server or a client has set up. Nobody else includes this. */
#ifndef SLUICE_NET_TLS_INTERNAL_H
#define SLUICE_NET_TLS_INTERNAL_H

#include "base/buf.h"
#include "net/tls.h"
#include <openssl/ssl.h>
#include <openssl/x509.h>

/* ---- tls_pem.c: files. Blocks on them; every fault is told in `why`, the file's name first. */

struct tls_identity {
    X509 *cert;
    STACK_OF(X509) * chain; /* what stands behind the certificate in its file */
    EVP_PKEY *key;          /* belongs to `cert` */
};

/* On success `blamed` is the certificate, for what may be found against it later. */
bool tls_pem_load_identity(struct tls_identity *identity, const char *cert_file, const char *key_file,
    char why[TLS_WHY_MAX], enum tls_blamed *blamed);
void tls_pem_identity_fini(struct tls_identity *identity);

/* Has the context show this identity. Refused where OpenSSL's security level says so (a key too short). */
bool tls_pem_use_identity(
    SSL_CTX *context, const struct tls_identity *identity, const char *cert_file, char why[TLS_WHY_MAX]);

/* All certificates of a file, at least one; NULL with `why`. */
STACK_OF(X509) * tls_pem_load_certificates(const char *file, char why[TLS_WHY_MAX]);

/* The file's private key; NULL with `why`. */
EVP_PKEY *tls_pem_load_key(const char *file, char why[TLS_WHY_MAX]);

/* Whether the key is the certificate's; what is told is told of the key. */
bool tls_pem_is_pair(const X509 *cert, const EVP_PKEY *key, const char *cert_file, const char *key_file,
    char why[TLS_WHY_MAX]);

/* Certificates as a store to verify with. */
X509_STORE *tls_pem_store(const STACK_OF(X509) * certificates, const char *file, char why[TLS_WHY_MAX]);

/* Writes "FILE: ..." to `why`; of a long name only the end. */
void tls_pem_blame(char why[TLS_WHY_MAX], const char *file, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- tls_pipe.c: the way between OpenSSL and a socket.
 *
 * OpenSSL is given no socket but a BIO of ours, one for all connections of a thread, so that the system calls
 * are counted here: a read is one recv(2) for many records, a write one send(2). Both go through buffers that
 * all connections of a thread share and that hold nothing between two calls; a connection keeps only what did
 * not fit, in its inbox and its outbox. */

struct tls_pipe {
    struct buf inbox;  /* ciphertext that came and is not yet decrypted */
    struct buf outbox; /* ciphertext that the kernel did not take */
    int fd;            /* borrowed */
    bool more;         /* what is to go is not all: the kernel may wait for the rest */
    int send_err;      /* an errno: nothing can be sent any more; what came before can still be read */
    unsigned takes;    /* how often OpenSSL may still take of what came: twice a record */
};

/* Makes it what `ssl` reads from and writes to, on this thread. False when there is no memory. */
bool tls_pipe_init(struct tls_pipe *pipe, SSL *ssl, int fd);

/* Before each call of OpenSSL that may move bytes. */
void tls_pipe_use(struct tls_pipe *pipe);
void tls_pipe_fini(struct tls_pipe *pipe);

/* One recv(2), of `cap` bytes or one record, for OpenSSL to take. tls_pipe_settle is to follow. */
struct io_result tls_pipe_receive(struct tls_pipe *pipe, size_t cap);

/* After every call of OpenSSL that may have moved bytes: sends what it wrote, or keeps it, and keeps what it
 * did not read (where not `keep`, drops it). False when there is no memory; the stream then has a hole. */
bool tls_pipe_settle(struct tls_pipe *pipe, bool keep);

/* Sends what was kept: IO_OK when nothing is left, IO_WANT_WRITE, or IO_FAIL. */
struct io_result tls_pipe_flush(struct tls_pipe *pipe);

/* ---- tls_fault.c */

/* What stands behind the call that failed, as a phrase in static storage; NULL: it had no memory. Empties
 * OpenSSL's list of errors. */
const char *tls_fault_take(const SSL *ssl);

/* ---- tls_alloc.c */

/* From here to the next call with false, what this thread gives back is overwritten first: for reading keys,
 * of which OpenSSL leaves copies. Not under sanitizers. */
void tls_alloc_wipe(bool wipes);

/* ---- tls_tickets.c */

/* The answers that OpenSSL wants for a ticket. */
enum { TLS_TICKETS_UNKNOWN = 0, TLS_TICKETS_FINE = 1, TLS_TICKETS_TO_RENEW = 2, TLS_TICKETS_BROKEN = -1 };

/* SSL_CTX_set_tlsext_ticket_key_evp_cb's callback, for those keys. */
struct tls_tickets;
int tls_tickets_use(const struct tls_tickets *tickets, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool seals);

/* ---- tls_alloc.c */

/* Gives back what a thread keeps of the memory of record buffers; it may go on and keep again. */
void tls_alloc_thread_fini(void);

/* Takes the record buffers of a connection that will send no more. Not where a record came in part, or was
 * not read to its end: before 3.0.14 OpenSSL would have them freed under it (CVE-2024-4741). */
void tls_alloc_release(SSL *ssl);

/* ---- tls_ktls.c */

/* OpenSSL writes to the socket itself from now on and hands the kernel its keys, where it can. *rekeyed,
 * which lives as long as `ssl`, is set when the peer was told of another key to come: OpenSSL 3.0 hands that
 * on to nobody, and what the kernel goes on to send cannot be read. False: no memory, and all is as it was.
 */
bool tls_ktls_begin(SSL *ssl, int fd, bool *rekeyed) __attribute__((warn_unused_result));

/* Behind the handshake: whether the kernel encrypts. If not, OpenSSL writes to what it reads from. */
bool tls_ktls_end(SSL *ssl);

/* ---- tls_transport.c */

/* What every context of ours has: no compression, no renegotiation, no idle buffers. */
void tls_transport_prepare(SSL_CTX *context);

/* With `ktls` OpenSSL writes to the socket itself until the handshake is done, since it hands the keys to the
 * kernel by the BIO that it writes to. When that came to something, what is sent is sent as it is; if not, it
 * goes by the pipe. What comes is always read by the pipe: OpenSSL 3.0 has no kTLS for reading TLS 1.3, and
 * would read record by record.
 *
 * Takes `ssl` over, in its accepting or connecting state, and frees it also on failure; NULL when there is no
 * memory, the socket is then still the caller's. */
struct transport *tls_transport_new(SSL *ssl, int fd, bool ktls);

/* NULL: another kind of transport. */
SSL *tls_transport_ssl(const struct transport *t);

#endif
