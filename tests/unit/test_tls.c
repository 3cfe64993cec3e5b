/* Both ends are transports of ours, over a socketpair, driven by hand. */
#include "made_certs.h"
#include "net/tls.h"
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct tls_server *server;
static char why[TLS_WHY_MAX];

struct pair {
    struct transport *server, *client;
};

static void made_pair_of_sockets(int fds[2])
{
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
}

/* Options for a client that trusts our authority and expects `name`. */
static struct tls_client_options trusting(const char *name)
{
    return (struct tls_client_options){
        .ca_file = made_certs_path("ca.crt"), .server_name = name, .verify = true};
}

static void start_pair(
    struct pair *pair, struct tls_server *accepting, const struct tls_client_options *options)
{
    int fds[2];
    made_pair_of_sockets(fds);
    struct tls_client *client = tls_client_new(options, why);
    assert_non_null(client);
    pair->server = tls_accept_new(accepting, fds[0]);
    pair->client = tls_connect_new(client, fds[1]);
    assert_non_null(pair->server);
    assert_non_null(pair->client);
    tls_client_free(client); /* the connection does not need it any more */
}

static bool is_over(struct io_result result)
{
    return result.status == IO_OK || result.status == IO_FAIL;
}

/* Until both sides are done, or one has failed and the other has heard of it. */
static void shake(struct pair *pair, struct io_result *server_saw, struct io_result *client_saw)
{
    *server_saw = *client_saw = (struct io_result){IO_WANT_READ, 0, 0};
    for (int i = 0; i < 20 && !(is_over(*server_saw) && is_over(*client_saw)); i++) {
        if (!is_over(*client_saw)) {
            *client_saw = pair->client->ops->handshake(pair->client);
        }
        if (!is_over(*server_saw)) {
            *server_saw = pair->server->ops->handshake(pair->server);
        }
    }
}

static void open_pair(struct pair *pair)
{
    struct io_result server_saw, client_saw;
    struct tls_client_options options = trusting("localhost");
    start_pair(pair, server, &options);
    shake(pair, &server_saw, &client_saw);
    assert_int_equal(IO_OK, server_saw.status);
    assert_int_equal(IO_OK, client_saw.status);
}

static void close_pair(struct pair *pair)
{
    pair->client->ops->close(pair->client, false);
    pair->server->ops->close(pair->server, false);
}

static struct io_result read_from(struct transport *t, void *to, size_t cap)
{
    return t->ops->read(t, to, cap);
}

static void write_all(struct transport *t, const void *from, size_t len)
{
    struct io_result result = t->ops->write(t, from, len);
    assert_int_equal(IO_OK, result.status);
    assert_int_equal(len, result.n);
}

static bool is_readable(const struct transport *t)
{
    struct pollfd one = {.fd = t->fd, .events = POLLIN};
    return poll(&one, 1, 0) == 1;
}

/* ---- Bytes. */

enum { BULK = 16 * 1024 * 1024, CHUNK_MAX = 300 * 1000 };

static uint8_t byte_at(size_t position)
{
    return (uint8_t)(position * 31 + (position >> 8) * 7 + (position >> 16));
}

/* One direction of the bulk: what was written and what was read of it. */
struct lane {
    struct transport *from, *to;
    size_t written, read;
    unsigned turn;
    bool stalled; /* at least once the kernel did not take all */
};

static void lane_write(struct lane *lane)
{
    static const size_t chunks[] = {1, 7, 16384, 16385, 5, 100000, CHUNK_MAX, 125, 65536, 40001};
    static uint8_t bytes[CHUNK_MAX];
    size_t len = chunks[lane->turn % 10];
    len = len < BULK - lane->written ? len : BULK - lane->written;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = byte_at(lane->written + i);
    }
    size_t unsent = lane->from->ops->unsent(lane->from);
    struct io_result result = lane->from->ops->write(lane->from, bytes, len);
    if (result.status == IO_WANT_WRITE) {
        assert_true(unsent > 0);
        assert_int_equal(0, result.n);
        assert_true(lane->from->ops->unsent(lane->from) > 0);
        lane->stalled = true;
        return;
    }
    assert_int_equal(IO_OK, result.status);
    assert_int_equal(len, result.n);
    lane->written += result.n;
}

