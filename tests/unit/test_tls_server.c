/* What other people's clients see of a server of ours: OpenSSL's own client at the other end of a socketpair.
 */
#include "base/slice.h"
#include "made_certs.h"
#include "net/tls_internal.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct tls_server *server;
static char why[TLS_WHY_MAX];

struct visit {
    struct transport *transport;
    SSL_CTX *context;
    SSL *ssl;
    int fd; /* the client's */
    struct io_result server_saw;
    int client_error; /* SSL_ERROR_NONE: done */
};

static void visit_begin(struct visit *visit, struct tls_server *accepting)
{
    int fds[2];
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    *visit = (struct visit){.fd = fds[1]};
    visit->transport = tls_accept_new(accepting, fds[0]);
    assert_non_null(visit->transport);
    visit->context = SSL_CTX_new(TLS_client_method());
    visit->ssl = SSL_new(visit->context);
    assert_non_null(visit->ssl);
    SSL_set_fd(visit->ssl, fds[1]);
}

static void visit_shake(struct visit *visit)
{
    visit->client_error = SSL_ERROR_WANT_READ;
    visit->server_saw = (struct io_result){IO_WANT_READ, 0, 0};
    for (int i = 0; i < 20; i++) {
        if (visit->client_error == SSL_ERROR_WANT_READ) {
            int rc = SSL_connect(visit->ssl);
            visit->client_error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(visit->ssl, rc);
        }
        if (visit->server_saw.status == IO_WANT_READ) {
            visit->server_saw = visit->transport->ops->handshake(visit->transport);
        }
    }
}

static void visit_end(struct visit *visit)
{
    ERR_clear_error();
    SSL_free(visit->ssl);
    SSL_CTX_free(visit->context);
    close(visit->fd);
    visit->transport->ops->close(visit->transport, false);
}

static void expect_done(const struct visit *visit)
{
    assert_int_equal(IO_OK, visit->server_saw.status);
    assert_int_equal(SSL_ERROR_NONE, visit->client_error);
}

/* Whether the server showed the certificate made under `name`. */
static void expect_certificate(const struct visit *visit, const char *name)
{
    char shown[64];
    const X509 *cert = SSL_get0_peer_certificate(visit->ssl);
    assert_non_null(cert);
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, shown, sizeof shown);
    assert_string_equal(name, shown);
}

/* ---- SNI. */

static void the_certificate_is_picked_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *shown;
    } cases[] = {
        {NULL, "first.test"},
        {"unknown.test", "first.test"},
        {"second.test", "second-ec"},
        {"SECOND.test", "second-ec"},
        {"alias.test", "second-ec"},
        {"one.wild.test", "wild"},
        {"One.Wild.Test", "wild"},
        {"two.one.wild.test", "first.test"}, /* a wildcard stands for one label */
        {"wild.test", "first.test"},         /* and not for none */
        {"exact.wild.test", "exact"},        /* exact before wildcard, though it was added later */
        {"only-cn.test", "only-cn.test"},    /* without SAN the common name counts */
        {"second", "first.test"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct visit visit;
        visit_begin(&visit, server);
        if (cases[i].asked != NULL) {
            SSL_set_tlsext_host_name(visit.ssl, cases[i].asked);
        }
        visit_shake(&visit);
        expect_done(&visit);
        expect_certificate(&visit, cases[i].shown);
        visit_end(&visit);
    }
}

static void rsa_and_ecdsa_are_offered_together(void **state)
{
    (void)state;
    static const struct {
        const char *sigalgs, *host;
        int key;
    } cases[] = {
        {"RSA-PSS+SHA256:RSA+SHA256", "second.test", EVP_PKEY_RSA},
        {"ECDSA+SHA256", "second.test", EVP_PKEY_EC},
        {"RSA-PSS+SHA256:RSA+SHA256", "alias.test", EVP_PKEY_RSA},
        {"ECDSA+SHA256", "first.test", EVP_PKEY_EC},
    };
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct visit visit;
            visit_begin(&visit, server);
            SSL_set_max_proto_version(visit.ssl, version);
            SSL_set_tlsext_host_name(visit.ssl, cases[i].host);
            assert_int_equal(1, SSL_set1_sigalgs_list(visit.ssl, cases[i].sigalgs));
            visit_shake(&visit);
            expect_done(&visit);
            assert_int_equal(version, SSL_version(visit.ssl));
            EVP_PKEY *key = X509_get0_pubkey(SSL_get0_peer_certificate(visit.ssl));
            assert_int_equal(cases[i].key, EVP_PKEY_get_base_id(key));
            visit_end(&visit);
        }
    }
}

