/* `limits.rate`: a direction that has had its bytes is not read for a while, and nothing else stops. */
#include "script.h"
#include <stdlib.h>

static struct bench b;
static struct script_pair p;

enum { RATE = 100 * 1024, BIG = 1024 * 1024 };

static uint8_t bytes[BIG];

static void begin(const char *route)
{
    bench_init(&b, route, "");
    pair_relay(&b, &p);
}

static void end(void)
{
    pair_fini(&p);
    bench_fini(&b);
}

static void pass_in_steps(uint64_t ms)
{
    for (uint64_t at = 0; at < ms; at += 10) {
        bench_pass(&b, 10);
    }
}

static size_t payload_heard(void)
{
    struct hearing h;
    hearing_of(&p.client, &h);
    size_t n = buf_len(&h.payload);
    hearing_fini(&h);
    return n;
}

static void say_close_and_end(void)
{
    say_close(&p.client, 1000, "");
    pass_in_steps(1000);
    bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
    end();
}

static void test_down_comes_at_its_rate(void **state)
{
    (void)state;
    begin("    limits: {rate: {down: 100KiB}}\n");
    say(&p.target, bytes, BIG);
    bench_run(&b);
    assert_int_equal(RATE, payload_heard()); /* a second's worth at once */
    pass_in_steps(4000);
    assert_in_range(payload_heard(), 5 * RATE - RATE / 10, 5 * RATE);
    assert_in_range(p.target.reads, 1, 4 * 1000 / 50 + 10);
    pass_in_steps(6000);
    assert_int_equal(BIG, payload_heard());
    say_close_and_end();
}

static void test_up_comes_at_its_rate(void **state)
{
    (void)state;
    begin("    limits: {rate: {up: 100KiB}}\n");
    say_frame(&p.client, true, WS_BINARY, bytes, BIG);
    bench_run(&b);
    assert_in_range(buf_len(&p.target.heard), RATE - 14, RATE);
    pass_in_steps(4000);
    assert_in_range(buf_len(&p.target.heard), 5 * RATE - RATE / 10, 5 * RATE);
    pass_in_steps(6000);
    assert_int_equal(BIG, buf_len(&p.target.heard));
    say_close_and_end();
}

/* Bytes that a TLS transport holds are not announced by poll: the limit must not turn that into a busy loop,
 * which bench_run would find. */
static void test_over_tls(void **state)
{
    (void)state;
    for (size_t i = 0; i < script_habit_count; i++) {
        bench_init(&b, "    limits: {rate: {up: 1KiB, down: 1KiB}}\n", "");
        pair_init(&b, &p, &script_habits[i], &script_habits[i]);
        say_upgrade(&p.client, "/", "");
        bench_accept(&b, &p);
        bench_run(&b);
        say(&p.target, bytes, 20 * 1024);
        say_frame(&p.client, true, WS_BINARY, bytes, 20 * 1024);
        pass_in_steps(5000);
        assert_int_equal(20 * 1024, payload_heard());
        assert_int_equal(20 * 1024, buf_len(&p.target.heard));
        say_close_and_end();
    }
}

static void test_the_other_direction_is_free(void **state)
{
    (void)state;
    begin("    limits: {rate: {up: 1KiB}}\n");
    say_frame(&p.client, true, WS_BINARY, bytes, 64 * 1024);
    say(&p.target, bytes, BIG);
    bench_run(&b);
    assert_int_equal(BIG, payload_heard());
    assert_in_range(buf_len(&p.target.heard), 1, 16 * 1024);
    p.client.end = SCRIPT_EOF;
    pass_in_steps(60 * 1000);
    assert_int_equal(64 * 1024, buf_len(&p.target.heard)); /* and its end is seen behind its last byte */
    bench_assert_cause(&b, CAUSE_CLIENT_GONE);
    end();
}

/* The Pong stands behind bytes that we do not read: those before it, which we do, say enough. */
static void test_a_held_client_is_alive(void **state)
{
    (void)state;
    begin("    limits: {rate: {up: 1KiB}}\n    timeouts: {ping: 100ms, pong: 100ms, idle: 100ms}\n");
    say_frame(&p.client, true, WS_BINARY, bytes, 20 * 1024);
    for (int i = 0; i < 3000 && buf_len(&p.target.heard) < 20 * 1024; i += 10) {
        bench_pass(&b, 10);
        assert_int_equal(0, bench_log_count(&b, "session_end"));
    }
    pass_in_steps(3000);
    bench_assert_cause(&b, CAUSE_IDLE);
    end();
}

/* A client that ended while the target did not take what came has `close` for that; and once the target takes
 * it again, the limit does not eat that time: what the client sent is delivered, however long it takes. */
