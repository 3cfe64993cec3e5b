/* Records that bring nothing cost the peer 30 bytes and us a derivation of keys, or an alert: one read takes
 * a bounded number of records, whatever is in them, and the others have their turn. */
#include "made_certs.h"
#include "net/tls_internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { UPDATES = 600, RECORDS_MAX = 32, READS_LEAST = UPDATES / RECORDS_MAX };

static struct tls_server *server;
static struct transport *at_server, *at_client;
static char why[TLS_WHY_MAX];

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
    assert_non_null(at_server);
    assert_non_null(at_client);
    tls_client_free(client);
    bool open = false;
    for (int i = 0; i < 20 && !open; i++) {
        bool client_done = at_client->ops->handshake(at_client).status == IO_OK;
        open = at_server->ops->handshake(at_server).status == IO_OK && client_done;
    }
    assert_true(open);
}

static void close_pair(void)
{
    at_client->ops->close(at_client, false);
    at_server->ops->close(at_server, false);
}

/* They leave in one write, with two bytes behind them. */
static void send_key_updates(void)
{
    SSL *ssl = tls_transport_ssl(at_client);
    for (int i = 0; i < UPDATES; i++) {
        assert_int_equal(1, SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED));
        assert_int_equal(1, SSL_do_handshake(ssl));
    }
    assert_int_equal(IO_OK, at_client->ops->write(at_client, "xy", 2).status);
}

static void a_read_takes_so_many_records(void **state)
{
    (void)state;
    char bytes[100];
    open_pair();
    send_key_updates();
    int reads = 0;
    struct io_result result = at_server->ops->read(at_server, bytes, sizeof bytes);
    while (result.status == IO_WANT_READ && at_server->ops->pending(at_server) > 0) {
        reads++;
        result = at_server->ops->read(at_server, bytes, sizeof bytes);
    }
    assert_int_equal(IO_OK, result.status);
    assert_int_equal(2, result.n);
    assert_memory_equal("xy", bytes, 2);
    assert_in_range(reads, READS_LEAST, UPDATES);
    assert_int_equal(0, at_server->ops->pending(at_server));
    assert_int_equal(IO_WANT_READ, at_server->ops->read(at_server, bytes, sizeof bytes).status);
    close_pair();
}

/* What it did not take yet is not heaped up: the socket is not read before. */
static void what_waits_is_taken_first(void **state)
{
    (void)state;
    char bytes[100];
    open_pair();
    send_key_updates();
    assert_int_equal(IO_WANT_READ, at_server->ops->read(at_server, bytes, sizeof bytes).status);
    size_t waits = at_server->ops->pending(at_server);
    assert_true(waits > 0);
    send_key_updates();
    assert_int_equal(IO_WANT_READ, at_server->ops->read(at_server, bytes, sizeof bytes).status);
    assert_true(at_server->ops->pending(at_server) < waits);
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
    made_certs_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_takes_so_many_records),
        cmocka_unit_test(what_waits_is_taken_first),
    };
    return cmocka_run_group_tests_name("tls_budget", tests, set_up, tear_down);
}
