/* net/dial behind the connect: TLS, and what is sent ahead of it. */
#include "base/clock.h"
#include "made_dial.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- TLS. */

/* Dials `target` and plays its side of the handshake, in turns. */
static struct outcome dial_tls_as(const struct made_target *target, struct tls_client *client)
{
    struct outcome outcome;
    (void)start(target->text, client, 10000, &outcome);
    struct transport *peer = tls_accept_new(tls_server, made_target_accept(target));
    assert_non_null(peer);
    uint64_t until_ms = clock_now_ms() + PATIENCE_MS;
    while (outcome.count == 0) {
        assert_true(clock_now_ms() < until_ms);
        (void)peer->ops->handshake(peer);
        turn(10);
    }
    peer->ops->close(peer, false);
    return outcome;
}

static struct outcome dial_tls(const struct made_target *target, const char *name)
{
    struct tls_client *client = client_for(name);
    struct outcome outcome = dial_tls_as(target, client);
    tls_client_free(client);
    return outcome;
}

static void a_tls_target(void **state)
{
    (void)state;
    char detail[DIAL_DETAIL_MAX];
    struct made_target target = made_target_listening(8);
    struct outcome outcome = dial_tls(&target, "localhost");
    assert_int_equal(DIAL_OK, outcome.status);
    end_connection(&outcome);

    outcome = dial_tls(&target, "elsewhere.test");
    (void)snprintf(detail, sizeof detail, "%s: hostname mismatch", target.text);
    expect_fault(&outcome, DIAL_TLS, detail);

    struct tls_client *client = client_for("localhost");
    (void)start(target.text, client, 10000, &outcome);
    int peer = made_target_accept(&target);
    assert_int_equal(0, shutdown(peer, SHUT_WR));
    turn_until_told(&outcome);
    (void)snprintf(detail, sizeof detail, "%s: closed during the handshake", target.text);
    expect_fault(&outcome, DIAL_TLS, detail);
    close(peer);

    (void)start(target.text, client, 100, &outcome);
    turn_until_told(&outcome);
    (void)snprintf(detail, sizeof detail, "%s: the TLS handshake took over 100 ms", target.text);
    expect_fault(&outcome, DIAL_TIMEOUT, detail);
    tls_client_free(client);
    made_target_end(&target);
}

static void siblings_share_all_but_the_name(void **state)
{
    (void)state;
    struct made_target target = made_target_listening(8);
    struct tls_client *elder = client_for("elsewhere.test");
    struct tls_client *sibling = tls_client_sibling(elder, "localhost", why);
    assert_non_null(sibling);
    tls_client_free(elder);
    struct outcome outcome = dial_tls_as(&target, sibling);
    assert_int_equal(DIAL_OK, outcome.status);
    end_connection(&outcome);
    elder = sibling;
    sibling = tls_client_sibling(elder, "elsewhere.test", why);
    outcome = dial_tls_as(&target, sibling);
    assert_int_equal(DIAL_TLS, outcome.status);
    assert_non_null(strstr(outcome.detail, "hostname mismatch"));
    assert_null(tls_client_sibling(elder, "", why));
    assert_non_null(strstr(why, "neither a host name nor an address"));
    tls_client_free(sibling);
    tls_client_free(elder);
    made_target_end(&target);
}

/* ---- What is sent first. */

static const char first_words[] = "PROXY TCP4 10.0.0.7 10.0.0.1 5000 443\r\n";

static void send_first(size_t n)
{
    prelude = first_words;
    prelude_bytes = n;
}

/* Takes `n` bytes that come while the loop turns. */
static void take(int peer, char *to, size_t n)
{
    uint64_t until_ms = clock_now_ms() + PATIENCE_MS;
    for (size_t at = 0; at < n;) {
        assert_true(clock_now_ms() < until_ms);
        turn(1);
        ssize_t one = recv(peer, to + at, n - at, MSG_DONTWAIT);
        assert_true(one > 0 || (one < 0 && errno == EAGAIN));
        at += one > 0 ? (size_t)one : 0;
    }
}