/* The rule about client certificates holds behind a switch by SNI too. */
static void a_name_is_no_way_around_client_certificates(void **state)
{
    (void)state;
    struct tls_server *asking = tls_server_new(false);
    const char *names[] = {"first.test", "second.test"};
    for (int i = 0; i < 2; i++) {
        char cert[64], key[64];
        (void)snprintf(cert, sizeof cert, "%s.crt", names[i]);
        (void)snprintf(key, sizeof key, "%s.key", names[i]);
        assert_true(
            tls_server_add_certificate(asking, made_certs_path(cert), made_certs_path(key), why, NULL));
    }
    assert_true(tls_server_ask_client(asking, made_certs_path("first.test.crt"), true, why));
    for (int i = 0; i < 2; i++) {
        struct visit visit;
        visit_begin(&visit, asking);
        SSL_set_tlsext_host_name(visit.ssl, names[i]);
        visit_shake(&visit);
        assert_int_equal(IO_FAIL, visit.server_saw.status);
        assert_string_equal(
            "peer did not return a certificate", visit.transport->ops->fault(visit.transport));
        assert_int_equal(1, sk_X509_NAME_num(SSL_get_client_CA_list(visit.ssl)));
        visit_end(&visit);
    }
    tls_server_free(asking);
}

/* ---- Sessions. */

static SSL_SESSION *kept;
static int tickets;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    tickets++;
    return 1;
}

static void visit_for_session(int version, const char *host, bool expect_reuse)
{
    struct visit visit;
    visit_begin(&visit, server);
    SSL_CTX_set_session_cache_mode(visit.context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(visit.context, keep_session);
    SSL_set_max_proto_version(visit.ssl, version);
    SSL_set_tlsext_host_name(visit.ssl, host);
    if (kept != NULL) {
        assert_int_equal(1, SSL_set_session(visit.ssl, kept));
    }
    visit_shake(&visit);
    expect_done(&visit);
    char byte;
    assert_int_equal(-1, SSL_read(visit.ssl, &byte, 1)); /* takes the ticket of TLS 1.3 */
    assert_int_equal(expect_reuse, SSL_session_reused(visit.ssl));
    SSL_shutdown(visit.ssl); /* else OpenSSL takes the session for a broken one */
    visit_end(&visit);
}

static void a_session_is_taken_up_again(void **state)
{
    (void)state;
    /* The default context, and one that SNI switches to. */
    static const char *const hosts[] = {"first.test", "second.test"};
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (int i = 0; i < 2; i++) {
            kept = NULL;
            tickets = 0;
            visit_for_session(version, hosts[i], false);
            assert_int_equal(1, tickets);
            visit_for_session(version, hosts[i], true);
            SSL_SESSION_free(kept);
        }
    }
}

/* ---- What is refused. */

