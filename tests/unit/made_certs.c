#include "made_certs.h"
#include <dirent.h>
#include <openssl/dsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DAY_S = 24 * 60 * 60 };

static char folder[MADE_CERTS_PATH_MAX / 2];

static void need(bool fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "made_certs: %s failed\n", what);
        abort();
    }
}

void made_certs_begin(void)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/sluice-certs-XXXXXX", base != NULL ? base : "/tmp");
    need(mkdtemp(folder) != NULL, "mkdtemp");
}

void made_certs_end(void)
{
    DIR *dir = opendir(folder);
    need(dir != NULL, "opendir");
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    need(rmdir(folder) == 0, "rmdir");
}

const char *made_certs_path(const char *file)
{
    static char paths[8][MADE_CERTS_PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    need(snprintf(path, MADE_CERTS_PATH_MAX, "%s/%s", folder, file) < MADE_CERTS_PATH_MAX, "the path");
    return path;
}

static FILE *open_named(const char *name, const char *suffix, const char *mode)
{
    char file[MADE_CERTS_PATH_MAX];
    (void)snprintf(file, sizeof file, "%s%s", name, suffix);
    FILE *stream = fopen(made_certs_path(file), mode);
    need(stream != NULL, file);
    return stream;
}

void made_certs_write(const char *file, const char *text)
{
    FILE *stream = open_named(file, "", "we");
    need(fputs(text, stream) >= 0 && fclose(stream) == 0, "fputs");
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    need(extension != NULL && X509_add_ext(cert, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

static X509 *unsigned_cert(const struct made_cert *made, EVP_PKEY *key)
{
    static long serial = 1;
    X509 *cert = X509_new();
    need(cert != NULL, "X509_new");
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    bool dated = made->from_days != 0 || made->until_days != 0;
    X509_gmtime_adj(X509_getm_notBefore(cert), (dated ? made->from_days : -1) * (long)DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(cert), (dated ? made->until_days : 365) * (long)DAY_S);
    X509_NAME_add_entry_by_txt(
        X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)made->name, -1, -1, 0);
    need(X509_set_pubkey(cert, key) == 1, "X509_set_pubkey");
    return cert;
}

static EVP_PKEY *dsa_key(void)
{
    EVP_PKEY *params = NULL, *key = NULL;
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "DSA", NULL);
    need(EVP_PKEY_paramgen_init(maker) == 1 && EVP_PKEY_CTX_set_dsa_paramgen_bits(maker, 2048) == 1 &&
             EVP_PKEY_paramgen(maker, &params) == 1,
        "DSA's parameters");
    EVP_PKEY_CTX_free(maker);
    maker = EVP_PKEY_CTX_new_from_pkey(NULL, params, NULL);
    need(EVP_PKEY_keygen_init(maker) == 1 && EVP_PKEY_keygen(maker, &key) == 1, "DSA's key");
    EVP_PKEY_CTX_free(maker);
    EVP_PKEY_free(params);
    return key;
}

static EVP_PKEY *new_key(const struct made_cert *made)
{
    if (made->rsa || made->dsa) {
        return made->rsa ? EVP_RSA_gen(2048) : dsa_key();
    }
    return EVP_EC_gen(made->curve != NULL ? made->curve : "P-256");
}

void made_certs_make(const struct made_cert *made)
{
    EVP_PKEY *key = new_key(made);
    need(key != NULL, "making a key");
    X509 *cert = unsigned_cert(made, key);
    X509 *issuer = cert;
    EVP_PKEY *issuer_key = key;
    if (made->issuer != NULL) {
        FILE *stream = open_named(made->issuer, ".crt", "re");
        issuer = PEM_read_X509(stream, NULL, NULL, NULL);
        fclose(stream);
        stream = open_named(made->issuer, ".key", "re");
        issuer_key = PEM_read_PrivateKey(stream, NULL, NULL, NULL);
        fclose(stream);
        need(issuer != NULL && issuer_key != NULL, "reading the issuer");
    }
    X509_set_issuer_name(cert, X509_get_subject_name(issuer));
    add_extension(
        cert, issuer, NID_basic_constraints, made->issuer != NULL ? "CA:FALSE" : "critical,CA:TRUE");
    if (made->san != NULL) {
        add_extension(cert, issuer, NID_subject_alt_name, made->san);
    }
    if (made->purpose != NULL) {
        add_extension(cert, issuer, NID_ext_key_usage, made->purpose);
    }
    need(X509_sign(cert, issuer_key, EVP_sha256()) > 0, "X509_sign");
    FILE *stream = open_named(made->name, ".crt", "we");
    need(PEM_write_X509(stream, cert) == 1 && fclose(stream) == 0, "writing the certificate");
    stream = open_named(made->name, ".key", "we");
    need(PEM_write_PrivateKey(stream, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(stream) == 0, "the key");
    if (issuer != cert) {
        X509_free(issuer);
        EVP_PKEY_free(issuer_key);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
}
