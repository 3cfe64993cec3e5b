/* Ends where a side is slow, or takes nothing any more: what is still delivered, and what nobody waits for.
 */
#include "script.h"

static void target_fin(struct bench *b, struct script_pair *p)
{
    (void)b;
    p->target.end = SCRIPT_EOF;
}

static void drain(struct bench *b, struct script_pair *p)
{
    (void)p;
    relay_drain(&b->relay);
}

static void test_client_close_while_it_is_stalled(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    bench_init(&b, "", "");
    pair_relay(&b, &p);
    p.client.room = 5;
    say_text(&p.target, "what was sent before");
    bench_run(&b);
    say_frame(&p.client, true, WS_PING, "unanswered", 10);
    say_close(&p.client, 1000, "");
    bench_run(&b);
    assert_int_equal(SESSION_CLOSING, bench_session(&b, &p)->state);
    p.client.room = SCRIPT_ALL;
    bench_run(&b);
    struct hearing h;
    hearing_of(&p.client, &h);
    assert_string_equal("close(1000 )", h.controls);
    hearing_fini(&h);
    bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
    pair_fini(&p);
    bench_fini(&b);
}

/* Nothing may follow a Close, though it left in two pieces and something else waited. */
static void nothing_follows_close(
    void (*end)(struct bench *b, struct script_pair *p), const struct script_habit *habit)
{
    struct bench b;
    struct script_pair p;
    bench_init(&b, "", "");
    pair_init(&b, &p, habit, &script_easy);
    say_upgrade(&p.client, "/", "");
    bench_accept(&b, &p);
    bench_run(&b);
    p.client.room = 3;
    say_text(&p.target, "stalls");
    bench_run(&b);
    bench_pass(&b, 25 * 1000); /* a ping waits */
    end(&b, &p);
    bench_run(&b);
    p.client.room = 8; /* the rest, and three bytes of the Close */
    bench_run(&b);
    p.client.room = 0;
    end(&b, &p);
    say_frame(&p.client, true, WS_PING, "late", 4);
    bench_run(&b);
    p.client.room = SCRIPT_ALL;
    bench_run(&b);
    struct hearing h;
    hearing_of(&p.client, &h);
    assert_int_not_equal(0, h.close_code);
    assert_false(h.behind_close);
    hearing_fini(&h);
    pair_fini(&p);
    bench_fini(&b);
}

static void test_nothing_follows_close(void **state)
{
    (void)state;
    for (size_t i = 0; i < script_habit_count; i++) {
        nothing_follows_close(drain, &script_habits[i]);
        nothing_follows_close(target_fin, &script_habits[i]);
    }
}

/* A target that ended its sending still takes what the client has for it. */
static void test_client_goes_on_behind_target_eof(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    bench_init(&b, "", "");
    pair_relay(&b, &p);
    p.client.polite = false;
    p.target.end = SCRIPT_EOF;
    bench_run(&b);
    assert_closed_with(&p.client, 1000, "target ended the connection");
    p.target.room = 2;
    say_frame(&p.client, true, WS_BINARY, "still ", 6);
    bench_run(&b);
    assert_false(p.target.shut);
    p.target.room = SCRIPT_ALL;
    say_frame(&p.client, true, WS_BINARY, "on its way", 10);
    say_close(&p.client, 1000, "");
    bench_run(&b);
    assert_heard_text(&p.target, "still on its way");
    assert_true(p.target.shut && p.target.closed && !p.client.closed);
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    bench_assert_cause(&b, CAUSE_TARGET_EOF);
    assert_closed_with(&p.client, 1000, "target ended the connection");
    pair_fini(&p);
    bench_fini(&b);
}

/* So much of what a target sends is read for nobody, behind the end of its client. */
enum { PIECE = 64 * 1024, PIECES_LEAST = 16 * 16, PIECES_MAX = 17 * 16 };

static unsigned send_until_closed(struct bench *b, struct script_pair *p)
{
    static const char piece[PIECE];
    unsigned pieces = 0;
    while (pieces < PIECES_MAX && !p->target.closed) {
        say(&p->target, piece, sizeof piece);
        bench_run(b);
        pieces++;
    }
    return pieces;
}

/* A client that goes must not leave us reading a target without an end until the time is up. */
static void test_target_without_an_end(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    bench_init(&b, "", "");
    pair_relay(&b, &p);
    p.target.polite = false;
    say_frame(&p.client, true, WS_BINARY, "last words", 10);
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    assert_heard_text(&p.target, "last words");
    assert_true(p.target.shut && !p.target.closed);
    assert_in_range(send_until_closed(&b, &p), PIECES_LEAST, PIECES_MAX - 1);
    assert_true(p.target.reset);
    bench_assert_cause(&b, CAUSE_CLIENT_GONE);
    pair_fini(&p);
    bench_fini(&b);
}

