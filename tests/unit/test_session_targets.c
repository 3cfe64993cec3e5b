/* Sessions of a route with several targets: which one serves, how long each has, and what is told of it. */
#include "script.h"

static struct bench b;
static struct script_pair p;

static const char three[] = "listen: {address: 127.0.0.1:0}\n"
                            "routes:\n"
                            "  - name: desk\n"
                            "    target: [tcp://127.0.0.1:1, tcp://127.0.0.1:2, tcp://127.0.0.1:3]\n";

/* `more` are lines of the route. */
static void begin(const char *more)
{
    char yaml[1024];
    (void)snprintf(yaml, sizeof yaml, "%s%s", three, more);
    bench_init_yaml(&b, yaml);
}

static void come(struct script_pair *pair)
{
    pair_init(&b, pair, &script_easy, &script_easy);
    say_upgrade(&pair->client, "/", "");
    bench_accept(&b, pair);
    bench_run(&b);
}

static void go(struct script_pair *pair)
{
    say_close(&pair->client, 1000, "");
    bench_run(&b);
    pair_fini(pair);
}

static void come_and_go(void)
{
    come(&p);
    go(&p);
}

static void assert_told(const char *event, const char *key, const char *expected)
{
    char told[64];
    bench_log_value(&b, event, key, told, sizeof told);
    assert_string_equal(expected, told);
}

static void assert_dialed(const char *expected)
{
    assert_string_equal(expected, b.dialed);
    b.dialed[0] = '\0';
}

/* ---- Which one. */

static void test_the_first_that_can_be_reached(void **state)
{
    (void)state;
    begin("");
    b.dial_down = 3;
    come_and_go();
    assert_dialed("012");
    assert_int_equal(2, bench_log_count(&b, "target_failed"));
    assert_told("target_failed", "target", "tcp://127.0.0.1:2");
    assert_told("target_failed", "cause", "target_refused");
    assert_told("session_end", "target", "tcp://127.0.0.1:3");
    bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
    come_and_go(); /* the two are passed over now */
    assert_dialed("2");
    bench_fini(&b);
}

static void test_one_that_comes_back(void **state)
{
    (void)state;
    begin("");
    b.dial_down = 1;
    come_and_go();
    assert_dialed("01");
    b.dial_down = 0;
    bench_pass(&b, 900);
    come_and_go();
    assert_dialed("1");
    assert_int_equal(0, bench_log_count(&b, "target_back"));
    bench_pass(&b, 100);
    come_and_go();
    come_and_go();
    assert_dialed("00");
    assert_int_equal(1, bench_log_count(&b, "target_back"));
    assert_told("target_back", "target", "tcp://127.0.0.1:1");
    assert_int_equal(1, bench_log_number(&b, "target_back", "failures"));
    bench_fini(&b);
}

static void test_round_robin(void **state)
{
    (void)state;
    begin("    balance: round_robin\n");
    b.relay.targets[0].next = 1;
    for (int i = 0; i < 4; i++) {
        come_and_go();
    }
    assert_dialed("1201");
    bench_fini(&b);
}

