/* The two flows: back-pressure and its bound, control frames between data, text cut between characters, early
 * frames. */
#include "script.h"

enum { STREAM = 30000, BUFFER = 4096 };

static const char small_buffer[] = "    limits: {buffer: 4KiB}\n";

static uint8_t stream_byte(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}

static void fill(uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bytes[i] = stream_byte(i);
    }
}

/* In frames of all the three length forms. */
static void say_stream(struct script_side *client, const uint8_t *bytes, size_t n)
{
    static const size_t sizes[] = {1, 125, 126, 3, 5000, 0, 60};
    for (size_t at = 0, i = 0; at < n; i++) {
        size_t len = sizes[i % 7] < n - at ? sizes[i % 7] : n - at;
        say_frame(client, i % 3 == 2, i % 3 == 0 ? WS_BINARY : WS_CONTINUATION, bytes + at, len);
        at += len;
    }
}

static void assert_payload(const struct script_side *client, const void *bytes, size_t n)
{
    struct hearing h;
    hearing_of(client, &h);
    assert_int_equal(n, buf_len(&h.payload));
    assert_memory_equal(bytes, buf_data(&h.payload), n);
    hearing_fini(&h);
}

/* ---- Back-pressure. */

static void test_stalled_target_stops_the_client(void **state)
{
    (void)state;
    static uint8_t bytes[STREAM];
    fill(bytes, sizeof bytes);
    struct bench b;
    struct script_pair p;
    bench_init(&b, small_buffer, "");
    pair_relay(&b, &p);
    p.target.room = 0;
    say_stream(&p.client, bytes, sizeof bytes);
    size_t all = buf_len(&p.client.said);
    bench_run(&b);
    const struct session *s = bench_session(&b, &p);
    assert_int_equal(LOOP_HANGUP, s->client.watch.interest);
    assert_int_equal(LOOP_READ | LOOP_WRITE, s->target.watch.interest);
    assert_in_range(all - buf_len(&p.client.said), 1, BUFFER);
    size_t left = buf_len(&p.client.said);
    unsigned reads = p.client.reads;
    p.target.room = 10; /* some, but not all of what is kept */
    bench_run(&b);
    assert_int_equal(reads, p.client.reads);
    assert_int_equal(left, buf_len(&p.client.said));
    while (buf_len(&p.target.heard) < sizeof bytes) {
        assert_int_equal(LOOP_HANGUP, s->client.watch.interest);
        p.target.room = 1000;
        bench_run(&b);
    }
    assert_int_equal(LOOP_READ, s->client.watch.interest);
    assert_heard(&p.target, bytes, sizeof bytes);
    assert_in_range(p.target.most_kept, 1, BUFFER);
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    pair_fini(&p);
    bench_fini(&b);
}

static void test_stalled_client_stops_the_target(void **state)
{
    (void)state;
    static uint8_t bytes[STREAM];
    fill(bytes, sizeof bytes);
    struct bench b;
    struct script_pair p;
    bench_init(&b, small_buffer, "");
    pair_relay(&b, &p);
    p.client.room = 0;
    say(&p.target, bytes, sizeof bytes);
    bench_run(&b);
    const struct session *s = bench_session(&b, &p);
    assert_int_equal(0, s->target.watch.interest);
    assert_int_equal(LOOP_READ | LOOP_WRITE, s->client.watch.interest);
    assert_in_range(sizeof bytes - buf_len(&p.target.said), 1, BUFFER);
    unsigned reads = p.target.reads;
    p.client.room = 10;
    bench_run(&b);
    assert_int_equal(reads, p.target.reads);
    while (buf_len(&p.target.said) > 0) {
        assert_int_equal(0, s->target.watch.interest);
        p.client.room = 1000;
        bench_run(&b);
    }
    p.client.room = SCRIPT_ALL;
    bench_run(&b);
    assert_int_equal(LOOP_READ, s->target.watch.interest);
    assert_payload(&p.client, bytes, sizeof bytes);
    assert_in_range(p.client.most_kept, 1, BUFFER);
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    pair_fini(&p);
    bench_fini(&b);
}

