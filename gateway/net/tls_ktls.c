#include "net/tls_internal.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *missing;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Naming the protocol loads its module, where that may be done. A socket that is not connected cannot have it
 * yet, and is told so by a kernel that knows it (net/tls/tls_main.c: ENOTCONN). */
static const char *ask(void)
{
#ifdef OPENSSL_NO_KTLS
    return "OpenSSL was built without it";
#else
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return strerror(errno);
    }
    int err = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls") == 0 ? 0 : errno;
    close(fd);
    if (err == 0 || err == ENOTCONN) {
        return NULL;
    }
    return err == ENOENT ? "the kernel has no TLS, or its module is not loaded" : strerror(err);
#endif
}

static void find_out(void)
{
    missing = ask();
}

const char *tls_ktls_missing(void)
{
    pthread_once(&once, find_out);
    return missing;
}

static void note_message(
    int sent, int version, int type, const void *bytes, size_t len, SSL *ssl, void *rekeyed)
{
    (void)version;
    (void)ssl;
    if (sent != 0 && type == SSL3_RT_HANDSHAKE && len > 0 &&
        *(const unsigned char *)bytes == SSL3_MT_KEY_UPDATE) {
        *(bool *)rekeyed = true;
    }
}

bool tls_ktls_begin(SSL *ssl, int fd, bool *rekeyed)
{
    BIO *socket = BIO_new_socket(fd, BIO_NOCLOSE);
    if (socket == NULL) {
        return false;
    }
    SSL_set0_wbio(ssl, socket);
    SSL_set_options(ssl, SSL_OP_ENABLE_KTLS);
    SSL_set_msg_callback(ssl, note_message);
    SSL_set_msg_callback_arg(ssl, rekeyed);
    return true;
}

bool tls_ktls_end(SSL *ssl)
{
    if (BIO_get_ktls_send(SSL_get_wbio(ssl))) {
        return true;
    }
    BIO *pipe = SSL_get_rbio(ssl);
    BIO_up_ref(pipe);
    SSL_set0_wbio(ssl, pipe);
    SSL_set_msg_callback(ssl, NULL);
    return false;
}