static void the_first_words_come_first(void **state)
{
    (void)state;
    struct made_target targets[] = {made_target_listening(8), made_target_listening_unix("first.sock", 8)};
    char heard[sizeof first_words];
    send_first(sizeof first_words);
    for (size_t i = 0; i < 2; i++) {
        struct outcome outcome = dial_target(targets[i].text, NULL, 10000);
        assert_int_equal(DIAL_OK, outcome.status);
        int peer = made_target_accept(&targets[i]);
        assert_int_equal(1, outcome.transport->ops->write(outcome.transport, "x", 1).n);
        take(peer, heard, sizeof heard);
        assert_string_equal(first_words, heard);
        take(peer, heard, 1);
        assert_int_equal('x', heard[0]);
        close(peer);
        end_connection(&outcome);
    }
    struct tls_client *client = client_for("localhost");
    struct outcome outcome;
    struct dial *dial = start(targets[0].text, client, 10000, &outcome);
    int peer = made_target_accept(&targets[0]);
    take(peer, heard, sizeof heard);
    assert_string_equal(first_words, heard);
    take(peer, heard, 1);
    assert_int_equal(0x16, heard[0]); /* a TLS record: the ClientHello */
    dial_cancel(dial);
    close(peer);
    tls_client_free(client);
    send_first(0);
    made_target_end(&targets[0]);
    made_target_end(&targets[1]);
}

/* A dial to whom `fd` is what it connected. */
static struct dial *start_connected(int fd, uint64_t timeout_ms, struct outcome *outcome)
{
    struct made_target silent = made_target_crowded();
    struct dial *dial = start(silent.text, NULL, timeout_ms, outcome);
    dial_connect_stop(dial);
    made_target_end(&silent);
    dial_connected(dial, fd, false);
    return dial;
}

static size_t fill(int fd)
{
    static const char filling[4096];
    size_t n = 0;
    ssize_t one;
    while ((one = send(fd, filling, sizeof filling, MSG_DONTWAIT)) > 0) {
        n += (size_t)one;
    }
    return n;
}

static void the_first_words_wait_for_room(void **state)
{
    (void)state;
    int fds[2];
    struct outcome outcome;
    send_first(sizeof first_words);
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    size_t n = fill(fds[0]);
    (void)start_connected(fds[0], 10000, &outcome);
    assert_int_equal(0, outcome.count);
    char *heard = calloc(1, n + sizeof first_words);
    assert_non_null(heard);
    take(fds[1], heard, n + sizeof first_words);
    assert_string_equal(first_words, heard + n);
    turn_until_told(&outcome);
    assert_int_equal(DIAL_OK, outcome.status);
    end_connection(&outcome);
    close(fds[1]);
    free(heard);

    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    (void)fill(fds[0]);
    (void)start_connected(fds[0], 100, &outcome);
    turn_until_told(&outcome);
    assert_int_equal(DIAL_TIMEOUT, outcome.status);
    assert_non_null(strstr(outcome.detail, "taking the first bytes took over 100 ms"));
    close(fds[1]);
    send_first(0);
}

/* What it said before it went is the reader's, as it is without a prelude. */
static void a_target_that_takes_no_words_is_connected(void **state)
{
    (void)state;
    int fds[2];
    struct outcome outcome;
    send_first(sizeof first_words);
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    assert_int_equal(2, send(fds[1], "no", 2, 0));
    close(fds[1]);
    (void)start_connected(fds[0], 10000, &outcome);
    turn_until_told(&outcome);
    assert_int_equal(DIAL_OK, outcome.status);
    char heard[8];
    assert_int_equal(2, outcome.transport->ops->read(outcome.transport, heard, sizeof heard).n);
    end_connection(&outcome);
    send_first(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_tls_target),
        ON_BOTH(siblings_share_all_but_the_name),
        ON_BOTH(the_first_words_come_first),
        ON_BOTH(the_first_words_wait_for_room),
        ON_BOTH(a_target_that_takes_no_words_is_connected),
    };
    return cmocka_run_group_tests_name("dial, TLS", tests, dial_set_up, dial_tear_down);
}