static void protocols_are_http_1_1_or_none(void **state)
{
    (void)state;
    static const struct {
        const char *offered;
        bool fine;
    } cases[] = {
        {"\x08http/1.1", true},
        {"\x02h2\x08http/1.1", true},
        {"\x02h2", false},
        {"\x08http/1.0", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct visit visit;
        visit_begin(&visit, server);
        const unsigned char *offered = (const unsigned char *)cases[i].offered;
        assert_int_equal(0, SSL_set_alpn_protos(visit.ssl, offered, (unsigned)strlen(cases[i].offered)));
        SSL_set_tlsext_host_name(visit.ssl, "second.test");
        visit_shake(&visit);
        if (cases[i].fine) {
            const unsigned char *chosen;
            unsigned len;
            expect_done(&visit);
            SSL_get0_alpn_selected(visit.ssl, &chosen, &len);
            assert_true(slice_eq(SLICE("http/1.1"), (struct slice){(const char *)chosen, len}));
        } else {
            assert_int_equal(IO_FAIL, visit.server_saw.status);
            assert_int_equal(SSL_ERROR_SSL, visit.client_error);
            assert_int_equal(
                SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL, ERR_GET_REASON(ERR_peek_error()));
        }
        visit_end(&visit);
    }
}

static void old_versions_and_ciphers_are_refused(void **state)
{
    (void)state;
    struct tls_server *strict = tls_server_new(true);
    assert_true(tls_server_add_certificate(
        strict, made_certs_path("first.test.crt"), made_certs_path("first.test.key"), why, NULL));
    static const struct {
        bool strict;
        int version;
        const char *ciphers;
        bool fine;
    } cases[] = {
        {true, TLS1_3_VERSION, NULL, true},
        {true, TLS1_2_VERSION, NULL, false},
        {false, TLS1_2_VERSION, NULL, true},
        {false, TLS1_2_VERSION, "ECDHE+AES:!AESGCM:!AESCCM", false}, /* CBC */
        {false, TLS1_2_VERSION, "kRSA+AESGCM", false},               /* no forward secrecy */
        {false, TLS1_1_VERSION, "ALL:@SECLEVEL=0", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct visit visit;
        visit_begin(&visit, cases[i].strict ? strict : server);
        SSL_set_tlsext_host_name(visit.ssl, "second.test");
        if (cases[i].ciphers != NULL) {
            assert_int_equal(1, SSL_set_cipher_list(visit.ssl, cases[i].ciphers));
        }
        SSL_set_min_proto_version(visit.ssl, TLS1_VERSION);
        SSL_set_max_proto_version(visit.ssl, cases[i].version);
        visit_shake(&visit);
        assert_int_equal(cases[i].fine ? IO_OK : IO_FAIL, visit.server_saw.status);
        assert_int_equal(cases[i].fine ? SSL_ERROR_NONE : SSL_ERROR_SSL, visit.client_error);
        visit_end(&visit);
    }
    tls_server_free(strict);
}

static void what_is_no_client_hello_is_answered_with_an_alert(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        const char *fault;
        bool alert;
    } cases[] = {
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "http request", false},
        {SLICE("\x8f\x13\xe0\x11\x42\x99\xfe\x01\xcc\xab\x07\x30"), "wrong version number", false},
        {SLICE("\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"), "unexpected message", true},
        {SLICE("\x16\x03\x01\xff\xff\x01\x00\x00\x00\x00\x00"), "packet length too long", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct visit visit;
        visit_begin(&visit, server);
        ssize_t len = (ssize_t)cases[i].bytes.len;
        assert_int_equal(len, send(visit.fd, cases[i].bytes.p, cases[i].bytes.len, 0));
        visit.server_saw = visit.transport->ops->handshake(visit.transport);
        assert_int_equal(IO_FAIL, visit.server_saw.status);
        assert_string_equal(cases[i].fault, visit.transport->ops->fault(visit.transport));
        unsigned char alert[64] = {0};
        ssize_t got = recv(visit.fd, alert, sizeof alert, 0);
        assert_int_equal(cases[i].alert, got == 7);
        assert_int_equal(cases[i].alert ? 0x15 : 0, alert[0]);
        assert_int_equal(IO_FAIL, visit.transport->ops->handshake(visit.transport).status);
        visit_end(&visit);
    }
}

static void a_client_hello_may_come_byte_by_byte(void **state)
{
    (void)state;
    struct visit visit;
    visit_begin(&visit, server);
    int between[2];
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, between));
    SSL_set_fd(visit.ssl, between[0]);
    assert_int_equal(-1, SSL_connect(visit.ssl));
    for (char byte; recv(between[1], &byte, 1, 0) == 1;) {
        assert_int_equal(IO_WANT_READ, visit.transport->ops->handshake(visit.transport).status);
        assert_int_equal(1, send(visit.fd, &byte, 1, 0));
    }
    SSL_set_fd(visit.ssl, visit.fd);
    visit_shake(&visit);
    expect_done(&visit);
    close(between[0]);
    close(between[1]);
    visit_end(&visit);
}

/* A client that has us answer and never reads would otherwise have us keep answers without end. */
static void key_updates_without_end_are_refused(void **state)
{
    (void)state;
    struct visit visit;
    visit_begin(&visit, server);
    visit_shake(&visit);
    expect_done(&visit);
    struct io_result result = {IO_WANT_READ, 0, 0};
    char bytes[100];
    size_t most = 0;
    for (int i = 0; i < 100000 && result.status == IO_WANT_READ; i++) {
        assert_int_equal(1, SSL_key_update(visit.ssl, SSL_KEY_UPDATE_REQUESTED));
        assert_int_equal(1, SSL_do_handshake(visit.ssl));
        result = visit.transport->ops->read(visit.transport, bytes, sizeof bytes);
        size_t unsent = visit.transport->ops->unsent(visit.transport);
        most = unsent > most ? unsent : most;
    }
    assert_int_equal(IO_FAIL, result.status);
    assert_in_range(most, 1, 5000);
    assert_string_equal(
        "asks for answers and does not read them", visit.transport->ops->fault(visit.transport));
    visit_end(&visit);
}