static void lane_read(struct lane *lane)
{
    static const size_t caps[] = {65536, 1, 16384, 3, 100001, 262144, 16383, 777};
    static uint8_t bytes[262144];
    size_t cap = caps[lane->turn % 8];
    struct io_result result = read_from(lane->to, bytes, cap);
    if (result.status == IO_WANT_READ) {
        assert_int_equal(0, lane->to->ops->pending(lane->to));
        return;
    }
    assert_int_equal(IO_OK, result.status);
    assert_in_range(result.n, 1, cap);
    for (size_t i = 0; i < result.n; i++) {
        if (bytes[i] != byte_at(lane->read + i)) {
            fail_msg("byte %zu is wrong", lane->read + i);
        }
    }
    lane->read += result.n;
}

static void lane_step(struct lane *lane)
{
    lane->turn++;
    if (lane->written < BULK) {
        lane_write(lane);
    } else {
        (void)lane->from->ops->flush(lane->from);
    }
    /* Now and then the reader is away for a while. */
    if (lane->turn % 64 >= 16) {
        lane_read(lane);
    }
}

static void much_comes_through_both_ways_unchanged(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    struct lane up = {.from = pair.client, .to = pair.server};
    struct lane down = {.from = pair.server, .to = pair.client, .turn = 3};
    while (up.read < BULK || down.read < BULK) {
        lane_step(&up);
        lane_step(&down);
    }
    assert_true(up.stalled && down.stalled);
    assert_int_equal(0, pair.client->ops->unsent(pair.client));
    assert_int_equal(0, pair.server->ops->pending(pair.server));
    close_pair(&pair);
}

static void one_read_takes_many_records(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    char bytes[100];
    for (int i = 0; i < 50; i++) {
        write_all(pair.client, "xy", 2);
    }
    assert_int_equal(100, read_from(pair.server, bytes, sizeof bytes).n);
    close_pair(&pair);
}

static void what_did_not_fit_is_pending(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    static char sent[40000], got[40000];
    memset(sent, 's', sizeof sent);
    write_all(pair.client, sent, sizeof sent);
    size_t n = 0;
    int silent = 0;
    while (n < sizeof got) {
        struct io_result result = read_from(pair.server, got + n, 100);
        assert_int_equal(IO_OK, result.status);
        n += result.n;
        if (n < sizeof got && !is_readable(pair.server)) {
            assert_true(pair.server->ops->pending(pair.server) > 0);
            silent++;
        }
    }
    assert_true(silent > 0);
    assert_memory_equal(sent, got, sizeof got);
    assert_int_equal(IO_WANT_READ, read_from(pair.server, got, 100).status);
    assert_int_equal(0, pair.server->ops->pending(pair.server));
    close_pair(&pair);
}

/* The client's first bytes may stand right behind its Finished. */
static void bytes_behind_the_handshake_are_pending(void **state)
{
    (void)state;
    struct pair pair;
    struct tls_client_options options = trusting("localhost");
    start_pair(&pair, server, &options);
    assert_int_equal(IO_WANT_READ, pair.client->ops->handshake(pair.client).status);
    assert_int_equal(IO_WANT_READ, pair.server->ops->handshake(pair.server).status);
    assert_int_equal(IO_OK, pair.client->ops->handshake(pair.client).status);
    write_all(pair.client, "GET /", 5);
    assert_int_equal(IO_OK, pair.server->ops->handshake(pair.server).status);
    assert_true(pair.server->ops->pending(pair.server) > 0);
    assert_false(is_readable(pair.server));
    char bytes[100];
    assert_int_equal(5, read_from(pair.server, bytes, sizeof bytes).n);
    close_pair(&pair);
}

/* ---- Ends. */

static void an_end_without_close_notify_is_an_end(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    char bytes[100];
    write_all(pair.client, "last words", 10);
    assert_int_equal(0, shutdown(pair.client->fd, SHUT_WR));
    assert_int_equal(10, read_from(pair.server, bytes, sizeof bytes).n);
    assert_int_equal(IO_EOF, read_from(pair.server, bytes, sizeof bytes).status);
    assert_int_equal(IO_EOF, read_from(pair.server, bytes, sizeof bytes).status);
    assert_int_equal(0, pair.server->ops->pending(pair.server));
    close_pair(&pair);
}

