/* Our direction of TLS ends while a record of the peer's is still to be read: OpenSSL's buffers are not given
 * back under it. (Before 3.0.14 OpenSSL does not look itself: CVE-2024-4741.) */
#include "made_certs.h"
#include "net/tls_internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { HEAD = 5, LONG = 100, PART = 10 };

static struct tls_server *server;
static struct transport *at_server, *at_client;
static char why[TLS_WHY_MAX];
static unsigned freed, freed_in_use;

/* In place of OpenSSL's. */
int SSL_free_buffers(SSL *ssl)
{
    freed++;
    freed_in_use += SSL_pending(ssl) > 0 || strcmp(SSL_rstate_string(ssl), "RB") == 0;
    return 1;
}

static void open_pair(void)
{
    int fds[2];
    struct tls_client_options options = {
        .ca_file = made_certs_path("ca.crt"), .server_name = "localhost", .verify = true};
    struct tls_client *client = tls_client_new(&options, why);
    assert_non_null(client);
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    at_server = tls_accept_new(server, fds[0]);
    at_client = tls_connect_new(client, fds[1]);
    assert_true(at_server != NULL && at_client != NULL);
    tls_client_free(client);
    bool open = false;
    for (int i = 0; i < 20 && !open; i++) {
        bool client_done = at_client->ops->handshake(at_client).status == IO_OK;
        open = at_server->ops->handshake(at_server).status == IO_OK && client_done;
    }
    assert_true(open);
    freed = freed_in_use = 0;
}

static void close_pair(void)
{
    at_client->ops->close(at_client, false);
    at_server->ops->close(at_server, false);
}

static void end_sending(bool with_last_bytes)
{
    if (with_last_bytes) {
        assert_int_equal(IO_OK, at_server->ops->write_last(at_server, "bye", 3).status);
    }
    assert_int_equal(IO_OK, at_server->ops->shutdown(at_server).status);
}

static void what_came_in_part(bool with_last_bytes)
{
    char record[LONG], got[LONG];
    open_pair();
    assert_int_equal(IO_OK, at_client->ops->write(at_client, "xy", 2).status);
    ssize_t len = recv(at_server->fd, record, sizeof record, 0);
    assert_true(len > HEAD);
    assert_int_equal(HEAD, send(at_client->fd, record, HEAD, 0));
    assert_int_equal(IO_WANT_READ, at_server->ops->read(at_server, got, sizeof got).status);
    end_sending(with_last_bytes);
    assert_int_equal(0, freed_in_use);
    assert_int_equal(len - HEAD, send(at_client->fd, record + HEAD, (size_t)len - HEAD, 0));
    assert_int_equal(2, at_server->ops->read(at_server, got, sizeof got).n);
    assert_memory_equal("xy", got, 2);
    close_pair();
}

static void what_was_read_in_part(bool with_last_bytes)
{
    static const char sent[LONG];
    char got[LONG];
    open_pair();
    assert_int_equal(LONG, at_client->ops->write(at_client, sent, LONG).n);
    assert_int_equal(PART, at_server->ops->read(at_server, got, PART).n);
    end_sending(with_last_bytes);
    assert_int_equal(0, freed_in_use);
    assert_int_equal(LONG - PART, at_server->ops->read(at_server, got, sizeof got).n);
    close_pair();
}

static void a_record_that_came_in_part(void **state)
{
    (void)state;
    what_came_in_part(false);
    what_came_in_part(true);
}

static void a_record_that_was_read_in_part(void **state)
{
    (void)state;
    what_was_read_in_part(false);
    what_was_read_in_part(true);
}

static void no_record(void **state)
{
    (void)state;
    open_pair();
    end_sending(true);
    assert_int_equal(1, freed);
    assert_int_equal(0, freed_in_use);
    close_pair();
}

static int set_up(void **state)
{
    (void)state;
    made_certs_begin();
    made_certs_make(&(struct made_cert){.name = "ca"});
    made_certs_make(&(struct made_cert){.name = "localhost", .issuer = "ca", .san = "DNS:localhost"});
    server = tls_server_new(false);
    return server != NULL && tls_server_add_certificate(server, made_certs_path("localhost.crt"),
                                 made_certs_path("localhost.key"), why, NULL)
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    tls_server_free(server);
    transport_thread_fini();
    made_certs_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_that_came_in_part),
        cmocka_unit_test(a_record_that_was_read_in_part),
        cmocka_unit_test(no_record),
    };
    return cmocka_run_group_tests_name("tls_last", tests, set_up, tear_down);
}
