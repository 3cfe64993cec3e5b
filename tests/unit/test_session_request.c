/* From the first byte to the verdict: what a whole session answers before there is one. */
#include "script.h"

#define HEAD    "GET / HTTP/1.1\r\nHost: desk.example\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void assert_answer(const struct script_side *client, unsigned status, const char *holds)
{
    struct hearing h;
    hearing_of(client, &h);
    assert_int_equal(status, h.status);
    assert_false(h.cut);
    if (memmem(buf_data(&client->heard), buf_len(&client->heard), holds, strlen(holds)) == NULL) {
        fail_msg("not in the answer: %s", holds);
    }
    hearing_fini(&h);
}

/* ---- Refusals. */

struct refusal {
    const char *request;
    unsigned status;
    const char *holds;
};

static const struct refusal refusals[] = {
    {"GET / HTTP/1.1\n", 400, "line ends in LF without CR"},
    {"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "\r\nAllow: GET\r\n"},
    {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "\r\nAllow: GET\r\n"},
    {HEAD "\r\n", 426, "\r\nUpgrade: websocket\r\n"},
    {HEAD UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426, "\r\nSec-WebSocket-Version: 13\r\n"},
    {HEAD UPGRADE VERSION "Sec-WebSocket-Key: short\r\n\r\n", 400, "Sec-WebSocket-Key"},
    {HEAD UPGRADE VERSION KEY "Content-Length: 3\r\n\r\nabc", 400, ""},
    {HEAD UPGRADE VERSION KEY "Sec-WebSocket-Protocol: a b\r\n\r\n", 400, "Sec-WebSocket-Protocol"},
    {HEAD UPGRADE VERSION KEY "Sec-WebSocket-Protocol: a\r\n\r\n", 400, ""},
    {HEAD UPGRADE VERSION KEY "Origin: https://evil.example\r\n\r\n", 403, ""},
    {"GET /%zz HTTP/1.1\r\nHost: desk.example\r\n\r\n", 400, "percent-encoding"},
    {"GET /other HTTP/1.1\r\nHost: desk.example\r\n\r\n", 404, ""},
    {"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", 421, ""},
};

static const char strict_yaml[] =
    "listen: {address: 127.0.0.1:0}\n"
    "routes:\n"
    "  - {host: desk.example, path: /, subprotocol: [binary, none], target: tcp://127.0.0.1:9}\n"
    "  - {host: a, target: tcp://127.0.0.1:9}\n";

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0] * script_habit_count; i++) {
        const struct refusal *refusal = &refusals[i / script_habit_count];
        struct bench b;
        struct script_pair p;
        bench_init_yaml(&b, strict_yaml);
        pair_init(&b, &p, &script_habits[i % script_habit_count], &script_easy);
        say_text(&p.client, refusal->request);
        say_text(&p.client, "and more that nobody reads");
        bench_accept(&b, &p);
        bench_run(&b);
        assert_answer(&p.client, refusal->status, refusal->holds);
        assert_answer(&p.client, refusal->status, "\r\nConnection: close\r\n");
        assert_true(p.client.shut && p.client.closed && !p.client.reset);
        assert_int_equal(0, buf_len(&p.client.said)); /* or an RST would eat the answer */
        assert_int_equal(refusal->status, bench_log_number(&b, "request_refused", "status"));
        assert_int_equal(1, bench_log_count(&b, "request_refused"));
        assert_int_equal(0, b.dials + bench_log_count(&b, "session_end"));
        pair_fini(&p);
        bench_fini(&b);
    }
}

/* To the very byte, with the limit at its least. */
static void test_limit_of_a_request(void **state)
{
    (void)state;
    for (size_t more = 0; more < 3; more++) {
        for (int line = 0; line < 2; line++) {
            struct bench b;
            struct script_pair p;
            bench_init(&b, "", "limits: {request: 512B}");
            pair_init(&b, &p, &script_easy, &script_easy);
            char filler[600] = {0};
            char request[1200];
            memset(filler, 'f', sizeof filler - 1);
            int n = 511 + (int)more - (int)strlen("GET / HTTP/1.1\r\nHost: a\r\nA: \r\n\r\n");
            (void)snprintf(request, sizeof request, "GET /%.*s HTTP/1.1\r\nHost: a\r\nA: %.*s\r\n\r\n",
                line ? n : 0, filler, line ? 0 : n, filler);
            assert_int_equal(511 + more, strlen(request));
            say_text(&p.client, request);
            bench_accept(&b, &p);
            bench_run(&b);
            assert_answer(&p.client, more < 2 ? 426 : 431, "");
            pair_fini(&p);
            bench_fini(&b);
        }
    }
}

