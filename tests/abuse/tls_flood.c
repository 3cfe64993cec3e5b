/* A client that has the server do TLS's own work again and again, within a session that it has asked for:
 *
 *   tls_flood renegotiate|key_update PORT MS [reads=0]
 *
 * `renegotiate` is TLS 1.2: one ClientHello after another within the connection. OpenSSL's own client takes
 * the first refusal for the end, so the records are made here, with the keys of the connection. `key_update`
 * is TLS 1.3: each asks for one in return (RFC 8446 4.6.3). With reads=0 the answers are never read. Prints
 * how many were sent, over how many connections, and how many alerts answered; connects again when the server
 * has enough. A renegotiation that the server takes up is a failure. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TURN = 64, WAIT_US = 500000, LOOK_US = 1000, PAUSE_NS = 2000000 };
enum { KEY = 16, SALT = 4, NONCE = 8, TAG = 16, HEAD = 5, RANDOM = 32, MASTER = 48 }; /* RFC 5288 */
enum { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22 };
enum { UPGRADED = 2 }; /* records that the client has written by then: Finished and the request */

static const char request[] =
    "GET /sink HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/* RFC 5246 7.4.1.2: a ClientHello of one cipher and no session. */
static const uint8_t hello[4 + 2 + RANDOM + 7] = {[0] = 1,
    [3] = 2 + RANDOM + 7,
    [4] = 3,
    [5] = 3,
    [7 + RANDOM] = 0,
    [8 + RANDOM] = 2,
    [9 + RANDOM] = 0xC0,
    [10 + RANDOM] = 0x2F,
    [11 + RANDOM] = 1};

enum { RECORD = HEAD + NONCE + sizeof hello + TAG };

struct flood {
    SSL_CTX *context;
    uint16_t port;
    uint64_t end_ns;
    bool renegotiates;
    bool reads;
    unsigned long sent;
    unsigned long connections;
    unsigned long alerts;
    /* Of the connection, where it renegotiates. */
    uint8_t key[KEY];
    uint8_t salt[SALT];
    uint64_t written;   /* records */
    uint8_t head[HEAD]; /* of the record that is being read */
    size_t head_len;
    size_t to_skip;
};

static _Noreturn void give_up(const char *why)
{
    fprintf(stderr, "tls_flood: %s\n", why);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void set_wait(int fd, int option, int us)
{
    struct timeval wait = {.tv_usec = us};
    (void)setsockopt(fd, SOL_SOCKET, option, &wait, sizeof wait);
}

/* What the client encrypts with (RFC 5246 6.3): of the key block its MAC keys are empty, then come its key,
 * the server's, and the two salts. */
static void derive_keys(struct flood *flood, SSL *ssl)
{
    uint8_t master[MASTER];
    uint8_t seed[2 * RANDOM];
    uint8_t block[2 * KEY + 2 * SALT];
    size_t len = sizeof block;
    EVP_PKEY_CTX *prf = EVP_PKEY_CTX_new_id(EVP_PKEY_TLS1_PRF, NULL);
    if (SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof master) != MASTER ||
        SSL_get_server_random(ssl, seed, RANDOM) != RANDOM ||
        SSL_get_client_random(ssl, seed + RANDOM, RANDOM) != RANDOM || prf == NULL ||
        EVP_PKEY_derive_init(prf) != 1 || EVP_PKEY_CTX_set_tls1_prf_md(prf, EVP_sha256()) != 1 ||
        EVP_PKEY_CTX_set1_tls1_prf_secret(prf, master, MASTER) != 1 ||
        EVP_PKEY_CTX_add1_tls1_prf_seed(prf, (const unsigned char *)"key expansion", 13) != 1 ||
        EVP_PKEY_CTX_add1_tls1_prf_seed(prf, seed, sizeof seed) != 1 ||
        EVP_PKEY_derive(prf, block, &len) != 1) {
        give_up("no keys");
    }
    EVP_PKEY_CTX_free(prf);
    memcpy(flood->key, block, KEY);
    memcpy(flood->salt, block + 2 * KEY, SALT);
    flood->written = UPGRADED;
    flood->head_len = flood->to_skip = 0;
}

static void put_number(uint8_t *to, uint64_t n)
{
    for (int i = 7; i >= 0; i--, n >>= 8) {
        to[i] = (uint8_t)n;
    }
}

