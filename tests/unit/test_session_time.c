/* Deadlines, by a clock that the tests move: the handshake, pings, idle and old sessions, slow ends. */
#include "net/sock.h"
#include "script.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

static struct bench b;
static struct script_pair p;

static void begin(const char *route)
{
    bench_init(&b, route, "");
    pair_init(&b, &p, &script_easy, &script_easy);
}

static void begin_relay(const char *route)
{
    bench_init(&b, route, "");
    pair_relay(&b, &p);
}

static void end(void)
{
    pair_fini(&p);
    bench_fini(&b);
}

/* Nothing happens before that time, to a tick of the wheel, and something does then. */
static void pass_to_the_end(uint64_t ms)
{
    struct session *s = bench_session(&b, &p);
    enum session_state before = s->state;
    bench_pass(&b, ms - WHEEL_TICK_MS);
    assert_ptr_equal(s, bench_session(&b, &p));
    assert_int_equal(before, s->state);
    bench_pass(&b, WHEEL_TICK_MS);
    assert_true(bench_session(&b, &p) == NULL || s->state != before);
}

static void assert_controls(const char *expected)
{
    struct hearing h;
    hearing_of(&p.client, &h);
    assert_string_equal(expected, h.controls);
    hearing_fini(&h);
}

static void assert_refused(unsigned status, const char *logged)
{
    struct hearing h;
    hearing_of(&p.client, &h);
    assert_int_equal(status, h.status);
    hearing_fini(&h);
    char told[16];
    bench_log_value(&b, "request_refused", "status", told, sizeof told);
    assert_string_equal(logged, told);
    assert_int_equal(0, bench_log_count(&b, "session_end"));
}

/* ---- The handshake. */

static void test_request_that_does_not_come(void **state)
{
    (void)state;
    begin("");
    bench_accept(&b, &p);
    bench_run(&b);
    pass_to_the_end(10 * 1000);
    assert_refused(408, "408");
    assert_true(p.client.closed);
    end();
}

/* The limit is one, from the accepting on: bytes that trickle in do not move it. */
static void test_request_that_trickles(void **state)
{
    (void)state;
    begin("");
    bench_accept(&b, &p);
    for (int i = 0; i < 9; i++) {
        say_text(&p.client, i == 0 ? "GET / HTTP/1.1\r\n" : "A: b\r\n");
        bench_pass(&b, 1000);
    }
    pass_to_the_end(1000);
    assert_refused(408, "408");
    end();
}

static void test_tls_that_does_not_come(void **state)
{
    (void)state;
    begin("");
    b.door.tls = (struct tls_server *)(void *)&b;
    p.client.handshake = "rs";
    bench_accept(&b, &p);
    bench_run(&b);
    pass_to_the_end(10 * 1000);
    assert_int_equal(1, bench_log_count(&b, "tls_failed"));
    assert_int_equal(0, bench_log_count(&b, "request_refused"));
    assert_int_equal(0, buf_len(&p.client.heard));
    assert_true(p.client.closed);
    end();
}

static void test_dial_under_the_handshake(void **state)
{
    (void)state;
    begin("    on_unreachable: http\n    timeouts: {connect: 30s}\n");
    b.dial_holds = true;
    say_upgrade(&p.client, "/", "");
    bench_accept(&b, &p);
    bench_run(&b);
    assert_int_equal(30 * 1000, b.dial_timeout_ms);
    pass_to_the_end(10 * 1000);
    assert_refused(504, "504");
    assert_null(b.dial);
    end();
}

/* With the 101 sent the handshake is over, and the dialer's own deadline is the one that counts. */
static void test_dial_behind_the_handshake(void **state)
{
    (void)state;
    begin("    timeouts: {connect: 30s}\n");
    b.dial_holds = true;
    say_upgrade(&p.client, "/", "");
    bench_accept(&b, &p);
    bench_run(&b);
    bench_pass(&b, 29 * 1000);
    bench_answer_dial(&b);
    bench_run(&b);
    say_close(&p.client, 1000, "");
    bench_run(&b);
    bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
    assert_int_equal(29 * 1000, bench_log_number(&b, "session_end", "duration_ms"));
    end();
}

/* ---- A silent client. */