static void test_request_line_over_the_limit(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    bench_init(&b, "", "limits: {request: 512B}");
    pair_init(&b, &p, &script_habits[1], &script_easy);
    say_text(&p.client, "GET /");
    for (int i = 0; i < 600; i++) {
        say_text(&p.client, "l");
    }
    bench_accept(&b, &p);
    bench_run(&b);
    assert_answer(&p.client, 414, "");
    pair_fini(&p);
    bench_fini(&b);
}

/* A connection that ends before it asked for anything is nobody's news. */
static void test_client_that_asks_nothing(void **state)
{
    (void)state;
    static const enum script_end ends[] = {SCRIPT_EOF, SCRIPT_RESET};
    for (size_t i = 0; i < 4; i++) {
        struct bench b;
        struct script_pair p;
        bench_init(&b, "", "");
        pair_init(&b, &p, &script_easy, &script_easy);
        say_text(&p.client, i < 2 ? "" : HEAD);
        p.client.end = ends[i % 2];
        bench_accept(&b, &p);
        bench_run(&b);
        assert_true(p.client.closed);
        assert_heard_text(&p.client, "");
        pair_fini(&p);
        bench_fini(&b);
    }
}

/* ---- The target, before any 101. */

static void test_unreachable_by_http(void **state)
{
    (void)state;
    static const struct {
        enum dial_status status;
        unsigned http;
        const char *phrase;
    } rows[] = {
        {DIAL_REFUSED, 502, "target refused the connection\n"},
        {DIAL_UNREACHABLE, 502, "target cannot be reached\n"},
        {DIAL_TIMEOUT, 504, "target did not answer in time\n"},
        {DIAL_DNS, 502, "target's name cannot be looked up\n"},
        {DIAL_TLS, 502, "TLS with the target failed\n"},
        {DIAL_OVERLOAD, 503, "gateway is out of memory or descriptors\n"},
        {DIAL_OK, 503, "gateway is out of memory or descriptors\n"}, /* where not even dialing starts */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench b;
        struct script_pair p;
        bench_init(&b, "    on_unreachable: http\n", "");
        b.dial_status = rows[i].status;
        b.dial_null = rows[i].status == DIAL_OK;
        pair_init(&b, &p, &script_easy, &script_easy);
        say_upgrade(&p.client, "/", "");
        say_frame(&p.client, true, WS_BINARY, "early", 5);
        bench_accept(&b, &p);
        bench_run(&b);
        assert_answer(&p.client, rows[i].http, rows[i].phrase);
        assert_int_equal(rows[i].http, bench_log_number(&b, "request_refused", "status"));
        assert_int_equal(0, bench_log_count(&b, "session_end"));
        assert_int_equal(!b.dial_null, bench_log_count(&b, "target_failed"));
        pair_fini(&p);
        bench_fini(&b);
    }
}