/* Both ways at once, with a little room here and there. */
static void stream_both_ways(
    const struct script_habit *client, const struct script_habit *target, uint32_t seed)
{
    static uint8_t bytes[STREAM];
    fill(bytes, sizeof bytes);
    struct bench b;
    struct script_pair p;
    bench_init(&b, small_buffer, "");
    pair_init(&b, &p, client, target);
    say_upgrade(&p.client, "/", "");
    bench_accept(&b, &p);
    bench_run(&b);
    p.client.room = p.target.room = 0;
    say_stream(&p.client, bytes, sizeof bytes);
    say(&p.target, bytes, sizeof bytes);
    for (int i = 0; i < 100; i++) {
        seed = seed * 1664525 + 1013904223;
        p.client.room = seed >> 16 & 0x3FF;
        p.target.room = seed >> 8 & 0x1FF;
        bench_run(&b);
    }
    p.client.room = p.target.room = SCRIPT_ALL;
    bench_run(&b);
    assert_heard(&p.target, bytes, sizeof bytes);
    assert_payload(&p.client, bytes, sizeof bytes);
    assert_in_range(p.client.most_kept, 1, BUFFER);
    assert_in_range(p.target.most_kept, 1, BUFFER);
    say_close(&p.client, 1000, "");
    bench_run(&b);
    bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
    assert_int_equal(sizeof bytes, bench_log_number(&b, "session_end", "up_bytes"));
    assert_int_equal(sizeof bytes, bench_log_number(&b, "session_end", "down_bytes"));
    pair_fini(&p);
    bench_fini(&b);
}

static void test_streams_both_ways(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < script_habit_count; i++) {
        stream_both_ways(&script_habits[i], &script_habits[(i + 3) % script_habit_count], i);
        stream_both_ways(&script_habits[i], &script_habits[i], i + 100);
    }
}

/* ---- Control frames. */

/* With the client stalled at every byte of a message: pongs stand between frames, in the order of their
 * pings. */
static void test_pong_waits_for_the_frame(void **state)
{
    (void)state;
    for (size_t room = 1; room < 22; room++) {
        struct bench b;
        struct script_pair p;
        bench_init(&b, "", "");
        pair_relay(&b, &p);
        p.client.room = room;
        say_text(&p.target, "twenty bytes, though");
        bench_run(&b);
        say_frame(&p.client, true, WS_PING, "old", 3);
        bench_run(&b);
        say_frame(&p.client, true, WS_PING, "older than", 10);
        say_frame(&p.client, true, WS_PING, "newest", 6);
        say_frame(&p.client, true, WS_BINARY, "up", 2);
        bench_run(&b);
        assert_heard_text(&p.target, "up"); /* the other flow does not wait */
        p.client.room = SCRIPT_ALL;
        bench_run(&b);
        say_frame(&p.client, true, WS_PING, NULL, 0);
        say_close(&p.client, 1000, "");
        bench_run(&b);
        struct hearing h;
        hearing_of(&p.client, &h);
        assert_string_equal("pong(old) pong(older than) pong(newest) close(1000 )", h.controls);
        assert_int_equal(1, h.messages);
        hearing_fini(&h);
        pair_fini(&p);
        bench_fini(&b);
    }
}

/* What waits for a client that takes nothing is bounded; then the newest ping is answered. */
static void test_flood_of_pings(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    bench_init(&b, "", "");
    pair_relay(&b, &p);
    p.client.room = 1;
    say_text(&p.target, "twenty bytes, though");
    bench_run(&b);
    char payload[WS_CONTROL_MAX + 1];
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(payload, sizeof payload, "%0*u", WS_CONTROL_MAX, i);
        say_frame(&p.client, true, WS_PING, payload, WS_CONTROL_MAX);
        bench_run(&b);
        assert_true(buf_len(&bench_session(&b, &p)->pongs) <= 2048);
    }
    p.client.room = SCRIPT_ALL;
    bench_run(&b);
    say_close(&p.client, 1000, "");
    bench_run(&b);
    struct hearing h;
    hearing_of(&p.client, &h);
    assert_non_null(strstr(h.controls, payload));
    assert_int_equal(1, h.messages);
    hearing_fini(&h);
    pair_fini(&p);
    bench_fini(&b);
}

static void test_longest_ping_in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < script_habit_count; i++) {
        char payload[WS_CONTROL_MAX + 1] = {0};
        memset(payload, 'p', WS_CONTROL_MAX);
        char expected[256];
        (void)snprintf(expected, sizeof expected, "pong(%s) pong()", payload);
        struct bench b;
        struct script_pair p;
        bench_init(&b, "", "");
        pair_init(&b, &p, &script_habits[i], &script_easy);
        say_upgrade(&p.client, "/", "");
        say_frame(&p.client, true, WS_PING, payload, WS_CONTROL_MAX);
        bench_accept(&b, &p);
        bench_run(&b);
        say_frame(&p.client, true, WS_PING, NULL, 0);
        bench_run(&b);
        struct hearing h;
        hearing_of(&p.client, &h);
        assert_string_equal(expected, h.controls);
        hearing_fini(&h);
        p.client.end = SCRIPT_EOF;
        bench_run(&b);
        pair_fini(&p);
        bench_fini(&b);
    }
}

/* ---- Early frames. */

