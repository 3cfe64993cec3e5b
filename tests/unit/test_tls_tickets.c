/* net/tls_tickets: keys that several servers share, as OpenSSL's own client sees them. */
#include "made_certs.h"
#include "net/tls.h"
#include "net/tls_tickets.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char why[TLS_WHY_MAX];
static struct tls_tickets *tickets;

static struct tls_server *server_new(const char *client_ca, bool require)
{
    struct tls_server *server = tls_server_new(false);
    assert_non_null(server);
    tls_server_share_tickets(server, tickets);
    assert_true(tls_server_add_certificate(
        server, made_certs_path("server.crt"), made_certs_path("server.key"), why, NULL));
    if (client_ca != NULL) {
        assert_true(tls_server_ask_client(server, made_certs_path(client_ca), require, why));
    }
    return server;
}

/* One visit: resumes `session` where it is not NULL; answers the session to come back with (NULL: none was
 * given, or the handshake failed). */
static SSL_SESSION *visit(struct tls_server *server, int version, SSL_SESSION *session, bool *reused)
{
    int fds[2];
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    struct transport *transport = tls_accept_new(server, fds[0]);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fds[1]);
    if (session != NULL) {
        assert_int_equal(1, SSL_set_session(ssl, session));
    }
    int rc = 0;
    bool done = false;
    for (int i = 0; i < 20 && !(rc == 1 && done); i++) {
        rc = rc == 1 ? 1 : SSL_connect(ssl);
        done = done || transport->ops->handshake(transport).status == IO_OK;
    }
    SSL_SESSION *next = NULL;
    *reused = rc == 1 && done && SSL_session_reused(ssl) == 1;
    if (rc == 1 && done) {
        char byte;
        assert_int_equal(IO_OK, transport->ops->write(transport, "x", 1).status);
        for (int i = 0; i < 20 && SSL_read(ssl, &byte, 1) != 1; i++) { /* TLS 1.3's ticket comes before it */
        }
        next = SSL_get1_session(ssl);
        if (next != NULL && SSL_SESSION_is_resumable(next) != 1) {
            SSL_SESSION_free(next);
            next = NULL;
        }
        SSL_shutdown(ssl);
    }
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fds[1]);
    transport->ops->close(transport, false);
    return next;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static int make_tickets(void **state)
{
    (void)state;
    tickets = calloc(1, sizeof *tickets);
    return tickets != NULL && tls_tickets_rotate(tickets) ? 0 : -1;
}

static int free_tickets(void **state)
{
    (void)state;
    free(tickets);
    return 0;
}

static void another_server_resumes_the_session(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_server *one = server_new(NULL, false), *other = server_new(NULL, false);
        bool reused;
        SSL_SESSION *session = visit(one, versions[i], NULL, &reused);
        assert_non_null(session);
        assert_false(reused);
        SSL_SESSION *next = visit(other, versions[i], session, &reused);
        assert_true(reused);
        SSL_SESSION_free(next);
        SSL_SESSION_free(session);
        tls_server_free(one);
        tls_server_free(other);
    }
}

static void old_keys_are_taken_for_a_while_and_renewed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_server *server = server_new(NULL, false);
        bool reused;
        SSL_SESSION *session = visit(server, versions[i], NULL, &reused);
        SSL_SESSION *kept = SSL_SESSION_dup(session); /* as of a client that does not come back */
        for (int rotation = 0; rotation < 10; rotation++) {
            assert_true(tls_tickets_rotate(tickets));
            SSL_SESSION *next = visit(server, versions[i], session, &reused);
            assert_true(reused);
            assert_non_null(next);
            SSL_SESSION_free(session);
            session = next;
        }
        SSL_SESSION *next = visit(server, versions[i], kept, &reused);
        assert_false(reused); /* a full handshake, and no failure */
        assert_non_null(next);
        SSL_SESSION_free(next);
        SSL_SESSION_free(kept);
        SSL_SESSION_free(session);
        tls_server_free(server);
    }
}