static void each_direction_ends_alone(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    char bytes[100];
    write_all(pair.client, "question", 8);
    assert_int_equal(IO_OK, pair.client->ops->shutdown(pair.client).status);
    assert_int_equal(IO_OK, pair.client->ops->shutdown(pair.client).status);
    assert_int_equal(IO_FAIL, pair.client->ops->write(pair.client, "more", 4).status);
    assert_int_equal(8, read_from(pair.server, bytes, sizeof bytes).n);
    /* The end came in the same system call: the reader has to be told that there is something to read. */
    assert_int_equal(1, pair.server->ops->pending(pair.server));
    assert_int_equal(IO_EOF, read_from(pair.server, bytes, sizeof bytes).status);
    assert_int_equal(0, pair.server->ops->pending(pair.server));
    write_all(pair.server, "answer", 6);
    assert_int_equal(6, read_from(pair.client, bytes, sizeof bytes).n);
    assert_int_equal(IO_OK, pair.server->ops->shutdown(pair.server).status);
    assert_int_equal(IO_EOF, read_from(pair.client, bytes, sizeof bytes).status);
    close_pair(&pair);
}

static void a_peer_that_is_gone_fails_the_write(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    pair.client->ops->close(pair.client, true);
    struct io_result result = pair.server->ops->write(pair.server, "x", 1);
    assert_int_equal(IO_FAIL, result.status);
    assert_int_equal(EPIPE, result.err);
    assert_string_equal("Broken pipe", pair.server->ops->fault(pair.server));
    pair.server->ops->close(pair.server, false);
}

static void a_shutdown_waits_for_what_is_unsent(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    static char bytes[4 * 1024 * 1024];
    write_all(pair.server, bytes, sizeof bytes);
    assert_true(pair.server->ops->unsent(pair.server) > 0);
    assert_int_equal(IO_WANT_WRITE, pair.server->ops->shutdown(pair.server).status);
    size_t n = 0;
    struct io_result ended = {IO_WANT_WRITE, 0, 0};
    while (n < sizeof bytes) {
        struct io_result result = read_from(pair.client, bytes, 65536);
        n += result.n;
        if (ended.status == IO_WANT_WRITE) {
            ended = pair.server->ops->shutdown(pair.server);
        }
    }
    assert_int_equal(IO_OK, ended.status);
    assert_int_equal(IO_EOF, read_from(pair.client, bytes, 65536).status);
    close_pair(&pair);
}

static void a_changed_byte_fails_the_read_and_tells_the_peer(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    char bytes[100];
    write_all(pair.client, "good", 4);
    static const char forged[] = "\x17\x03\x03\x00\x13"
                                 "nineteen bytes here";
    assert_int_equal(24, send(pair.client->fd, forged, 24, MSG_NOSIGNAL));
    assert_int_equal(4, read_from(pair.server, bytes, sizeof bytes).n);
    assert_int_equal(1, pair.server->ops->pending(pair.server));
    assert_int_equal(IO_FAIL, read_from(pair.server, bytes, sizeof bytes).status);
    assert_string_equal("decryption failed or bad record mac", pair.server->ops->fault(pair.server));
    assert_int_equal(IO_FAIL, read_from(pair.client, bytes, sizeof bytes).status);
    assert_non_null(strstr(pair.client->ops->fault(pair.client), "alert bad record mac"));
    close_pair(&pair);
}

/* ---- Who is who. */

struct verify_case {
    const char *ca, *name;
    bool verify;
    const char *client_fault; /* NULL: fine */
};

