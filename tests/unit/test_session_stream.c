/* Downloads that are streams go past this process by splice(2), in whole frames, with the same back-pressure
 * and the same ends. The peers are scripted and the pipes are real. */
#include "script.h"
#include <sys/resource.h>

enum { STREAM = 300000, BUFFER = 1 << 16 };

static const char buffer[] = "    limits: {buffer: 64KiB}\n";
static uint8_t bytes[STREAM];

static void fill(void)
{
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    }
}

static void assert_payload(const struct script_side *client, size_t n)
{
    struct hearing h;
    hearing_of(client, &h);
    assert_int_equal(n, buf_len(&h.payload));
    assert_memory_equal(bytes, buf_data(&h.payload), n);
    hearing_fini(&h);
}

static void begin(struct bench *b, struct script_pair *p, const char *route)
{
    fill();
    splice_thread_fini();
    bench_init(b, route, "");
    b->streams = true;
    pair_relay(b, p);
}

static void finish(struct bench *b, struct script_pair *p)
{
    p->client.end = SCRIPT_EOF;
    bench_run(b);
    pair_fini(p);
    bench_fini(b);
}

/* A flow becomes one by itself once its reads are filled, and ends to be one with a short read. */
static void test_becomes_a_stream(void **state)
{
    (void)state;
    static uint8_t much[RELAY_READ_MAX * 6];
    struct bench b;
    struct script_pair p;
    begin(&b, &p, "");
    b.streams = false;
    bench_session(&b, &p)->down.read_log2 = 0;
    say(&p.target, much, 150000);
    bench_run(&b);
    assert_int_equal(0, b.relay.spliced_bytes);
    say(&p.target, much, sizeof much);
    bench_run(&b);
    assert_in_range(b.relay.spliced_bytes, 2 * RELAY_READ_MAX, sizeof much);
    assert_int_equal(1, bench_log_count(&b, "pipe_opened"));
    say_text(&p.target, "keystroke");
    bench_run(&b);
    uint64_t spliced = b.relay.spliced_bytes;
    say_text(&p.target, "and one more");
    bench_run(&b);
    assert_int_equal(spliced, b.relay.spliced_bytes);
    finish(&b, &p);
}

static void stream_with(const struct script_habit *client, const struct script_habit *target, uint32_t seed)
{
    struct bench b;
    struct script_pair p;
    fill();
    bench_init(&b, buffer, "");
    b.streams = true;
    pair_init(&b, &p, client, target);
    say_upgrade(&p.client, "/", "");
    bench_accept(&b, &p);
    bench_run(&b);
    p.client.room = 0;
    size_t all = target->read_piece == 1 ? 3000 : sizeof bytes;
    say(&p.target, bytes, all);
    for (int i = 0; i < 60; i++) {
        seed = seed * 1664525 + 1013904223;
        p.client.room = seed >> 16 & 0x3FFF;
        if (i % 9 == 0) {
            say_frame(&p.client, true, WS_PING, "between", 7);
        }
        bench_run(&b);
    }
    p.client.room = SCRIPT_ALL;
    p.target.end = SCRIPT_EOF;
    bench_run(&b);
    assert_payload(&p.client, all);
    assert_in_range(p.client.most_kept, 0, BUFFER);
    bench_assert_cause(&b, CAUSE_TARGET_EOF);
    assert_int_equal(all, bench_log_number(&b, "session_end", "down_bytes"));
    assert_int_equal(all, tally_read(&b.relay.rows[0]->down_bytes));
    bool plain = !client->keeps && !target->keeps;
    assert_int_equal(plain ? all : 0, b.relay.spliced_bytes);
    finish(&b, &p);
}

/* Over TLS the bytes must be seen, and are. */
static void test_slow_clients(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < script_habit_count; i++) {
        stream_with(&script_habits[i], &script_easy, i);
        stream_with(&script_easy, &script_habits[i], i + 50);
        stream_with(&script_habits[i], &script_habits[i], i + 100);
    }
}

/* At every byte of a header and a little of the payload. */
static void test_controls_wait_for_the_frame(void **state)
{
    (void)state;
    for (size_t room = 0; room < 16; room++) {
        struct bench b;
        struct script_pair p;
        begin(&b, &p, "");
        p.client.room = room;
        say(&p.target, bytes, 70000);
        bench_run(&b);
        assert_in_range(b.relay.spliced_bytes, 70000, 70000);
        const struct session *s = bench_session(&b, &p);
        assert_int_equal(70010 - room, flow_kept_bytes(&s->down));
        assert_int_equal(0, s->target.watch.interest);
        say_frame(&p.client, true, WS_PING, "ping", 4);
        say_frame(&p.client, true, WS_BINARY, "up", 2);
        bench_run(&b);
        assert_heard_text(&p.target, "up");
        say_close(&p.client, 1000, "");
        bench_run(&b);
        p.client.room = SCRIPT_ALL;
        bench_run(&b);
        struct hearing h;
        hearing_of(&p.client, &h);
        assert_string_equal("close(1000 )", h.controls);
        assert_int_equal(1, h.messages);
        assert_int_equal(70000, buf_len(&h.payload));
        hearing_fini(&h);
        finish(&b, &p);
    }
}

