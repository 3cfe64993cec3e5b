/* A PROXY header before the request, over a real socket and cut anywhere; X-Forwarded-For; and that neither
 * counts from anybody who is not trusted. */
#include "proto/proxy_header.h"
#include "script.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static struct bench b;
static struct ip_net trusted[2]; /* the bench's peer is 10.0.0.7 */
static int peer_fd;

#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static void begin(bool proxy_protocol)
{
    bench_init(&b, "    from: [192.0.2.0/24]\n", "timeouts: {handshake: 10s}");
    assert_true(ip_net_parse(SLICE("10.0.0.0/8"), &trusted[0], NULL));
    assert_true(ip_net_parse(SLICE("fd00::/8"), &trusted[1], NULL));
    b.listen.trusted_proxies = trusted;
    b.listen.trusted_proxy_count = 2;
    b.listen.proxy_protocol = proxy_protocol;
}

static void turn(void)
{
    do {
        loop_turn(b.relay.net.loop, 0);
    } while (relay_run_again(&b.relay));
}

static void come(void)
{
    int fds[2];
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    peer_fd = fds[1];
    relay_accept(&b.relay, &b.door, fds[0], &b.peer);
    turn();
}

static void send_bytes(const void *bytes, size_t n)
{
    assert_int_equal(n, send(peer_fd, bytes, n, MSG_NOSIGNAL));
    turn();
}

/* The status of the HTTP answer; 0: none, and the connection is closed. */
static unsigned answer(void)
{
    char bytes[1024];
    ssize_t n = recv(peer_fd, bytes, sizeof bytes - 1, 0);
    if (n <= 0) {
        assert_true(n == 0 || errno == ECONNRESET);
        return 0;
    }
    bytes[n] = '\0';
    unsigned status = 0;
    assert_int_equal(1, sscanf(bytes, "HTTP/1.1 %u", &status));
    return status;
}

static void leave(void)
{
    close(peer_fd);
    turn();
    assert_int_equal(0, b.relay.connections);
}

static void end(void)
{
    bench_fini(&b);
}

static void assert_value(const char *event, const char *key, const char *expected)
{
    char value[256];
    bench_log_value(&b, event, key, value, sizeof value);
    assert_string_equal(value, expected);
}

static uint64_t refused_by_proxy(void)
{
    return tally_read(&b.census->own->proxy_refused);
}

/* A header with a request behind it, cut in two everywhere, byte for byte, and whole. A plain GET from the
 * right client gets 426, from another 403. */
static void check_header(const void *header, size_t n, unsigned status, const char *client)
{
    uint8_t all[PROXY_HEADER_MAX + sizeof REQUEST];
    size_t len = n + sizeof REQUEST - 1;
    memcpy(all, header, n);
    memcpy(all + n, REQUEST, sizeof REQUEST - 1);
    for (size_t cut = 0; cut < len; cut++) {
        come();
        if (cut > 0) {
            send_bytes(all, cut);
        }
        send_bytes(all + cut, len - cut);
        assert_int_equal(status, answer());
        assert_value("request_refused", "client", client);
        leave();
    }
    come();
    for (size_t i = 0; i < len; i++) {
        send_bytes(all + i, 1);
    }
    assert_int_equal(status, answer());
    assert_value("request_refused", "client", client);
    leave();
    assert_int_equal(0, refused_by_proxy());
}

static const uint8_t v2_tcp6[] = "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24"
                                 "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x07"
                                 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13\x88\x01\xBB";