static void test_least_sessions(void **state)
{
    (void)state;
    struct script_pair pairs[6];
    begin("    balance: least_sessions\n");
    for (size_t i = 0; i < 5; i++) {
        come(&pairs[i]);
    }
    assert_dialed("01201");
    go(&pairs[0]);
    go(&pairs[3]);
    come(&pairs[0]);
    come(&pairs[3]);
    come(&pairs[5]);
    assert_dialed("002");
    for (size_t i = 0; i < 6; i++) {
        go(&pairs[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(0, b.relay.targets[0].states[i].sessions);
        assert_int_equal(0, b.relay.targets[0].states[i].dialing);
    }
    bench_fini(&b);
}

/* ---- None. */

static void test_all_are_down(void **state)
{
    (void)state;
    begin("");
    b.dial_down = 7;
    come(&p);
    assert_dialed("012");
    assert_closed_with(&p.client, 1014, "target refused the connection");
    bench_assert_cause(&b, CAUSE_TARGET_REFUSED);
    assert_told("session_end", "target", "tcp://127.0.0.1:3");
    pair_fini(&p);
    come(&p); /* nobody is turned away unasked: the one whose pause ends first comes first */
    assert_dialed("012");
    pair_fini(&p);
    b.dial_down = 5;
    come_and_go();
    assert_dialed("01");
    bench_fini(&b);
}

static void test_the_last_failure_is_the_cause(void **state)
{
    (void)state;
    begin("");
    b.dial_down = 3;
    b.dial_status = DIAL_TLS;
    come(&p);
    bench_assert_cause(&b, CAUSE_TARGET_TLS);
    pair_fini(&p);
    bench_fini(&b);
}

static void test_what_we_lack_ourselves_ends_it(void **state)
{
    (void)state;
    begin("    connect_retry: true\n");
    b.dial_status = DIAL_OVERLOAD;
    come(&p);
    assert_dialed("0");
    bench_assert_cause(&b, CAUSE_OVERLOAD);
    pair_fini(&p);
    b.dial_status = DIAL_OK;
    come_and_go();
    assert_dialed("0"); /* and the target is not blamed */
    bench_fini(&b);
}

/* ---- The time. */

static void answer_after(uint64_t ms, enum dial_status status)
{
    b.dial_status = status;
    b.dial_holds = true;
    bench_pass(&b, ms);
    bench_answer_dial(&b);
    bench_run(&b);
}

static void test_silent_ones_share_the_time(void **state)
{
    (void)state;
    begin("    timeouts: {connect: 6s}\n");
    b.dial_holds = true;
    come(&p);
    assert_int_equal(2000, b.dial_timeout_ms);
    answer_after(2000, DIAL_TIMEOUT);
    assert_int_equal(2000, b.dial_timeout_ms);
    answer_after(500, DIAL_REFUSED);
    assert_int_equal(3500, b.dial_timeout_ms);
    answer_after(3500, DIAL_TIMEOUT);
    assert_dialed("012");
    bench_assert_cause(&b, CAUSE_TARGET_TIMEOUT);
    pair_fini(&p);
    bench_fini(&b);
}

/* A share is enough for a handshake, also where that leaves the last ones none. */
static void test_a_share_is_a_second_at_least(void **state)
{
    (void)state;
    begin("    timeouts: {connect: 1500ms}\n");
    b.dial_holds = true;
    come(&p);
    assert_int_equal(1000, b.dial_timeout_ms);
    answer_after(1000, DIAL_TIMEOUT);
    assert_int_equal(500, b.dial_timeout_ms);
    answer_after(500, DIAL_TIMEOUT);
    assert_dialed("01");
    bench_assert_cause(&b, CAUSE_TARGET_TIMEOUT);
    pair_fini(&p);
    bench_fini(&b);
}

/* ---- connect_retry. */

static void test_rounds_until_one_is_there(void **state)
{
    (void)state;
    static const unsigned pauses_ms[] = {100, 200, 400, 800, 1000, 1000};
    begin("    connect_retry: true\n");
    b.dial_down = 7;
    come(&p);
    assert_dialed("012");
    for (size_t i = 0; i < sizeof pauses_ms / sizeof pauses_ms[0]; i++) {
        bench_pass(&b, pauses_ms[i] - WHEEL_TICK_MS);
        assert_dialed("");
        if (i == 5) {
            b.dial_down = 6;
        }
        bench_pass(&b, 2 * WHEEL_TICK_MS);
        assert_int_equal(i == 5 ? 1 : 3, strlen(b.dialed));
        b.dialed[0] = '\0';
    }
    say_text(&p.target, "at last");
    bench_run(&b);
    struct hearing h;
    hearing_of(&p.client, &h);
    assert_int_equal(7, buf_len(&h.payload));
    hearing_fini(&h);
    go(&p);
    bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
    bench_fini(&b);
}

static void test_rounds_until_the_time_is_up(void **state)
{
    (void)state;
    begin("    connect_retry: true\n    timeouts: {connect: 1s}\n");
    b.dial_down = 7;
    come(&p);
    for (int i = 0; i < 125 && bench_log_count(&b, "session_end") == 0; i++) {
        bench_pass(&b, WHEEL_TICK_MS);
    }
    bench_assert_cause(&b, CAUSE_TARGET_REFUSED);
    uint64_t took_ms = bench_log_number(&b, "session_end", "duration_ms");
    assert_in_range(took_ms, 900, 1000);
    assert_int_equal(5 * 3, b.dials); /* at 0, 100, 300, 700 and, a last time, 900 ms */
    pair_fini(&p);
    bench_fini(&b);
}

static void test_a_client_that_goes_ends_the_rounds(void **state)
{
    (void)state;
    begin("    connect_retry: true\n");
    b.dial_down = 7;
    come(&p);
    bench_pass(&b, 150);
    unsigned dials = b.dials;
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    bench_assert_cause(&b, CAUSE_CLIENT_GONE);
    assert_null(bench_session(&b, &p));
    bench_pass(&b, 10000);
    assert_int_equal(dials, b.dials);
    pair_fini(&p);
    bench_fini(&b);
}

static void test_a_client_that_goes_while_one_is_tried(void **state)
{
    (void)state;
    begin("");
    b.dial_down = 1;
    come_and_go();
    bench_pass(&b, 1000);
    b.dial_holds = true;
    come(&p);
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    assert_null(b.dial);
    pair_fini(&p);
    b.dial_holds = false;
    b.dial_down = 0;
    b.dialed[0] = '\0';
    come_and_go(); /* it found nothing out: the next one does */
    assert_dialed("0");
    assert_int_equal(1, bench_log_count(&b, "target_back"));
    bench_fini(&b);
}

static void test_drain_between_rounds(void **state)
{
    (void)state;
    begin("    connect_retry: true\n");
    b.dial_down = 7;
    come(&p);
    relay_drain(&b.relay);
    bench_run(&b);
    bench_assert_cause(&b, CAUSE_DRAIN);
    pair_fini(&p);
    bench_fini(&b);
}

static void test_an_answer_by_http_ends_the_rounds(void **state)
{
    (void)state;
    begin("    connect_retry: true\n    on_unreachable: http\n    timeouts: {connect: 30s}\n");
    b.dial_down = 7;
    come(&p);
    for (int i = 0; i < 11; i++) {
        bench_pass(&b, 1000);
    }
    struct hearing h;
    hearing_of(&p.client, &h);
    assert_int_equal(504, h.status);
    hearing_fini(&h);
    pair_fini(&p);
    bench_fini(&b);
}

/* ---- Who is told of the client. */

static void test_the_target_hears_of_the_client(void **state)
{
    (void)state;
    begin("    target_proxy_protocol: v1\n");
    come_and_go();
    b.prelude[b.prelude_bytes] = '\0';
    /* A scripted client has no socket, so there is no address of ours to tell. */
    assert_string_equal("PROXY TCP4 10.0.0.7 0.0.0.0 5000 0\r\n", (const char *)b.prelude);
    b.peer = (struct sock_peer){.is_unix = true};
    come_and_go();
    b.prelude[b.prelude_bytes] = '\0';
    assert_string_equal("PROXY UNKNOWN\r\n", (const char *)b.prelude);
    bench_fini(&b);

    begin("    target_proxy_protocol: v2\n");
    b.dial_down = 1;
    come_and_go();
    assert_dialed("01");
    assert_memory_equal("\r\n\r\n\0\r\nQUIT\n\x21\x11", b.prelude, 14);
    bench_fini(&b);

    begin("");
    come_and_go();
    assert_int_equal(0, b.prelude_bytes);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_that_can_be_reached),
        cmocka_unit_test(test_one_that_comes_back),
        cmocka_unit_test(test_round_robin),
        cmocka_unit_test(test_least_sessions),
        cmocka_unit_test(test_all_are_down),
        cmocka_unit_test(test_the_last_failure_is_the_cause),
        cmocka_unit_test(test_what_we_lack_ourselves_ends_it),
        cmocka_unit_test(test_silent_ones_share_the_time),
        cmocka_unit_test(test_a_share_is_a_second_at_least),
        cmocka_unit_test(test_rounds_until_one_is_there),
        cmocka_unit_test(test_rounds_until_the_time_is_up),
        cmocka_unit_test(test_a_client_that_goes_ends_the_rounds),
        cmocka_unit_test(test_a_client_that_goes_while_one_is_tried),
        cmocka_unit_test(test_drain_between_rounds),
        cmocka_unit_test(test_an_answer_by_http_ends_the_rounds),
        cmocka_unit_test(test_the_target_hears_of_the_client),
    };
    return cmocka_run_group_tests_name("session, targets", tests, NULL, NULL);
}
