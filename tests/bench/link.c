/* OpenSSL reads from and writes to memory here; the system calls are ours, one for many records. */
#include "link.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WRITE_MAX = 64 * 1024,              /* of plain text in one call */
    RECORDS_MAX = WRITE_MAX + 8 * 1024, /* what becomes of it, with room for a handshake */
};

static SSL_CTX *context;
static BIO_METHOD *method;
static uint8_t plain[LINK_READ_MAX + 32 * 1024]; /* with what OpenSSL had of a record that was not whole */
static uint8_t wire_in[LINK_READ_MAX];
static size_t wire_in_from;
static size_t wire_in_to;
static uint8_t wire_out[RECORDS_MAX];
static size_t wire_out_len;

static int memory_read(BIO *bio, char *bytes, int n)
{
    size_t have = wire_in_to - wire_in_from;
    BIO_clear_retry_flags(bio);
    if (have == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t part = have < (size_t)n ? have : (size_t)n;
    memcpy(bytes, wire_in + wire_in_from, part);
    wire_in_from += part;
    return (int)part;
}

static int memory_write(BIO *bio, const char *bytes, int n)
{
    BIO_clear_retry_flags(bio);
    if ((size_t)n > sizeof wire_out - wire_out_len) {
        BIO_set_retry_write(bio);
        return -1;
    }
    memcpy(wire_out + wire_out_len, bytes, (size_t)n);
    wire_out_len += (size_t)n;
    return n;
}

static long memory_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int memory_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct link *link = SSL_get_app_data(ssl);
    SSL_SESSION_free(link->known);
    link->known = session;
    return 1; /* it is ours now */
}

void link_init(bool tls, const char *cipher)
{
    if (!tls) {
        return;
    }
    context = SSL_CTX_new(TLS_client_method());
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory");
    if (context == NULL || method == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        (cipher != NULL && SSL_CTX_set_ciphersuites(context, cipher) != 1)) {
        fputs("load: OpenSSL cannot be set up\n", stderr);
        exit(1);
    }
    (void)BIO_meth_set_read(method, memory_read);
    (void)BIO_meth_set_write(method, memory_write);
    (void)BIO_meth_set_ctrl(method, memory_ctrl);
    (void)BIO_meth_set_create(method, memory_create);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, keep_session);
}

bool link_open(struct link *link, uint16_t port, bool tls, bool resume)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) {
        return false;
    }
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(link->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        return false;
    }
    if (tls) {
        BIO *bio = BIO_new(method);
        link->ssl = SSL_new(context);
        if (bio == NULL || link->ssl == NULL) {
            errno = ENOMEM;
            return false;
        }
        SSL_set_app_data(link->ssl, link);
        SSL_set_bio(link->ssl, bio, bio);
        SSL_set_connect_state(link->ssl);
        (void)SSL_set_tlsext_host_name(link->ssl, "localhost");
        if (resume && link->known != NULL) {
            (void)SSL_set_session(link->ssl, link->known);
        }
    }
    return true;
}

static enum link_status send_some(int fd, const uint8_t *bytes, size_t n, size_t *taken)
{
    ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        return LINK_BROKEN;
    }
    *taken = sent < 0 ? 0 : (size_t)sent;
    return LINK_OK;
}

bool link_unsent(const struct link *link)
{
    return link->kept != NULL;
}

/* What was kept goes first. */
static enum link_status flush_kept(struct link *link)
{
    size_t taken = 0;
    if (link->kept == NULL) {
        return LINK_OK;
    }
    if (send_some(link->fd, link->kept + link->kept_from, link->kept_to - link->kept_from, &taken) !=
        LINK_OK) {
        return LINK_BROKEN;
    }
    link->kept_from += taken;
    if (link->kept_from == link->kept_to) {
        free(link->kept);
        link->kept = NULL;
    }
    return LINK_OK;
}

/* Sends the records that OpenSSL made. Nothing may be kept from before. */
static enum link_status flush_records(struct link *link)
{
    size_t taken = 0;
    size_t n = wire_out_len;
    wire_out_len = 0;
    if (n == 0) {
        return LINK_OK;
    }
    if (send_some(link->fd, wire_out, n, &taken) != LINK_OK) {
        return LINK_BROKEN;
    }
    if (taken < n) {
        link->kept = malloc(n - taken);
        if (link->kept == NULL) {
            return LINK_BROKEN;
        }
        memcpy(link->kept, wire_out + taken, n - taken);
        link->kept_from = 0;
        link->kept_to = n - taken;
    }
    return LINK_OK;
}