static void test_ping_and_any_byte(void **state)
{
    (void)state;
    begin_relay("");
    bench_pass(&b, 25 * 1000 - WHEEL_TICK_MS);
    assert_controls("");
    bench_pass(&b, WHEEL_TICK_MS);
    assert_controls("ping(000061a8)"); /* when it left, of the session's milliseconds */
    bench_pass(&b, 20 * 1000 - WHEEL_TICK_MS);
    say_text(&p.client, "\x82"); /* no answer, no frame even: but a byte */
    bench_run(&b);
    bench_pass(&b, 25 * 1000 - WHEEL_TICK_MS);
    assert_controls("ping(000061a8)");
    bench_pass(&b, WHEEL_TICK_MS);
    char both[64];
    (void)snprintf(both, sizeof both, "ping(000061a8) ping(%08x)", 70 * 1000 - WHEEL_TICK_MS);
    assert_controls(both);
    say_text(&p.target, "a talking target is no living client");
    bench_run(&b);
    pass_to_the_end(20 * 1000);
    bench_assert_cause(&b, CAUSE_CLIENT_TIMEOUT);
    end();
}

static void test_no_ping(void **state)
{
    (void)state;
    static const char *const routes[] = {"    timeouts: {ping: off}\n", "    timeouts: {pong: off}\n",
        "    timeouts: {ping: off, pong: off}\n"};
    for (size_t i = 0; i < 3; i++) {
        begin_relay(routes[i]);
        bench_pass(&b, 24ULL * 3600 * 1000);
        assert_controls("");
        say_close(&p.client, 1000, "");
        bench_run(&b);
        bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
        end();
    }
}

/* While the target takes nothing the client is not read, and its pong is not either. */
static void test_stalled_target_is_not_the_clients_fault(void **state)
{
    (void)state;
    begin_relay("");
    p.target.room = 1;
    say_frame(&p.client, true, WS_BINARY, "stalls", 6);
    bench_run(&b);
    for (int i = 0; i < 20; i++) {
        say_frame(&p.client, true, WS_PONG, "", 0);
        bench_pass(&b, 20 * 1000);
        assert_int_equal(SESSION_RELAY, bench_session(&b, &p)->state);
    }
    p.target.room = SCRIPT_ALL;
    say_close(&p.client, 1000, "");
    bench_run(&b);
    bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
    assert_heard_text(&p.target, "stalls");
    end();
}

/* A connection over loopback, for what the kernel knows of one. */
static void connect_pair(int fds[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(listener >= 0 && fds[1] >= 0);
    assert_int_equal(0, bind(listener, (struct sockaddr *)&at, sizeof at));
    assert_int_equal(0, listen(listener, 1));
    assert_int_equal(0, getsockname(listener, (struct sockaddr *)&at, &len));
    assert_int_equal(0, connect(fds[1], (struct sockaddr *)&at, sizeof at));
    fds[0] = accept(listener, NULL, NULL);
    assert_true(fds[0] >= 0);
    close(listener);
}

/* A byte there and one back, which acknowledges it. */
static void move_a_byte(const int fds[2])
{
    uint64_t before = sock_acked_bytes(fds[0]);
    char byte = 'x';
    assert_int_equal(1, send(fds[0], &byte, 1, 0));
    assert_int_equal(1, recv(fds[1], &byte, 1, 0));
    assert_int_equal(1, send(fds[1], &byte, 1, 0));
    assert_int_equal(1, recv(fds[0], &byte, 1, 0));
    assert_true(sock_acked_bytes(fds[0]) > before);
}

static void begin_over_tcp(const int fds[2])
{
    bench_init(&b, "", "");
    pair_init(&b, &p, &script_easy, &script_easy);
    p.client.fd = fds[0];
    say_upgrade(&p.client, "/", "");
    bench_accept(&b, &p);
    bench_run(&b);
}

static bool is_asked_whether_it_lives(int fd)
{
    int on = -1;
    socklen_t len = sizeof on;
    assert_int_equal(0, getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len));
    return on != 0;
}

/* The target's system is asked at the pace of pings, and not before the first could be due. */
static void test_target_is_asked(void **state)
{
    (void)state;
    for (int ping = 0; ping <= 1; ping++) {
        int fds[2];
        connect_pair(fds);
        bench_init(&b, ping ? "" : "    timeouts: {ping: off}\n", "");
        pair_init(&b, &p, &script_easy, &script_easy);
        p.target.fd = fds[0];
        say_upgrade(&p.client, "/", "");
        bench_accept(&b, &p);
        bench_run(&b);
        assert_false(is_asked_whether_it_lives(fds[0]));
        for (int i = 0; i < 3; i++) {
            bench_pass(&b, 10 * 1000);
            say_frame(
                &p.client, true, WS_BINARY, "lively", 6); /* no ping is due, and it is asked all the same */
            bench_run(&b);
        }
        assert_int_equal(ping != 0, is_asked_whether_it_lives(fds[0]));
        assert_controls("");
        say_close(&p.client, 1000, "");
        bench_run(&b);
        bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
        end();
        close(fds[0]);
        close(fds[1]);
    }
}

