/* What a connection's handshake told of the client. */
#include "net/tls_internal.h"
#include <openssl/x509.h>
#include <string.h>

/* The most specific common name, as UTF-8; "" where there is none, or one that would be cut or misread. */
static void common_name(const X509 *cert, char out[TLS_NAME_MAX])
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int last = -1;
    for (int at = -1; (at = X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_commonName, at)) >= 0;) {
        last = at;
    }
    out[0] = '\0';
    if (last < 0) {
        return;
    }
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    if (len > 0 && len < TLS_NAME_MAX && memchr(text, '\0', (size_t)len) == NULL) {
        memcpy(out, text, (size_t)len);
        out[len] = '\0';
    }
    OPENSSL_free(text);
}

bool tls_facts_of(const struct transport *t, struct tls_facts *out)
{
    SSL *ssl = tls_transport_ssl(t);
    *out = (struct tls_facts){.version = ""};
    if (ssl == NULL) {
        return false;
    }
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name != NULL && strlen(name) < TLS_NAME_MAX) {
        memcpy(out->server_name, name, strlen(name) + 1);
    }
    out->version = SSL_get_version(ssl);
    out->resumed = SSL_session_reused(ssl) == 1;
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (cert != NULL) {
        out->has_cert = true;
        out->verified = SSL_get_verify_result(ssl) == X509_V_OK;
        common_name(cert, out->common_name);
    }
    return true;
}
