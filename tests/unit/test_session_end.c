/* Every end of a session: its cause, the Close that the client hears, and what the target sees of it. */
#include "relay/roster.h"
#include "script.h"

enum seen { NO_TARGET, FIN, RST, LOST };

struct end_row {
    const char *what;
    const char *route;
    void (*make)(struct bench *b, struct script_pair *p);
    const char *reason;
    enum cause cause;
    unsigned code;    /* 0: no Close */
    enum seen target; /* LOST: it ended itself; nothing more can be told */
};

/* ---- What ends it. Before it, the client sent "before" where there is a target. */

static void empty_close(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_frame(&p->client, true, WS_CLOSE, NULL, 0);
}

static void own_close(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_close(&p->client, 3000, "so long");
    say_frame(&p->client, true, WS_BINARY, "not read any more", 17);
}

static void close_1(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_frame(&p->client, true, WS_CLOSE, "x", 1);
}

static void close_1005(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_close(&p->client, 1005, "");
}

static void close_not_utf8(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_close(&p->client, 1000, "\xFF");
}

static void vanish(struct bench *b, struct script_pair *p)
{
    (void)b;
    p->client.end = SCRIPT_EOF;
}

static void break_off(struct bench *b, struct script_pair *p)
{
    (void)b;
    p->client.end = SCRIPT_RESET;
}

static void fall_silent(struct bench *b, struct script_pair *p)
{
    (void)p;
    bench_pass(b, 25 * 1000);
    bench_pass(b, 20 * 1000);
}

static void kill_all(struct bench *b, struct script_pair *p)
{
    (void)p;
    assert_int_equal(1, relay_kill(&b->relay, &(struct roster_filter){0}));
}

static void revoke_all(struct bench *b, struct script_pair *p)
{
    (void)p;
    static const struct rules none = {0};
    assert_int_equal(1, relay_revoke(&b->relay, &none));
}

static void unmasked(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_text(&p->client, "\x82\x01z");
}

static void reserved_bit(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_text(&p->client, "\xC2\x81....z");
}

static void reserved_opcode(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_text(&p->client, "\x83\x81....z");
}

static void fragmented_ping(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_frame(&p->client, false, WS_PING, "z", 1);
}

static void long_ping(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_text(&p->client, "\x89\xFE");
}

static void bad_length(struct bench *b, struct script_pair *p)
{
    (void)b;
    say(&p->client, "\x82\xFE\x00\x7D....", 8);
}

static void stray_continuation(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_frame(&p->client, true, WS_CONTINUATION, "z", 1);
}

static void message_within(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_frame(&p->client, false, WS_BINARY, "", 0);
    say_frame(&p->client, true, WS_BINARY, "z", 1);
}

static void not_utf8(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_frame(&p->client, true, WS_TEXT, "\xC3", 1);
}

static void text(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_frame(&p->client, true, WS_TEXT, "z", 1);
}

static void binary(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_frame(&p->client, true, WS_BINARY, "z", 1);
}

static void too_big(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_frame(&p->client, false, WS_BINARY, "", 0);
    say_frame(&p->client, true, WS_CONTINUATION, "1234567", 7);
}

static void target_fin(struct bench *b, struct script_pair *p)
{
    (void)b;
    p->target.end = SCRIPT_EOF;
}

static void target_rst(struct bench *b, struct script_pair *p)
{
    (void)b;
    p->target.end = SCRIPT_RESET;
}

static void target_deaf(struct bench *b, struct script_pair *p)
{
    (void)b;
    p->target.deaf = true;
    say_frame(&p->client, true, WS_BINARY, "lost", 4);
}

static void target_binary(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_text(&p->target, "\xFE");
}

static void target_half_character(struct bench *b, struct script_pair *p)
{
    (void)b;
    say_text(&p->target, "\xE2\x82");
    p->target.end = SCRIPT_EOF;
}

static void wait_1s(struct bench *b, struct script_pair *p)
{
    (void)p;
    bench_pass(b, 1000);
}

static void drain(struct bench *b, struct script_pair *p)
{
    (void)p;
    relay_drain(&b->relay);
}

#define DIAL_ROW(status, cause, reason)                                                                      \
    static void dial_##status(struct bench *b, struct script_pair *p)                                        \
    {                                                                                                        \
        (void)p;                                                                                             \
        b->dial_status = status;                                                                             \
    }
