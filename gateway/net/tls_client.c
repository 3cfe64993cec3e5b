#include "base/ip.h"
#include "net/tls_internal.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct tls_client {
    SSL_CTX *context; /* shared by siblings */
    char name[256]; /* whom to expect, a name without the root's dot or an address; "": nobody is verified */
    bool is_address;
};

static bool trust(SSL_CTX *context, const char *ca_file, char why[TLS_WHY_MAX])
{
    if (ca_file == NULL) {
        if (SSL_CTX_set_default_verify_paths(context) != 1) {
            tls_pem_blame(why, "the system's authorities", "cannot be read");
            return false;
        }
        return true;
    }
    STACK_OF(X509) *certificates = tls_pem_load_certificates(ca_file, why);
    if (certificates == NULL) {
        return false;
    }
    X509_STORE *store = tls_pem_store(certificates, ca_file, why);
    sk_X509_pop_free(certificates, X509_free);
    if (store == NULL) {
        return false;
    }
    SSL_CTX_set_cert_store(context, store);
    return true;
}

static bool show_own(SSL_CTX *context, const struct tls_client_options *options, char why[TLS_WHY_MAX])
{
    if (options->cert_file == NULL) {
        return true;
    }
    struct tls_identity identity;
    enum tls_blamed blamed;
    if (!tls_pem_load_identity(&identity, options->cert_file, options->key_file, why, &blamed)) {
        return false;
    }
    bool fine = tls_pem_use_identity(context, &identity, options->cert_file, why);
    tls_pem_identity_fini(&identity);
    return fine;
}

static bool name_peer(struct tls_client *client, const char *name, char why[TLS_WHY_MAX])
{
    if (name == NULL) {
        tls_pem_blame(why, "server name", "is missing: without one nothing can be verified");
        return false;
    }
    size_t len = strlen(name);
    struct ip_addr address;
    client->is_address = ip_parse(slice_from(name), &address);
    /* The root's dot is no part of the name in a certificate or in SNI. */
    if (!client->is_address && len > 0 && name[len - 1] == '.') {
        len--;
    }
    if (len == 0 || len >= sizeof client->name) {
        tls_pem_blame(why, "server name", "\"%.100s\" is neither a host name nor an address", name);
        return false;
    }
    memcpy(client->name, name, len);
    client->name[len] = '\0';
    return true;
}

/* An address is never sent as SNI (RFC 6066 3), and is looked for among the certificate's addresses. */
static bool expect(const struct tls_client *client, SSL *ssl)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (client->name[0] == '\0') {
        return true;
    }
    if (client->is_address) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, client->name) == 1;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, client->name, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, client->name) == 1;
}

static bool set_up(struct tls_client *client, const struct tls_client_options *options, char why[TLS_WHY_MAX])
{
    client->context = SSL_CTX_new(TLS_client_method());
    if (client->context == NULL || SSL_CTX_set_min_proto_version(client->context, TLS1_2_VERSION) != 1) {
        tls_pem_blame(why, "TLS", "no memory");
        return false;
    }
    tls_transport_prepare(client->context);
    SSL_CTX_set_session_cache_mode(client->context, SSL_SESS_CACHE_OFF);
    if (options->verify) {
        SSL_CTX_set_verify(client->context, SSL_VERIFY_PEER, NULL);
        if (!trust(client->context, options->ca_file, why)) {
            return false;
        }
    }
    if (!show_own(client->context, options, why)) {
        return false;
    }
    return (options->server_name == NULL && !options->verify) || name_peer(client, options->server_name, why);
}

struct tls_client *tls_client_new(const struct tls_client_options *options, char why[TLS_WHY_MAX])
{
    why[0] = '\0';
    struct tls_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        tls_pem_blame(why, "TLS", "no memory");
        return NULL;
    }
    if (!set_up(client, options, why)) {
        ERR_clear_error();
        tls_client_free(client);
        return NULL;
    }
    return client;
}

struct tls_client *tls_client_sibling(
    const struct tls_client *client, const char *server_name, char why[TLS_WHY_MAX])
{
    why[0] = '\0';
    struct tls_client *sibling = calloc(1, sizeof *sibling);
    if (sibling == NULL || SSL_CTX_up_ref(client->context) != 1) {
        tls_pem_blame(why, "TLS", "no memory");
        free(sibling);
        return NULL;
    }
    sibling->context = client->context;
    if (!name_peer(sibling, server_name, why)) {
        tls_client_free(sibling);
        return NULL;
    }
    return sibling;
}

void tls_client_free(struct tls_client *client)
{
    if (client == NULL) {
        return;
    }
    SSL_CTX_free(client->context);
    free(client);
}

struct transport *tls_connect_new(struct tls_client *client, int fd)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(client->context);
    if (ssl == NULL) {
        return NULL;
    }
    if (!expect(client, ssl)) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return tls_transport_new(ssl, fd, false);
}