/* RFC 5246 6.2.3.3 */
static void make_record(struct flood *flood, EVP_CIPHER_CTX *cipher, uint8_t to[RECORD])
{
    uint8_t iv[SALT + NONCE];
    uint8_t more[NONCE + HEAD];
    int n = 0;
    memcpy(iv, flood->salt, SALT);
    put_number(iv + SALT, flood->written);
    put_number(more, flood->written);
    memcpy(more + NONCE, (const uint8_t[HEAD]){RECORD_HANDSHAKE, 3, 3, 0, sizeof hello}, HEAD);
    memcpy(to, (const uint8_t[HEAD]){RECORD_HANDSHAKE, 3, 3, 0, RECORD - HEAD}, HEAD);
    memcpy(to + HEAD, iv + SALT, NONCE);
    uint8_t *body = to + HEAD + NONCE;
    if (EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, flood->key, iv) != 1 ||
        EVP_EncryptUpdate(cipher, NULL, &n, more, sizeof more) != 1 ||
        EVP_EncryptUpdate(cipher, body, &n, hello, sizeof hello) != 1 ||
        EVP_EncryptFinal_ex(cipher, body + n, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG, body + sizeof hello) != 1) {
        give_up("no record");
    }
    flood->written++;
}

/* Of TLS 1.2 the kind of a record can be read by everyone. */
static void look_at(struct flood *flood, const uint8_t *bytes, size_t n)
{
    for (const uint8_t *end = bytes + n; bytes < end;) {
        if (flood->to_skip > 0) {
            size_t part = flood->to_skip < (size_t)(end - bytes) ? flood->to_skip : (size_t)(end - bytes);
            flood->to_skip -= part;
            bytes += part;
            continue;
        }
        flood->head[flood->head_len++] = *bytes++;
        if (flood->head_len == HEAD) {
            flood->head_len = 0;
            flood->to_skip = (size_t)(flood->head[3] << 8 | flood->head[4]);
            flood->alerts += flood->head[0] == RECORD_ALERT;
            if (flood->head[0] == RECORD_HANDSHAKE) {
                give_up("the server renegotiates");
            }
        }
    }
}

/* False once the connection is over, as are the next two. */
static bool read_answers(struct flood *flood, int fd)
{
    uint8_t bytes[TURN * RECORD];
    for (;;) {
        ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        }
        look_at(flood, bytes, (size_t)n);
    }
}

static bool say_hello_again(struct flood *flood, SSL *ssl, EVP_CIPHER_CTX *cipher)
{
    uint8_t records[TURN][RECORD];
    int fd = SSL_get_fd(ssl);
    for (int i = 0; i < TURN; i++) {
        make_record(flood, cipher, records[i]);
    }
    for (size_t at = 0; at < sizeof records;) {
        ssize_t n = send(fd, (const uint8_t *)records + at, sizeof records - at, MSG_NOSIGNAL);
        if ((n < 0 && errno != EAGAIN) || now_ns() > flood->end_ns) {
            return false;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    flood->sent += TURN;
    (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL); /* a bound for the machine's sake */
    return !flood->reads || read_answers(flood, fd);
}

static bool update_keys(struct flood *flood, SSL *ssl)
{
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

static bool upgrade(SSL *ssl)
{
    char answer[4096];
    int n = SSL_write(ssl, request, sizeof request - 1) > 0 ? SSL_read(ssl, answer, sizeof answer) : 0;
    return n > 12 && memcmp(answer, "HTTP/1.1 101", 12) == 0;
}

/* NULL where the server did not want it. */
static SSL *connect_tls(struct flood *flood)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(flood->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        perror("tls_flood: connect");
        exit(1);
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    set_wait(fd, SO_SNDTIMEO, WAIT_US);
    set_wait(fd, SO_RCVTIMEO, WAIT_US);
    SSL *ssl = SSL_new(flood->context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1 || !upgrade(ssl)) {
        SSL_free(ssl);
        close(fd);
        return NULL;
    }
    flood->connections++;
    set_wait(fd, SO_RCVTIMEO, LOOK_US); /* answers need not be waited for */
    if (flood->renegotiates) {
        derive_keys(flood, ssl);
    }
    return ssl;
}

static void one_connection(struct flood *flood)
{
    SSL *ssl = connect_tls(flood);
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    bool lives = ssl != NULL && cipher != NULL;
    while (lives && now_ns() < flood->end_ns) {
        lives = flood->renegotiates ? say_hello_again(flood, ssl, cipher) : update_keys(flood, ssl);
        ERR_clear_error();
    }
    EVP_CIPHER_CTX_free(cipher);
    if (ssl != NULL) {
        int fd = SSL_get_fd(ssl);
        SSL_free(ssl);
        close(fd);
    }
    ERR_clear_error();
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
        SSL_CTX_set_max_proto_version(flood.context, version) != 1 ||
        SSL_CTX_set_cipher_list(flood.context, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256") !=
            1) {
        give_up("OpenSSL");
    }
    while (now_ns() < flood.end_ns) {
        one_connection(&flood);
    }
    printf("%lu %lu %lu\n", flood.sent, flood.connections, flood.alerts);
    SSL_CTX_free(flood.context);
    return 0;
}
