/* The whole way of a session: whatever the pieces and the waits, the same comes out; and whichever call
 * fails, it ends with one cause that the failing side explains. */
#include "script.h"

/* ---- One story, told over every kind of transport. */

enum ending { CLIENT_ENDS, TARGET_ENDS, CLIENT_VANISHES, ENDINGS };

static const struct {
    enum cause cause;
    const char *controls; /* what the client hears at the end */
} endings[ENDINGS] = {
    [CLIENT_ENDS] = {CAUSE_CLIENT_CLOSE, "close(4001 )"},
    [TARGET_ENDS] = {CAUSE_TARGET_EOF, "close(1000 target ended the connection)"},
    [CLIENT_VANISHES] = {CAUSE_CLIENT_GONE, ""},
};

static const char up_payload[] = "early onetwothreefour and a longer one";
static const char down_payload[] = "welcome more of it, and more";

static void tell_frames(struct script_side *client)
{
    say_frame(client, false, WS_BINARY, "one", 3);
    say_frame(client, true, WS_PING, "a", 1);
    say_frame(client, false, WS_CONTINUATION, "", 0);
    say_frame(client, false, WS_CONTINUATION, "two", 3);
    say_frame(client, true, WS_PONG, "unasked", 7);
    say_frame(client, true, WS_CONTINUATION, "three", 5);
    say_frame(client, true, WS_BINARY, "", 0);
    say_frame(client, true, WS_BINARY, "four and a longer one", 21);
}

static void tell(struct bench *b, struct script_pair *p, enum ending ending)
{
    say_upgrade(&p->client, "/", "Sec-WebSocket-Protocol: binary\r\n");
    say_frame(&p->client, true, WS_BINARY, "early ", 6);
    say_text(&p->target, "welcome ");
    bench_accept(b, p);
    bench_run(b);
    tell_frames(&p->client);
    bench_run(b);
    say_text(&p->target, "more of it, and more");
    bench_run(b);
    switch (ending) {
    case CLIENT_ENDS:
        say_close(&p->client, 4001, "bye");
        break;
    case TARGET_ENDS:
        p->target.end = SCRIPT_EOF;
        break;
    case CLIENT_VANISHES:
        p->client.end = SCRIPT_EOF;
        break;
    case ENDINGS:
        break;
    }
    bench_run(b);
}

static void check_story(struct bench *b, struct script_pair *p, enum ending ending)
{
    char expected[128];
    (void)snprintf(expected, sizeof expected, "pong(a)%s%s", *endings[ending].controls != '\0' ? " " : "",
        endings[ending].controls);
    struct hearing h;
    hearing_of(&p->client, &h);
    assert_int_equal(101, h.status);
    assert_string_equal(expected, h.controls);
    assert_false(h.cut || h.behind_close || h.text);
    assert_int_equal(strlen(down_payload), buf_len(&h.payload));
    assert_memory_equal(down_payload, buf_data(&h.payload), strlen(down_payload));
    hearing_fini(&h);
    assert_heard_text(&p->target, up_payload);
    assert_true(p->target.shut && p->target.closed && !p->target.reset);
    assert_true(p->client.closed && !p->client.reset);
    assert_int_equal(ending != CLIENT_VANISHES, p->client.shut);
    bench_assert_cause(b, endings[ending].cause);
    assert_int_equal(strlen(up_payload), bench_log_number(b, "session_end", "up_bytes"));
    assert_int_equal(strlen(down_payload), bench_log_number(b, "session_end", "down_bytes"));
}

static void run_story(const struct script_habit *client, const struct script_habit *target,
    enum ending ending, bool target_first, const char *route)
{
    struct bench b;
    struct script_pair p;
    bench_init(&b, route, "");
    b.target_first = target_first;
    pair_init(&b, &p, client, target);
    tell(&b, &p, ending);
    check_story(&b, &p, ending);
    pair_fini(&p);
    bench_fini(&b);
}

static void test_every_kind_of_transport(void **state)
{
    (void)state;
    for (size_t i = 0; i < script_habit_count * script_habit_count; i++) {
        for (enum ending ending = CLIENT_ENDS; ending < ENDINGS; ending++) {
            const struct script_habit *client = &script_habits[i / script_habit_count];
            const struct script_habit *target = &script_habits[i % script_habit_count];
            run_story(client, target, ending, i % 2 == 0, i % 3 == 0 ? "    on_unreachable: http\n" : "");
        }
    }
}

