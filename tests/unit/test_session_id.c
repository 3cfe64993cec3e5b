/* One id leads from what the client sees to the line in the log. */
#include "script.h"

static struct bench b;
static struct script_pair p;

static void begin(const char *route)
{
    bench_init(&b, route, "");
    pair_init(&b, &p, &script_easy, &script_easy);
}

static void end(void)
{
    bench_run(&b);
    pair_fini(&p);
    bench_fini(&b);
}

/* What the client heard, whose head has the id that the event has. */
static void hear(struct hearing *h, const char *event)
{
    char id[64];
    hearing_of(&p.client, h);
    bench_log_value(&b, event, "id", id, sizeof id);
    assert_string_equal(h->session, id);
    assert_int_equal(SESSION_ID_MAX - 1, strlen(id));
}

static void refused(const char *request, unsigned status)
{
    struct hearing h;
    begin("    on_unreachable: http\n    origin: https://a.example\n");
    b.dial_status = DIAL_REFUSED;
    say_text(&p.client, request);
    bench_accept(&b, &p);
    bench_run(&b);
    if (buf_len(&p.client.heard) == 0) {
        bench_pass(&b, 10 * 1000);
    }
    hear(&h, "request_refused");
    assert_int_equal(status, h.status);
    hearing_fini(&h);
    p.client.end = SCRIPT_EOF;
    end();
}

static void test_refusals(void **state)
{
    (void)state;
    refused("BAD\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: a\r\n", 408);
    refused("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426);
    refused("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        403);
    refused("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Origin: https://a.example\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        502);
}

/* The end that `provoke` brings: its line has the id of the 101, and the Close frame where it says why. */
static void ended(const char *route, void (*provoke)(void), bool says)
{
    struct hearing h;
    begin(route);
    say_upgrade(&p.client, "/", "");
    bench_accept(&b, &p);
    bench_run(&b);
    provoke();
    bench_run(&b);
    hear(&h, "session_end");
    assert_int_equal(says, h.close_has_id);
    hearing_fini(&h);
    end();
}

static void target_ends(void)
{
    p.target.end = SCRIPT_EOF;
}

static void target_resets(void)
{
    p.target.end = SCRIPT_RESET;
}

static void client_closes(void)
{
    say_close(&p.client, 4000, "its own reason");
}

static void client_closes_badly(void)
{
    say_close(&p.client, 1005, "");
}

static void client_goes(void)
{
    p.client.end = SCRIPT_EOF;
}

static void drained(void)
{
    relay_drain(&b.relay);
}

static void test_ends(void **state)
{
    (void)state;
    ended("", target_ends, false);
    ended("    close_codes: {target_eof: 4001}\n", target_ends, true);
    ended("", target_resets, true);
    ended("", client_closes, false);
    ended("", client_closes_badly, true);
    ended("", client_goes, false);
    ended("", drained, true);
}

/* A detail of the fault is the phrase then; the longest still fits, cut, and the id is whole. */
static void test_longest_reason(void **state)
{
    (void)state;
    char phrase[2 * WS_CLOSE_REASON_MAX];
    uint8_t payload[2 + WS_CLOSE_REASON_MAX];
    memset(phrase, 'x', sizeof phrase - 1);
    phrase[sizeof phrase - 1] = '\0';
    struct session s = {.cause = CAUSE_INTERNAL, .close_code = 1011, .close_phrase = phrase, .id = 0xABC};
    size_t n = session_close_payload(&s, payload);
    assert_int_equal(sizeof payload, n);
    assert_memory_equal("xx (0000000000000abc)", payload + n - 21, 21);
}

static void test_ids_differ(void **state)
{
    (void)state;
    struct script_pair other;
    struct hearing h[2];
    begin("");
    say_upgrade(&p.client, "/", "");
    bench_accept(&b, &p);
    bench_run(&b);
    pair_relay(&b, &other);
    hearing_of(&p.client, &h[0]);
    hearing_of(&other.client, &h[1]);
    assert_string_not_equal(h[0].session, h[1].session);
    hearing_fini(&h[0]);
    hearing_fini(&h[1]);
    p.client.end = other.client.end = SCRIPT_EOF;
    bench_run(&b);
    pair_fini(&other);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_longest_reason),
        cmocka_unit_test(test_ids_differ),
    };
    return cmocka_run_group_tests_name("session_id", tests, NULL, NULL);
}