/* As long as the client's system takes what stands before the ping, the client is slow and not dead. */
static void test_slow_client_lives(void **state)
{
    (void)state;
    int fds[2];
    connect_pair(fds);
    begin_over_tcp(fds);
    p.client.room = 10;
    say_text(&p.target, "more than the client takes");
    bench_run(&b);
    bench_pass(&b, 25 * 1000);
    for (int i = 0; i < 5; i++) {
        move_a_byte(fds);
        bench_pass(&b, 20 * 1000);
        assert_int_equal(SESSION_RELAY, bench_session(&b, &p)->state);
    }
    bench_pass(&b, 20 * 1000);
    p.client.room = SCRIPT_ALL;
    bench_run(&b);
    assert_closed_with(&p.client, 1011, "no byte from the client after a ping");
    bench_assert_cause(&b, CAUSE_CLIENT_TIMEOUT);
    close(fds[0]);
    close(fds[1]);
    end();
}

/* One whose system has taken all, the ping too, has no such excuse. */
static void test_client_that_took_the_ping(void **state)
{
    (void)state;
    int fds[2];
    connect_pair(fds);
    begin_over_tcp(fds);
    bench_pass(&b, 25 * 1000);
    move_a_byte(fds);
    pass_to_the_end(20 * 1000);
    bench_assert_cause(&b, CAUSE_CLIENT_TIMEOUT);
    close(fds[0]);
    close(fds[1]);
    end();
}

/* ---- Idle, and too old. */

static void test_idle(void **state)
{
    (void)state;
    begin_relay("    timeouts: {idle: 40s, ping: off}\n");
    bench_pass(&b, 30 * 1000);
    say_frame(&p.client, true, WS_BINARY, "u", 1);
    bench_run(&b);
    bench_pass(&b, 30 * 1000);
    say_text(&p.target, "d");
    bench_run(&b);
    bench_pass(&b, 30 * 1000);
    say_frame(&p.client, true, WS_PING, "no payload", 10); /* as the relay means it */
    bench_run(&b);
    bench_pass(&b, 10 * 1000 - WHEEL_TICK_MS);
    assert_non_null(bench_session(&b, &p));
    bench_pass(&b, WHEEL_TICK_MS);
    bench_assert_cause(&b, CAUSE_IDLE);
    assert_closed_with(&p.client, 1001, "session was idle for too long");
    end();
}

static void test_session_limit(void **state)
{
    (void)state;
    begin_relay("    timeouts: {session: 1m, ping: off}\n");
    for (int i = 0; i < 5; i++) {
        say_frame(&p.client, true, WS_BINARY, "u", 1);
        say_text(&p.target, "d");
        bench_pass(&b, 10 * 1000);
    }
    pass_to_the_end(10 * 1000);
    bench_assert_cause(&b, CAUSE_SESSION_LIMIT);
    end();
}

/* ---- Slow ends. */

static void test_peers_that_do_not_close(void **state)
{
    (void)state;
    begin_relay("    timeouts: {close: 3s}\n");
    p.client.polite = p.target.polite = false;
    say_close(&p.client, 1000, "");
    bench_run(&b);
    assert_closed_with(&p.client, 1000, "");
    assert_true(p.target.shut && !p.target.closed && !p.client.closed);
    say_text(&p.target, "nobody wants it any more");
    say_text(&p.client, "nor this");
    pass_to_the_end(3 * 1000);
    assert_int_equal(
        0, buf_len(&p.target.said) + buf_len(&p.client.said)); /* or an RST would eat the Close */
    assert_true(p.target.closed && p.client.closed && !p.target.reset && !p.client.reset);
    bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
    end();
}