/* As long as it has not taken what is for it, it is read: it may have to send in order to take. */
static void test_target_without_an_end_that_takes_late(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    bench_init(&b, "", "");
    pair_relay(&b, &p);
    p.target.polite = false;
    p.target.room = 4;
    say_frame(&p.client, true, WS_BINARY, "last words", 10);
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    assert_int_equal(PIECES_MAX, send_until_closed(&b, &p));
    assert_false(p.target.closed);
    p.target.room = SCRIPT_ALL;
    bench_run(&b);
    assert_heard_text(&p.target, "last words");
    (void)send_until_closed(&b, &p);
    assert_true(p.target.closed);
    pair_fini(&p);
    bench_fini(&b);
}

/* And where it takes nothing after all, the client is still heard out. */
static void test_client_goes_on_behind_a_lost_target(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    bench_init(&b, "", "");
    pair_relay(&b, &p);
    p.client.polite = false;
    p.target.end = SCRIPT_EOF;
    bench_run(&b);
    p.target.deaf = true;
    for (int i = 0; i < 3; i++) {
        say_frame(&p.client, true, WS_BINARY, "for nobody", 10);
        bench_run(&b);
        assert_int_equal(0, buf_len(&p.client.said));
    }
    assert_true(p.target.closed && !p.client.closed);
    say_close(&p.client, 1000, "");
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    bench_assert_cause(&b, CAUSE_TARGET_EOF);
    assert_closed_with(&p.client, 1000, "target ended the connection");
    pair_fini(&p);
    bench_fini(&b);
}

/* What came before the target refused to take more is still delivered, and then its end is told. */
static void test_deaf_target_is_read_to_its_end(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    bench_init(&b, "", "");
    pair_relay(&b, &p);
    p.client.room = 4;
    say_text(&p.target, "last words");
    bench_run(&b);
    say_text(&p.target, ", all of them");
    p.target.end = SCRIPT_EOF;
    p.target.deaf = true;
    say_frame(&p.client, true, WS_BINARY, "lost", 4);
    bench_run(&b);
    p.client.room = SCRIPT_ALL;
    bench_run(&b);
    struct hearing h;
    hearing_of(&p.client, &h);
    assert_int_equal(23, buf_len(&h.payload));
    assert_memory_equal("last words, all of them", buf_data(&h.payload), 23);
    hearing_fini(&h);
    bench_assert_cause(&b, CAUSE_TARGET_EOF);
    assert_closed_with(&p.client, 1000, "target ended the connection");
    pair_fini(&p);
    bench_fini(&b);
}

/* A Close that stands behind a write which failed is still the cause. */
static void test_deaf_client_is_read_to_its_close(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    bench_init(&b, "", "");
    pair_relay(&b, &p);
    p.client.deaf = true;
    say_text(&p.target, "not heard");
    bench_run(&b);
    say_frame(&p.client, true, WS_BINARY, "last", 4);
    say_close(&p.client, 1001, "");
    p.client.end = SCRIPT_EOF;
    bench_run(&b);
    assert_heard_text(&p.target, "last");
    assert_true(p.target.shut);
    bench_assert_cause(&b, CAUSE_CLIENT_CLOSE);
    pair_fini(&p);
    bench_fini(&b);
}

/* With nobody left who takes anything, there is nothing to wait for. */
static void test_both_deaf(void **state)
{
    (void)state;
    for (int target_first = 0; target_first < 2; target_first++) {
        struct bench b;
        struct script_pair p;
        bench_init(&b, "", "");
        pair_relay(&b, &p);
        struct script_side *first = target_first ? &p.target : &p.client;
        p.client.room = p.target.room = 0;
        say_text(&p.target, "to the client");
        say_frame(&p.client, true, WS_BINARY, "to the target", 13);
        bench_run(&b);
        first->deaf = true;
        bench_run(&b);
        first->other->deaf = true;
        bench_run(&b);
        assert_int_equal(SESSION_CLOSING, bench_session(&b, &p)->state);
        p.client.end = p.target.end = SCRIPT_EOF;
        bench_run(&b);
        bench_assert_cause(&b, target_first ? CAUSE_TARGET_RESET : CAUSE_CLIENT_GONE);
        pair_fini(&p);
        bench_fini(&b);
    }
}

/* The gateway stops at once: that is the cause, and not the first of the table. */
static void test_cut(void **state)
{
    (void)state;
    struct bench b;
    struct script_pair p;
    bench_init(&b, "", "");
    pair_relay(&b, &p);
    bench_cut(&b);
    bench_assert_cause(&b, CAUSE_DRAIN);
    assert_true(p.client.closed && p.target.closed);
    pair_fini(&p);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_close_while_it_is_stalled),
        cmocka_unit_test(test_nothing_follows_close),
        cmocka_unit_test(test_client_goes_on_behind_target_eof),
        cmocka_unit_test(test_target_without_an_end),
        cmocka_unit_test(test_target_without_an_end_that_takes_late),
        cmocka_unit_test(test_client_goes_on_behind_a_lost_target),
        cmocka_unit_test(test_deaf_target_is_read_to_its_end),
        cmocka_unit_test(test_deaf_client_is_read_to_its_close),
        cmocka_unit_test(test_both_deaf),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests_name("session_last_words", tests, NULL, NULL);
}
