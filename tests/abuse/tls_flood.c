/* A client that has the server do TLS's own work again and again:
 *
 *   tls_flood renegotiate|key_update PORT MS [reads=0]
 *
 * `renegotiate` is TLS 1.2: one ClientHello after another within the connection. `key_update` is TLS 1.3:
 * each asks for one in return (RFC 8446 4.6.3). With reads=0 the answers are never read. Prints how many were
 * sent, how many connections that took, and what ended the last one; connects again when the server has
 * enough. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TURN = 64, WAIT_US = 500000, LOOK_US = 1000 };

struct flood {
    SSL_CTX *context;
    uint16_t port;
    uint64_t end_ns;
    bool renegotiates;
    bool reads;
    unsigned long sent;
    unsigned long connections;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static SSL *connect_tls(struct flood *flood)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(flood->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {.tv_usec = WAIT_US};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        perror("tls_flood: connect");
        exit(1);
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    SSL *ssl = SSL_new(flood->context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1) {
        SSL_free(ssl);
        close(fd);
        return NULL;
    }
    flood->connections++;
    wait.tv_usec = flood->renegotiates ? WAIT_US : LOOK_US; /* answers to key updates it need not wait for */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    return ssl;
}

static void disconnect(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);
    SSL_free(ssl);
    close(fd);
}

/* One more; false once the connection is over. */
static bool ask_again(struct flood *flood, SSL *ssl)
{
    if (flood->renegotiates) {
        /* Refused by a warning, which OpenSSL takes for the end of the attempt. */
        bool asked = SSL_renegotiate(ssl) == 1 && SSL_do_handshake(ssl) >= -1;
        flood->sent++;
        return asked && (SSL_get_shutdown(ssl) == 0) && SSL_get_error(ssl, -1) != SSL_ERROR_SYSCALL &&
               ERR_GET_REASON(ERR_peek_last_error()) != SSL_R_NO_RENEGOTIATION;
    }
    for (int i = 0; i < TURN; i++) {
        if (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) != 1 || SSL_do_handshake(ssl) != 1) {
            return false;
        }
        flood->sent++;
    }
    char byte;
    int n = flood->reads ? SSL_read(ssl, &byte, 1) : 1;
    return n > 0 || SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fputs("tls_flood: see the head of tests/abuse/tls_flood.c for what can be said\n", stderr);
        return 2;
    }
    struct flood flood = {
        .context = SSL_CTX_new(TLS_client_method()),
        .port = (uint16_t)strtoul(argv[2], NULL, 10),
        .end_ns = now_ns() + strtoull(argv[3], NULL, 10) * 1000000U,
        .renegotiates = strcmp(argv[1], "renegotiate") == 0,
        .reads = argc < 5 || strcmp(argv[4], "reads=0") != 0,
    };
    int version = flood.renegotiates ? TLS1_2_VERSION : TLS1_3_VERSION;
    if (flood.context == NULL || SSL_CTX_set_min_proto_version(flood.context, version) != 1 ||
        SSL_CTX_set_max_proto_version(flood.context, version) != 1) {
        fputs("tls_flood: OpenSSL\n", stderr);
        return 1;
    }
    while (now_ns() < flood.end_ns) {
        SSL *ssl = connect_tls(&flood);
        while (ssl != NULL && now_ns() < flood.end_ns && ask_again(&flood, ssl)) {
            ERR_clear_error();
        }
        if (ssl != NULL) {
            disconnect(ssl);
        }
        ERR_clear_error();
    }
    printf("%lu %lu\n", flood.sent, flood.connections);
    SSL_CTX_free(flood.context);
    return 0;
}