/* A refusal has no route, and its own time: as long as a little of it is taken, and then `close`. */
static void test_refusal_that_is_taken_slowly(void **state)
{
    (void)state;
    begin("");
    p.client.room = 1;
    bench_accept(&b, &p);
    say_text(&p.client, "BAD\r\n\r\n");
    bench_run(&b);
    for (int i = 0; i < 5; i++) {
        bench_pass(&b, 4 * 1000);
        p.client.room = 1;
        bench_run(&b);
        assert_int_equal(SESSION_CLOSING, bench_session(&b, &p)->state);
    }
    bench_pass(&b, 5 * 1000); /* the last byte is seen to be taken, */
    bench_pass(&b, 5 * 1000); /* and no more is */
    bench_pass(&b, WHEEL_TICK_MS);
    assert_true(p.client.closed);
    end();
}

static void test_last_bytes_that_are_not_taken(void **state)
{
    (void)state;
    begin_relay("");
    p.target.room = 4;
    say_frame(&p.client, true, WS_BINARY, "12345678", 8);
    bench_run(&b);
    relay_drain(&b.relay);
    bench_run(&b);
    assert_closed_with(&p.client, 1012, "gateway is restarting");
    pass_to_the_end(5 * 1000);
    assert_heard_text(&p.target, "1234");
    assert_int_equal(4, bench_log_number(&b, "session_end", "undelivered_up_bytes"));
    bench_assert_cause(&b, CAUSE_DRAIN);
    end();
}

/* The target stalls, and then the client goes: seen though it is not read, and given `close` to be taken.
 * What is not taken by then is lost, and the target is told so by RST: a FIN would promise that it has all.
 */
static void client_goes_behind_a_stall(const char *route)
{
    begin_relay(route);
    p.target.room = 4;
    say_frame(&p.client, true, WS_BINARY, "12345678", 8);
    bench_run(&b);
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    assert_int_equal(SESSION_RELAY, bench_session(&b, &p)->state);
    bench_pass(&b, 5 * 1000);
    bench_pass(&b, WHEEL_TICK_MS);
    bench_assert_cause(&b, CAUSE_CLIENT_GONE);
    assert_true(p.target.closed);
    assert_true(p.target.reset);
    end();
}

static void test_client_goes_behind_a_stall(void **state)
{
    (void)state;
    client_goes_behind_a_stall("");
    client_goes_behind_a_stall("    on_client_abort: reset\n");
}

static void test_client_went_and_the_target_resumed(void **state)
{
    (void)state;
    begin_relay("");
    p.target.room = 4;
    say_frame(&p.client, true, WS_BINARY, "12345678", 8);
    bench_run(&b);
    say_frame(&p.client, true, WS_BINARY, "9", 1);
    say_close(&p.client, 4000, "");
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    bench_pass(&b, 4 * 1000);
    p.target.room = SCRIPT_ALL;
    bench_run(&b);
    assert_heard_text(&p.target, "123456789");
    bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
    assert_true(p.target.shut && !p.target.reset);
    end();
}

static void test_target_breaks_behind_a_stall(void **state)
{
    (void)state;
    begin_relay("");
    p.client.room = 1;
    say_text(&p.target, "12345678");
    bench_run(&b);
    p.target.deaf = true;
    say_frame(&p.client, true, WS_BINARY, "lost", 4);
    bench_run(&b);
    assert_int_equal(SESSION_RELAY, bench_session(&b, &p)->state);
    bench_pass(&b, 5 * 1000);
    bench_pass(&b, WHEEL_TICK_MS);
    bench_assert_cause(&b, CAUSE_TARGET_RESET);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_that_does_not_come),
        cmocka_unit_test(test_request_that_trickles),
        cmocka_unit_test(test_tls_that_does_not_come),
        cmocka_unit_test(test_dial_under_the_handshake),
        cmocka_unit_test(test_dial_behind_the_handshake),
        cmocka_unit_test(test_ping_and_any_byte),
        cmocka_unit_test(test_no_ping),
        cmocka_unit_test(test_stalled_target_is_not_the_clients_fault),
        cmocka_unit_test(test_target_is_asked),
        cmocka_unit_test(test_slow_client_lives),
        cmocka_unit_test(test_client_that_took_the_ping),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_session_limit),
        cmocka_unit_test(test_peers_that_do_not_close),
        cmocka_unit_test(test_refusal_that_is_taken_slowly),
        cmocka_unit_test(test_last_bytes_that_are_not_taken),
        cmocka_unit_test(test_client_goes_behind_a_stall),
        cmocka_unit_test(test_client_went_and_the_target_resumed),
        cmocka_unit_test(test_target_breaks_behind_a_stall),
    };
    return cmocka_run_group_tests_name("session_time", tests, NULL, NULL);
}