static const uint8_t v2_tcp4[] =
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0\0\x02\x07\x0A\0\0\x01\x13\x88\x01\xBB";
static const uint8_t v2_local[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0";

static void test_headers(void **state)
{
    (void)state;
    static const char v1[] = "PROXY TCP4 192.0.2.7 10.0.0.1 5000 443\r\n";
    static const char other[] = "PROXY TCP4 203.0.113.9 10.0.0.1 5000 443\r\n";
    static const char unknown[] = "PROXY UNKNOWN\r\n";
    static uint8_t on_unix[16 + 216] = "\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xD8/run/s";
    begin(true);
    check_header(v1, sizeof v1 - 1, 426, "192.0.2.7:5000");
    check_header(other, sizeof other - 1, 403, "203.0.113.9:5000");
    check_header(unknown, sizeof unknown - 1, 403, "10.0.0.7:5000");
    check_header(v2_tcp4, sizeof v2_tcp4 - 1, 426, "192.0.2.7:5000");
    check_header(v2_tcp6, sizeof v2_tcp6 - 1, 403, "[2001:db8::7]:5000");
    check_header(v2_local, sizeof v2_local, 403, "10.0.0.7:5000");
    check_header(on_unix, sizeof on_unix, 403, "unix");
    end();
}

/* Through a unix socket, which `unix:` trusts. */
static void test_a_unix_listener(void **state)
{
    (void)state;
    static const char v1[] = "PROXY TCP4 192.0.2.7 10.0.0.1 5000 443\r\n";
    begin(true);
    b.peer.is_unix = true;
    come();
    assert_int_equal(0, answer());
    leave();
    assert_int_equal(1, refused_by_proxy());
    tally_take(&b.census->own->proxy_refused, 1);
    b.listen.trusts_unix = true;
    check_header(v1, sizeof v1 - 1, 426, "192.0.2.7:5000");
    end();
}

static void test_who_is_not_trusted(void **state)
{
    (void)state;
    begin(true);
    assert_true(ip_parse(SLICE("192.0.2.7"), &b.peer.addr));
    come(); /* at once, whatever it would send, and also where it is a client that may come */
    assert_int_equal(0, answer());
    leave();
    assert_int_equal(1, refused_by_proxy());
    assert_int_equal(1, tally_read(&b.census->own->accepted));
    assert_value("proxy_refused", "client", "192.0.2.7:5000");
    assert_value("proxy_refused", "listener", "127.0.0.1:8080");
    end();
}

static void check_refused(const void *bytes, size_t n, const char *reason)
{
    begin(true);
    come();
    send_bytes(bytes, n);
    assert_int_equal(0, answer());
    assert_int_equal(0, b.relay.connections);
    assert_int_equal(1, refused_by_proxy());
    assert_value("proxy_refused", "reason", reason);
    assert_value("proxy_refused", "client", "10.0.0.7:5000");
    close(peer_fd);
    end();
}

static void test_bad_headers(void **state)
{
    (void)state;
    check_refused(REQUEST, sizeof REQUEST - 1, "there is no PROXY header");
    check_refused("\x16\x03\x01", 3, "there is no PROXY header");
    check_refused("PROXY TCP4 192.0.2.7 10.0.0.1 5000\r\n", 36, "PROXY header has a bad port");
    check_refused("\r\n\r\n\0\r\nQUIT\n\x21\x11\xFF\xFF", 16, "PROXY header is over 4096 bytes");
}

static void test_it_ends_before(void **state)
{
    (void)state;
    begin(true);
    come(); /* such as a look whether somebody listens: not worth a line */
    leave();
    assert_int_equal(0, refused_by_proxy());
    come();
    send_bytes("PROXY", 5);
    leave();
    assert_int_equal(1, refused_by_proxy());
    assert_value("proxy_refused", "reason", "connection ended within its PROXY header");
    end();
}

static void test_a_header_that_takes_too_long(void **state)
{
    (void)state;
    begin(true);
    come();
    send_bytes("PROXY ", 6);
    for (int i = 0; i < 2; i++) { /* what comes does not put it off */
        assert_int_equal(1, b.relay.connections);
        b.now_ms += 5 * 1000;
        relay_turn(&b.relay, b.now_ms);
        wheel_run(&b.wheel, b.now_ms);
        (void)send(peer_fd, "T", 1, MSG_NOSIGNAL);
        turn();
    }
    assert_int_equal(0, b.relay.connections);
    assert_value("proxy_refused", "reason", "PROXY header was not complete in time");
    close(peer_fd);
    end();
}

static void test_drain(void **state)
{
    (void)state;
    begin(true);
    come();
    send_bytes("PROXY ", 6);
    relay_drain(&b.relay);
    assert_int_equal(0, b.relay.connections);
    close(peer_fd);
    end();
}

/* Before a gateway that stops waits for it: whose header has not come has no request either. */
static void test_hush(void **state)
{
    (void)state;
    for (int sent = 0; sent <= 6; sent += 6) {
        begin(true);
        come();
        send_bytes("PROXY ", (size_t)sent);
        relay_refuse(&b.relay);
        assert_int_equal(1, b.relay.connections);
        relay_hush(&b.relay);
        assert_int_equal(0, b.relay.connections);
        close(peer_fd);
        end();
    }
}

/* ---- X-Forwarded-For. */

static void check_forwarded(const char *fields, unsigned status, const char *client)
{
    struct script_pair p;
    struct hearing h;
    pair_init(&b, &p, &script_easy, &script_easy);
    say_upgrade(&p.client, "/", fields);
    say_close(&p.client, 1000, "");
    bench_accept(&b, &p);
    bench_run(&b);
    hearing_of(&p.client, &h);
    assert_int_equal(status, h.status);
    assert_value(status == 101 ? "session_end" : "request_refused", "client", client);
    hearing_fini(&h);
    pair_fini(&p);
}

static void test_forwarded(void **state)
{
    (void)state;
    begin(false);
    check_forwarded("", 403, "10.0.0.7:5000");
    check_forwarded("X-Forwarded-For: 192.0.2.7\r\n", 101, "192.0.2.7");
    check_forwarded("X-Forwarded-For: 192.0.2.7:80\r\nX-Forwarded-For: fd00::1\r\n", 101, "192.0.2.7:80");
    check_forwarded("X-Forwarded-For: 192.0.2.7, 203.0.113.9\r\n", 403, "203.0.113.9");
    check_forwarded("X-Forwarded-For: 2001:db8::7\r\n", 403, "2001:db8::7");
    check_forwarded("X-Forwarded-For: 192.0.2.7, unknown\r\n", 400, "10.0.0.7:5000");
    b.peer.is_unix = true;
    check_forwarded("X-Forwarded-For: 192.0.2.7\r\n", 403, "unix");
    b.listen.trusts_unix = true;
    check_forwarded("X-Forwarded-For: 192.0.2.7\r\n", 101, "192.0.2.7");
    check_forwarded("", 403, "unix");
    end();
}

/* From anybody else it is a header like others, right or wrong. */
static void test_forwarded_by_anybody(void **state)
{
    (void)state;
    begin(false);
    assert_true(ip_parse(SLICE("203.0.113.9"), &b.peer.addr));
    check_forwarded("X-Forwarded-For: 192.0.2.7\r\n", 403, "203.0.113.9:5000");
    check_forwarded("X-Forwarded-For: 10.0.0.1\r\n", 403, "203.0.113.9:5000");
    assert_true(ip_parse(SLICE("192.0.2.8"), &b.peer.addr));
    check_forwarded("X-Forwarded-For: 203.0.113.9\r\n", 101, "192.0.2.8:5000");
    check_forwarded("X-Forwarded-For: rubbish\r\n", 101, "192.0.2.8:5000");
    end();
}

/* Behind a PROXY header it is the client named there whose word is asked for. */
static void test_forwarded_behind_a_header(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        unsigned status;
        const char *client;
    } cases[] = {
        {"PROXY TCP4 10.0.0.9 10.0.0.1 1 443\r\nGET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: "
         "192.0.2.7\r\n\r\n",
            426, "192.0.2.7"},
        {"PROXY TCP4 203.0.113.9 10.0.0.1 1 443\r\nGET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: "
         "192.0.2.7\r\n\r\n",
            403, "203.0.113.9:1"},
        {"PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n", 426,
            "192.0.2.7"},
    };
    begin(true);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        come();
        send_bytes(cases[i].bytes, strlen(cases[i].bytes));
        assert_int_equal(cases[i].status, answer());
        assert_value("request_refused", "client", cases[i].client);
        leave();
    }
    end();
}

