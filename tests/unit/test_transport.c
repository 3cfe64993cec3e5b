/* How many packets a transport makes of what it is given: over loopback, counted by the kernel. */
#include "made_certs.h"
#include "net/tls.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* What is held back goes by itself after 200 ms: on a machine that is busy elsewhere that may come first. */
enum { TRIES = 50 };

static struct tls_server *server;
static char why[TLS_WHY_MAX];

struct pair {
    struct transport *server, *client;
};

static void connected_sockets(int fds[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0 && fds[1] >= 0);
    assert_int_equal(0, bind(listener, (struct sockaddr *)&at, sizeof at));
    assert_int_equal(0, listen(listener, 1));
    assert_int_equal(0, getsockname(listener, (struct sockaddr *)&at, &len));
    assert_int_equal(0, connect(fds[1], (struct sockaddr *)&at, sizeof at));
    fds[0] = accept(listener, NULL, NULL);
    assert_true(fds[0] >= 0);
    close(listener);
    int on = 1;
    assert_int_equal(0, setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
}

static struct tcp_info info_of(const struct transport *t)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    assert_int_equal(0, getsockopt(t->fd, IPPROTO_TCP, TCP_INFO, &info, &len));
    return info;
}

static void wait_for(const struct transport *t)
{
    struct pollfd one = {.fd = t->fd, .events = POLLIN};
    assert_int_equal(1, poll(&one, 1, 10 * 1000));
}

static void open_plain(struct pair *pair)
{
    int fds[2];
    connected_sockets(fds);
    pair->server = transport_plain_new(fds[0]);
    pair->client = transport_plain_new(fds[1]);
    assert_true(pair->server != NULL && pair->client != NULL);
}

static void open_tls(struct pair *pair)
{
    int fds[2];
    connected_sockets(fds);
    const struct tls_client_options options = {
        .ca_file = made_certs_path("ca.crt"), .server_name = "localhost", .verify = true};
    struct tls_client *client = tls_client_new(&options, why);
    assert_non_null(client);
    pair->server = tls_accept_new(server, fds[0]);
    pair->client = tls_connect_new(client, fds[1]);
    assert_true(pair->server != NULL && pair->client != NULL);
    tls_client_free(client);
    struct io_result done;
    assert_int_equal(IO_WANT_READ, pair->client->ops->handshake(pair->client).status);
    wait_for(pair->server);
    assert_int_equal(IO_WANT_READ, pair->server->ops->handshake(pair->server).status);
    do {
        wait_for(pair->client);
        done = pair->client->ops->handshake(pair->client);
    } while (done.status == IO_WANT_READ);
    assert_int_equal(IO_OK, done.status);
}

static void open_tls_to_the_end(struct pair *pair)
{
    open_tls(pair);
    wait_for(pair->server);
    assert_int_equal(IO_OK, pair->server->ops->handshake(pair->server).status);
}

static void close_pair(struct pair *pair)
{
    pair->client->ops->close(pair->client, false);
    pair->server->ops->close(pair->server, false);
}

static struct io_result read_some(struct transport *t, void *to, size_t cap)
{
    struct io_result result = t->ops->read(t, to, cap);
    while (result.status == IO_WANT_READ) {
        wait_for(t);
        result = t->ops->read(t, to, cap);
    }
    return result;
}

/* The last bytes and the end come, and whether in one packet. */
static bool end_in_one(struct pair *pair)
{
    char got[8] = "";
    struct io_result result = pair->server->ops->write(pair->server, "first", 5);
    assert_int_equal(5, result.n);
    assert_int_equal(5, read_some(pair->client, got, sizeof got).n);
    unsigned before = info_of(pair->client).tcpi_segs_in;
    result = pair->server->ops->write_last(pair->server, "last", 4);
    assert_int_equal(IO_OK, result.status);
    assert_int_equal(4, result.n);
    assert_int_equal(0, pair->server->ops->unsent(pair->server));
    assert_int_equal(IO_OK, pair->server->ops->shutdown(pair->server).status);
    assert_int_equal(4, read_some(pair->client, got, sizeof got).n);
    assert_memory_equal("last", got, 4);
    assert_int_equal(IO_EOF, read_some(pair->client, got, sizeof got).status);
    unsigned packets = info_of(pair->client).tcpi_segs_in - before;
    assert_true(packets > 0);
    assert_int_equal(IO_FAIL, pair->server->ops->write(pair->server, "more", 4).status);
    close_pair(pair);
    return packets == 1;
}

static void the_end_goes_with_the_last_bytes(void **state)
{
    (void)state;
    static void (*const open[])(struct pair * pair) = {open_plain, open_tls_to_the_end};
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        bool once = false;
        for (int try = 0; try < TRIES && !once; try++) {
            struct pair pair;
            open[i](&pair);
            once = end_in_one(&pair);
        }
        assert_true(once);
    }
}

/* The ticket of TLS 1.3 waits for the first answer. */
static void the_ticket_goes_with_the_first_bytes(void **state)
{
    (void)state;
    bool once = false;
    for (int try = 0; try < TRIES && !once; try++) {
        struct pair pair;
        char got[8] = "";
        open_tls(&pair);
        unsigned before = info_of(pair.server).tcpi_data_segs_out;
        wait_for(pair.server);
        assert_int_equal(IO_OK, pair.server->ops->handshake(pair.server).status);
        assert_int_equal(5, pair.server->ops->write(pair.server, "first", 5).n);
        assert_int_equal(5, read_some(pair.client, got, sizeof got).n);
        once = info_of(pair.server).tcpi_data_segs_out == before + 1;
        close_pair(&pair);
    }
    assert_true(once);
}

/* And goes by itself where there is none. */
static void a_ticket_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct pair pair;
    char got[8];
    open_tls_to_the_end(&pair);
    wait_for(pair.client);
    assert_int_equal(IO_WANT_READ, pair.client->ops->read(pair.client, got, sizeof got).status);
    close_pair(&pair);
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
        cmocka_unit_test(the_end_goes_with_the_last_bytes),
        cmocka_unit_test(the_ticket_goes_with_the_first_bytes),
        cmocka_unit_test(a_ticket_does_not_wait_for_ever),
    };
    return cmocka_run_group_tests_name("transport", tests, set_up, tear_down);
}