static void key_updates_pass_unnoticed(void **state)
{
    (void)state;
    struct visit visit;
    visit_begin(&visit, server);
    visit_shake(&visit);
    expect_done(&visit);
    char bytes[100];
    assert_int_equal(-1, SSL_read(visit.ssl, bytes, sizeof bytes)); /* the ticket */
    for (int i = 0; i < 10; i++) {
        assert_int_equal(1, SSL_key_update(visit.ssl, SSL_KEY_UPDATE_REQUESTED));
        assert_int_equal(4, SSL_write(visit.ssl, "ping", 4));
        assert_int_equal(4, visit.transport->ops->read(visit.transport, bytes, sizeof bytes).n);
        assert_int_equal(0, visit.transport->ops->unsent(visit.transport));
        assert_int_equal(4, visit.transport->ops->write(visit.transport, "pong", 4).n);
        assert_int_equal(4, SSL_read(visit.ssl, bytes, sizeof bytes));
    }
    visit_end(&visit);
}

/* While OpenSSL writes to the socket for kTLS' sake, a key of ours that the peer was told of is noted: the
 * kernel would go on with the old one. */
static void a_key_update_of_ours_is_noted(void **state)
{
    (void)state;
    struct visit visit;
    bool rekeyed = false;
    char bytes[100];
    visit_begin(&visit, server);
    visit_shake(&visit);
    expect_done(&visit);
    SSL *ssl = tls_transport_ssl(visit.transport);
    assert_true(tls_ktls_begin(ssl, visit.transport->fd, &rekeyed));
    assert_int_equal(1, SSL_key_update(visit.ssl, SSL_KEY_UPDATE_NOT_REQUESTED));
    assert_int_equal(4, SSL_write(visit.ssl, "ping", 4));
    assert_int_equal(4, visit.transport->ops->read(visit.transport, bytes, sizeof bytes).n);
    assert_false(rekeyed);        /* theirs alone */
    for (int i = 0; i < 2; i++) { /* OpenSSL answers with its next write, or behind the next request */
        assert_int_equal(1, SSL_key_update(visit.ssl, SSL_KEY_UPDATE_REQUESTED));
        assert_int_equal(1, SSL_do_handshake(visit.ssl));
        assert_int_equal(
            IO_WANT_READ, visit.transport->ops->read(visit.transport, bytes, sizeof bytes).status);
    }
    assert_true(rekeyed);
    assert_false(tls_ktls_end(ssl)); /* a socket that is not TCP: the kernel has no keys */
    assert_int_equal(4, visit.transport->ops->write(visit.transport, "pong", 4).n);
    assert_int_equal(4, SSL_read(visit.ssl, bytes, sizeof bytes));
    visit_end(&visit);
}

static int set_up(void **state)
{
    (void)state;
    static const struct made_cert certs[] = {
        {.name = "first.test", .san = "DNS:first.test"},
        {.name = "second.test", .san = "DNS:Second.test,DNS:alias.test", .rsa = true},
        {.name = "wild", .san = "DNS:*.wild.test"},
        {.name = "exact", .san = "DNS:exact.wild.test"},
        {.name = "only-cn.test"},
    };
    made_certs_begin();
    server = tls_server_new(false);
    char cert[64], key[64];
    for (size_t i = 0; i < sizeof certs / sizeof certs[0]; i++) {
        made_certs_make(&certs[i]);
        (void)snprintf(cert, sizeof cert, "%s.crt", certs[i].name);
        (void)snprintf(key, sizeof key, "%s.key", certs[i].name);
        assert_true(
            tls_server_add_certificate(server, made_certs_path(cert), made_certs_path(key), why, NULL));
    }
    /* The same names as the RSA one, in another order and another case. */
    made_certs_make(&(struct made_cert){.name = "second-ec", .san = "DNS:ALIAS.test,DNS:second.test"});
    assert_true(tls_server_add_certificate(
        server, made_certs_path("second-ec.crt"), made_certs_path("second-ec.key"), why, NULL));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_server_free(server);
    made_certs_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_certificate_is_picked_by_name),
        cmocka_unit_test(rsa_and_ecdsa_are_offered_together),
        cmocka_unit_test(a_name_is_no_way_around_client_certificates),
        cmocka_unit_test(a_session_is_taken_up_again),
        cmocka_unit_test(protocols_are_http_1_1_or_none),
        cmocka_unit_test(old_versions_and_ciphers_are_refused),
        cmocka_unit_test(what_is_no_client_hello_is_answered_with_an_alert),
        cmocka_unit_test(a_client_hello_may_come_byte_by_byte),
        cmocka_unit_test(key_updates_without_end_are_refused),
        cmocka_unit_test(key_updates_pass_unnoticed),
        cmocka_unit_test(a_key_update_of_ours_is_noted),
    };
    return cmocka_run_group_tests_name("tls_server", tests, set_up, tear_down);
}
