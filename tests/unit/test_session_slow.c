/* Who is slow: round trips of pings, stalls of each side, and what TCP measured. */
#include "script.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

static struct bench b;
static struct script_pair p;

static void begin(const char *route)
{
    bench_init(&b, route, "");
    pair_relay(&b, &p);
}

static void end(void)
{
    if (bench_session(&b, &p) != NULL) {
        p.client.room = p.target.room = SCRIPT_ALL;
        bench_run(&b);
        say_close(&p.client, 1000, "");
        bench_run(&b);
    }
    pair_fini(&p);
    bench_fini(&b);
}

static const struct tally_row *row(void)
{
    return &b.census->own->rows[0];
}

static bool logged(const char *key)
{
    char value[32];
    bench_log_value(&b, "session_end", key, value, sizeof value);
    return value[0] != '\0';
}

static uint64_t observations(const struct tally_histogram *histogram)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= TALLY_BUCKETS; i++) {
        sum += tally_read(&histogram->buckets[i]);
    }
    return sum;
}

/* ---- Pings. */

static void pong(const char *payload)
{
    say_frame(&p.client, true, WS_PONG, payload, strlen(payload));
    bench_run(&b);
}

static void test_round_trips(void **state)
{
    (void)state;
    begin("    timeouts: {ping: 10s}\n");
    bench_pass(&b, 10 * 1000);
    bench_pass(&b, 300);
    pong("00002710");
    assert_int_equal(1, tally_read(&row()->ping.buckets[8]));
    pong("00002710"); /* once */
    bench_pass(&b, 10 * 1000);
    bench_pass(&b, 40);
    pong("00004f4c");
    assert_int_equal(2, observations(&row()->ping));
    assert_int_equal(340 * 1000, tally_read(&row()->ping.sum_us));
    say_close(&p.client, 1000, "");
    bench_run(&b);
    assert_int_equal(40, bench_log_number(&b, "session_end", "ping_ms"));
    assert_int_equal(300, bench_log_number(&b, "session_end", "ping_max_ms"));
    end();
}

/* They keep the session alive, as any byte does, and measure nothing. */
static void test_pongs_that_nobody_asked_for(void **state)
{
    (void)state;
    begin("    timeouts: {ping: 10s}\n");
    pong("");
    pong("00000000");
    bench_pass(&b, 10 * 1000);
    pong("");
    pong("00002711");
    pong("000027100");
    pong("0000271");
    assert_int_equal(0, observations(&row()->ping));
    bench_pass(&b, 30);
    pong("00002710"); /* its answer comes behind them, and counts */
    assert_int_equal(1, observations(&row()->ping));
    end();
}

static void test_unknown(void **state)
{
    (void)state;
    begin("");
    say_close(&p.client, 1000, "");
    bench_run(&b);
    assert_false(logged("ping_ms") || logged("ping_max_ms"));
    assert_false(logged("client_rtt_us") || logged("client_retransmits"));
    assert_false(logged("target_rtt_us") || logged("target_retransmits"));
    assert_int_equal(0, bench_log_number(&b, "session_end", "up_stalled_ms"));
    assert_int_equal(0, bench_log_number(&b, "session_end", "down_stalled_ms"));
    end();
}

/* ---- Stalls. */

static void test_slow_client(void **state)
{
    (void)state;
    begin("");
    for (int i = 0; i < 3; i++) {
        p.client.room = 1;
        say_text(&p.target, "more than it takes");
        bench_run(&b);
        bench_pass(&b, 500);
        p.client.room = 1; /* a byte is no end of it */
        bench_run(&b);
        bench_pass(&b, 200);
        assert_int_equal(700 * (i + 1), slow_stalled_ms(bench_session(&b, &p), &bench_session(&b, &p)->down));
        p.client.room = SCRIPT_ALL;
        bench_run(&b);
        assert_int_equal(700 * (i + 1), tally_read(&row()->down_stalled_ms));
        bench_pass(&b, 5000);
    }
    say_close(&p.client, 1000, "");
    bench_run(&b);
    assert_int_equal(2100, bench_log_number(&b, "session_end", "down_stalled_ms"));
    assert_int_equal(0, bench_log_number(&b, "session_end", "up_stalled_ms"));
    assert_int_equal(0, tally_read(&row()->up_stalled_ms));
    end();
}