static void test_tls_client(void **state)
{
    (void)state;
    static const char *const handshakes[] = {"", "r", "w", "rw", "rrwr"};
    for (size_t i = 0; i < sizeof handshakes / sizeof handshakes[0]; i++) {
        struct bench b;
        struct script_pair p;
        bench_init(&b, "", "");
        b.door.tls = (struct tls_server *)(void *)&b; /* asked for being there alone */
        pair_init(&b, &p, &script_habits[7], &script_easy);
        p.client.handshake = handshakes[i];
        tell(&b, &p, CLIENT_ENDS);
        check_story(&b, &p, CLIENT_ENDS);
        pair_fini(&p);
        bench_fini(&b);
    }
}

/* ---- Every call fails in turn. */

static bool begins_with(const char *whole, size_t len, const struct buf *part)
{
    return buf_len(part) <= len && (buf_len(part) == 0 || memcmp(whole, buf_data(part), buf_len(part)) == 0);
}

static bool explains(
    const struct script_side *failed, const struct script_pair *p, enum cause good, const char *told)
{
    if (strcmp(told, cause_name(good)) == 0) {
        return true; /* the end had begun */
    }
    if (failed == &p->client) {
        return strcmp(told, "client_gone") == 0;
    }
    return strcmp(told, "target_reset") == 0 || strcmp(told, "target_eof") == 0;
}

static void check_failure(struct bench *b, struct script_pair *p, enum ending ending)
{
    char told[64];
    size_t ends = bench_log_count(b, "session_end");
    bench_log_value(b, "session_end", "cause", told, sizeof told);
    assert_int_equal(0, b->relay.connections); /* and no clock was needed for it */
    assert_true(ends <= 1 && ends >= b->dials);
    assert_int_equal(0, bench_log_count(b, "request_refused"));
    if (ends == 1 && !explains(b->failed, p, endings[ending].cause, told)) {
        fail_msg("the %s failed, and the cause is %s", b->failed->name, told);
    }
    struct hearing h;
    hearing_of(&p->client, &h);
    assert_false(h.behind_close);
    assert_true(begins_with(down_payload, strlen(down_payload), &h.payload));
    assert_true(begins_with(up_payload, strlen(up_payload), &p->target.heard));
    hearing_fini(&h);
    if (ends == 1 && b->failed == &p->client && !p->target.broken && p->target.closed) {
        assert_int_equal(buf_len(&p->target.heard), bench_log_number(b, "session_end", "up_bytes"));
        assert_true(p->target.shut);
    }
}

/* True when the failure came about; past the last call it does not. */
static bool run_failing(const struct script_habit *client, const struct script_habit *target,
    enum ending ending, unsigned fail_at, bool by_eof, const char *route)
{
    struct bench b;
    struct script_pair p;
    bench_init(&b, route, "");
    b.fail_at = fail_at;
    b.fail_by_eof = by_eof;
    pair_init(&b, &p, client, target);
    tell(&b, &p, ending);
    bool more = b.calls >= fail_at;
    if (b.failed != NULL) {
        check_failure(&b, &p, ending);
    } else {
        check_story(&b, &p, ending);
    }
    pair_fini(&p);
    bench_fini(&b);
    return more;
}

static void fail_each_call(const struct script_habit *client, const struct script_habit *target, bool by_eof)
{
    for (enum ending ending = CLIENT_ENDS; ending < ENDINGS; ending++) {
        unsigned fail_at = 1;
        const char *route = ending == TARGET_ENDS ? "    on_unreachable: http\n" : "";
        while (run_failing(client, target, ending, fail_at, by_eof, route)) {
            fail_at++;
        }
        assert_true(fail_at > 10);
    }
}

static void test_each_call_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < script_habit_count; i++) {
        fail_each_call(&script_habits[i], &script_habits[script_habit_count - 1 - i], false);
        fail_each_call(&script_habits[i], &script_habits[i], false);
    }
}

static void test_each_read_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < script_habit_count; i++) {
        fail_each_call(&script_habits[i], &script_habits[script_habit_count - 1 - i], true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_of_transport),
        cmocka_unit_test(test_tls_client),
        cmocka_unit_test(test_each_call_fails),
        cmocka_unit_test(test_each_read_ends),
    };
    return cmocka_run_group_tests_name("session_relay", tests, NULL, NULL);
}