/* A client of TLS 1.3 uses a ticket once (RFC 8446 C.4): one that came with a ticket leaves with another. */
static void each_resumption_of_1_3_brings_a_new_ticket(void **state)
{
    (void)state;
    struct tls_server *server = server_new(NULL, false);
    bool reused;
    SSL_SESSION *session = visit(server, TLS1_3_VERSION, NULL, &reused);
    for (int i = 0; i < 5; i++) {
        SSL_SESSION *next = visit(server, TLS1_3_VERSION, session, &reused);
        assert_true(reused);
        assert_non_null(next);
        SSL_SESSION_free(session);
        session = next;
    }
    SSL_SESSION_free(session);
    tls_server_free(server);
}

static void a_key_is_taken_until_it_is_forgotten(void **state)
{
    (void)state;
    struct tls_server *server = server_new(NULL, false);
    bool reused;
    SSL_SESSION *session = visit(server, TLS1_2_VERSION, NULL, &reused);
    for (int rotation = 1; rotation <= TLS_TICKETS_KEPT; rotation++) {
        assert_true(tls_tickets_rotate(tickets));
        SSL_SESSION *copy = SSL_SESSION_dup(session);
        SSL_SESSION *next = visit(server, TLS1_2_VERSION, copy, &reused);
        assert_int_equal(rotation < TLS_TICKETS_KEPT, reused);
        SSL_SESSION_free(next);
        SSL_SESSION_free(copy);
    }
    SSL_SESSION_free(session);
    tls_server_free(server);
}

static void without_keys_there_are_no_tickets(void **state)
{
    (void)state;
    memset(tickets, 0, sizeof *tickets);
    for (size_t i = 0; i < 2; i++) {
        struct tls_server *server = server_new(NULL, false);
        bool reused;
        SSL_SESSION *session = visit(server, versions[i], NULL, &reused);
        if (session != NULL) {
            SSL_SESSION *next = visit(server, versions[i], session, &reused);
            assert_false(reused);
            SSL_SESSION_free(next);
        }
        SSL_SESSION_free(session);
        tls_server_free(server);
    }
}

/* What a ticket vouches for is what its server asked for: nothing, this authority, or another. */
static void a_ticket_is_of_what_was_asked_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_server *asks[] = {server_new(NULL, false), server_new("ca.crt", false),
            server_new("other.crt", false), server_new("ca.crt", false)};
        enum { COUNT = sizeof asks / sizeof asks[0] };
        for (size_t from = 0; from < COUNT; from++) {
            for (size_t to = 0; to < COUNT; to++) {
                bool reused;
                bool same = from == to || (from == 1 && to == 3) || (from == 3 && to == 1);
                SSL_SESSION *session = visit(asks[from], versions[i], NULL, &reused);
                assert_non_null(session);
                SSL_SESSION *next = visit(asks[to], versions[i], session, &reused);
                assert_int_equal(same, reused);
                SSL_SESSION_free(next);
                SSL_SESSION_free(session);
            }
        }
        struct tls_server *requires = server_new("ca.crt", true);
        bool reused;
        SSL_SESSION *session = visit(asks[1], versions[i], NULL, &reused);
        SSL_SESSION *next = visit(requires, versions[i], session, &reused);
        assert_false(reused);
        SSL_SESSION_free(next);
        SSL_SESSION_free(session);
        tls_server_free(requires);
        for (size_t k = 0; k < COUNT; k++) {
            tls_server_free(asks[k]);
        }
    }
}

static int make_certs(void **state)
{
    (void)state;
    made_certs_begin();
    made_certs_make(&(struct made_cert){.name = "ca"});
    made_certs_make(&(struct made_cert){.name = "other"});
    made_certs_make(&(struct made_cert){.name = "server", .san = "DNS:localhost", .issuer = "ca"});
    return 0;
}

static int remove_certs(void **state)
{
    (void)state;
    made_certs_end();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_tickets, free_tickets)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(another_server_resumes_the_session),
        TEST(old_keys_are_taken_for_a_while_and_renewed),
        TEST(each_resumption_of_1_3_brings_a_new_ticket),
        TEST(a_key_is_taken_until_it_is_forgotten),
        TEST(without_keys_there_are_no_tickets),
        TEST(a_ticket_is_of_what_was_asked_for),
    };
    return cmocka_run_group_tests_name("tls_tickets", tests, make_certs, remove_certs);
}