static void test_a_limit_is_no_stall(void **state)
{
    (void)state;
    begin("    limits: {rate: {up: 20KiB}}\n    timeouts: {close: 2s, ping: off}\n");
    p.target.room = 0;
    say_frame(&p.client, true, WS_BINARY, bytes, 300 * 1024);
    p.client.end = SCRIPT_EOF;
    pass_in_steps(500);
    p.target.room = SCRIPT_ALL;
    pass_in_steps(20 * 1000);
    assert_int_equal(300 * 1024, buf_len(&p.target.heard));
    assert_true(p.target.shut);
    bench_assert_cause(&b, CAUSE_CLIENT_GONE);
    end();
}

/* The same where a client is found gone by writing to it, and where the target is. */
static void test_last_words_come_at_their_rate(void **state)
{
    (void)state;
    begin("    limits: {rate: {up: 20KiB}}\n    timeouts: {close: 2s, ping: off}\n");
    say_frame(&p.client, true, WS_BINARY, bytes, 300 * 1024);
    p.client.end = SCRIPT_EOF;
    p.client.deaf = true;
    say_text(&p.target, "is not taken any more");
    pass_in_steps(20 * 1000);
    assert_int_equal(300 * 1024, buf_len(&p.target.heard));
    bench_assert_cause(&b, CAUSE_CLIENT_GONE);
    end();

    begin("    limits: {rate: {down: 20KiB}}\n    timeouts: {close: 2s, ping: off}\n");
    say(&p.target, bytes, 300 * 1024);
    p.target.end = SCRIPT_RESET;
    p.target.deaf = true;
    say_frame(&p.client, true, WS_BINARY, "is not taken any more", 21);
    pass_in_steps(20 * 1000);
    assert_int_equal(300 * 1024, payload_heard());
    bench_assert_cause(&b, CAUSE_TARGET_RESET);
    p.client.end = SCRIPT_EOF;
    pass_in_steps(5000);
    end();
}

/* Our own frames wait for nobody's tokens. */
static void test_control_frames_flow(void **state)
{
    (void)state;
    begin("    limits: {rate: {down: 1KiB}}\n    timeouts: {ping: 1s, session: 5s}\n");
    say(&p.target, bytes, BIG);
    bench_run(&b);
    say_frame(&p.client, true, WS_PING, "still there", 11);
    bench_run(&b);
    struct hearing h;
    hearing_of(&p.client, &h);
    assert_string_equal("pong(still there)", h.controls);
    hearing_fini(&h);
    pass_in_steps(1100);
    hearing_of(&p.client, &h);
    assert_non_null(strstr(h.controls, " ping("));
    hearing_fini(&h);
    say_frame(&p.client, true, WS_PONG, "", 0);
    pass_in_steps(900);
    say_close(&p.client, 1000, "");
    bench_run(&b);
    bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
    end();
}

/* A target that ended leaves the client's last bytes to come: at their rate. */
static void test_behind_the_targets_end(void **state)
{
    (void)state;
    begin("    limits: {rate: {up: 10KiB}}\n");
    p.client.polite = false;
    say_frame(&p.client, true, WS_BINARY, bytes, 40 * 1024);
    bench_run(&b);
    p.target.end = SCRIPT_EOF;
    bench_run(&b);
    assert_int_equal(SESSION_CLOSING, bench_session(&b, &p)->state);
    size_t before = buf_len(&p.target.heard);
    pass_in_steps(1000);
    assert_in_range(buf_len(&p.target.heard) - before, 9 * 1024, 11 * 1024);
    say_close(&p.client, 1000, "");
    p.client.end = SCRIPT_EOF;
    pass_in_steps(3000);
    assert_int_equal(40 * 1024, buf_len(&p.target.heard));
    bench_assert_cause(&b, CAUSE_TARGET_EOF);
    end();
}

static void test_without_a_limit_nothing_is_kept(void **state)
{
    (void)state;
    begin("    limits: {rate: {up: off, down: off}}\n");
    assert_null(bench_session(&b, &p)->rate);
    say_close_and_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_down_comes_at_its_rate),
        cmocka_unit_test(test_up_comes_at_its_rate),
        cmocka_unit_test(test_over_tls),
        cmocka_unit_test(test_the_other_direction_is_free),
        cmocka_unit_test(test_a_held_client_is_alive),
        cmocka_unit_test(test_a_limit_is_no_stall),
        cmocka_unit_test(test_last_words_come_at_their_rate),
        cmocka_unit_test(test_control_frames_flow),
        cmocka_unit_test(test_behind_the_targets_end),
        cmocka_unit_test(test_without_a_limit_nothing_is_kept),
    };
    return cmocka_run_group_tests_name("session, rate", tests, NULL, NULL);
}
