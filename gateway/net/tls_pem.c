#include "base/text.h"
#include "net/tls_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHOWN_NAME_MAX = 120 };

void tls_pem_blame(char why[TLS_WHY_MAX], const char *file, const char *format, ...)
{
    char what[TLS_WHY_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    size_t len = strlen(file);
    bool long_name = len > SHOWN_NAME_MAX;
    struct text text;
    text_init(&text, why, TLS_WHY_MAX);
    text_addf(
        &text, "%s%s: %s", long_name ? "..." : "", long_name ? file + len - SHOWN_NAME_MAX : file, what);
}

/* OpenSSL's own phrase for what went wrong last; never NULL. */
static const char *openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason != NULL ? reason : "OpenSSL gives no reason";
}

/* A gateway has nobody to ask for a passphrase. */
static int refuse_passphrase(char *to, int cap, int for_writing, void *asked)
{
    (void)to;
    (void)cap;
    (void)for_writing;
    if (asked != NULL) {
        *(bool *)asked = true;
    }
    return -1;
}

/* A regular file alone: to open a FIFO would wait for somebody to write to it. */
static FILE *open_regular(const char *file, char why[TLS_WHY_MAX])
{
    struct stat status = {0};
    int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool regular = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    FILE *stream = regular ? fdopen(fd, "r") : NULL;
    if (stream != NULL) {
        return stream;
    }
    if (fd < 0 || regular) {
        tls_pem_blame(why, file, "cannot be read: %s", strerror(errno));
    } else {
        tls_pem_blame(why, file, "is %s: write the name of a PEM file",
            S_ISDIR(status.st_mode) ? "a folder" : "not a regular file");
    }
    if (fd >= 0) {
        close(fd);
    }
    return NULL;
}

static BIO *open_file(const char *file, char why[TLS_WHY_MAX])
{
    FILE *stream = open_regular(file, why);
    if (stream == NULL) {
        return NULL;
    }
    BIO *bio = BIO_new_fp(stream, BIO_CLOSE);
    if (bio == NULL) {
        tls_pem_blame(why, file, "no memory");
        fclose(stream);
    }
    return bio;
}

/* Appends what the file holds; true when it was read to its end. */
static bool read_certificates(BIO *bio, STACK_OF(X509) * certificates)
{
    ERR_clear_error();
    for (;;) {
        X509 *one = PEM_read_bio_X509(bio, NULL, refuse_passphrase, NULL);
        if (one == NULL) {
            unsigned long fault = ERR_peek_last_error();
            return ERR_GET_LIB(fault) == ERR_LIB_PEM && ERR_GET_REASON(fault) == PEM_R_NO_START_LINE;
        }
        if (sk_X509_push(certificates, one) == 0) {
            X509_free(one);
            return false;
        }
    }
}

STACK_OF(X509) * tls_pem_load_certificates(const char *file, char why[TLS_WHY_MAX])
{
    BIO *bio = open_file(file, why);
    if (bio == NULL) {
        return NULL;
    }
    STACK_OF(X509) *certificates = sk_X509_new_null();
    bool fine = false;
    if (certificates == NULL) {
        tls_pem_blame(why, file, "no memory");
    } else if (!read_certificates(bio, certificates)) {
        tls_pem_blame(why, file, "its certificate number %d is damaged: %s", sk_X509_num(certificates) + 1,
            openssl_reason());
    } else if (sk_X509_num(certificates) == 0) {
        tls_pem_blame(why, file, "holds no PEM certificate");
    } else {
        fine = true;
    }
    ERR_clear_error();
    BIO_free(bio);
    if (!fine) {
        sk_X509_pop_free(certificates, X509_free);
        return NULL;
    }
    return certificates;
}

EVP_PKEY *tls_pem_load_key(const char *file, char why[TLS_WHY_MAX])
{
    BIO *bio = open_file(file, why);
    if (bio == NULL) {
        return NULL;
    }
    bool asked = false;
    char room[BUFSIZ]; /* in place of the stream's own, which would be given back as it is */
    FILE *stream = NULL;
    if (BIO_get_fp(bio, &stream) == 1) {
        (void)setvbuf(stream, room, _IOFBF, sizeof room);
    }
    tls_alloc_wipe(true);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, &asked);
    tls_alloc_wipe(false);
    if (key == NULL && asked) {
        tls_pem_blame(
            why, file, "is protected by a passphrase: give a key without one (openssl pkey -in ...)");
    } else if (key == NULL) {
        tls_pem_blame(why, file, "holds no PEM private key");
    }
    ERR_clear_error();
    BIO_free(bio);
    OPENSSL_cleanse(room, sizeof room);
    return key;
}

bool tls_pem_is_pair(
    const X509 *cert, const EVP_PKEY *key, const char *cert_file, const char *key_file, char why[TLS_WHY_MAX])
{
    if (X509_check_private_key(cert, key) == 1) {
        return true;
    }
    ERR_clear_error();
    tls_pem_blame(why, key_file, "does not belong to %.*s", SHOWN_NAME_MAX, cert_file);
    return false;
}

bool tls_pem_load_identity(struct tls_identity *identity, const char *cert_file, const char *key_file,
    char why[TLS_WHY_MAX], enum tls_blamed *blamed)
{
    *identity = (struct tls_identity){0};
    *blamed = TLS_BLAMED_CERT;
    identity->chain = tls_pem_load_certificates(cert_file, why);
    if (identity->chain == NULL) {
        return false;
    }
    *blamed = TLS_BLAMED_KEY;
    identity->cert = sk_X509_shift(identity->chain);
    identity->key = tls_pem_load_key(key_file, why);
    if (identity->key == NULL) {
        tls_pem_identity_fini(identity);
        return false;
    }
    if (!tls_pem_is_pair(identity->cert, identity->key, cert_file, key_file, why)) {
        tls_pem_identity_fini(identity);
        return false;
    }
    *blamed = TLS_BLAMED_CERT; /* what may be against it from here on */
    return true;
}

void tls_pem_identity_fini(struct tls_identity *identity)
{
    X509_free(identity->cert);
    sk_X509_pop_free(identity->chain, X509_free);
    EVP_PKEY_free(identity->key);
    *identity = (struct tls_identity){0};
}

bool tls_pem_use_identity(
    SSL_CTX *context, const struct tls_identity *identity, const char *cert_file, char why[TLS_WHY_MAX])
{
    ERR_clear_error();
    if (SSL_CTX_use_cert_and_key(context, identity->cert, identity->key, identity->chain, 1) != 1) {
        tls_pem_blame(why, cert_file, "cannot be used: %s", openssl_reason());
        ERR_clear_error();
        return false;
    }
    return true;
}

X509_STORE *tls_pem_store(const STACK_OF(X509) * certificates, const char *file, char why[TLS_WHY_MAX])
{
    X509_STORE *store = X509_STORE_new();
    for (int i = 0; store != NULL && i < sk_X509_num(certificates); i++) {
        /* One that is there already is no fault: X509_STORE_add_cert answers 1 for it. */
        if (X509_STORE_add_cert(store, sk_X509_value(certificates, i)) != 1) {
            X509_STORE_free(store);
            store = NULL;
        }
    }
    if (store == NULL) {
        tls_pem_blame(why, file, "no memory");
    }
    ERR_clear_error();
    return store;
}