static void test_answer_waits_for_the_target(void **state)
{
    (void)state;
    for (int http = 0; http < 2; http++) {
        struct bench b;
        struct script_pair p;
        bench_init(&b, http ? "    on_unreachable: http\n" : "", "");
        b.dial_holds = true;
        pair_init(&b, &p, &script_easy, &script_easy);
        say_upgrade(&p.client, "/", "");
        bench_accept(&b, &p);
        bench_run(&b);
        assert_int_equal(http, buf_len(&p.client.heard) == 0);
        assert_int_equal(5000, b.dial_timeout_ms);
        bench_answer_dial(&b);
        bench_run(&b);
        assert_answer(&p.client, 101, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
        p.client.end = SCRIPT_EOF;
        bench_run(&b);
        bench_assert_cause(&b, CAUSE_CLIENT_GONE);
        pair_fini(&p);
        bench_fini(&b);
    }
}

/* The 101 leaves whole, and before the first message, whatever the client takes of it at first. */
static void test_stalled_101(void **state)
{
    (void)state;
    for (size_t room = 0; room < 140; room++) {
        struct bench b;
        struct script_pair p;
        bench_init(&b, room % 2 == 0 ? "" : "    on_unreachable: http\n", "");
        pair_init(&b, &p, &script_habits[room % script_habit_count], &script_easy);
        p.client.room = room;
        say_upgrade(&p.client, "/", "Sec-WebSocket-Protocol: binary\r\n");
        say_text(&p.target, "hello");
        bench_accept(&b, &p);
        bench_run(&b);
        p.client.room = SCRIPT_ALL;
        p.target.end = SCRIPT_EOF;
        bench_run(&b);
        struct hearing h;
        hearing_of(&p.client, &h);
        assert_int_equal(101, h.status);
        assert_int_equal(5, buf_len(&h.payload));
        hearing_fini(&h);
        assert_closed_with(&p.client, 1000, "target ended the connection");
        pair_fini(&p);
        bench_fini(&b);
    }
}

/* ---- Limits. */

/* One more than there may be gets 503, and when one ends there is room again. */
static void one_too_many(const char *route, const char *top, const char *phrase)
{
    struct bench b;
    struct script_pair p[4];
    bench_init(&b, route, top);
    pair_relay(&b, &p[0]);
    pair_relay(&b, &p[1]);
    assert_int_equal(2, tally_read(&b.census->own->sessions));
    assert_int_equal(2, tally_read(&b.census->own->rows[0].sessions));
    pair_init(&b, &p[2], &script_easy, &script_easy);
    say_upgrade(&p[2].client, "/", "");
    bench_accept(&b, &p[2]);
    bench_run(&b);
    assert_answer(&p[2].client, 503, phrase);
    assert_answer(&p[2].client, 503, "\r\nRetry-After: ");
    p[0].client.end = SCRIPT_EOF;
    bench_run(&b);
    assert_int_equal(1, tally_read(&b.census->own->sessions));
    pair_relay(&b, &p[3]);
    assert_int_equal(2, tally_read(&b.census->own->sessions));
    assert_int_equal(2, tally_read(&b.census->own->rows[0].sessions));
    p[1].target.end = SCRIPT_RESET;
    say_close(&p[3].client, 1000, "");
    bench_run(&b);
    for (size_t i = 0; i < 4; i++) {
        pair_fini(&p[i]);
    }
    bench_fini(&b);
}

static void test_limits_of_sessions(void **state)
{
    (void)state;
    one_too_many("", "limits: {sessions: 2}", "gateway has as many sessions as it may\n");
    one_too_many("    limits: {sessions: 2}\n", "", "this route has as many sessions as it may\n");
}

/* Those that never relay are counted back as well. */
static void test_failed_sessions_are_counted_back(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, "    limits: {sessions: 1}\n", "");
    b.dial_status = DIAL_REFUSED;
    for (int i = 0; i < 3; i++) {
        struct script_pair p;
        pair_init(&b, &p, &script_easy, &script_easy);
        say_upgrade(&p.client, "/", "");
        bench_accept(&b, &p);
        bench_run(&b);
        assert_closed_with(&p.client, 1014, "target refused the connection");
        pair_fini(&p);
    }
    assert_int_equal(3, bench_log_count(&b, "session_end"));
    bench_fini(&b);
}

/* ---- Drain. */

static void test_drain_in_every_state(void **state)
{
    (void)state;
    enum { ASKING, DIALING, RELAYING, CLOSING, LATE, PAIRS };
    struct bench b;
    struct script_pair p[PAIRS];
    bench_init(&b, "    on_unreachable: http\n", "");
    for (size_t i = 0; i < PAIRS; i++) {
        pair_init(&b, &p[i], &script_easy, &script_easy);
    }
    pair_relay(&b, &p[RELAYING]);
    pair_relay(&b, &p[CLOSING]);
    p[CLOSING].client.polite = false;
    say_close(&p[CLOSING].client, 1000, "");
    say_text(&p[ASKING].client, HEAD);
    say_upgrade(&p[DIALING].client, "/", "");
    bench_accept(&b, &p[ASKING]);
    bench_run(&b);
    b.dial_holds = true;
    bench_accept(&b, &p[DIALING]);
    bench_run(&b);
    relay_drain(&b.relay);
    bench_accept(&b, &p[LATE]);
    say_upgrade(&p[LATE].client, "/", "");
    bench_run(&b);
    assert_true(p[ASKING].client.closed);
    assert_answer(&p[DIALING].client, 503, "gateway is restarting\n");
    assert_closed_with(&p[RELAYING].client, 1012, "gateway is restarting");
    assert_true(p[RELAYING].target.shut && p[RELAYING].target.closed);
    assert_closed_with(&p[CLOSING].client, 1000, "");
    assert_answer(&p[LATE].client, 503, "\r\nRetry-After: ");
    p[CLOSING].client.end = SCRIPT_EOF;
    bench_run(&b);
    for (size_t i = 0; i < PAIRS; i++) {
        pair_fini(&p[i]);
    }
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limit_of_a_request),
        cmocka_unit_test(test_request_line_over_the_limit),
        cmocka_unit_test(test_client_that_asks_nothing),
        cmocka_unit_test(test_unreachable_by_http),
        cmocka_unit_test(test_answer_waits_for_the_target),
        cmocka_unit_test(test_stalled_101),
        cmocka_unit_test(test_limits_of_sessions),
        cmocka_unit_test(test_failed_sessions_are_counted_back),
        cmocka_unit_test(test_drain_in_every_state),
    };
    return cmocka_run_group_tests_name("session_request", tests, NULL, NULL);
}