static void test_text_is_seen(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    begin(&b, &p, "    messages: text\n");
    say_text(&p.target, "words");
    bench_run(&b);
    assert_int_equal(0, b.relay.spliced_bytes);
    say_text(&p.target, "\xFF");
    bench_run(&b);
    bench_assert_cause(&b, CAUSE_TARGET_NOT_TEXT);
    finish(&b, &p);
}

/* Where splice(2) is not to be had, on either side, nothing is lost and nobody hears of it. */
static void test_unable(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct bench b;
        struct script_pair p;
        begin(&b, &p, buffer);
        p.client.unable = i % 2 == 0;
        p.target.unable = i % 2 == 1;
        p.client.room = i < 2 ? SCRIPT_ALL : i < 4 ? 5 : 5000;
        say(&p.target, bytes, sizeof bytes);
        bench_run(&b);
        p.client.room = SCRIPT_ALL;
        bench_run(&b);
        assert_payload(&p.client, sizeof bytes);
        assert_int_equal(i % 2 == 1, b.relay.cannot_splice);
        finish(&b, &p);
    }
}

static void test_no_pipe(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    struct rlimit before;
    begin(&b, &p, "");
    assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &before));
    struct rlimit none = {.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &none));
    say(&p.target, bytes, sizeof bytes);
    bench_run(&b);
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &before));
    assert_payload(&p.client, sizeof bytes);
    assert_int_equal(0, b.relay.spliced_bytes);
    finish(&b, &p);
}

/* What each end leaves in the pipe is told, and the pipe is clean for the next one. */
static void end_with(
    void (*end)(struct bench *b, struct script_pair *p), enum cause cause, size_t undelivered)
{
    struct bench b;
    struct script_pair p;
    begin(&b, &p, "");
    p.client.room = 1010;
    say(&p.target, bytes, 100000);
    bench_run(&b);
    end(&b, &p);
    bench_run(&b);
    bench_pass(&b, 5000);
    bench_pass(&b, 5000);
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    bench_assert_cause(&b, cause);
    if (undelivered > 0) {
        assert_int_equal(undelivered, bench_log_number(&b, "session_end", "undelivered_down_bytes"));
    }
    assert_int_equal(0, splice_pipes_lent());
    pair_fini(&p);
    struct script_pair next;
    pair_relay(&b, &next);
    say(&next.target, bytes, 100000);
    bench_run(&b);
    assert_payload(&next.client, 100000);
    next.client.end = SCRIPT_EOF;
    bench_run(&b);
    pair_fini(&next);
    bench_fini(&b);
}

static void client_resets(struct bench *b, struct script_pair *p)
{
    (void)b;
    p->client.end = SCRIPT_RESET;
}

static void target_resets(struct bench *b, struct script_pair *p)
{
    p->target.end = SCRIPT_RESET;
    bench_run(b);
    assert_int_equal(0, bench_log_count(b, "session_end")); /* what it sent before comes first */
    p->client.room = SCRIPT_ALL;
}

static void target_ends(struct bench *b, struct script_pair *p)
{
    p->target.end = SCRIPT_EOF;
    bench_run(b);
    assert_int_equal(0, bench_log_count(b, "session_end"));
    p->client.room = SCRIPT_ALL;
}

static void drains(struct bench *b, struct script_pair *p)
{
    (void)p;
    relay_drain(&b->relay);
    b->relay.leaving = b->relay.refusing = b->relay.draining = false;
}

static void test_ends(void **state)
{
    (void)state;
    end_with(client_resets, CAUSE_CLIENT_GONE, 100010 - 1010);
    end_with(target_resets, CAUSE_TARGET_RESET, 0);
    end_with(target_ends, CAUSE_TARGET_EOF, 0);
    end_with(drains, CAUSE_DRAIN, 100010 - 1010);
}

/* More flows stand still than there are pipes: the others are read. */
static void test_all_pipes_lent(void **state)
{
    (void)state;
    enum { PAIRS = SPLICE_PIPES + 5 };
    static struct script_pair pairs[PAIRS];
    struct bench b;
    begin(&b, &pairs[0], "");
    for (size_t i = 0; i < PAIRS; i++) {
        if (i > 0) {
            pair_relay(&b, &pairs[i]);
        }
        pairs[i].client.room = 100;
        say(&pairs[i].target, bytes, 100000);
        bench_run(&b);
    }
    assert_int_equal(SPLICE_PIPES, splice_pipes_lent());
    assert_int_equal(SPLICE_PIPES * 100000, b.relay.spliced_bytes);
    for (size_t i = 0; i < PAIRS; i++) {
        pairs[i].client.room = SCRIPT_ALL;
    }
    bench_run(&b);
    assert_int_equal(0, splice_pipes_lent());
    for (size_t i = 0; i < PAIRS; i++) {
        assert_payload(&pairs[i].client, 100000);
        pairs[i].client.end = SCRIPT_EOF;
        bench_run(&b);
        pair_fini(&pairs[i]);
    }
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_becomes_a_stream),
        cmocka_unit_test(test_slow_clients),
        cmocka_unit_test(test_controls_wait_for_the_frame),
        cmocka_unit_test(test_text_is_seen),
        cmocka_unit_test(test_unable),
        cmocka_unit_test(test_no_pipe),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_all_pipes_lent),
    };
    return cmocka_run_group_tests_name("session_stream", tests, NULL, NULL);
}