/* What stands behind the head, cut at every place of both, before and after the target is reached. */
static void test_early_frames(void **state)
{
    (void)state;
    struct script_side source = {.room = SCRIPT_ALL};
    say_upgrade(&source, "/", "");
    say_frame(&source, true, WS_BINARY, "ahead of ", 9);
    say_frame(&source, true, WS_PING, "!", 1);
    say_frame(&source, true, WS_BINARY, "the 101", 7);
    say_close(&source, 1000, "");
    size_t all = buf_len(&source.said);
    for (size_t cut = 0; cut <= all; cut++) {
        struct bench b;
        struct script_pair p;
        bench_init(&b, cut % 2 == 0 ? "" : "    on_unreachable: http\n", "");
        b.dial_holds = cut % 3 == 0;
        pair_init(&b, &p, &script_easy, &script_easy);
        bench_accept(&b, &p);
        say(&p.client, buf_data(&source.said), cut);
        bench_run(&b);
        say(&p.client, buf_data(&source.said) + cut, all - cut);
        bench_run(&b);
        b.dial_holds = false;
        bench_run(&b);
        assert_heard_text(&p.target, "ahead of the 101");
        assert_closed_with(&p.client, 1000, "");
        bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
        pair_fini(&p);
        bench_fini(&b);
    }
    buf_fini(&source.said);
}

/* ---- Text. */

static const char verse[] = "a\xC3\xA4\xE2\x82\xAC\xF0\x9D\x84\x9E z";

/* The target's text comes in three pieces, cut at every place: each message is UTF-8 by itself. */
static void test_text_down_is_cut_between_characters(void **state)
{
    (void)state;
    size_t all = sizeof verse - 1;
    for (size_t first = 0; first <= all; first++) {
        for (size_t second = first; second <= all; second++) {
            struct bench b;
            struct script_pair p;
            bench_init(&b, "    messages: text\n", "");
            pair_relay(&b, &p);
            say(&p.target, verse, first);
            bench_run(&b);
            say(&p.target, verse + first, second - first);
            bench_run(&b);
            say(&p.target, verse + second, all - second);
            p.target.end = SCRIPT_EOF;
            bench_run(&b);
            struct hearing h;
            hearing_of(&p.client, &h);
            assert_true(h.text);
            hearing_fini(&h);
            assert_payload(&p.client, verse, all);
            bench_assert_cause(&b, CAUSE_TARGET_EOF);
            pair_fini(&p);
            bench_fini(&b);
        }
    }
}

/* A character may be cut by fragments and by reads, but not by messages. */
static void test_text_up(void **state)
{
    (void)state;
    size_t all = sizeof verse - 1;
    for (size_t cut = 0; cut <= all; cut++) {
        for (int whole = 0; whole < 2; whole++) {
            struct bench b;
            struct script_pair p;
            bench_init(&b, "    messages: text\n", "");
            pair_init(&b, &p, &script_habits[cut % script_habit_count], &script_easy);
            say_upgrade(&p.client, "/", "");
            say_frame(&p.client, !whole, WS_TEXT, verse, cut);
            say_frame(&p.client, true, whole ? WS_CONTINUATION : WS_TEXT, verse + cut, all - cut);
            say_close(&p.client, 1000, "");
            bench_accept(&b, &p);
            bench_run(&b);
            bool between = cut == all || ((uint8_t)verse[cut] & 0xC0) != 0x80;
            bench_assert_cause(&b, whole || between ? CAUSE_CLIENT_CLOSE : CAUSE_BAD_UTF8);
            if (whole || between) {
                assert_heard_text(&p.target, verse);
            }
            pair_fini(&p);
            bench_fini(&b);
        }
    }
}

static void test_any_takes_both_and_sends_binary(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    bench_init(&b, "    messages: any\n", "");
    pair_relay(&b, &p);
    say_frame(&p.client, true, WS_TEXT, "text, ", 6);
    say_frame(&p.client, true, WS_BINARY, "\xFF", 1);
    say_text(&p.target, "\xFE");
    bench_run(&b);
    assert_heard_text(&p.target, "text, \xFF");
    struct hearing h;
    hearing_of(&p.client, &h);
    assert_false(h.text);
    assert_int_equal(1, h.messages);
    hearing_fini(&h);
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    pair_fini(&p);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stalled_target_stops_the_client),
        cmocka_unit_test(test_stalled_client_stops_the_target),
        cmocka_unit_test(test_streams_both_ways),
        cmocka_unit_test(test_pong_waits_for_the_frame),
        cmocka_unit_test(test_flood_of_pings),
        cmocka_unit_test(test_longest_ping_in_pieces),
        cmocka_unit_test(test_early_frames),
        cmocka_unit_test(test_text_down_is_cut_between_characters),
        cmocka_unit_test(test_text_up),
        cmocka_unit_test(test_any_takes_both_and_sends_binary),
    };
    return cmocka_run_group_tests_name("session_flow", tests, NULL, NULL);
}