/* Also the wait that the session's end ends. */
static void test_target_that_never_takes_it(void **state)
{
    (void)state;
    begin("    timeouts: {close: 3s, session: 4s, ping: off}\n");
    p.target.room = 4;
    say_frame(&p.client, true, WS_BINARY, "12345678", 8);
    bench_run(&b);
    bench_pass(&b, 4 * 1000);
    for (int half = 0; half < 2; half++) {
        bench_pass(&b, 1500);
        bench_pass(&b, WHEEL_TICK_MS);
    }
    bench_assert_cause(&b, CAUSE_SESSION_LIMIT);
    uint64_t stalled_ms = bench_log_number(&b, "session_end", "up_stalled_ms");
    assert_in_range(stalled_ms, 7000, 7000 + 2 * WHEEL_TICK_MS);
    assert_int_equal(stalled_ms, tally_read(&row()->up_stalled_ms));
    assert_int_equal(0, bench_log_number(&b, "session_end", "down_stalled_ms"));
    end();
}

/* Over TLS the bytes wait in the transport. */
static void test_stall_behind_a_transport_that_keeps(void **state)
{
    (void)state;
    bench_init(&b, "", "");
    struct script_habit tls = {
        .name = "tls", .read_piece = SCRIPT_ALL, .write_piece = SCRIPT_ALL, .keeps = true};
    pair_init(&b, &p, &tls, &script_easy);
    say_upgrade(&p.client, "/", "");
    bench_accept(&b, &p);
    bench_run(&b);
    p.client.room = 0;
    say_text(&p.target, "x");
    bench_run(&b);
    bench_pass(&b, 800);
    p.client.room = SCRIPT_ALL;
    bench_run(&b);
    assert_int_equal(800, tally_read(&row()->down_stalled_ms));
    end();
}

/* ---- TCP. */

static void connect_pair(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0 && fds[0] >= 0);
    assert_int_equal(0, bind(listener, (struct sockaddr *)&address, len));
    assert_int_equal(0, listen(listener, 1));
    assert_int_equal(0, getsockname(listener, (struct sockaddr *)&address, &len));
    assert_int_equal(0, connect(fds[0], (struct sockaddr *)&address, len));
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fds[1] >= 0);
    close(listener);
}

static void test_tcp_of_both_sides(void **state)
{
    (void)state;
    int client[2];
    int target[2];
    connect_pair(client);
    connect_pair(target);
    bench_init(&b, "", "");
    pair_init(&b, &p, &script_easy, &script_easy);
    p.client.fd = client[0];
    p.target.fd = target[0];
    say_upgrade(&p.client, "/", "");
    bench_accept(&b, &p);
    bench_run(&b);
    p.target.polite = false; /* the client's connection is closed first, and the target's lingers */
    say_close(&p.client, 1000, "");
    bench_run(&b);
    assert_in_range(bench_log_number(&b, "session_end", "client_rtt_us"), 1, UINT32_MAX);
    assert_in_range(bench_log_number(&b, "session_end", "target_rtt_us"), 1, UINT32_MAX);
    assert_true(logged("client_retransmits") && logged("target_retransmits"));
    p.target.end = SCRIPT_EOF;
    bench_run(&b);
    for (size_t i = 0; i < 2; i++) {
        close(client[i]);
        close(target[i]);
    }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_pongs_that_nobody_asked_for),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_slow_client),
        cmocka_unit_test(test_target_that_never_takes_it),
        cmocka_unit_test(test_stall_behind_a_transport_that_keeps),
        cmocka_unit_test(test_tcp_of_both_sides),
    };
    return cmocka_run_group_tests_name("session_slow", tests, NULL, NULL);
}
