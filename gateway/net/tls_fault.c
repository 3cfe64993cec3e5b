#include "net/tls_internal.h"
#include <openssl/err.h>

static const char *phrase_of(unsigned long error, const SSL *ssl)
{
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        return X509_verify_cert_error_string(SSL_get_verify_result(ssl));
    }
    const char *reason = ERR_reason_error_string(error);
    return reason != NULL ? reason : "TLS failed";
}

const char *tls_fault_take(const SSL *ssl)
{
    const char *fault = phrase_of(ERR_peek_error(), ssl);
    /* Of a chain of errors any may be the one: its first is often but an "internal error". */
    for (unsigned long error = ERR_get_error(); error != 0; error = ERR_get_error()) {
        if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE) {
            fault = NULL;
        }
    }
    return fault;
}