#define DIAL_ROWS(X)                                                                                         \
    X(DIAL_REFUSED, CAUSE_TARGET_REFUSED, "target refused the connection")                                   \
    X(DIAL_UNREACHABLE, CAUSE_TARGET_UNREACHABLE, "target cannot be reached")                                \
    X(DIAL_TIMEOUT, CAUSE_TARGET_TIMEOUT, "target did not answer in time")                                   \
    X(DIAL_DNS, CAUSE_TARGET_DNS, "target's name cannot be looked up")                                       \
    X(DIAL_TLS, CAUSE_TARGET_TLS, "TLS with the target failed")
DIAL_ROWS(DIAL_ROW)

static void dial_overload(struct bench *b, struct script_pair *p)
{
    (void)p;
    b->dial_status = DIAL_OVERLOAD;
}

static void dial_no_memory(struct bench *b, struct script_pair *p)
{
    (void)p;
    b->dial_null = true;
}

#define TEXT_ROUTE  "    messages: text\n"
#define RESET_ROUTE "    on_client_abort: reset\n"
#define OVERLOADED  "gateway is out of memory or descriptors"

static const struct end_row rows[] = {
    {"empty Close", "", empty_close, "", CAUSE_CLIENT_CLOSE, 1000, FIN},
    {"Close", "", own_close, "", CAUSE_CLIENT_CLOSE, 3000, FIN},
    {"Close and on_client_abort", RESET_ROUTE, own_close, "", CAUSE_CLIENT_CLOSE, 3000, FIN},
    {"Close of 1 byte", "", close_1, "Close frame with a code that may not be sent", CAUSE_CLIENT_CLOSE, 1002,
        FIN},
    {"Close 1005", "", close_1005, "Close frame with a code that may not be sent", CAUSE_CLIENT_CLOSE, 1002,
        FIN},
    {"Close not UTF-8", "", close_not_utf8, "Close reason is not UTF-8", CAUSE_CLIENT_CLOSE, 1007, FIN},
    {"client's FIN", "", vanish, "", CAUSE_CLIENT_GONE, 0, FIN},
    {"client's FIN", RESET_ROUTE, vanish, "", CAUSE_CLIENT_GONE, 0, RST},
    {"client's RST", "", break_off, "", CAUSE_CLIENT_GONE, 0, FIN},
    {"client's RST", RESET_ROUTE, break_off, "", CAUSE_CLIENT_GONE, 0, RST},
    {"silence", "", fall_silent, "no byte from the client after a ping", CAUSE_CLIENT_TIMEOUT, 1011, FIN},
    {"silence", RESET_ROUTE, fall_silent, "no byte from the client after a ping", CAUSE_CLIENT_TIMEOUT, 1011,
        RST},
    {"unmasked", "", unmasked, "frame from the client is not masked", CAUSE_BAD_FRAME, 1002, FIN},
    {"unmasked", RESET_ROUTE, unmasked, "frame from the client is not masked", CAUSE_BAD_FRAME, 1002, FIN},
    {"reserved bit", "", reserved_bit, "frame has a reserved bit set and no extension was agreed",
        CAUSE_BAD_FRAME, 1002, FIN},
    {"opcode 3", "", reserved_opcode, "frame has a reserved opcode", CAUSE_BAD_FRAME, 1002, FIN},
    {"fragmented ping", "", fragmented_ping, "control frame is fragmented", CAUSE_BAD_FRAME, 1002, FIN},
    {"long ping", "", long_ping, "control frame is over 125 bytes", CAUSE_BAD_FRAME, 1002, FIN},
    {"long length", "", bad_length, "frame length is not in its shortest form", CAUSE_BAD_FRAME, 1002, FIN},
    {"continuation", "", stray_continuation, "continuation frame without a message to continue",
        CAUSE_BAD_FRAME, 1002, FIN},
    {"message in message", "", message_within, "new message before the fragmented one ended", CAUSE_BAD_FRAME,
        1002, FIN},
    {"not UTF-8", TEXT_ROUTE, not_utf8, "text message is not UTF-8", CAUSE_BAD_UTF8, 1007, FIN},
    {"not UTF-8", "    messages: any\n", not_utf8, "text message is not UTF-8", CAUSE_BAD_UTF8, 1007, FIN},
    {"text", "", text, "text messages are not taken here", CAUSE_BAD_MESSAGE_TYPE, 1003, FIN},
    {"binary", TEXT_ROUTE, binary, "binary messages are not taken here", CAUSE_BAD_MESSAGE_TYPE, 1003, FIN},
    {"too big", "    limits: {message: 6B}\n", too_big, "message is over the limit", CAUSE_MESSAGE_TOO_BIG,
        1009, FIN},
    {"target's FIN", "", target_fin, "target ended the connection", CAUSE_TARGET_EOF, 1000, FIN},
    {"target's RST", "", target_rst, "target reset the connection", CAUSE_TARGET_RESET, 1014, LOST},
    {"deaf target", "", target_deaf, "target reset the connection", CAUSE_TARGET_RESET, 1014, LOST},
    {"code of the route", "    close_codes: {target_eof: 4000}\n", target_fin, "target ended the connection",
        CAUSE_TARGET_EOF, 4000, FIN},
    {"bytes for text", TEXT_ROUTE, target_binary, "target sent bytes that are not UTF-8",
        CAUSE_TARGET_NOT_TEXT, 1014, FIN},
    {"half a character", TEXT_ROUTE, target_half_character, "target sent bytes that are not UTF-8",
        CAUSE_TARGET_NOT_TEXT, 1014, FIN},
    {"idle", "    timeouts: {idle: 1s}\n", wait_1s, "session was idle for too long", CAUSE_IDLE, 1001, FIN},
    {"session", "    timeouts: {session: 1s}\n", wait_1s, "session reached its longest time",
        CAUSE_SESSION_LIMIT, 1008, FIN},
    {"killed", "", kill_all, "an operator ended the session", CAUSE_KILLED, 1008, FIN},
    {"revoked", "", revoke_all, "a new configuration does not admit it", CAUSE_REVOKED, 1008, FIN},
    {"drain", "", drain, "gateway is restarting", CAUSE_DRAIN, 1012, FIN},
#define DIAL_END(status, cause, reason) {#status, "", dial_##status, reason, cause, 1014, NO_TARGET},
    DIAL_ROWS(DIAL_END){"overload", "", dial_overload, OVERLOADED, CAUSE_OVERLOAD, 1013, NO_TARGET},
    {"no memory", "", dial_no_memory, OVERLOADED, CAUSE_OVERLOAD, 1013, NO_TARGET},
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static void check_target(const struct end_row *row, const struct script_pair *p)
{
    if (row->target == NO_TARGET) {
        assert_false(p->target.shut || p->target.closed);
        return;
    }
    assert_heard_text(&p->target, "before");
    assert_true(p->target.closed);
    assert_int_equal(row->target == FIN, p->target.shut);
    assert_int_equal(row->target == RST, p->target.reset);
}

static void run_row(
    const struct end_row *row, const struct script_habit *client, const struct script_habit *target)
{
    struct bench b;
    struct script_pair p;
    bench_init(&b, row->route, "");
    pair_init(&b, &p, client, target);
    say_upgrade(&p.client, "/", "");
    bool text_only = strcmp(row->route, TEXT_ROUTE) == 0;
    say_frame(&p.client, true, text_only ? WS_TEXT : WS_BINARY, "before", 6);
    if (row->target == NO_TARGET) {
        row->make(&b, &p);
        bench_accept(&b, &p);
    } else {
        bench_accept(&b, &p);
        bench_run(&b);
        row->make(&b, &p);
    }
    bench_run(&b);
    bench_assert_cause(&b, row->cause);
    assert_int_equal(row->code, bench_log_number(&b, "session_end", "code"));
    if (row->code != 0) {
        assert_closed_with(&p.client, row->code, row->reason);
    } else {
        struct hearing h;
        hearing_of(&p.client, &h);
        assert_int_equal(0, h.close_code);
        hearing_fini(&h);
    }
    assert_true(p.client.closed && !p.client.reset);
    check_target(row, &p);
    pair_fini(&p);
    bench_fini(&b);
}

static void test_every_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < script_habit_count; j++) {
            run_row(&rows[i], &script_habits[j], &script_habits[script_habit_count - 1 - j]);
        }
    }
}

/* `internal` has no way in. */
static void test_no_cause_is_left_out(void **state)
{
    (void)state;
    for (unsigned cause = 0; cause < CAUSE_COUNT; cause++) {
        bool there = cause == CAUSE_INTERNAL;
        for (size_t i = 0; i < ROWS && !there; i++) {
            there = rows[i].cause == (enum cause)cause;
        }
        if (!there) {
            fail_msg("no row for %s", cause_name((enum cause)cause));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_end),
        cmocka_unit_test(test_no_cause_is_left_out),
    };
    return cmocka_run_group_tests_name("session_end", tests, NULL, NULL);
}