/* One recv into the shared buffer. */
static enum link_status receive(int fd, uint8_t *bytes, size_t cap, size_t *n)
{
    ssize_t got = recv(fd, bytes, cap, 0);
    *n = got > 0 ? (size_t)got : 0;
    if (got == 0) {
        return LINK_ENDED;
    }
    if (got < 0) {
        return errno == EAGAIN ? LINK_LATER : LINK_BROKEN;
    }
    return LINK_OK;
}

static enum link_status tls_verdict(const struct link *link, int result)
{
    switch (SSL_get_error(link->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return LINK_LATER;
    case SSL_ERROR_ZERO_RETURN:
        return LINK_ENDED;
    default:
        ERR_print_errors_fp(stderr);
        return LINK_BROKEN;
    }
}

enum link_status link_handshake(struct link *link)
{
    if (link->ssl == NULL || SSL_is_init_finished(link->ssl)) {
        return LINK_OK;
    }
    /* The server says nothing behind its first flight until it is answered: no byte is left over. */
    enum link_status got = receive(link->fd, wire_in, sizeof wire_in, &wire_in_to);
    wire_in_from = 0;
    if (got == LINK_ENDED || got == LINK_BROKEN) {
        return LINK_BROKEN;
    }
    ERR_clear_error();
    int result = SSL_do_handshake(link->ssl);
    enum link_status status = result == 1 ? LINK_OK : tls_verdict(link, result);
    enum link_status sent = flush_records(link);
    return sent == LINK_OK ? status : sent;
}

enum link_status link_read(struct link *link, uint8_t **bytes, size_t *n)
{
    *bytes = plain;
    if (link->ssl == NULL) {
        return receive(link->fd, plain, sizeof plain, n);
    }
    *n = 0;
    enum link_status status = receive(link->fd, wire_in, sizeof wire_in, &wire_in_to);
    wire_in_from = 0;
    if (status != LINK_OK) {
        return status;
    }
    ERR_clear_error();
    for (;;) {
        int got = SSL_read(link->ssl, plain + *n, (int)(sizeof plain - *n));
        if (got <= 0) {
            status = tls_verdict(link, got);
            break;
        }
        *n += (size_t)got;
    }
    return status == LINK_LATER || (status == LINK_ENDED && *n > 0) ? LINK_OK : status;
}

enum link_status link_write(struct link *link, const uint8_t *bytes, size_t n, size_t *taken)
{
    *taken = 0;
    if (link->ssl == NULL) {
        return send_some(link->fd, bytes, n, taken);
    }
    if (flush_kept(link) != LINK_OK) {
        return LINK_BROKEN;
    }
    if (link->kept != NULL || n == 0) {
        return LINK_OK;
    }
    ERR_clear_error();
    size_t goal = n < WRITE_MAX ? n : WRITE_MAX;
    while (*taken < goal) { /* one record a call, as partial writes are on */
        int wrote = SSL_write(link->ssl, bytes + *taken, (int)(goal - *taken));
        if (wrote <= 0) {
            return LINK_BROKEN;
        }
        *taken += (size_t)wrote;
    }
    return flush_records(link);
}

void link_shut(struct link *link)
{
    if (link->ssl != NULL && SSL_is_init_finished(link->ssl) && link->kept == NULL) {
        (void)SSL_shutdown(link->ssl);
        (void)flush_records(link);
    }
    (void)shutdown(link->fd, SHUT_WR);
}

void link_close(struct link *link)
{
    if (link->ssl != NULL) {
        SSL_set_quiet_shutdown(link->ssl, 1);
        (void)SSL_shutdown(link->ssl); /* else OpenSSL would not have its ticket used again */
        wire_out_len = 0;
        SSL_free(link->ssl);
        link->ssl = NULL;
    }
    if (link->fd >= 0) {
        (void)close(link->fd);
        link->fd = -1;
    }
    free(link->kept);
    link->kept = NULL;
}