static void a_client_verifies_its_target(void **state)
{
    (void)state;
    static const struct verify_case cases[] = {
        {"ca.crt", "localhost", true, NULL},
        {"ca.crt", "LocalHost.", true, NULL},
        {"ca.crt", "127.0.0.1", true, NULL},
        {"ca.crt", "::1", true, "IP address mismatch"},
        {"ca.crt", "elsewhere.test", true, "hostname mismatch"},
        {"other-ca.crt", "localhost", true, "unable to get local issuer certificate"},
        {NULL, "localhost", true, "unable to get local issuer certificate"},
        {"other-ca.crt", "elsewhere.test", false, NULL},
        {NULL, NULL, false, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct verify_case *c = &cases[i];
        const char *ca = c->ca != NULL ? made_certs_path(c->ca) : NULL;
        struct tls_client_options options = {.ca_file = ca, .server_name = c->name, .verify = c->verify};
        struct pair pair;
        struct io_result server_saw, client_saw;
        start_pair(&pair, server, &options);
        shake(&pair, &server_saw, &client_saw);
        assert_int_equal(c->client_fault != NULL ? IO_FAIL : IO_OK, client_saw.status);
        assert_int_equal(client_saw.status, server_saw.status);
        assert_string_equal(
            c->client_fault != NULL ? c->client_fault : "", pair.client->ops->fault(pair.client));
        if (c->client_fault != NULL) {
            assert_non_null(strstr(pair.server->ops->fault(pair.server), "alert"));
            assert_int_equal(IO_FAIL, pair.server->ops->handshake(pair.server).status);
        }
        close_pair(&pair);
    }
}

static struct tls_server *server_asking(bool require)
{
    struct tls_server *asking = tls_server_new(false);
    assert_non_null(asking);
    /* Once before a certificate is there, once behind it: both have to hold. */
    if (require) {
        assert_true(tls_server_ask_client(asking, made_certs_path("ca.crt"), require, why));
    }
    assert_true(tls_server_add_certificate(
        asking, made_certs_path("localhost.crt"), made_certs_path("localhost.key"), why, NULL));
    if (!require) {
        assert_true(tls_server_ask_client(asking, made_certs_path("ca.crt"), require, why));
    }
    return asking;
}

static void a_server_asks_for_client_certificates(void **state)
{
    (void)state;
    static const struct {
        bool require;
        const char *cert, *key;
        const char *server_fault; /* NULL: fine */
    } cases[] = {
        {true, "client.crt", "client.key", NULL},
        {true, NULL, NULL, "peer did not return a certificate"},
        {true, "other-ca.crt", "other-ca.key", "self-signed certificate"},
        {false, "client.crt", "client.key", NULL},
        {false, NULL, NULL, NULL},
        {false, "other-ca.crt", "other-ca.key", "self-signed certificate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_server *asking = server_asking(cases[i].require);
        struct tls_client_options options = trusting("localhost");
        if (cases[i].cert != NULL) {
            options.cert_file = made_certs_path(cases[i].cert);
            options.key_file = made_certs_path(cases[i].key);
        }
        struct pair pair;
        struct io_result server_saw, client_saw;
        start_pair(&pair, asking, &options);
        shake(&pair, &server_saw, &client_saw);
        assert_int_equal(cases[i].server_fault != NULL ? IO_FAIL : IO_OK, server_saw.status);
        const char *fault = pair.server->ops->fault(pair.server);
        assert_string_equal(cases[i].server_fault != NULL ? cases[i].server_fault : "", fault);
        if (cases[i].server_fault != NULL) {
            /* In TLS 1.3 the client is done before it is judged, and hears of it when it reads. */
            char bytes[10];
            assert_int_equal(IO_FAIL, read_from(pair.client, bytes, sizeof bytes).status);
            assert_non_null(strstr(pair.client->ops->fault(pair.client), "alert"));
        }
        close_pair(&pair);
        tls_server_free(asking);
    }
}

/* The handshake's writes go to the socket, and the kernel takes no keys for one that is not TCP: from then on
 * all is as without. */
static bool by_socket;

static void the_kernel_is_asked_once(void **state)
{
    (void)state;
    const char *missing = tls_ktls_missing();
    assert_ptr_equal(missing, tls_ktls_missing());
    assert_true(missing == NULL || missing[0] != '\0');
}

static int set_up(void **state)
{
    (void)state;
    made_certs_begin();
    made_certs_make(&(struct made_cert){.name = "ca"});
    made_certs_make(&(struct made_cert){.name = "other-ca"});
    made_certs_make(&(struct made_cert){.name = "client", .issuer = "ca"});
    made_certs_make(
        &(struct made_cert){.name = "localhost", .issuer = "ca", .san = "DNS:localhost,IP:127.0.0.1"});
    server = tls_server_new(false);
    if (server != NULL && by_socket) {
        tls_server_use_ktls(server);
    }
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
        cmocka_unit_test(much_comes_through_both_ways_unchanged),
        cmocka_unit_test(one_read_takes_many_records),
        cmocka_unit_test(what_did_not_fit_is_pending),
        cmocka_unit_test(bytes_behind_the_handshake_are_pending),
        cmocka_unit_test(an_end_without_close_notify_is_an_end),
        cmocka_unit_test(each_direction_ends_alone),
        cmocka_unit_test(a_peer_that_is_gone_fails_the_write),
        cmocka_unit_test(a_shutdown_waits_for_what_is_unsent),
        cmocka_unit_test(a_changed_byte_fails_the_read_and_tells_the_peer),
        cmocka_unit_test(a_client_verifies_its_target),
        cmocka_unit_test(a_server_asks_for_client_certificates),
        cmocka_unit_test(the_kernel_is_asked_once),
    };
    int failed = cmocka_run_group_tests_name("tls", tests, set_up, tear_down);
    by_socket = true;
    return failed + cmocka_run_group_tests_name("tls_with_ktls_refused", tests, set_up, tear_down);
}