/* What is counted against `limits.sessions_per_client` is the client, not the proxy. */
static void test_limits_by_client(void **state)
{
    (void)state;
    struct script_pair first, second, third;
    bench_init(&b, "", "limits: {sessions_per_client: 1}");
    assert_true(ip_net_parse(SLICE("10.0.0.0/8"), &trusted[0], NULL));
    b.listen.trusted_proxies = trusted;
    b.listen.trusted_proxy_count = 1;
    struct script_pair *const pairs[] = {&first, &second, &third};
    static const char *const clients[] = {"192.0.2.7", "192.0.2.7", "192.0.2.8"};
    static const unsigned statuses[] = {101, 429, 101};
    for (size_t i = 0; i < 3; i++) {
        char field[64];
        struct hearing h;
        (void)snprintf(field, sizeof field, "X-Forwarded-For: %s\r\n", clients[i]);
        pair_init(&b, pairs[i], &script_easy, &script_easy);
        say_upgrade(&pairs[i]->client, "/", field);
        bench_accept(&b, pairs[i]);
        bench_run(&b);
        hearing_of(&pairs[i]->client, &h);
        assert_int_equal(statuses[i], h.status);
        hearing_fini(&h);
    }
    bench_cut(&b);
    for (size_t i = 0; i < 3; i++) {
        pair_fini(pairs[i]);
    }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_a_unix_listener),
        cmocka_unit_test(test_who_is_not_trusted),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_it_ends_before),
        cmocka_unit_test(test_a_header_that_takes_too_long),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_hush),
        cmocka_unit_test(test_forwarded),
        cmocka_unit_test(test_forwarded_by_anybody),
        cmocka_unit_test(test_forwarded_behind_a_header),
        cmocka_unit_test(test_limits_by_client),
    };
    return cmocka_run_group_tests_name("session_proxy", tests, NULL, NULL);
}
