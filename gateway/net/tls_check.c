#include "net/tls_internal.h"
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

/* Puts a warning into `why` where the certificate is not valid today. */
static void warn_dates(const X509 *cert, const char *file, char why[TLS_WHY_MAX])
{
    const ASN1_TIME *from = X509_get0_notBefore(cert);
    const ASN1_TIME *until = X509_get0_notAfter(cert);
    struct tm date;
    char day[16];
    if (X509_cmp_current_time(until) < 0 && ASN1_TIME_to_tm(until, &date) == 1) {
        strftime(day, sizeof day, "%Y-%m-%d", &date);
        tls_pem_blame(why, file, "expired on %s", day);
    } else if (X509_cmp_current_time(from) > 0 && ASN1_TIME_to_tm(from, &date) == 1) {
        strftime(day, sizeof day, "%Y-%m-%d", &date);
        tls_pem_blame(why, file, "is not valid before %s", day);
    }
}

/* ---- A certificate and its key. */

struct check {
    const char *cert_file, *key_file;
    enum tls_role role;
    void (*tell)(void *context, enum tls_blamed file, bool warning, const char *why);
    void *context;
    char why[TLS_WHY_MAX];
};

static void pass_on(struct check *check, enum tls_blamed file, bool warning)
{
    if (check->why[0] != '\0') {
        check->tell(check->context, file, warning, check->why);
    }
    check->why[0] = '\0';
}

static const char *peer_of(const struct check *check)
{
    switch (check->role) {
    case TLS_ROLE_SERVER:
        return "client";
    case TLS_ROLE_CLIENT:
        return "server";
    }
    return "";
}

/* The curves that ECDSA has a signature scheme for in TLS 1.3 (RFC 8446 4.2.3); clients offer no others
 * in 1.2 either. */
static bool is_usual_curve(const char *name)
{
    static const int curves[] = {NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1};
    int nid = OBJ_txt2nid(name);
    if (nid == NID_undef) {
        nid = EC_curve_nist2nid(name);
    }
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (nid == curves[i]) {
            return true;
        }
    }
    return false;
}

static void warn_key(struct check *check, const X509 *cert)
{
    static const char *const taken[] = {"RSA", "RSA-PSS", "ED25519", "ED448"};
    char curve[64] = "";
    const EVP_PKEY *key = X509_get0_pubkey(cert);
    const char *type = key != NULL ? EVP_PKEY_get0_type_name(key) : NULL;
    for (size_t i = 0; type != NULL && i < sizeof taken / sizeof taken[0]; i++) {
        if (strcmp(type, taken[i]) == 0) {
            return;
        }
    }
    if (type != NULL && strcmp(type, "EC") == 0) {
        if (EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) == 1 && is_usual_curve(curve)) {
            return;
        }
        tls_pem_blame(check->why, check->cert_file,
            "has a key on the curve %s, which no usual %s takes: make one with P-256",
            curve[0] ? curve : "(unnamed)", peer_of(check));
    } else {
        tls_pem_blame(check->why, check->cert_file,
            "has a key of type %s, which no usual %s takes: make one with ECDSA P-256 or RSA",
            type != NULL ? type : "(unknown)", peer_of(check));
    }
}

/* Without the extension it is good for everything: all bits are set then. */
static void warn_purpose(struct check *check, X509 *cert)
{
    uint32_t wanted = check->role == TLS_ROLE_SERVER ? XKU_SSL_SERVER : XKU_SSL_CLIENT;
    if ((X509_get_extended_key_usage(cert) & wanted) == 0) {
        tls_pem_blame(check->why, check->cert_file, "its extended key usage lacks %sAuth: %ss refuse it",
            check->role == TLS_ROLE_SERVER ? "server" : "client", peer_of(check));
    }
}

static void check_certificates(struct check *check, const STACK_OF(X509) * certificates)
{
    for (int i = 0; check->why[0] == '\0' && i < sk_X509_num(certificates); i++) {
        warn_dates(sk_X509_value(certificates, i), check->cert_file, check->why);
    }
    pass_on(check, TLS_BLAMED_CERT, true);
    warn_key(check, sk_X509_value(certificates, 0));
    pass_on(check, TLS_BLAMED_CERT, true);
    warn_purpose(check, sk_X509_value(certificates, 0));
    pass_on(check, TLS_BLAMED_CERT, true);
    ERR_clear_error();
}

/* Whether the gateway could run with the two, each of which could be read. */
static void check_use(struct check *check, STACK_OF(X509) * certificates, EVP_PKEY *key)
{
    X509 *cert = sk_X509_value(certificates, 0);
    if (!tls_pem_is_pair(cert, key, check->cert_file, check->key_file, check->why)) {
        pass_on(check, TLS_BLAMED_KEY, false);
        return;
    }
    struct tls_identity identity = {.cert = sk_X509_shift(certificates), .chain = certificates, .key = key};
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    if (context == NULL) {
        tls_pem_blame(check->why, check->cert_file, "no memory");
    } else {
        (void)tls_pem_use_identity(
            context, &identity, check->cert_file, check->why); /* tells what is wrong */
    }
    pass_on(check, TLS_BLAMED_CERT, false);
    SSL_CTX_free(context);
    X509_free(identity.cert);
}

void tls_check_pair(const char *cert_file, const char *key_file, enum tls_role role,
    void (*tell)(void *context, enum tls_blamed file, bool warning, const char *why), void *context)
{
    struct check check = {cert_file, key_file, role, tell, context, ""};
    STACK_OF(X509) *certificates = cert_file != NULL ? tls_pem_load_certificates(cert_file, check.why) : NULL;
    pass_on(&check, TLS_BLAMED_CERT, false);
    EVP_PKEY *key = key_file != NULL ? tls_pem_load_key(key_file, check.why) : NULL;
    pass_on(&check, TLS_BLAMED_KEY, false);
    if (certificates != NULL) {
        check_certificates(&check, certificates);
    }
    if (certificates != NULL && key != NULL) {
        check_use(&check, certificates, key);
    }
    sk_X509_pop_free(certificates, X509_free);
    EVP_PKEY_free(key);
}

/* ---- Authorities. */

bool tls_check_ca(const char *ca_file, char why[TLS_WHY_MAX])
{
    why[0] = '\0';
    STACK_OF(X509) *certificates = tls_pem_load_certificates(ca_file, why);
    if (certificates == NULL) {
        return false;
    }
    for (int i = 0; why[0] == '\0' && i < sk_X509_num(certificates); i++) {
        warn_dates(sk_X509_value(certificates, i), ca_file, why);
    }
    sk_X509_pop_free(certificates, X509_free);
    return true;
}
